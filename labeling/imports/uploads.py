"""Uploaded files: below the data folder of the host that received them, and in the store, from
where any other host brings them into its own.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import get_valid_filename

from modelops import store
from modelops.stores import trees


def keep(files: list[UploadedFile]) -> Path:
    """The upload below the data folder, under a name that nobody chose; several as a folder, for
    their names matter.
    """
    path = place(secrets.token_hex(16))
    try:
        if len(files) == 1:
            _write(files[0], path)
        else:
            path.mkdir()
            for number, file in enumerate(files):
                _write(file, path / _own_name(path, number, file.name))
    except OSError:
        trees.remove(path)
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
    """Bring a file or folder of the store to `path`; nothing if the store has it no more. Raises
    store.StoreFault.
    """
    try:
        store.copy_to(digest, path)
    except store.Gone:
        return


def _own_name(folder: Path, number: int, name: str) -> str:
    """A model may be called by it; two of the same name are told apart."""
    safe = get_valid_filename(Path(name).name)[-100:] if name.strip(". ") else "file"
    return f"{number}-{safe}" if (folder / safe).exists() else safe


def _write(file: UploadedFile, path: Path) -> None:
    with open(path, "xb") as out:
        for chunk in file.chunks():
            out.write(chunk)
