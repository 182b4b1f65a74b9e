"""Unpack gzip and zstd while reading, with a limit on how much a file may grow."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from typing import Any, BinaryIO

from labeling.imports.files.row import Unreadable

PACKED = 100  # times that a file may grow when it is unpacked
SMALL = 2**20  # bytes that any file may have when it is unpacked
BUFFER = 2**18
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
FAULTS = (  # what readers of packed files raise: MemoryError where a file wants too large a window
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    MemoryError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


class _Unpacked(io.RawIOBase):
    """What a packed file holds. Raises Unreadable if it is broken, or grows too much.

    `packed` is the number of bytes of the packed file; `files` are closed with this.
    """

    def __init__(self, stream: Any, packed: int, *files: Any):
        self.stream, self.files = stream, files
        self.left = max(PACKED * packed, SMALL)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.stream.read(len(buffer))
        except EOFError:
            raise Unreadable("the packed file is cut off") from None
        except FAULTS as error:
            raise Unreadable(_why_not(error)) from error
        self.left -= len(data)
        if self.left < 0:
            raise Unreadable(f"unpacked it is more than {PACKED} times as large")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            for file in (self.stream, *self.files):
                file.close()
        super().close()


def unpacked(file: io.BufferedReader, packed: int) -> io.BufferedReader:
    """What the file holds: itself, if it is not packed by gzip or zstd."""
    begin = file.peek(4)[:4]
    if begin.startswith(GZIP):
        return io.BufferedReader(_Unpacked(gzip.GzipFile(fileobj=file), packed, file), BUFFER)
    if begin == ZSTD:
        return io.BufferedReader(_Unpacked(_zstd(file), packed, file), BUFFER)
    return file


def is_packed(begin: bytes) -> bool:
    return begin.startswith((GZIP, ZSTD))


def _zstd(file: BinaryIO) -> Any:
    import pyarrow as pa  # it takes a while to import, and only some files need it

    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


def check_growth(archive: zipfile.ZipFile, packed: int) -> None:
    """Raises Unreadable if all files of the archive together grow too much, or share bytes."""
    files = archive.infolist()
    if sum(file.compress_size for file in files) > packed:
        raise Unreadable("the zip is broken: its files overlap")
    if sum(file.file_size for file in files) > max(PACKED * packed, SMALL):
        raise Unreadable(f"unpacked it is more than {PACKED} times as large")


def member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> io.BufferedReader:
    """A file in a zip, unpacked; also if gzip or zstd packed it before: it may then grow by both
    together as much as by one. Raises Unreadable.
    """
    try:
        stream = archive.open(info)
    except FAULTS as error:
        raise Unreadable(_why_not(error)) from error
    file = io.BufferedReader(_Unpacked(stream, info.compress_size), BUFFER)
    return unpacked(file, info.compress_size)


def _why_not(error: Exception) -> str:
    if "password" in str(error):
        return "the zip has a password"
    if isinstance(error, MemoryError):
        return "it cannot be unpacked: that takes too much memory"
    return f"it cannot be unpacked: {error}"
