"""JSON that is no JSON Lines: a list of values, or values one after the other over many lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from labeling.imports.files import json_lines
from labeling.imports.files.encodings import Texts
from labeling.imports.files.row import LONGEST_ROW, Row, Unreadable
from labeling.imports.files.values import TOO_DEEP, Values

CHUNK = 2**20
ENDLESS = 1_000  # nested lists and objects, beyond which the rest of a file is not read
# Everything up to the next bracket, or comma between values. Possessive, so that nothing is read
# twice: a text that the buffer cuts ends the match before its first quote.
TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
BETWEEN = re.compile(rb'(?:[^"\[\]{},]++|' + TEXT + rb")*+([\[\]{},])?", re.DOTALL)
INSIDE = re.compile(rb'(?:[^"\[\]{}]++|' + TEXT + rb")*+([\[\]{}])?", re.DOTALL)
REST_OF_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def rows(stream: BinaryIO, texts: Texts, values: Values) -> Iterator[Row]:
    """A row's place is its position among the values, from 1. Raises Unreadable."""
    for number, piece in enumerate(_Pieces(stream), start=1):
        if piece.too_long:
            yield json_lines.too_long(number, piece.text)
        elif not piece.text:
            yield Row(number, error="nothing stands between two commas")
        else:
            yield json_lines.row(number, piece.text, texts, values)


class _Piece:
    def __init__(self, text: bytes, too_long: bool):
        self.text, self.too_long = text, too_long


class _Pieces:
    """Yields the text of each value, uncut but for those longer than LONGEST_ROW.

    A value ends at a comma or at the end of its list; outside of a list, with its last bracket.
    """

    def __init__(self, stream: BinaryIO):
        self.stream = stream
        self.buffer = b""
        self.begin = self.next = 0  # in the buffer: where the value begins, and what follows
        self.depth = 0
        self.in_list = False
        self.dropped = b""  # the beginning of a value that is too long

    def __iter__(self) -> Iterator[_Piece]:
        while True:
            pattern = INSIDE if self.depth > self.in_list else BETWEEN
            token = pattern.match(self.buffer, self.next)
            self.next = token.end()
            if not token[1]:
                if not self._read_more():
                    break
            elif piece := self._after(token[1]):
                yield piece
        if self.in_list:
            raise Unreadable("not JSON: it is cut off, the list has no end")
        if self.depth:
            raise Unreadable("not JSON: it is cut off")
        self._check_nothing_stands(len(self.buffer))

    def _after(self, mark: bytes) -> _Piece | None:
        """Go on by this bracket or comma: the value that ends there, if one does."""
        if mark in b"[{":
            return self._opened(mark)
        if mark in b"]}":
            return self._closed()
        if self.depth:
            return self._piece(self.next - 1)
        self._check_nothing_stands(self.next - 1)
        self.begin = self.next
        return None

    def _opened(self, mark: bytes) -> None:
        if self.depth == 0:
            self._check_nothing_stands(self.next - 1)
            self.in_list = mark == b"["
            self.begin = self.next if self.in_list else self.next - 1
        self.depth += 1
        if self.depth > ENDLESS:
            raise Unreadable(TOO_DEEP)

    def _closed(self) -> _Piece | None:
        self.depth -= 1
        if self.depth < 0:
            raise Unreadable("not JSON: a bracket closes that none has opened")
        if self.depth > 0:
            return None
        ended_list, self.in_list = self.in_list, False
        piece = self._piece(self.next - 1 if ended_list else self.next)
        return piece if piece.text or not ended_list else None  # "[]", or a comma before the end

    def _check_nothing_stands(self, end: int) -> None:
        if self.dropped or self.buffer[self.begin : end].strip():
            raise Unreadable("not JSON: text outside of any value")

    def _piece(self, end: int) -> _Piece:
        text = self.buffer[self.begin : end]
        too_long = bool(self.dropped) or len(text) > LONGEST_ROW
        piece = _Piece(self.dropped or text.strip(), too_long)
        self.begin, self.dropped = self.next, b""
        return piece

    def _read_more(self) -> bool:
        chunk = self.stream.read(CHUNK)
        if self.next - self.begin > LONGEST_ROW:  # keep only what is still to be read
            self._drop(self.next)
        self.buffer = self.buffer[self.begin :] + chunk
        self.next -= self.begin
        self.begin = 0
        if chunk and len(self.buffer) - self.next > LONGEST_ROW + CHUNK:
            return self._skip_text()
        return bool(chunk)

    def _drop(self, until: int) -> None:
        self.dropped = self.dropped or self.buffer[self.begin : self.begin + LONGEST_ROW][:1000]
        self.begin = until

    def _skip_text(self) -> bool:
        """Read over the rest of a text that alone is longer than a row may be."""
        self._drop(self.next + 1)
        rest = self.buffer[self.next + 1 :]
        while not (end := REST_OF_TEXT.match(rest)):
            chunk = self.stream.read(CHUNK)
            if not chunk:
                return False
            backslashes = len(rest) - len(rest.rstrip(b"\\"))
            rest = b"\\" * (backslashes % 2) + chunk
        self.buffer, self.begin, self.next = rest[end.end() :], 0, 0
        return True
