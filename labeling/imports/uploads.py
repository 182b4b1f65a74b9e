"""Uploaded files: below the data folder of the host that received them, and in the store, from
where any other host brings them into its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import get_valid_filename

from modelops import store


def keep(files: list[UploadedFile]) -> Path:
    """The upload below the data folder, under a name that nobody chose; several as a folder, for
    their names matter.
    """
    path = place(secrets.token_hex(16))
    if len(files) == 1:
        _write(files[0], path)
        return path
    path.mkdir()
    try:
        for number, file in enumerate(files):
            _write(file, path / _own_name(path, number, file.name))
    except OSError:
        shutil.rmtree(path)
        raise
    return path


def place(name: str) -> Path:
    """Where an upload of this name is kept."""
    folder = settings.VAR / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def find(recipe: dict[str, Any]) -> Path:
    """The upload that an import's recipe names, on this host. Where it is gone everywhere there is
    nothing at this path. Raises store.StoreFault.
    """
    path = settings.VAR / recipe["path"]
    if recipe.get("stored") and not path.exists():
        bring(recipe["stored"], path)
    return path


def bring(digest: str, path: Path) -> None:
    """Bring a file or folder of the store to `path`; nothing if the store has it no more."""
    try:
        source = store.get(digest)
    except store.Gone:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    arriving = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    if source.is_dir():
        shutil.copytree(source, arriving)
    else:
        shutil.copyfile(source, arriving)
    try:
        os.rename(arriving, path)
    except OSError:  # another process has brought the same folder
        discard(arriving)


def discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _own_name(folder: Path, number: int, name: str) -> str:
    """A model may be called by it; two of the same name are told apart."""
    safe = get_valid_filename(Path(name).name)[-100:] if name.strip(". ") else "file"
    return f"{number}-{safe}" if (folder / safe).exists() else safe


def _write(file: UploadedFile, path: Path) -> None:
    with open(path, "xb") as out:
        for chunk in file.chunks():
            out.write(chunk)
