"""A host runs the parts that PODIUM_ROLES names, and no others."""

import re
from configparser import RawConfigParser
from types import SimpleNamespace

import pytest

from config.run import announce, checks, up

ALL = ["web", "default", "sampling", "training"]


@pytest.fixture
def host(tmp_path, monkeypatch):
    """The settings of a host with these roles, which shares all it must."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("REDIS_URL", "redis://broker.example/0")

    def with_roles(*roles, **own):
        shared = {"DATABASE_URL": "postgres://db.example/podium", "REDIS_URL": "redis://b.example"}
        fields = {
            "ROLES": list(roles),
            "EVERY_ROLE": ALL,
            "VAR": tmp_path,
            "HOST": "127.0.0.1",
            "PORT": 8000,
            "WORKERS": "2",
            "METRICS_TOKEN": "",
            "LOGS": "text",
            "STORE": "/shared",
        }
        return SimpleNamespace(**fields | shared | own)

    return with_roles


@pytest.mark.parametrize(
    ("roles", "programs"),
    [
        (["web"], ["web", "announce"]),
        (["default"], ["worker-default"]),
        (["training"], ["worker-training", "worker-training-2"]),
        (["web", "sampling"], ["web", "announce", "worker-sampling", "worker-sampling-2"]),
    ],
    ids=" ".join,
)
def test_a_host_starts_what_its_roles_name(host, roles, programs):
    read = RawConfigParser()
    read.read(up.configure(host(*roles)))

    names = {section.removeprefix("program:") for section in read if "program:" in section}
    assert names == set(programs)


def test_a_host_with_all_roles_needs_nothing_of_others(host):
    checks.shared(host(*ALL, DATABASE_URL="", REDIS_URL="", STORE=""))


@pytest.mark.parametrize("own", ["DATABASE_URL", "REDIS_URL", "PODIUM_STORE"])
def test_what_hosts_must_share_is_named(host, own):
    checks.shared(host("web"))
    with pytest.raises(checks.CannotStart, match=f"default, sampling, training .* set {own} to"):
        checks.shared(host("web", **{own.removeprefix("PODIUM_"): ""}))


def test_only_a_host_that_computes_gets_the_default_model(host, monkeypatch):
    steps = []
    monkeypatch.setattr(up, "step", lambda module, *_, **__: steps.append(module))
    for name in ("lock", "port_is_free", "disk_has_room"):
        monkeypatch.setattr(checks, name, lambda *_: None)

    up.prepare(host("web", "default", MODEL="smollm2"))
    assert steps == ["config.run.prepare"]
    up.prepare(host("training", MODEL="smollm2"))
    assert steps[1:] == ["workers.download_model", "config.run.prepare"]


def test_a_host_waits_for_no_worker_of_another(settings):
    settings.ROLES = ["web", "default"]
    assert not announce.runs_all()
    settings.ROLES = ALL
    assert announce.runs_all()


@pytest.mark.parametrize(("logs", "prefixed"), [("text", True), ("json", False)])
def test_lines_of_json_have_no_name_before_them(host, logs, prefixed):
    file = up.configure(host("default", LOGS=logs))
    wrapper = r"^command=.*prefix\.py worker-default "

    assert bool(re.search(wrapper, file.read_text(), re.M)) is prefixed
