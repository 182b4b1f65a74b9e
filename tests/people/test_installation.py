"""All hosts of a database have one secret key, and code that knows its migrations."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from config.run import prepare
from config.run.checks import CannotStart
from people import installation
from people.models import AuditEvent, Installation

pytestmark = pytest.mark.django_db
FIRST, OTHER = "first-" * 10, "other-" * 10


@pytest.fixture(autouse=True)
def first_host(settings):
    """The host that made the database."""
    settings.SECRET_KEY = FIRST
    installation.check_key()


def test_a_host_with_the_same_key_starts():
    installation.check_key()

    assert FIRST not in str(list(Installation.objects.values()))


def test_a_host_with_another_key_is_refused_until_the_key_is_accepted(settings, capsys):
    settings.SECRET_KEY = OTHER
    with pytest.raises(installation.OtherKey, match="accept_key"):
        installation.check_key()

    call_command("accept_key")
    installation.check_key()
    assert "belongs to this secret key now" in capsys.readouterr().out
    assert AuditEvent.objects.get().verb == "accept another secret key"

    settings.SECRET_KEY = FIRST
    with pytest.raises(installation.OtherKey):
        installation.check_key()


def test_accepting_the_same_key_changes_nothing(capsys):
    call_command("accept_key")

    assert "already belongs" in capsys.readouterr().out
    assert not AuditEvent.objects.exists()


def test_a_newer_database_is_refused():
    prepare.refuse_newer_database()
    MigrationRecorder(connection).record_applied("people", "9999_of_a_later_version")
    MigrationRecorder(connection).record_applied("another_app", "0001_initial")

    with pytest.raises(CannotStart, match=r"newer version .* \(people\.9999_of_a_later_version\)"):
        prepare.refuse_newer_database()


def faults():
    def newer():
        MigrationRecorder(connection).record_applied("labeling", "9999_later")

    def rekeyed():
        Installation.objects.update(key_fingerprint="0" * 64)

    return {"newer": (newer, "A newer version"), "rekeyed": (rekeyed, "another secret key")}


@pytest.mark.parametrize("name", ["newer", "rekeyed"])
def test_the_start_ends_with_the_sentence_and_touches_nothing_more(monkeypatch, name):
    fault, sentence = faults()[name]
    fault()
    later = []
    monkeypatch.setattr(prepare.django, "setup", lambda: None)
    monkeypatch.setattr(prepare, "collect_static", lambda: later.append("static"))
    monkeypatch.setattr(prepare, "call_command", lambda *_, **__: later.append("command"))

    with pytest.raises(SystemExit, match=sentence):
        prepare.main()
    assert later == []
