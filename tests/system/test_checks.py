"""What must hold before Podium starts."""

import os

import pytest

from config import broker, checks


def test_too_little_disk_is_said_in_one_line(tmp_path):
    with pytest.raises(checks.CannotStart, match="Only .* GB are free") as failure:
        checks.disk_has_room(tmp_path, needed=2**60)

    assert "\n" not in str(failure.value)


def test_the_secret_is_made_once_and_kept_private(tmp_path):
    checks.secret(tmp_path)
    first = (tmp_path / "secret").read_text()
    checks.secret(tmp_path)

    assert (tmp_path / "secret").read_text() == first
    assert len(first) >= 50
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0


def test_a_lock_that_a_dead_start_left_with_a_child_is_explained(tmp_path):
    held = checks.lock(tmp_path)
    (tmp_path / "up.lock").write_text("999999999\n")

    with pytest.raises(checks.CannotStart, match="earlier start still uses"):
        checks.lock(tmp_path)

    os.close(held)
    os.close(checks.lock(tmp_path))


def test_the_socket_s_path_is_short_wherever_the_data_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(broker.tempfile, "gettempdir", lambda: str(tmp_path / ("deep" * 30)))

    folder = broker.short_folder(tmp_path / ("long" * 40))

    assert len(f"{folder}/supervisor.sock.1234567") <= broker.SOCKET_PATH_LIMIT
    folder.rmdir()


def test_a_socket_folder_open_to_others_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(broker.tempfile, "gettempdir", lambda: str(tmp_path))
    broker.short_folder(tmp_path).chmod(0o755)

    with pytest.raises(checks.CannotStart, match="remove it"):
        broker.short_folder(tmp_path)
