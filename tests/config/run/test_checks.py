"""What must hold before Podium starts."""

import errno
import os
import subprocess
import sys

import pytest

from config.run import broker, checks
from people.file_permissions import make_private
from tests.system.podium import ROOT


def test_too_little_disk_is_said_in_one_line(tmp_path):
    with pytest.raises(checks.CannotStart, match="Only .* GB are free") as failure:
        checks.disk_has_room(tmp_path, needed=2**60)

    assert "\n" not in str(failure.value)


def test_a_data_folder_that_cannot_be_written_to_is_said_in_one_line(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    checks.make_folders(tmp_path)  # all is there already: nothing fails until something is written
    monkeypatch.setattr(checks.tempfile, "TemporaryFile", refuse)

    with pytest.raises(
        checks.CannotStart, match="can't be written to: Read-only file system"
    ) as failure:
        checks.make_folders(tmp_path)
    assert str(tmp_path) in str(failure.value)


def test_what_others_could_read_is_closed_to_them(tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.touch()
    outside.chmod(0o644)
    var = tmp_path / "var"
    (var / "models" / "one").mkdir(parents=True)
    for path, mode in (
        (var, 0o755),
        (var / "models/one", 0o775),
        (var / "db", 0o644),
        (var / "tool", 0o755),
    ):
        path.touch()
        path.chmod(mode)
    (var / "models").chmod(0o700)
    (var / "link").symlink_to(outside)

    checks.close_to_others(var)

    modes = {
        path.name: oct(path.lstat().st_mode & 0o777)
        for path in [var, *var.rglob("*")]
        if not path.is_symlink()
    }
    assert modes == {
        "var": "0o700",
        "models": "0o700",
        "one": "0o700",
        "db": "0o600",
        "tool": "0o700",
    }
    assert outside.stat().st_mode & 0o777 == 0o644
    assert "4 files and folders" in capsys.readouterr().out
    assert make_private(var) == 0


WRITE = (
    "from pathlib import Path; import sys; {}; Path(sys.argv[1], 'file').touch(); "
    "Path(sys.argv[1], 'folder').mkdir()"
)


@pytest.mark.parametrize(
    "first", ["import config.settings", "import config.celery", "import config.run.up"]
)
def test_what_any_process_of_podium_writes_is_its_account_s_alone(tmp_path, first):
    """manage.py, the workers, the web server and `make up` each import one of these first."""
    subprocess.run(
        [
            "sh",
            "-c",
            'umask 022; exec "$@"',
            "sh",
            sys.executable,
            "-c",
            WRITE.format(first),
            tmp_path,
        ],
        cwd=ROOT,
        env=os.environ | {"PODIUM_VAR": str(tmp_path)},
        check=True,
    )

    assert [oct((tmp_path / name).stat().st_mode & 0o777) for name in ("file", "folder")] == [
        "0o600",
        "0o700",
    ]


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
