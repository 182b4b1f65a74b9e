"""config/settings.py: a value that can't be meant is refused by name, not taken as it is."""

import runpy

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.system.podium import ROOT


def read(monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "config/settings.py"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PODIUM_SILENT_SECONDS", "-1"),
        (
            "PODIUM_SILENT_SECONDS",
            "5",
        ),  # as long as between two heartbeats: each job would be taken over
        ("PODIUM_SWEEP_SECONDS", "0"),
        ("PODIUM_KEEP_DAYS", "-30"),
        ("PODIUM_UPLOAD_LIMIT", "0"),
        ("PODIUM_LOGIN_FAILURES", "0"),
        ("PODIUM_PORT", "70000"),
        ("PODIUM_API_RATE", "fast"),
        ("PODIUM_API_RATE", "0/min"),
        ("PODIUM_TRUSTED_PROXIES", "foo"),
        ("PODIUM_TRUSTED_PROXIES", "127.0.0.1,10.0.0.1/8"),  # no network: it has bits of a host
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(monkeypatch, name, value):
    with pytest.raises(ImproperlyConfigured, match=name):
        read(monkeypatch, **{name: value})


@pytest.mark.parametrize("value", ["127.0.0.1,::1", "10.0.0.0/8,fd00::/8", ""])
def test_addresses_and_networks_are_proxies(monkeypatch, value):
    assert ",".join(read(monkeypatch, PODIUM_TRUSTED_PROXIES=value)["TRUSTED_PROXIES"]) == value


def test_times_in_the_log_have_their_date(monkeypatch):
    assert read(monkeypatch)["LOGGING"]["formatters"]["plain"]["datefmt"].startswith("%Y-%m-%d")
