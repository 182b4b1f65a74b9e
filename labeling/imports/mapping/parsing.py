"""Mappings out of their tables. The package's docstring lists the keys."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

from labeling.imports.mapping import checks, codes, paths
from labeling.imports.mapping.codes import Codes
from labeling.imports.mapping.paths import Steps
from labeling.imports.mapping.spec import (
    ABOUT,
    POSITIONS,
    RULES,
    Answer,
    BadMapping,
    Content,
    Each,
    Judgment,
    Mapping,
    Source,
    Tree,
)
from labeling.imports.mapping.table import (
    LONGEST_NAME,
    Reads,
    Table,
    codes_of,
    content_of,
    source_of,
)

LONGEST = 100_000  # characters of a mapping as JSON


def load(path: FilePath) -> Mapping:
    """The mapping of a TOML file, which names it if it has no name. Raises BadMapping, OSError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMapping(f"not TOML: {error}") from None
    return parse({"name": path.stem} | table)


def with_fields(mapping: Mapping, keep: list[str], leave_out: list[str]) -> Mapping:
    """The mapping with more fields kept as metadata or left out. Raises BadMapping."""
    return parse(with_lists(mapping.as_dict(), keep, leave_out))


def with_lists(table: dict[str, Any], keep: list[str], leave_out: list[str]) -> dict[str, Any]:
    """The table with more fields kept or left out, whatever it says of them itself.

    What is named twice is there once. Raises BadPath.
    """
    table = copy.deepcopy(table)
    for key, added, other in (("keep", keep, leave_out), ("leave_out", leave_out, keep)):
        instead = [paths.steps(path) for path in other]
        own = [
            path
            for path in table.pop(key, [])
            if not any(paths.covers(start, paths.steps(path)) for start in instead)
        ]
        if listed := list(dict.fromkeys([*own, *added])):
            table[key] = listed
    return table


def parse(table: Any) -> Mapping:
    """The mapping that the table says. Raises BadMapping."""
    if not isinstance(table, dict):
        raise BadMapping("a mapping must be a table")
    try:
        if len(json.dumps(table, allow_nan=False)) > LONGEST:
            raise BadMapping(f"is longer than {LONGEST:,} characters as JSON")
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, BadMapping):
            raise
        raise BadMapping("holds a value that JSON can't") from None
    reads = Reads()
    top = Table(table, "", reads)
    made = {
        "name": top.text("name"),
        "label": top.text("label"),
        "about": top.text("about", 2_000),
        "hub": tuple(_short(item, "hub") for item in top.list("hub")),
        "distinct": _distinct(top),
        "prompt": content_of(top, "prompt", "prompt"),
        "conversation": content_of(top, "conversation", "conversation"),
        "system": top.path("system", "system"),
        "history": content_of(top, "history", "history"),
        "turns": top.path("turns", "number of turns"),
        "demonstration": content_of(top, "demonstration", "demonstration"),
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
        (name, source_of(top, name, name.replace("_", " "))) for name in ABOUT if name in top.rest
    ) + _split(top)
    made["judgments"] = _judgments(top, made)
    top.end()
    mapping = Mapping(
        copy.deepcopy(table), **made, paths=tuple(reads.all), named=tuple(reads.named.items())
    )
    for message, key in checks.faults(mapping):
        raise BadMapping(message, key)
    return mapping


def _short(value: Any, key: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NAME:
        raise BadMapping("must be a list of short texts", key)
    return value


def _distinct(top: Table) -> tuple[tuple[Steps, Codes | None], ...]:
    given = top.take("distinct", (list, dict), [])
    if isinstance(given, list):
        return tuple((top.reader.path(path, "distinct", ""), None) for path in given)
    return tuple(
        (top.reader.path(path, "distinct", ""), codes_of({"in": listed}, f"distinct.{path}"))
        for path, listed in given.items()
    )


def _only(table: Table) -> tuple[tuple[Steps, Codes], ...]:
    given = table.take("only", dict, {})
    return tuple(
        (
            table.reader.path(path, "only", "which rows"),
            codes_of({"in": listed}, f"only.{path}"),
        )
        for path, listed in given.items()
    )


def _tree(table: Table) -> Tree | None:
    given = table.take("tree", dict)
    if given is None:
        return None
    inner = Table(given, "tree", table.reader)
    made = {name: inner.path(name, f"tree: {name}") for name in ("id", "parent", "of", "role")}
    inner.end()
    for name, path in made.items():
        if path is None:
            raise BadMapping("is missing", f"tree.{name}")
    return Tree(**made)


# Answers


def _answers(top: Table) -> dict[str, Any]:
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


def _each(given: dict, reader: Reads) -> Each:
    rest = dict(given)
    table = Table({"each": rest.pop("each")}, "answers", reader)
    path = table.path("each")
    assert path is not None
    models = None
    if "models" in rest:
        listed = Table({"models": rest.pop("models")}, "answers", reader)
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


def _answer(given: Any, key: str, reader: Reads, role: str) -> Answer:
    if isinstance(given, str):
        given = {"text": given}
    table = Table(given, key, reader)
    text = content_of(table, "text", role)
    if text is None:
        if not reader.base:
            raise BadMapping("needs a text", key)
        reader.note_content(Content(((),)), role)
    answer = Answer(
        text,
        source_of(table, "model", f"model of {role}"),
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


def _group(top: Table) -> dict[str, Any]:
    given = top.take("group", (bool, str))
    if isinstance(given, str):
        path = top.reader.path(given, "group", "key of the group")
        return {"group": True, "group_by": path}
    return {"group": bool(given)}


def _split(top: Table) -> tuple[tuple[str, Source], ...]:
    if "split" not in top.rest:
        return ()
    source = source_of(top, "split", "split", (*codes.SPLITS, "none"))
    if source.value and source.value not in codes.SPLITS:
        raise BadMapping("must be train, validation or test", "split.value")
    if source.path is not None and source.codes is None:
        source = Source(source.path, codes=Codes(codes.SPLITS))
    return (("split", source),)


# Judgments


def _judgments(top: Table, made: dict[str, Any]) -> tuple[Judgment, ...]:
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
    given: Any, key: str, reader: Reads, made: dict[str, Any], answers_rule: str
) -> Judgment:
    table = Table(given, key, reader)
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
        if rules and answers_rule == "chosen":
            raise BadMapping("has no effect: chosen and rejected decide already", table.at(rule))
        if rules and answers_rule:
            raise BadMapping(f"answers have a {answers_rule}, and the judgment a {rule}", key)
        judgment = Judgment(
            rule=rule,
            kind=kind,
            each=each,
            judge=source_of(table, "judge", "judge"),
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


def _kind(table: Table) -> Source:
    """What kind of judge it was: one of codes.KINDS, or a field with the codes of some."""
    if isinstance(table.rest.get("kind"), str):
        value = table.rest.pop("kind")
        if value not in codes.KINDS:
            raise BadMapping(f"must be one of: {', '.join(codes.KINDS)}", table.at("kind"))
        return Source(value=value)
    if "kind" not in table.rest:
        raise BadMapping("say who judged: a person, a model or a script", table.at("kind"))
    source = source_of(table, "kind", "kind of judge", codes.KINDS)
    if source.value:
        raise BadMapping("a value is written as kind = VALUE", table.at("kind"))
    if source.codes is None:
        source = Source(source.path, codes=Codes({kind: [kind] for kind in codes.KINDS}))
    return source


def _positions(table: Table, made: dict[str, Any]) -> tuple[int, ...] | None:
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


def _winner(table: Table, made: dict[str, Any]) -> dict[str, Any]:
    given = table.take("winner", dict)
    key = table.at("winner")
    inner = Table(given, key, table.reader)
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
    return {"path": path, "by": by, "codes": codes_of(known, key)}


_OUTCOMES = (*POSITIONS, "tie", "both_bad")


def _one_hot(table: Table, made: dict[str, Any]) -> dict[str, Any]:
    key = table.at("one_hot")
    inner = Table(table.take("one_hot", dict), key, table.reader)
    columns = [(name, inner.path(name, f"winner: {name}")) for name in _OUTCOMES]
    inner.end()
    known = tuple((name, path) for name, path in columns if path is not None)
    if not {"a", "b"} <= {name for name, _path in known}:
        raise BadMapping("needs a column for a and for b", key)
    return {"one_hot": known}


def _scale(table: Table, made: dict[str, Any]) -> dict[str, Any]:
    key = table.at("scale")
    inner = Table(table.take("scale", dict), key, table.reader)
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


def _label(table: Table, made: dict[str, Any]) -> dict[str, Any]:
    given = table.take("label", (str, dict))
    key = table.at("label")
    if isinstance(given, str):
        given = {"field": given}
    inner = Table(given, key, table.reader)
    path = inner.path("field", "label")
    known = {name: inner.list(name) for name in codes.LABELS if name in inner.rest}
    inner.end()
    if path is None:
        raise BadMapping("needs a field", key)
    if len(known) == 1:
        raise BadMapping("the codes need a meaning: good = […], bad = […]", key)
    return {"path": path, "codes": codes_of(known or codes.LABELS, key)}


_RULES: dict[str, Callable[[Table, dict[str, Any]], dict[str, Any]]] = {
    "winner": _winner,
    "one_hot": _one_hot,
    "scale": _scale,
    "label": _label,
    "ranks": lambda table, made: {"path": table.path("ranks", "ranks")},
    "scores": lambda table, made: {"path": table.path("scores", "scores")},
}


def _scoring(table: Table, rule: str) -> dict[str, Any]:
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
