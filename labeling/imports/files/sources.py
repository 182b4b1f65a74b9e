"""Which files are to be read: the file itself, those of a folder, or those in a zip."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labeling.imports.files import unpacking
from labeling.imports.files.encodings import replaced
from labeling.imports.files.row import Changes, Unreadable

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # how one begins; the other one is empty
WORKBOOK = "xl/workbook.xml"  # an Excel workbook is a zip with this in it
OTHER_ZIPS = {  # by a file that each of them holds
    "word/document.xml": "it is a Word document",
    "ppt/presentation.xml": "it is a PowerPoint presentation",
    "xl/workbook.bin": "it is a binary Excel workbook: save it as .xlsx or CSV",
    "content.xml": "it is an OpenDocument file: save it as .xlsx or CSV",
}
# What lies beside data and is none: hidden files, cards, licences, schemas. A second file of the
# same name has a number after it.
ASIDE = re.compile(
    r"(?:.*/)?(?:\..*|__MACOSX/.*|(?:README|LICEN[CS]E)(?:\.\w+)?|.*\.md|.*schema\.json"
    r"|dataset_infos?\.json|Thumbs\.db|desktop\.ini|.*\.svg)(?: \(\d+\))?",
    re.IGNORECASE | re.DOTALL,
)
ROWS, EXAMPLES = "rows/", "examples/"  # Podium's own folder: the examples were made of the rows


@dataclass(frozen=True)
class Source:
    """One file: its name, how to open what it holds, where it lies on disk if it isn't packed, and
    its name among several.
    """

    name: str
    open: Callable[[], io.BufferedReader]
    path: Path | None = None
    within: str = ""


def sources(path: Path, name: str, changes: Changes) -> Iterator[Source]:
    """Yield the files to read, in the order of their names. Raises Unreadable for a broken zip."""
    if not path.is_dir():
        yield from _of_file(path, name, "", changes)
        return
    files = {str(file.relative_to(path)): file for file in path.rglob("*") if _is_file(file)}
    for inner in _data_files(sorted(files), changes):
        shown = replaced(inner)  # a name may hold bytes that are no text
        try:
            yield from _of_file(files[inner], shown, shown, changes)
        except (Unreadable, OSError) as error:  # the files after it are read all the same
            reason = str(error) if isinstance(error, Unreadable) else error.strerror
            yield Source(shown, partial(_refused, reason), within=shown)


def _is_file(path: Path) -> bool:
    """Also a link that leads nowhere: it is named, and not passed over."""
    return path.is_file() or path.is_symlink() and not path.is_dir()


def _refused(reason: str) -> io.BufferedReader:
    raise Unreadable(reason)


def _of_file(path: Path, name: str, within: str, changes: Changes) -> Iterator[Source]:
    changes.within = within
    with open(path, "rb") as file:
        begin = file.read(4)
    if begin in ZIP:
        yield from _of_zip(path, name, within, changes)
    else:
        unpacked_path = None if unpacking.is_packed(begin) else path
        yield Source(name, partial(_opened, path), unpacked_path, within)


def _opened(path: Path) -> io.BufferedReader:
    file = open(path, "rb", buffering=unpacking.BUFFER)  # noqa: SIM115
    return unpacking.unpacked(file, path.stat().st_size)


def _of_zip(path: Path, name: str, within: str, changes: Changes) -> Iterator[Source]:
    with _zip(path) as archive:
        members = _members(archive)
        names = sorted(members)
        if WORKBOOK in names:
            yield Source(name, partial(_opened, path), path, within)
            return
        if foreign := next((OTHER_ZIPS[inner] for inner in names if inner in OTHER_ZIPS), ""):
            raise Unreadable(foreign)
        data_files = _data_files(names, changes)
        if not data_files:
            raise Unreadable("the zip holds no data file")
        unpacking.check_growth(archive, path.stat().st_size)
        for inner in data_files:
            among = "/".join(filter(None, (within, inner if len(data_files) > 1 else "")))
            open_ = partial(unpacking.member, archive, members[inner])
            yield Source(f"{name}/{inner}", open_, None, among)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip by their names. Of several of one name each later one has its number."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.is_dir():
            continue
        name, number = info.filename, 1
        while name in members:
            number += 1
            name = f"{info.filename} ({number})"
        members[name] = info
    return members


@contextmanager
def _zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except unpacking.FAULTS as error:
        raise Unreadable(f"the zip is broken: {error}") from error
    with archive:
        yield archive


def _data_files(names: list[str], changes: Changes) -> list[str]:
    """Those that hold data; the others are counted."""
    data_files = [name for name in names if not ASIDE.fullmatch(name)]
    if {name.partition("/")[0] + "/" for name in data_files} == {ROWS, EXAMPLES}:
        data_files = [name for name in data_files if name.startswith(ROWS)]
    for name in sorted(set(names) - set(data_files)):
        changes.count("other_files", replaced(name))
    return data_files


@contextmanager
def on_disk(source: Source) -> Iterator[Path]:
    """Where the file lies unpacked: a kind that is read back and forth needs it."""
    if source.path:
        yield source.path
        return
    with tempfile.NamedTemporaryFile() as file:
        with source.open() as packed:
            shutil.copyfileobj(packed, file, 2**20)
        file.flush()
        yield Path(file.name)
