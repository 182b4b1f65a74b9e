"""What is stored under a digest: the names, sizes and hashes of its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _

from modelops.hashing import Watch, add_file, unwatched
from modelops.stores import Damaged


@dataclass(frozen=True)
class Listing:
    """A file (`files` has one, without a name) or a folder: (bytes, sha256) of each file by its
    path below the folder.
    """

    is_folder: bool
    files: dict[str, tuple[int, str]]

    @property
    def digest(self) -> str:
        """The sha256 of a file; of a folder, over the names and the sha256 of its files."""
        if not self.is_folder:
            return self.files[""][1]
        whole = hashlib.sha256()
        for name in sorted(self.files):
            whole.update(f"{name}\0{self.files[name][1]}\n".encode())
        return whole.hexdigest()

    @property
    def size(self) -> int:
        return sum(size for size, _sha256 in self.files.values())

    def as_json(self) -> bytes:
        files = {name: list(file) for name, file in sorted(self.files.items())}
        return json.dumps({"folder": self.is_folder, "files": files}, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes, digest: str) -> Listing:
        """Raises Damaged unless it is the listing of this digest."""
        try:
            about = json.loads(content)
            files = {name: (int(size), str(sha)) for name, (size, sha) in about["files"].items()}
            listing = cls(bool(about["folder"]), files)
            if listing.digest == digest and all(map(_is_safe, files)):
                return listing
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise Damaged(
            _("The list of the files stored as %(short)s was changed: restore it from a backup.")
            % {"short": digest[:12]}
        )

    def refuse_other(self, actual: Listing) -> None:
        """Raises Damaged, with the name of a file, unless `actual` holds the same."""
        if actual == self:
            return
        names = sorted(self.files.keys() | actual.files.keys())
        name = next(name for name in names if self.files.get(name) != actual.files.get(name))
        about = {"file": name or _("The file"), "short": self.digest[:12]}
        if name not in actual.files:
            text = _("%(file)s is gone from what was stored as %(short)s")
        elif name not in self.files:
            text = _("%(file)s was added to what was stored as %(short)s")
        else:
            text = _("%(file)s is not what was stored as %(short)s")
        raise Damaged(text % about + _(": restore it from a backup."))


def _is_safe(name: str) -> bool:
    return not name.startswith("/") and ".." not in name.split("/")


def files_of(path: Path) -> dict[str, Path]:
    """The files below a folder by their paths there, or the file itself under an empty name.

    Hidden folders (.git, .cache) are no part of what somebody keeps in a folder.
    """
    if not path.is_dir():
        return {"": path}
    files = {file.relative_to(path): file for file in path.rglob("*") if file.is_file()}
    return {
        name.as_posix(): files[name]
        for name in sorted(files)
        if not any(part.startswith(".") for part in name.parts[:-1])
    }


def of(path: Path, watch: Watch = unwatched) -> Listing:
    """What lies there: every byte is read. Raises OSError, and what `watch` raises."""
    files = {
        name: (file.stat().st_size, add_file(hashlib.sha256(), file, watch).hexdigest())
        for name, file in files_of(path).items()
    }
    return Listing(path.is_dir(), files)
