"""Texts of a file in any of three encodings: UTF-8, UTF-16 and Windows-1252."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from typing import Any, BinaryIO

from labeling.imports.files.row import BadRow, Changes

UTF_8_MARK = codecs.BOM_UTF8
UTF_16_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
LOOKED_AT = 2**16  # bytes by which a kind of file is recognised
CHUNK = 2**18
BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
WESTERN = 2  # such bytes in a row that a Western text has: words of other scripts have more
UNSTORABLE = re.compile("[\ud800-\udfff\0]")


def as_utf8(stream: io.BufferedReader) -> tuple[io.BufferedReader, str]:
    """The stream in UTF-8 with line feeds, without its byte order mark; and "utf_16" if it was."""
    begin = stream.peek(LOOKED_AT)[:LOOKED_AT]
    encoding = _utf_16(begin)
    if encoding:
        if begin.startswith(tuple(UTF_16_MARKS)):
            stream.read(2)
        stream = _converted(stream, _from_utf_16(encoding))
        begin = stream.peek(LOOKED_AT)[:LOOKED_AT]
    elif begin.startswith(UTF_8_MARK):
        stream.read(len(UTF_8_MARK))
    if b"\r" in begin.rstrip() and b"\n" not in begin:  # as old Macs end their lines
        stream = _converted(stream, lambda data, final: data.replace(b"\r", b"\n"))
    return stream, "utf_16" if encoding else ""


def _utf_16(begin: bytes) -> str:
    """The encoding, by its mark or by how four characters of ASCII begin it; "" if it is none."""
    if begin.startswith(tuple(UTF_16_MARKS)):
        return UTF_16_MARKS[begin[:2]]
    even, odd = begin[:8:2], begin[1:8:2]
    if len(begin) >= 8 and not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if len(begin) >= 8 and not any(even) and all(odd) else ""


def _from_utf_16(encoding: str) -> Callable[[bytes, bool], bytes]:
    """Half surrogates are passed on: rows count them."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")

    def convert(data: bytes, final: bool) -> bytes:
        try:
            text = decoder.decode(data, final)
        except UnicodeDecodeError:  # a byte too few at the end
            text = "\ufffd"
        return text.encode("utf-8", "surrogatepass")

    return convert


class _Converted(io.RawIOBase):
    def __init__(self, stream: BinaryIO, convert: Callable[[bytes, bool], bytes]):
        self.stream, self.convert = stream, convert
        self.ready, self.ended = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.ready and not self.ended:
            data = self.stream.read(CHUNK)
            self.ended = not data
            self.ready = self.convert(data, self.ended)
        part, self.ready = self.ready[: len(buffer)], self.ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self.stream.close()
        super().close()


def _converted(stream: BinaryIO, convert: Callable[[bytes, bool], bytes]) -> io.BufferedReader:
    return io.BufferedReader(_Converted(stream, convert), CHUNK)


class Texts:
    """Decodes the rows of one file.

    It is Windows-1252 if it has a row that is not UTF-8, and most letters beyond ASCII are not:
    `again` opens it once more to look at all of it. `encoding` is "utf_16" if it was that.
    """

    def __init__(self, again: Callable[[], BinaryIO], changes: Changes, encoding: str = ""):
        self.again, self.changes, self.encoding = again, changes, encoding
        self.converted = False  # whether the text decoded last was none of UTF-8

    def decode(self, raw: bytes, place: int | str) -> str:
        """Raises BadRow."""
        self.converted = self.encoding == "utf_16"
        if raw.isascii():
            return raw.decode("ascii")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return self._other(raw, place)

    def count(self, place: int | str, text: str) -> None:
        """Count a row of which a text was converted."""
        after = text if self.encoding == "utf_16" else _around_first(text)
        self.changes.count(self.encoding, place, after=after)

    def _other(self, raw: bytes, place: int | str) -> str:
        try:
            halves = raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return self._western(raw)
        # Java and some databases write the two halves of a character one by one.
        text = halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return storable(text, place, self.changes)

    def _western(self, raw: bytes) -> str:
        self.encoding = self.encoding or self._looked_through()
        if self.encoding != "windows_1252":
            raise BadRow(f"not UTF-8 text ({_first_fault(raw)})")
        self.converted = True
        try:
            return raw.decode("cp1252")
        except UnicodeDecodeError as error:
            byte = raw[error.start]
            raise BadRow(f"the byte 0x{byte:02x} is no character of Windows-1252") from None

    def _looked_through(self) -> str:
        """The encoding of the file, of which a row is not UTF-8."""
        utf_8 = western = foreign = 0  # pieces of words that are each
        with self.again() as stream:
            while line := stream.readline(CHUNK):
                for piece in BEYOND_ASCII.findall(line):
                    if _is_utf8(piece):
                        utf_8 += 1
                    elif len(piece) <= WESTERN:
                        western += 1
                    else:
                        foreign += 1
        if utf_8 >= western + foreign:
            return "utf_8"
        return "windows_1252" if western > foreign else "unknown"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _first_fault(raw: bytes) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"byte 0x{raw[error.start]:02x} at {error.start + 1}"
    return ""


def _around_first(text: str) -> str:
    """The text from 40 characters before its first that is not ASCII."""
    first = next(position for position, character in enumerate(text) if not character.isascii())
    return text[max(0, first - 40) :]


def storable(text: str, place: int | str, changes: Changes) -> str:
    """The text with "?" for half surrogates and without NUL, which no database stores. Counted."""
    if is_storable(text):
        return text
    kept = replaced(text)
    changes.count("characters", place, *_examples(text, kept))
    return kept


def is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())  # in a tenth of the time of a pattern
    except UnicodeEncodeError:
        return False


def replaced(text: str) -> str:
    return UNSTORABLE.sub(lambda match: "" if match[0] == "\0" else "?", text)


def _examples(text: str, kept: str) -> tuple[str, str]:
    first = UNSTORABLE.search(text).start()
    begin = max(0, first - 40)
    escaped = text[begin:].replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return escaped, kept[begin:]
