"""A mapping's table, taken apart key by key: paths, fields, contents and codes."""

from __future__ import annotations

import re
from typing import Any

from labeling.imports.mapping import codes, contents, paths
from labeling.imports.mapping.codes import Codes
from labeling.imports.mapping.paths import BadPath, Steps
from labeling.imports.mapping.spec import BadMapping, Content, Source

MOST_ITEMS = 2_000  # of a list in a mapping
LONGEST_PATH = 1_000  # characters
LONGEST_NAME = 200  # characters of a title or a judge's name


class Table:
    """A table whose keys are taken out one by one; what nobody has taken is an error."""

    def __init__(self, table: Any, key: str, reader: Reads):
        if not isinstance(table, dict):
            raise BadMapping("must be a table", key)
        self.rest = dict(table)
        self.key, self.reader = key, reader

    def at(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name

    def take(self, name: str, kind: type | tuple, default: Any = None) -> Any:
        """The value of that key. Raises BadMapping if it is of another type."""
        if name not in self.rest:
            return default
        value = self.rest.pop(name)
        wanted = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise BadMapping(f"must be {' or '.join(map(_in_words, wanted))}", self.at(name))
        return value

    def text(self, name: str, longest: int = LONGEST_NAME) -> str:
        value = self.take(name, str, "")
        if len(value) > longest:
            raise BadMapping(f"has more than {longest} characters", self.at(name))
        return value

    def number(self, name: str, default: float | None = None) -> float | None:
        is_given = name in self.rest
        value = codes.number(self.take(name, (int, float), default))
        if value is None and is_given:
            raise BadMapping("must be a number", self.at(name))
        return value

    def path(self, name: str, role: str = "", single: bool = True) -> Steps | None:
        value = self.take(name, str)
        return None if value is None else self.reader.path(value, self.at(name), role, single)

    def list(self, name: str) -> list:
        value = self.take(name, list, [])
        if len(value) > MOST_ITEMS:
            raise BadMapping(f"has more than {MOST_ITEMS:,} items", self.at(name))
        return value

    def path_list(self, name: str, role: str = "") -> tuple[Steps, ...]:
        return tuple(
            self.reader.path(item, self.at(name), role, single=False) for item in self.list(name)
        )

    def end(self) -> None:
        if self.rest:
            name = str(next(iter(self.rest)))
            raise BadMapping("is no key of a mapping here", self.at(name))


def _in_words(kind: type) -> str:
    words = {str: "a text", bool: "true or false", list: "a list", dict: "a table"}
    return words.get(kind, "a number")


class Reads:
    """The paths that a mapping reads, each with its role; `base` is the list they start from."""

    def __init__(self) -> None:
        self.all: dict[Steps, None] = {}
        self.named: dict[Steps, str] = {}
        self.base: Steps = ()

    def path(self, value: Any, key: str, role: str, single: bool = True) -> Steps:
        """The steps of a path as text; noted if it has a role. Raises BadMapping."""
        if not isinstance(value, str) or len(value) > LONGEST_PATH:
            raise BadMapping(f"must be a path, of at most {LONGEST_PATH:,} characters", key)
        try:
            steps = paths.steps(value)
        except BadPath as error:
            raise BadMapping(str(error), key) from None
        if single and paths.EVERY in steps:
            raise BadMapping("names one value: [*] has no place here", key)
        if role:
            self.note(steps, role)
        return steps

    def note(self, steps: Steps, role: str) -> None:
        """Note that what stands at this path is read, with all below."""
        path = (*self.base, *steps)
        self.all.setdefault(path)
        self.named.setdefault(path, role)

    def note_content(self, content: Content, role: str) -> None:
        """Note what is read of a text or turns: of turns their known names alone."""
        for path in content.paths:
            if content.form in ("text", "transcript", "turns", "exchanges", "parts"):
                self.note(path, role)
                continue
            base = (*self.base, *path)
            self.named.setdefault(base, role)
            turn = (*base, paths.EVERY)
            for name in contents.READ:
                self.all |= {(*turn, name): None, (*base, name): None}
            if content.form == "auto":
                self.all.setdefault((*turn, "type"))  # of a part


def source_of(table: Table, name: str, role: str, meanings: tuple[str, ...] = ()) -> Source:
    """A field; with `meanings`, each may have a list of its codes."""
    given = table.take(name, (str, dict))
    key = table.at(name)
    if given is None:
        return Source()
    if isinstance(given, str):
        return Source(table.reader.path(given, key, role))
    inner = Table(given, key, table.reader)
    path, value, prefix = inner.path("field", role), inner.text("value"), inner.text("prefix")
    known = {meaning: inner.list(meaning) for meaning in meanings if meaning in inner.rest}
    inner.end()
    if (path is None) == (not value):
        raise BadMapping("needs either a field or a value", key)
    if path is None and (known or prefix):
        raise BadMapping("a value has neither codes nor a prefix", key)
    if prefix and meanings:
        raise BadMapping(
            "has no effect: codes are compared with the field as it is", f"{key}.prefix"
        )
    return Source(path, value, prefix, codes_of(known, key) if known else None)


def codes_of(table: dict[str, list], key: str) -> Codes:
    """A table of codes that says what each means. Raises BadMapping."""
    for meaning, listed in table.items():
        if not isinstance(listed, list) or not listed:
            raise BadMapping("must be a list of codes", f"{key}.{meaning}")
        if any(codes.spelled(code) is None for code in listed):
            raise BadMapping("a code is a text, a number, true or false", f"{key}.{meaning}")
    made = Codes(table)
    if made.clash:
        raise BadMapping(f"the code {made.clash!r} has two meanings", key)
    return made


def content_of(table: Table, name: str, role: str) -> Content | None:
    given = table.take(name, (str, list, dict))
    if given is None:
        return None
    key = table.at(name)
    form, marks = "auto", None
    if isinstance(given, dict):
        inner = Table(given, key, table.reader)
        given = inner.take("field", (str, list))
        form = inner.take("as", str, "auto")
        marks = _marks(inner)
        inner.end()
    if form not in contents.FORMS:
        raise BadMapping(f"must be one of: {', '.join(contents.FORMS)}", f"{key}.as")
    if marks and form != "transcript":
        raise BadMapping("marks belong to a transcript", f"{key}.marks")
    listed = given if isinstance(given, list) else [given]
    if not listed or None in listed:
        raise BadMapping("needs a field", key)
    content = Content(
        tuple(table.reader.path(item, key, "") for item in listed),
        "text" if len(listed) > 1 and form == "auto" else form,
        marks,
    )
    if len(listed) > 1 and content.form != "text":
        raise BadMapping("several fields are texts", key)
    table.reader.note_content(content, role)
    return content


def _marks(table: Table) -> re.Pattern | None:
    given = table.take("marks", dict)
    if given is None:
        return None
    key = table.at("marks")
    if not given.keys() <= {"system", "user", "assistant"} or "user" not in given:
        raise BadMapping("names the marks of user, assistant and system", key)
    if not all(isinstance(mark, str) and 0 < len(mark.strip()) <= 100 for mark in given.values()):
        raise BadMapping("a mark is a text", key)
    if len(set(given.values())) < len(given):
        raise BadMapping("two speakers have the same mark", key)
    return contents.marked(given)
