"""Static files that were collected after the process started."""

import pytest
from django.http import HttpResponse

from config.static_files import StaticFiles

ADDRESS = "/static/css/new.0123456789ab.css"


@pytest.fixture
def collected(tmp_path, settings):
    settings.STATIC_ROOT = tmp_path / "static"
    (settings.STATIC_ROOT / "css").mkdir(parents=True)
    (tmp_path / "secret.0123456789ab.css").write_text("secret")
    return settings.STATIC_ROOT


@pytest.fixture
def serve(collected, rf, monkeypatch):
    served = StaticFiles(lambda request: HttpResponse(status=404))
    monkeypatch.setattr(served, "immutable_file_test", lambda path, url: ".0123456789ab." in url)
    return lambda address: served(rf.get(address))


def test_a_file_that_was_added_is_served(serve, collected):
    assert serve(ADDRESS).status_code == 404

    (collected / "css/new.0123456789ab.css").write_text("a {}")
    answer = serve(ADDRESS)

    assert b"".join(answer) == b"a {}"
    assert "immutable" in answer["Cache-Control"]


@pytest.mark.parametrize(
    "address",
    [
        "/static/../secret.0123456789ab.css",
        "/static/css/../../secret.0123456789ab.css",
        "/static//css/plain.css",
        "/static/css/plain.css",
        "/static/css.0123456789ab./",
    ],
)
def test_nothing_else_is_looked_for(serve, collected, address):
    (collected / "css/plain.css").write_text("a {}")
    (collected / "css.0123456789ab.").mkdir()

    assert serve(address).status_code == 404
