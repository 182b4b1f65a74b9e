"""config/settings.py: a value that can't be meant is refused by name, not taken as it is."""

import re
import runpy

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.system.podium import ROOT


def read(monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "config/settings.py"))


WRONG = {
    "PODIUM_VAR": ["", str(ROOT / "manage.py")],
    "PODIUM_PORT": ["", "zzz", "0", "-1", "70000", "8000.5"],
    "PODIUM_HOST": ["", "http://podium.example", "two hosts"],
    "PODIUM_PATH": ["podium", "/pod ium", "//podium", "/a//b", "/a/..", "https://a.example/podium"],
    "PODIUM_PRODUCTION": ["yess", "2", "production"],
    "PODIUM_DEBUG": ["maybe"],
    "PODIUM_SECRET_KEY": ["", "short"],
    "PODIUM_ALLOWED_HOSTS": ["https://podium.example", "podium.example:8000", "a b", "::1"],
    "PODIUM_TRUSTED_ORIGINS": ["podium.example", "https://podium.example/", "ftp://a.example"],
    "DATABASE_URL": ["nonsense", "mysql://u:p@host/name", "postgres://host", "postgres://h:zzz/n"],
    "REDIS_URL": ["nonsense", "http://redis.example", "redis://redis.example:zzz/0", "unix://"],
    "PODIUM_MODEL": ["", " "],
    "PODIUM_MODEL_ROOTS": ["", "/models:", ":/models"],
    "PODIUM_DEMO": ["never"],
    "PODIUM_BEAT_SECONDS": ["", "zzz", "0", "-1", "nan", "inf", "5 seconds"],
    # 5: as long as between two heartbeats, so that each job would be taken over
    "PODIUM_SILENT_SECONDS": ["-1", "5", "zzz", "1e9"],
    "PODIUM_SWEEP_SECONDS": ["0", "zzz"],
    "PODIUM_KEEP_DAYS": ["-30", "1.5", "zzz", "4000000"],
    "PODIUM_CHILD_SILENT_SECONDS": ["0", "15m"],
    "PODIUM_ENGINE_HOSTS": ["http://127.0.0.1:8001", "127.0.0.1:8001/v1"],
    "PODIUM_ENGINE_KEYS": ["secret", "https://models.example=secret", "models.example=two words"],
    "HF_ENDPOINT": ["", "huggingface.co", "ftp://huggingface.co", "https://a:99999x/"],
    "HF_TOKEN": ["hf_two words", "hf_line\n", "hf_\u00e9"],
    "PODIUM_DTYPE": ["", "int8", "Float32"],
    "PODIUM_ENGINE_REQUESTS": ["0", "-8", "zzz", "100000"],
    "PODIUM_DEVICES": ["gpu", "0,", "cuda:0", "-2"],
    "PODIUM_WORKERS": ["", "0", "many", "-1", "1.5"],
    "PODIUM_ROLES": ["", "web,trainer", "Web"],
    "PODIUM_MACHINE_LOCK": ["", str(ROOT)],
    "PODIUM_API_RATE": ["", "zzz", "fast", "0/min", "10/fortnight", "10 / min", "min"],
    "PODIUM_WEBHOOK_PRIVATE": ["perhaps"],
    "PODIUM_LOGS": ["", "JSON", "xml"],
    "PODIUM_METRICS_TOKEN": ["short", "two words, and quite long", "a-token-of-some-l\u00e9ngth"],
    "PODIUM_BACKUP_CRON": ["daily", "0 3 * *", "99 3 * * *"],
    "PODIUM_BACKUP_FOLDER": ["", str(ROOT / "manage.py")],
    "PODIUM_BACKUPS_KEPT": ["0", "all"],
    "PODIUM_STORE": ["gs://bucket/podium", "s3://", "s3:///podium", str(ROOT / "manage.py")],
    "PODIUM_STORE_CACHE": ["0", "zzz", "-1"],
    "PODIUM_SIGNED_DOWNLOADS": ["s3.example", "https://s3.example/podium", "https://s3.example"],
    "PODIUM_UPLOAD_LIMIT": ["0", "64MB", "-1"],
    "PODIUM_READ_MEMORY": ["0", "1GB"],
    "PODIUM_READ_SECONDS": ["-1", "zzz"],
    "EMAIL_URL": ["", "nonsense", "http://mail.example", "smtp://", "smtp://mail.example:zzz"],
    "PODIUM_EMAIL_FROM": ["", "Podium", "Podium <podium@localhost>\nBcc: all@example.org"],
    "PODIUM_INVITATION_DAYS": ["0", "week", "1000000000"],
    "PODIUM_LOGIN_FAILURES": ["0", "zzz"],
    "PODIUM_LOGIN_EMAILS": ["0", "zzz"],
    "PODIUM_LOGIN_LOCK_MINUTES": ["0", "zzz", "inf"],
    # the last is no network: it has bits of a host
    "PODIUM_TRUSTED_PROXIES": ["foo", "127.0.0.1,10.0.0.1/8"],
    "PODIUM_TEST_DATABASE": ["", str(ROOT)],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_value_that_cannot_be_meant_is_refused(monkeypatch, name, value):
    production = {"PODIUM_PRODUCTION": "1"} if name == "PODIUM_SECRET_KEY" else {}
    with pytest.raises(ImproperlyConfigured, match=f"^{name}: "):
        read(monkeypatch, **production | {name: value})


def test_no_variable_is_left_unchecked():
    source = (ROOT / "config/settings.py").read_text(encoding="utf-8")

    assert set(re.findall(r'env\.\w+\(\s*"(\w+)"', source)) == set(WRONG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "nonsense://podium:s3cret@db.example/podium"),
        ("DATABASE_URL", "postgres://podium:s3cret@db.example:zzz/podium"),
        ("REDIS_URL", "redis://:s3cret@redis.example:zzz/0"),
        ("EMAIL_URL", "http://podium:s3cret@mail.example"),
        ("PODIUM_ENGINE_KEYS", "s3cret"),
        ("PODIUM_ENGINE_KEYS", "models.example=s3cret key"),
        ("HF_TOKEN", "s3cret token"),
    ],
)
def test_a_refusal_shows_no_secret(monkeypatch, name, value):
    with pytest.raises(ImproperlyConfigured) as caught:
        read(monkeypatch, **{name: value})

    assert "s3cret" not in str(caught.value)


def test_only_with_a_bucket_downloads_have_signed_addresses_which_forms_may_lead_to(monkeypatch):
    known = read(
        monkeypatch,
        PODIUM_STORE="s3://podium/prod",
        PODIUM_SIGNED_DOWNLOADS="https://s3.example:9000/",
    )
    allowed = known["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]["form-action"]

    assert known["SIGNED_DOWNLOADS"] == "https://s3.example:9000"
    assert allowed == ["'self'", "https://s3.example:9000"]
    plain = read(monkeypatch, PODIUM_SIGNED_DOWNLOADS="")["CONTENT_SECURITY_POLICY"]
    assert plain["DIRECTIVES"]["form-action"] == ["'self'"]


@pytest.mark.parametrize(
    ("name", "value", "setting", "means"),
    [
        ("PODIUM_PRODUCTION", "no", "PRODUCTION", False),
        ("PODIUM_DEBUG", "True", "DEBUG", True),
        ("PODIUM_BEAT_SECONDS", "1e1", "BEAT_SECONDS", 10.0),
        ("PODIUM_SECRET_KEY", "$begins-like-a-variable", "SECRET_KEY", "$begins-like-a-variable"),
        (
            "PODIUM_ALLOWED_HOSTS",
            "a.example, .b.example",
            "ALLOWED_HOSTS",
            ["a.example", ".b.example"],
        ),
        (
            "PODIUM_TRUSTED_ORIGINS",
            "https://*.a.example:8443",
            "CSRF_TRUSTED_ORIGINS",
            ["https://*.a.example:8443"],
        ),
        ("PODIUM_HOST", "::", "HOST", "::"),
        ("PODIUM_PATH", "/labels/podium/", "FORCE_SCRIPT_NAME", "/labels/podium"),
        ("PODIUM_PATH", "/podium", "STATIC_URL", "/podium/static/"),
        ("PODIUM_PATH", "/", "STATIC_URL", "/static/"),
        (
            "PODIUM_ENGINE_KEYS",
            "models.example=a=b,127.0.0.1:8001=c",
            "ENGINE_KEYS",
            {"models.example": "a=b", "127.0.0.1:8001": "c"},
        ),
        ("PODIUM_DEVICES", "0,GPU-8932f937-d72c", "DEVICES", "0,GPU-8932f937-d72c"),
        ("PODIUM_WORKERS", "2", "WORKERS", "2"),
        ("PODIUM_ROLES", "web, default", "ROLES", ["web", "default"]),
        ("EMAIL_URL", "smtp+tls://u:p%40@mail.example:587", "EMAIL_HOST_PASSWORD", "p@"),
    ],
)
def test_a_value_is_taken_as_it_is_meant(monkeypatch, name, value, setting, means):
    assert read(monkeypatch, **{name: value})[setting] == means


@pytest.mark.parametrize(
    "url", ["postgres://u:p@db.example:5432/podium?sslmode=require", "postgresql:///podium"]
)
def test_a_database_may_be_near_or_far(monkeypatch, url):
    assert read(monkeypatch, DATABASE_URL=url)["DATABASES"]["default"]["NAME"] == "podium"


@pytest.mark.parametrize("value", ["127.0.0.1,::1", "10.0.0.0/8,fd00::/8", ""])
def test_addresses_and_networks_are_proxies(monkeypatch, value):
    assert ",".join(read(monkeypatch, PODIUM_TRUSTED_PROXIES=value)["TRUSTED_PROXIES"]) == value


def test_times_in_the_log_have_their_date(monkeypatch):
    assert read(monkeypatch)["LOGGING"]["formatters"]["plain"]["datefmt"].startswith("%Y-%m-%d")
