"""What every test may use: three named people of a project, a stranger, and their browsers. Nothing
touches var/.
"""

import functools
import ipaddress
import os
import socket
from pathlib import Path

import pytest
from django.core import mail as outgoing
from django.core.cache import cache
from django.test import Client
from hypothesis import HealthCheck, settings

from labeling.judging import rankings
from labeling.quality import adjudication
from people import mail
from tests.factories import make_person, make_project
from tests.modelops.hub_server import hub  # noqa: F401
from tests.modelops.s3_server import bucket, hosts, s3_server  # noqa: F401
from tests.system.fixtures import own_podium, running_podium, tiny_model  # noqa: F401

# The suite computes in float32 on every machine. What starts a whole Podium lets it choose, and
# tests marked `bf16` choose bfloat16 by themselves.
os.environ["PODIUM_DTYPE"] = "float32"

# No example is timed: the machine may be busy.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_configure(config):
    """Static files are served as they lie in the repository; no broker holds the cache."""
    from django.conf import settings

    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
    config.addinivalue_line("filterwarnings", "ignore:No directory at:UserWarning")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    """The long ones begin at once, each kind in one process: what starts a whole Podium, and what
    computes with torch.
    """
    for item in items:
        name = next((name for name in ("system", "torch") if item.get_closest_marker(name)), None)
        if name:
            item.add_marker(pytest.mark.xdist_group(name))
    yield
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings):
    from django.conf import settings

    database = settings.DATABASES["default"].get("TEST", {}).get("NAME")
    if database:
        Path(database).parent.mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    """Files go to the test's own folder, and passwords are hashed quickly."""
    settings.VAR = tmp_path
    settings.STORE = ""
    settings.MEDIA_ROOT = tmp_path / "uploads"
    settings.MACHINE_LOCK = tmp_path / "machine.lock"
    settings.DEVICES = "cpu"
    settings.MODEL_ROOTS = [tmp_path / "models"]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()


class NetworkBlocked(RuntimeError):
    """A test tried to reach another machine. No OSError, so that no code takes it for a fault of
    the network.
    """


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def to_loopback_only(send):
    """A method of sockets whose last argument is an address, for this machine's addresses alone."""

    @functools.wraps(send)
    def checked(sock, *args):
        address = args[-1]
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            sock.close()  # who expects an OSError would leave it open
            raise NetworkBlocked(f"Tests may only reach this machine, not {address[0]}.")
        return send(sock, *args)

    return checked


@pytest.fixture(scope="session", autouse=True)
def loopback_only():
    """Sockets of the test's process reach this machine alone. Child processes are not watched."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, to_loopback_only(getattr(socket.socket, name)))
        yield


@pytest.fixture
def project(db):
    return make_project(slug="demo", name="Demo")


@pytest.fixture
def alice(project):
    """A labeler of the project."""
    return make_person(project, "labeler", "alice")


@pytest.fixture
def bob(project):
    """Her colleague, a labeler too."""
    return make_person(project, "labeler", "bob")


@pytest.fixture
def carol(project):
    """The project's admin."""
    return make_person(project, "admin", "carol")


@pytest.fixture
def stranger(db):
    """Has an account, and no part in the project."""
    return make_person(name="stranger")


@pytest.fixture
def in_slot_order(monkeypatch):
    """Adjudication shows everybody the answers in the order of their slots: a test may name them by
    their letters.
    """
    monkeypatch.setattr(adjudication, "sheet", rankings.sheet)


@pytest.fixture
def client_for():
    """A browser in which this person is logged in."""

    def log_in(user) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def letters():
    """What was mailed, once a worker has looked."""

    def arrived() -> list:
        mail.deliver()
        return outgoing.outbox

    return arrived
