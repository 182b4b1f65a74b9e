"""A mapping as a table of settings, checked and taken apart. The package's docstring lists the
keys.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

from labeling.imports.mapping import codes, contents, paths
from labeling.imports.mapping.codes import Codes
from labeling.imports.mapping.paths import BadPath, Steps

POSITIONS = "abcdefghi"  # what answers are called in tables of codes
MOST_ITEMS = 2_000  # of a list in a mapping
LONGEST_PATH = 1_000  # characters
LONGEST_NAME = 200  # characters of a title or a judge's name
LONGEST = 100_000  # characters of a mapping as JSON


class BadMapping(ValueError):
    """This is no mapping; the message says why, `key` where."""

    def __init__(self, message: str, key: str = ""):
        self.key = key
        super().__init__(f"{key}: {message}" if key else message)


@dataclass(frozen=True)
class Source:
    """Where a short text comes from: a field, or one value for all rows."""

    path: Steps | None = None
    value: str = ""
    prefix: str = ""
    codes: Codes | None = None


@dataclass(frozen=True)
class Content:
    """Where a text or turns come from."""

    paths: tuple[Steps, ...]
    form: str = "auto"
    marks: re.Pattern | None = None

    @property
    def name(self) -> str:
        return " + ".join(map(_name, self.paths))


@dataclass(frozen=True)
class Answer:
    """Where one answer comes from; without a `text` the item itself is the answer."""

    text: Content | None
    model: Source = Source()
    rank: Steps | None = None
    score: Steps | None = None
    rating: Steps | None = None
    flags: Steps | None = None
    optional: bool = False


@dataclass(frozen=True)
class Each:
    """A list of answers, and the list of their models beside it."""

    path: Steps
    answer: Answer
    models: Steps | None = None


@dataclass(frozen=True)
class Judgment:
    """Who judged, and where the verdict stands. `rule` is one of RULES."""

    rule: str
    kind: Source
    judge: Source
    name: str = ""
    each: Steps | None = None
    answers: tuple[int, ...] | None = None
    optional: bool = False
    path: Steps | None = None  # of the verdict, except in one_hot
    codes: Codes | None = None  # of winner, label
    by: str = ""
    one_hot: tuple[tuple[str, Steps], ...] = ()
    scale: tuple[float, float, float] = (0, 0, 0)  # where a wins, the tie, where b wins
    with_strength: bool = False
    higher: bool = True
    tolerance: float = 0.0
    outcome: Steps | None = None
    seconds: Steps | None = None
    strength: Steps | None = None
    ratings: Steps | None = None
    flags: Steps | None = None


@dataclass(frozen=True)
class Tree:
    """Where a message says which it is, which it answers, of which tree it is, and who speaks."""

    id: Steps
    parent: Steps
    of: Steps
    role: Steps


RULES = ("winner", "one_hot", "scale", "ranks", "scores", "label")  # of a judgment
ANSWERS_RULES = ("chosen", "rank", "score")  # what answers say of themselves
ABOUT = ("author", "use_case", "language", "source", "licence", "time")


@dataclass(frozen=True, eq=False)
class Mapping:
    """A checked mapping: `Mapping.parse(table)`, and `as_dict()` for the same table again."""

    table: dict = field(repr=False)
    name: str = ""
    label: str = ""
    about: str = ""
    hub: tuple[str, ...] = ()
    distinct: tuple[tuple[Steps, Codes | None], ...] = ()
    prompt: Content | None = None
    conversation: Content | None = None
    system: Steps | None = None
    history: Content | None = None
    turns: Steps | None = None
    demonstration: Content | None = None
    answers: tuple[Answer, ...] = ()  # columns, in their order
    each: Each | None = None
    preferred: bool = False  # the answers are chosen and rejected
    group: bool = False
    group_by: Steps | None = None
    tree: Tree | None = None
    shared: bool = False
    judgments: tuple[Judgment, ...] = ()
    fields: tuple[tuple[str, Source], ...] = ()  # ABOUT and split
    sensitive: Steps | None = None
    metadata: Steps | None = None
    keep: tuple[Steps, ...] = ()
    leave_out: tuple[Steps, ...] = ()
    only: tuple[tuple[Steps, Codes], ...] = ()
    pictures: tuple[Steps, ...] = ()
    refuse: str = ""
    paths: tuple[Steps, ...] = ()  # all that is read
    named: tuple[tuple[Steps, str], ...] = ()  # what a person would say is read, each with its role

    @classmethod
    def parse(cls, table: Any) -> Mapping:
        """The mapping that the table says. Raises BadMapping."""
        return _parse(table)

    def as_dict(self) -> dict:
        return copy.deepcopy(self.table)

    @cached_property
    def known(self) -> frozenset[Steps]:
        """The paths that are read, kept or left out."""
        return frozenset([*self.paths, *self.leave_out])

    @cached_property
    def _above(self) -> frozenset[Steps]:
        return frozenset(start for path in self.known for start in paths.prefixes(path))

    @cached_property
    def opened(self) -> frozenset[Steps]:
        """The paths at which JSON text is opened: something below is read."""
        return frozenset(path[:-1] for path in self.paths if len(path) > 1)

    def reads(self, path: str) -> bool:
        """Whether the field at this path is read, kept or left out.

        So is what lies below such a path, and a text above it: its JSON is opened.
        """
        steps = paths.steps(path)
        return steps in self._above or any(start in self.known for start in paths.prefixes(steps))

    @staticmethod
    def leaves(path: str) -> bool:
        """Whether it leaves the field behind unasked: `leave_out` says so itself, see reads()."""
        return False

    field = staticmethod(str)  # of a mapping, every field is listed under its own path

    def roles(self) -> dict[str, str]:
        """The paths that are read, and what each is, in a few words."""
        return {paths.text(path): role for path, role in self.named}

    def role(self, path: str) -> str:
        """What the field at this path is, in a few words; "" if it is not read."""
        if not self.reads(path):
            return ""
        steps = paths.steps(path)
        near = [
            (len(named), role)
            for named, role in self.named
            if paths.covers(named, steps) or paths.covers(steps, named)
        ]
        return max(near)[1] if near else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self.table == other.table

    def __hash__(self) -> int:
        return hash(json.dumps(self.table, sort_keys=True))


def load(path: FilePath) -> Mapping:
    """The mapping of a TOML file, which names it if it has no name. Raises BadMapping, OSError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMapping(f"not TOML: {error}") from None
    return Mapping.parse({"name": path.stem} | table)


def with_fields(mapping: Mapping, keep: list[str], leave_out: list[str]) -> Mapping:
    """The mapping with more fields kept as metadata or left out. Raises BadMapping."""
    table = mapping.as_dict()
    for key, added in (("keep", keep), ("leave_out", leave_out)):
        if added:
            table[key] = [*table.get(key, []), *added]
    return Mapping.parse(table)


def _name(path: Steps) -> str:
    return paths.text(path) if path else "an item"


# Taking a table apart


class _Table:
    """A table whose keys are taken out one by one; what nobody has taken is an error."""

    def __init__(self, table: Any, key: str, reader: _Reads):
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


class _Reads:
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
            self.all.setdefault((*turn, "type"))  # of a part


def _parse(table: Any) -> Mapping:
    if not isinstance(table, dict):
        raise BadMapping("a mapping must be a table")
    try:
        if len(json.dumps(table, allow_nan=False)) > LONGEST:
            raise BadMapping(f"is longer than {LONGEST:,} characters as JSON")
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, BadMapping):
            raise
        raise BadMapping("holds a value that JSON can't") from None
    reads = _Reads()
    top = _Table(table, "", reads)
    made = {
        "name": top.text("name"),
        "label": top.text("label"),
        "about": top.text("about", 2_000),
        "hub": tuple(_short(item, "hub") for item in top.list("hub")),
        "distinct": _distinct(top),
        "prompt": _content(top, "prompt", "prompt"),
        "conversation": _content(top, "conversation", "conversation"),
        "system": top.path("system", "system"),
        "history": _content(top, "history", "history"),
        "turns": top.path("turns", "number of turns"),
        "demonstration": _content(top, "demonstration", "demonstration"),
        "shared": top.take("shared", bool, False),
        "sensitive": top.path("sensitive", "sensitive"),
        "metadata": top.path("metadata", "metadata"),
        "keep": top.path_list("keep", "metadata"),
        "leave_out": top.path_list("leave_out"),
        "only": _only(top),
        "pictures": top.path_list("pictures", "picture"),
        "refuse": top.text("refuse", 500),
        "tree": _tree(top),
    }
    made |= _answers(top)
    made |= _group(top)
    made["fields"] = tuple(
        (name, _source(top, name, name.replace("_", " "))) for name in ABOUT if name in top.rest
    ) + _split(top)
    made["judgments"] = _judgments(top, made)
    top.end()
    mapping = Mapping(
        copy.deepcopy(table), **made, paths=tuple(reads.all), named=tuple(reads.named.items())
    )
    _check(mapping)
    return mapping


def _short(value: Any, key: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NAME:
        raise BadMapping("must be a list of short texts", key)
    return value


def _source(table: _Table, name: str, role: str, meanings: tuple[str, ...] = ()) -> Source:
    """A field; with `meanings`, each may have a list of its codes."""
    given = table.take(name, (str, dict))
    key = table.at(name)
    if given is None:
        return Source()
    if isinstance(given, str):
        return Source(table.reader.path(given, key, role))
    inner = _Table(given, key, table.reader)
    path, value, prefix = inner.path("field", role), inner.text("value"), inner.text("prefix")
    known = {meaning: inner.list(meaning) for meaning in meanings if meaning in inner.rest}
    inner.end()
    if (path is None) == (not value):
        raise BadMapping("needs either a field or a value", key)
    if path is None and (known or prefix):
        raise BadMapping("a value has neither codes nor a prefix", key)
    return Source(path, value, prefix, _codes(known, key) if known else None)


def _codes(table: dict[str, list], key: str) -> Codes:
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


def _content(table: _Table, name: str, role: str) -> Content | None:
    given = table.take(name, (str, list, dict))
    if given is None:
        return None
    key = table.at(name)
    form, marks = "auto", None
    if isinstance(given, dict):
        inner = _Table(given, key, table.reader)
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


def _marks(table: _Table) -> re.Pattern | None:
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


def _distinct(top: _Table) -> tuple[tuple[Steps, Codes | None], ...]:
    given = top.take("distinct", (list, dict), [])
    if isinstance(given, list):
        return tuple((top.reader.path(path, "distinct", ""), None) for path in given)
    return tuple(
        (top.reader.path(path, "distinct", ""), _codes({"in": listed}, f"distinct.{path}"))
        for path, listed in given.items()
    )


def _only(table: _Table) -> tuple[tuple[Steps, Codes], ...]:
    given = table.take("only", dict, {})
    return tuple(
        (
            table.reader.path(path, "only", "which rows"),
            _codes({"in": listed}, f"only.{path}"),
        )
        for path, listed in given.items()
    )


def _tree(table: _Table) -> Tree | None:
    given = table.take("tree", dict)
    if given is None:
        return None
    inner = _Table(given, "tree", table.reader)
    made = {name: inner.path(name, f"tree: {name}") for name in ("id", "parent", "of", "role")}
    inner.end()
    for name, path in made.items():
        if path is None:
            raise BadMapping("is missing", f"tree.{name}")
    return Tree(**made)


# Answers


def _answers(top: _Table) -> dict[str, Any]:
    """{"answers" or "each", "preferred"}."""
    given = top.take("answers", (str, list, dict))
    pair = [name for name in ("chosen", "rejected") if name in top.rest]
    if pair and given is not None:
        raise BadMapping("answers stand either here or in chosen and rejected", "answers")
    if len(pair) == 1:
        raise BadMapping("chosen and rejected belong together", pair[0])
    if pair:
        both = tuple(_answer(top.rest.pop(name), name, top.reader, name) for name in pair)
        if any(answer.optional for answer in both):
            raise BadMapping("a pair has both of its answers", "chosen.optional")
        return {"answers": both, "preferred": True}
    if given is None:
        return {}
    if isinstance(given, list):
        if not 2 <= len(given) <= 100:
            raise BadMapping("a list of columns has 2 to 100 answers", "answers")
        columns = (
            _answer(item, f"answers.{place}", top.reader, f"answer {_letter(place)}")
            for place, item in enumerate(given)
        )
        return {"answers": tuple(columns)}
    if isinstance(given, dict) and "each" in given:
        return {"each": _each(given, top.reader)}
    return {"answers": (_answer(given, "answers", top.reader, "answer"),)}


def _letter(place: int) -> str:
    return POSITIONS[place].upper() if place < len(POSITIONS) else str(place + 1)


def _each(given: dict, reader: _Reads) -> Each:
    rest = dict(given)
    table = _Table({"each": rest.pop("each")}, "answers", reader)
    path = table.path("each")
    assert path is not None
    models = None
    if "models" in rest:
        listed = _Table({"models": rest.pop("models")}, "answers", reader)
        models = listed.path("models", "model")
    if models and "model" in rest:
        raise BadMapping("models stand either in each answer or beside the list", "answers.models")
    reader.base = (*reader.base, *path, paths.EVERY)
    try:
        answer = _answer(rest, "answers", reader, "answer")
    finally:
        reader.base = ()
    if answer.optional:
        raise BadMapping("an answer of a list is there or not", "answers.optional")
    return Each(path, answer, models)


def _answer(given: Any, key: str, reader: _Reads, role: str) -> Answer:
    if isinstance(given, str):
        given = {"text": given}
    table = _Table(given, key, reader)
    text = _content(table, "text", role)
    if text is None:
        if not reader.base:
            raise BadMapping("needs a text", key)
        reader.note_content(Content(((),)), role)
    answer = Answer(
        text,
        _source(table, "model", f"model of {role}"),
        table.path("rank", f"rank of {role}"),
        table.path("score", f"score of {role}"),
        table.path("rating", f"rating of {role}"),
        table.path("flags", f"flags of {role}"),
        table.take("optional", bool, False),
    )
    table.end()
    if answer.rank and answer.score:
        raise BadMapping("an answer has a rank or a score", key)
    return answer


def _group(top: _Table) -> dict[str, Any]:
    given = top.take("group", (bool, str))
    if isinstance(given, str):
        path = top.reader.path(given, "group", "key of the group")
        return {"group": True, "group_by": path}
    return {"group": bool(given)}


def _split(top: _Table) -> tuple[tuple[str, Source], ...]:
    if "split" not in top.rest:
        return ()
    source = _source(top, "split", "split", (*codes.SPLITS, "none"))
    if source.value and source.value not in codes.SPLITS:
        raise BadMapping("must be train, validation or test", "split.value")
    if source.path is not None and source.codes is None:
        source = Source(source.path, codes=Codes(codes.SPLITS))
    return (("split", source),)


# Judgments


def _judgments(top: _Table, made: dict[str, Any]) -> tuple[Judgment, ...]:
    given = top.take("judgment", (dict, list))
    rule = _answers_rule(made)
    if given is None:
        if rule:
            raise BadMapping("say who judged: a person, a model or a script", "judgment.kind")
        return ()
    if not made.get("answers") and not made.get("each") and not made["conversation"]:
        raise BadMapping("there is no answer to judge", "judgment")
    listed = given if isinstance(given, list) else [given]
    if not 0 < len(listed) <= 100:
        raise BadMapping("a mapping has 1 to 100 judgments", "judgment")
    several = isinstance(given, list)
    return tuple(
        _judgment(item, f"judgment.{place}" if several else "judgment", top.reader, made, rule)
        for place, item in enumerate(listed)
    )


def _answers_rule(made: dict[str, Any]) -> str:
    """The rule that the answers themselves give; "" if none."""
    if made.get("preferred"):
        return "chosen"
    answers = [made["each"].answer] if made.get("each") else made.get("answers", ())
    ruled = [name for name in ("rank", "score") if any(getattr(a, name) for a in answers)]
    if len(ruled) > 1:
        raise BadMapping("answers have ranks or scores", "answers")
    if ruled and not all(getattr(a, ruled[0]) for a in answers):
        raise BadMapping(f"each answer needs a {ruled[0]}, or none", "answers")
    return ruled[0] if ruled else ""


def _judgment(
    given: Any, key: str, reader: _Reads, made: dict[str, Any], answers_rule: str
) -> Judgment:
    table = _Table(given, key, reader)
    each = table.path("each")
    if each is not None:
        reader.base = (*each, paths.EVERY)
    try:
        kind = _kind(table)
        rules = [name for name in RULES if name in table.rest]
        if len(rules) > 1:
            raise BadMapping(f"has two rules: {rules[0]} and {rules[1]}", key)
        rule = rules[0] if rules else answers_rule
        if not rule:
            raise BadMapping(f"says not what was judged: needs one of {', '.join(RULES)}", key)
        if rules and answers_rule in ("rank", "score"):
            raise BadMapping(f"answers have a {answers_rule}, and the judgment a {rule}", key)
        judgment = Judgment(
            rule=rule,
            kind=kind,
            each=each,
            judge=_source(table, "judge", "judge"),
            name=table.text("name"),
            answers=_positions(table, made),
            optional=table.take("optional", bool, False),
            outcome=table.path("outcome", "outcome"),
            seconds=table.path("seconds", "seconds"),
            strength=table.path("strength", "strength"),
            ratings=table.path("ratings", "ratings"),
            flags=table.path("flags", "flags"),
            **_RULES.get(rule, lambda table, made: {})(table, made),
            **_scoring(table, rule),
        )
        table.end()
    finally:
        reader.base = ()
    return judgment


def _kind(table: _Table) -> Source:
    """What kind of judge it was: one of codes.KINDS, or a field with the codes of some."""
    if isinstance(table.rest.get("kind"), str):
        value = table.rest.pop("kind")
        if value not in codes.KINDS:
            raise BadMapping(f"must be one of: {', '.join(codes.KINDS)}", table.at("kind"))
        return Source(value=value)
    if "kind" not in table.rest:
        raise BadMapping("say who judged: a person, a model or a script", table.at("kind"))
    source = _source(table, "kind", "kind of judge", codes.KINDS)
    if source.value:
        raise BadMapping("a value is written as kind = VALUE", table.at("kind"))
    if source.codes is None:
        source = Source(source.path, codes=Codes({kind: [kind] for kind in codes.KINDS}))
    return source


def _positions(table: _Table, made: dict[str, Any]) -> tuple[int, ...] | None:
    given = table.list("answers") or None
    if given is None:
        return None
    key = table.at("answers")
    count = len(made.get("answers", ())) or 100
    if any(type(place) is not int or not 0 <= place < count for place in given):
        raise BadMapping("must be positions of answers, from 0", key)
    if len(set(given)) < len(given):
        raise BadMapping("names an answer twice", key)
    return tuple(given)


def _winner(table: _Table, made: dict[str, Any]) -> dict[str, Any]:
    given = table.take("winner", dict)
    key = table.at("winner")
    inner = _Table(given, key, table.reader)
    path = inner.path("field", "winner")
    by = inner.take("by", str, "")
    if path is None:
        raise BadMapping("needs a field", key)
    if by not in ("", "model", "text"):
        raise BadMapping('must be "model" or "text"', f"{key}.by")
    known = {name: inner.list(name) for name in _OUTCOMES if name in inner.rest}
    inner.end()
    if not by and not {"a", "b"} <= known.keys():
        raise BadMapping("the codes need a meaning: a = […], b = […], tie = […]", key)
    return {"path": path, "by": by, "codes": _codes(known, key)}


_OUTCOMES = (*POSITIONS, "tie", "both_bad")


def _one_hot(table: _Table, made: dict[str, Any]) -> dict[str, Any]:
    key = table.at("one_hot")
    inner = _Table(table.take("one_hot", dict), key, table.reader)
    columns = [(name, inner.path(name, f"winner: {name}")) for name in _OUTCOMES]
    inner.end()
    known = tuple((name, path) for name, path in columns if path is not None)
    if not {"a", "b"} <= {name for name, _path in known}:
        raise BadMapping("needs a column for a and for b", key)
    return {"one_hot": known}


def _scale(table: _Table, made: dict[str, Any]) -> dict[str, Any]:
    key = table.at("scale")
    inner = _Table(table.take("scale", dict), key, table.reader)
    path = inner.path("field", "preference")
    first, second = inner.number("a"), inner.number("b")
    if path is None or first is None or second is None:
        raise BadMapping("needs a field, and the numbers of a and b", key)
    tie = inner.number("tie", (first + second) / 2)
    with_strength = inner.take("strength", bool, False)
    inner.end()
    assert tie is not None
    if not min(first, second) < tie < max(first, second):
        raise BadMapping("the tie lies between a and b", key)
    return {"path": path, "scale": (first, tie, second), "with_strength": with_strength}


def _label(table: _Table, made: dict[str, Any]) -> dict[str, Any]:
    given = table.take("label", (str, dict))
    key = table.at("label")
    if isinstance(given, str):
        given = {"field": given}
    inner = _Table(given, key, table.reader)
    path = inner.path("field", "label")
    known = {name: inner.list(name) for name in codes.LABELS if name in inner.rest}
    inner.end()
    if path is None:
        raise BadMapping("needs a field", key)
    if len(known) == 1:
        raise BadMapping("the codes need a meaning: good = […], bad = […]", key)
    return {"path": path, "codes": _codes(known or codes.LABELS, key)}


_RULES: dict[str, Callable[[_Table, dict[str, Any]], dict[str, Any]]] = {
    "winner": _winner,
    "one_hot": _one_hot,
    "scale": _scale,
    "label": _label,
    "ranks": lambda table, made: {"path": table.path("ranks", "ranks")},
    "scores": lambda table, made: {"path": table.path("scores", "scores")},
}


def _scoring(table: _Table, rule: str) -> dict[str, Any]:
    scored = rule in ("score", "scores")
    if not scored and "better" in table.rest:
        raise BadMapping("is of scores", table.at("better"))
    if not scored and rule != "scale" and "tolerance" in table.rest:
        raise BadMapping("is of scores or a scale", table.at("tolerance"))
    better = table.take("better", str, "higher")
    tolerance = table.number("tolerance", 0.0)
    if better not in ("higher", "lower"):
        raise BadMapping('must be "higher" or "lower"', table.at("better"))
    if tolerance is None or tolerance < 0:
        raise BadMapping("must be a number, from 0", table.at("tolerance"))
    return {"higher": better == "higher", "tolerance": tolerance}


# What must hold for a whole mapping


def _check(mapping: Mapping) -> None:
    for message, key in _faults(mapping):
        raise BadMapping(message, key)


def _faults(mapping: Mapping) -> Iterator[tuple[str, str]]:
    answered = bool(mapping.answers or mapping.each)
    single = len(mapping.answers) == 1
    if mapping.refuse:
        if not mapping.distinct:
            yield "needs the fields that such rows have, in distinct", "refuse"
        return
    if mapping.tree:
        yield from _tree_faults(mapping, single)
        return
    if mapping.conversation:
        if mapping.prompt or mapping.demonstration or answered:
            yield "a whole conversation has its prompt and its answer in it", "conversation"
        if mapping.history:
            yield "stands before a prompt", "history"
    elif not mapping.prompt and not answered:
        yield "needs the field of the prompt, a conversation, or answers that hold it", "prompt"
    if mapping.group and not single:
        yield "joins rows with one answer each", "group"
    if mapping.group and mapping.demonstration:
        yield "joins rows of answers, not of demonstrations", "group"
    if mapping.prompt and mapping.prompt.form == "turns" and mapping.history:
        yield "turns and a history don't go together", "history"
    one_answer = single or mapping.conversation is not None
    for place, judgment in enumerate(mapping.judgments):
        key = "judgment" if len(mapping.judgments) == 1 else f"judgment.{place}"
        if judgment.rule == "label" and not one_answer:
            yield "is of one answer a row", f"{key}.label"
        if judgment.rule != "label" and one_answer and not mapping.group:
            yield "compares answers, and a row has one: rows are joined by group", key
        if mapping.group:
            if judgment.rule not in ("rank", "score"):
                yield "rows that are joined have a rank or a score each", key
            beside = ("each", "answers", "outcome", "seconds", "strength", "ratings", "flags")
            for name in beside:
                if getattr(judgment, name) is not None:
                    yield "is of rows with all answers of a prompt", f"{key}.{name}"
        if judgment.answers is not None and len(judgment.answers) < 2:
            yield "compares at least two answers", f"{key}.answers"
        compares = len(judgment.answers or mapping.answers or "ab")
        pairwise = judgment.rule in ("scale",) or judgment.strength is not None
        if pairwise and mapping.answers and compares != 2:
            yield "is of two answers", key
        named = [name for name, _path in judgment.one_hot]
        if judgment.rule == "winner" and judgment.codes:
            named = [*judgment.codes.exact.values()]
        places = [POSITIONS.index(name) for name in named if name in POSITIONS]
        if mapping.answers and places and max(places) >= compares:
            yield "names an answer that is not there", f"{key}.{judgment.rule}"
    if mapping.group and not mapping.judgments and not mapping.answers:
        yield "joins rows of answers", "group"


def _tree_faults(mapping: Mapping, single: bool) -> Iterator[tuple[str, str]]:
    if not single or mapping.answers[0].text is None:
        yield "needs the text of a message", "answers.text"
    elif not mapping.answers[0].rank:
        yield "needs the rank of a reply", "answers.rank"
    elif mapping.answers[0].text.form not in ("auto", "text"):
        yield "the text of a message is a text", "answers.text.as"
    others = ("prompt", "conversation", "system", "history", "turns", "demonstration", "group")
    for name in others:
        if getattr(mapping, name):
            yield "does not go with a tree", name
    if len(mapping.judgments) != 1:
        yield "a tree has one judgment of each list of replies", "judgment"
