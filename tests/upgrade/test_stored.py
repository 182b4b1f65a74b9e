"""The data of the version before the modules moved: any later version opens them and goes on.

record.py recorded what that version showed: its pages with the texts that people wrote, its API
answers, its downloads. A page may show more, an answer may have more fields; what was there stays.
"""

import hashlib
import io
import json
import zipfile

import pytest
from django.apps import apps
from django.conf import global_settings
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.exceptions import NoReverseMatch

from config.celery import app
from labeling.exports import formats
from labeling.models import Candidate, Judge
from modelops import registry
from modelops.models import Dataset, Job, Metric, ModelVersion
from people.models import Letter
from tests.upgrade import looks
from tests.upgrade.contract import breaks


@pytest.fixture(scope="module")
def seen():
    """What the earlier version showed."""
    return looks.recorded("seen")


# What is there

# Researchers read prompts on the pages, too, as the API let them before.
PROMPTS = (f"/p/{looks.SLUG}/prompts/", f"/p/{looks.SLUG}/prompts/1/")
OPENED_SINCE = {("researcher", address): 200 for address in PROMPTS}


def test_every_page_is_there_for_whom_it_was_and_shows_what_it_showed(either_podium, seen):
    wrong = []
    browsers = {role: looks.browser(role) for role in looks.ROLES}
    for role, address, status, texts in seen["pages"]:
        now, content = looks.page(browsers[role], address)
        shown = looks.text_of(content) if now == 200 else ""
        missing = [text for text in texts if text not in shown]
        if now != OPENED_SINCE.get((role, address), status) or missing:
            wrong.append(f"{role} {address}: was {status}, is {now}; misses {missing}")
    assert len(seen["pages"]) > 300
    assert sum(len(texts) for *_, texts in seen["pages"]) > 1000
    assert wrong == []


# Of four judges one is a script: figures of people do not count it any more.
OF_PEOPLE_ONLY = {
    f"/api/v1/projects/{looks.SLUG}/ring": [
        ".rankings.people was 4, is 3",
        ".rankings.ties was 4.918032786885246, is 3.508771929824561",
    ]
}


# Who ranks must not know how many tasks are gold.
OF_READERS_ONLY = ".gold_share is gone"


def in_texts(answer: dict) -> dict:
    """The form of an adjudication, with the answers' texts in place of their letters: those are
    each person's own now.
    """
    texts = {one["letter"]: one["text"] for one in answer["answers"]}

    def tiers(order: str) -> list[list[str]]:
        return [
            sorted(texts.get(x.strip(), x) for x in tier.split("=")) for tier in order.split(">")
        ]

    settled = answer["settled"] and {
        name: {texts.get(letter, letter): said for letter, said in value.items()}
        if isinstance(value, dict)
        else tiers(value)
        if name == "order"
        else value
        for name, value in answer["settled"].items()
    }
    judged = [tiers(order) for order in answer["judged"]]
    return answer | {"answers": sorted(texts.values()), "judged": judged, "settled": settled}


@pytest.mark.skipif(
    connection.vendor != "sqlite",
    reason="the rows came to PostgreSQL by JSON, which keeps milliseconds of a time",
)
def test_the_api_answers_with_all_that_it_answered(either_podium, seen, stored):
    wrong = []
    for role, address, status, before in seen["answers"]:
        now, answer = looks.answer(stored.known[f"token of {role}"], address)
        if status == 200 and address.endswith("/settle"):
            before, answer = in_texts(before), in_texts(answer)
        lost = looks.lost(before, answer) if status == 200 else []
        if role in ("labeler", "lead"):
            lost = [place for place in lost if not place.endswith(OF_READERS_ONLY)]
        lost = [place for place in lost if place not in OF_PEOPLE_ONLY.get(address, ())]
        if now != status or lost:
            wrong.append(f"{role} {address}: was {status}, is {now}; {lost[:5]}")
    assert len(seen["answers"]) > 150
    assert wrong == []


def test_every_download_says_what_it_said(podium, seen, monkeypatch):
    """Each file is made anew: downloads of before are gone. Answers that are all tied had a best
    one then.
    """
    monkeypatch.setattr(formats, "all_tied", lambda ranks: False)
    client, wrong = looks.browser("researcher"), []
    for address, before in seen["downloads"].items():
        status, content = looks.page(client, address)
        name = address.split("format=")[1].split("&")[0]
        now = {"status": status}
        if status == 200:
            now["digests"] = looks.digests(name, content)
        if name == "folder.zip" and status == 200:
            now["digests"]["README.md"] = digest_without_hub_words(content)
        if connection.vendor == "postgresql" and "digests" in now:
            before = before | {"digests": without_counts(before["digests"])}
            now["digests"] = without_counts(now["digests"])
        if now != before:
            wrong.append((address, before, now))
    assert sum(before["status"] == 200 for before in seen["downloads"].values()) > 100
    assert wrong == []


# Lists of the card's header that say in the Hub's words what the dataset is.
HUB_WORDS = ("language:", "size_categories:", "task_categories:", "tags:")


def digest_without_hub_words(folder: bytes) -> str:
    """sha256 of the folder's README.md as it was before it had these lists."""
    with zipfile.ZipFile(io.BytesIO(folder)) as packed:
        lines = packed.read("README.md").decode().split("\n")
    kept, among_words = [], False
    for line in lines:
        among_words = line in HUB_WORDS or (among_words and line.startswith("- "))
        kept += [] if among_words else [line]
    assert len(kept) < len(lines)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def without_counts(digests: dict[str, str]) -> dict[str, str]:
    """The files of a folder that list no counts: PostgreSQL does not keep their order."""
    return {
        name: digest
        for name, digest in digests.items()
        if name != "README.md" and not name.startswith("plots/")
    }


def test_a_dataset_is_still_what_its_id_says(either_podium, seen):
    there = Dataset.objects.filter(withdrawn_at=None)

    assert {str(row.pk): row.digest for row in Dataset.objects.all()} == seen["rows"]["datasets"]
    assert len(there) >= 6
    for dataset in there:
        rows = (either_podium / dataset.folder / "rows.jsonl").read_bytes()
        assert hashlib.sha256(rows).hexdigest() == dataset.digest


def test_a_model_version_is_still_what_its_digest_says(either_podium, seen):
    whole = ModelVersion.objects.exclude(folder="")

    assert {str(row.pk): [row.name, row.sha256] for row in ModelVersion.objects.all()} == seen[
        "rows"
    ]["models"]
    assert len(whole) >= 4
    for version in whole:
        assert registry.artifact_digest(registry.path(version)) == version.sha256


def test_every_job_is_listed_with_its_state(either_podium, seen):
    jobs = {str(job.pk): [job.kind, job.state, job.done, job.total] for job in Job.objects.all()}
    page = looks.browser("admin").get(f"/p/{looks.SLUG}/jobs/").content.decode()

    assert jobs == seen["rows"]["jobs"]
    assert {state for _kind, state, *_ in jobs.values()} == {
        "done",
        "failed",
        "cancelled",
        "queued",
        "running",
    }
    assert [pk for pk in jobs if f'/p/{looks.SLUG}/jobs/{pk}/"' not in page] == []


def test_no_row_is_lost_or_added(either_podium, seen):
    before = dict(seen["rows"]["counts"])
    imported_judges = before.pop("labeling.ExternalLabeler")  # judges now, as accounts are
    now = {label: apps.get_model(label).objects.count() for label in before}

    assert Judge.objects.filter(account=None, kind="unknown").count() == imported_judges > 0
    assert Judge.objects.exclude(account=None).count() == before["people.User"]

    assert now == before


def test_no_page_of_this_version_breaks_on_the_data(podium):
    """Also those that the earlier version did not have."""
    clients = [looks.browser(role) for role in ("admin", "administrator")]
    broken = [
        (address, status)
        for address in addresses()
        for client in clients
        if (status := client.get(address).status_code) >= 500
    ]
    assert broken == []


def addresses() -> list[str]:
    """Every named page of this version, of the things numbered 1 to 3."""
    paths = []
    for name in names():
        for number in (1, 2, 3):
            for about in ({"pk": number}, {"assignment_id": number}, {"kind": "sample"}, {}):
                for project in ({"slug": looks.SLUG}, {}):
                    try:
                        paths.append(reverse(name, kwargs=about | project))
                    except NoReverseMatch:
                        continue
    return list(dict.fromkeys(paths))


def names(patterns=None) -> list[str]:
    all_names = []
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver) and pattern.namespace != "admin":
            all_names += names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and pattern.name:
            all_names.append(pattern.name)
    return all_names


# The contract with scripts

SQLITE_SCHEMA = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the ranges of integers are the database's"
)


@SQLITE_SCHEMA
def test_the_api_takes_and_gives_all_that_it_took_and_gave(tmp_path):
    call_command("spectacular", file=str(tmp_path / "openapi.json"), format="openapi-json")
    now = json.loads((tmp_path / "openapi.json").read_text())

    assert breaks(looks.recorded("openapi"), now) == []


# Going on


def test_a_draft_is_on_the_form_again(podium):
    form = looks.browser("labeler").get(f"/p/{looks.SLUG}/rank/").content.decode()

    assert "Half a thought, kept as a draft." in form
    assert [form.count(f'name="rank-{letter}"') for letter in "abc"] == [1, 1, 1]


def test_who_had_an_account_logs_in_with_the_same_password(podium, seen, settings):
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS
    client = Client()
    client.post("/login/", {"username": looks.ROLES["labeler"], "password": seen["password"]})

    assert client.get("/account/").status_code == 200


def test_an_invitation_lets_in_whom_it_invited_and_the_letter_that_waited_is_sent(podium, stored):
    token = stored.known["invitation of quentin"]
    fields = {
        "name": "Quentin",
        "zone": "UTC",
        "password1": "a long new password",
        "password2": "a long new password",
    }
    assert Client().post(f"/join/{token}/", fields).status_code == 302

    app.tasks["mail.deliver"]()
    assert [letter.to for letter in mail.outbox] == [["omar@harbour.example"]]
    assert "/join/" in mail.outbox[0].body
    assert not Letter.objects.filter(state="waiting").exists()


def test_the_same_judgments_are_frozen_under_the_same_id(podium, seen):
    waiting = Job.objects.get(kind="freeze", state="queued")
    app.tasks["default.work"]()
    app.tasks["default.work"]()

    waiting.refresh_from_db()
    assert (waiting.state, waiting.result["same"]) == ("done", True)
    assert {str(row.pk): row.digest for row in Dataset.objects.all()} == seen["rows"]["datasets"]
    assert not Job.objects.filter(kind="render", state="queued").exists()


@pytest.mark.torch
@pytest.mark.skipif(connection.vendor != "sqlite", reason="a backup holds no checkpoints")
def test_jobs_that_waited_or_were_half_done_end(podium):
    half = list(Job.objects.filter(state="running").order_by("pk"))
    assert [job.kind for job in half] == ["reward", "ppo"]
    assert all(0 < job.done < job.total for job in half)
    waiting = list(Job.objects.filter(state="queued", kind__in=["sample", "sft"]).order_by("pk"))
    assert [job.kind for job in waiting] == ["sample", "sft"]

    for _number in range(8):
        app.tasks["training.work"]()
        app.tasks["sampling.work"]()

    for job in half + waiting:
        job.refresh_from_db()
        assert (job.state, job.error) == ("done", "")
        assert job.done == job.total
    for job in half:
        assert job.log.filter(text__startswith="Goes on from ").count() == 1, (
            "its checkpoint was taken up"
        )
        curve = Metric.objects.filter(job=job, step__gt=0).values_list("step", flat=True)
        assert set(curve) == set(range(1, job.total + 1))
    for job in [*half, waiting[1]]:
        version = ModelVersion.objects.get(job=job)
        assert registry.artifact_digest(registry.path(version)) == version.sha256
    assert Candidate.objects.filter(job=waiting[0]).count() == waiting[0].total > 0
    assert not Job.objects.filter(state="running").exists()
