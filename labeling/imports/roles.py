"""One role for each field: how a mapping is shown and changed on a page.

Each role stands for a place in a mapping's table. Roles that a form can't give (of several
judgments, say) stay as the table has them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from labeling.imports.mapping import Field, paths

LETTERS = "abcdef"  # answers in columns of their own that a page offers
ANSWER = {
    "model": _("model of answer {letter}"),
    "rank": _("rank of answer {letter}"),
    "score": _("score of answer {letter}"),
}
KEEP, LEAVE_OUT = "keep", "leave_out"
GROUPS = {
    _("Prompt"): {
        "prompt": _("prompt"),
        "conversation": _("conversation with its answer"),
        "system": _("system turn"),
        "history": _("turns before the prompt"),
        "demonstration": _("demonstration"),
    },
    _("Answers"): {
        "chosen": _("better answer"),
        "rejected": _("worse answer"),
        "chosen.model": _("model of the better answer"),
        "rejected.model": _("model of the worse answer"),
        "each": _("list of answers"),
        "each.text": _("text of each answer"),
        "each.model": _("model of each answer"),
        "each.models": _("list of models"),
        "each.rank": _("rank of each answer"),
        "each.score": _("score of each answer"),
        "row": _("answer, one a row"),
        "row.model": _("model of the row's answer"),
        "row.rank": _("rank of the row's answer"),
        "row.score": _("score of the row's answer"),
        **{letter: format_lazy(_("answer {letter}"), letter=letter.upper()) for letter in LETTERS},
        **{
            f"{letter}.{name}": format_lazy(label, letter=letter.upper())
            for letter in LETTERS
            for name, label in ANSWER.items()
        },
    },
    _("Judgment"): {
        "winner": _("winner"),
        "label": _("label: good or bad"),
        "scale": _("preference as a number"),
        "ranks": _("list of ranks"),
        "scores": _("list of scores"),
        "one_hot.a": _("yes: answer A wins"),
        "one_hot.b": _("yes: answer B wins"),
        "one_hot.tie": _("yes: a tie"),
        "one_hot.both_bad": _("yes: both are bad"),
        "judge": _("judge"),
        "strength": _("strength, −3 to 3"),
        "seconds": _("seconds"),
    },
    _("About the prompt"): {
        "author": _("author"),
        "use_case": _("use case"),
        "language": _("language"),
        "split": _("split"),
        "source": _("source"),
        "licence": _("licence"),
        "time": _("time"),
        "sensitive": _("sensitive"),
        "metadata": _("metadata, an object"),
        "group": _("key of rows that belong together"),
        "turns": _("number of the judged turn"),
    },
    _("Nothing of these"): {KEEP: _("keep as metadata"), LEAVE_OUT: _("leave out")},
}
LABELS = {name: label for roles in GROUPS.values() for name, label in roles.items()}
OPENED = ("each", "row", "group")  # roles of fields whose inner fields have roles of their own
SEVERAL = ("prompt", KEEP, LEAVE_OUT)  # roles that more than one field may have
TOP = ("prompt", "conversation", "system", "history", "demonstration", "author", "use_case")
TOP += ("language", "split", "source", "licence", "time", "sensitive", "metadata", "group")
TOP += ("turns", KEEP, LEAVE_OUT)
OF_ANSWER = ("text", "model", "rank", "score")
RULES = ("winner", "label", "scale")  # tables with a field
PLAIN = ("ranks", "scores", "judge", "strength", "seconds")  # of a judgment


class Clash(ValueError):
    """Two fields have a role that only one may have."""


def of(table: dict[str, Any]) -> dict[str, str]:
    """The role of each path that a form can change, in the mapping of this table."""
    roles = {}
    for name, place in _places(table):
        for path in _written(place):
            roles.setdefault(path, name)
    return roles


def _places(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, table.get(name)) for name in TOP)
    for name in ("chosen", "rejected"):
        yield from _of_answer(name, table.get(name))
    answers = table.get("answers")
    if isinstance(answers, list):
        for letter, answer in zip(LETTERS, answers):
            yield from _of_answer(letter, answer)
    elif isinstance(answers, dict) and isinstance(answers.get("each"), str):
        base = answers["each"]
        yield "each", base
        yield "each.models", answers.get("models")
        for name in OF_ANSWER:
            yield f"each.{name}", [f"{base}[*].{path}" for path in _written(answers.get(name))]
    else:
        yield from _of_answer("row", answers)
    judgment = table.get("judgment")
    if isinstance(judgment, dict) and "each" not in judgment:
        yield from ((name, judgment.get(name)) for name in (*RULES, *PLAIN))
        for name, path in _table(judgment.get("one_hot")).items():
            yield f"one_hot.{name}", path


def _of_answer(role: str, answer: Any) -> Iterator[tuple[str, Any]]:
    given = _table(answer, "text")
    for name in OF_ANSWER:
        yield role if name == "text" else f"{role}.{name}", given.get(name)


def _written(place: Any) -> list[str]:
    """The paths that stand at a place of a table."""
    if isinstance(place, dict):
        place = place.get("field")
    listed = place if isinstance(place, list) else [place]
    return [path for path in listed if isinstance(path, str)]


def _table(given: Any, name: str = "field") -> dict[str, Any]:
    """The long form of what may be written as a path alone."""
    if isinstance(given, dict):
        return given
    return {} if given is None else {name: given}


# Changing roles


def changed(table: dict[str, Any], wanted: dict[str, str]) -> dict[str, Any]:
    """The table in which each path has the role that is wanted; options of roles stay.

    Raises Clash where two fields want a role of one.
    """
    before = of(table)
    if wanted.items() <= {**dict.fromkeys(wanted, ""), **before}.items():
        return table
    table = copy.deepcopy(table)
    after = {path: role for path, role in {**before, **wanted}.items() if role}
    for role in LABELS:
        old = [path for path, name in before.items() if name == role]
        new = [path for path, name in after.items() if name == role]
        if len(new) > 1 and role not in SEVERAL:
            raise Clash(
                _("%(first)s and %(second)s: only one field can be “%(role)s”.")
                % {"first": new[0], "second": new[1], "role": LABELS[role]}
            )
        if old != new:
            _put(table, role, new)
    return _tidy(table)


def _put(table: dict[str, Any], role: str, written: list[str]) -> None:
    name, _dot, part = role.partition(".")
    if name in TOP:
        _set(table, name, written)
    elif name in ("chosen", "rejected"):
        _put_answer(table, name, part or "text", written)
    elif name == "each":
        _put_each(table, part, written)
    elif name == "row":
        if not isinstance(table.get("answers"), dict | str):
            table["answers"] = {}
        _put_answer(table, "answers", part or "text", written)
    elif name in LETTERS:
        _put_column(table, LETTERS.index(name), part or "text", written)
    else:
        _put_judgment(table, name, part, written)


def _set(table: dict[str, Any], name: str, written: list[str]) -> None:
    """Put the paths at a place: beside its options, where it has any."""
    if not written:
        table.pop(name, None)
        return
    value = written if name in (KEEP, LEAVE_OUT) or len(written) > 1 else written[0]
    if isinstance(table.get(name), dict):
        table[name] = {**table[name], "field": value}
        table[name].pop("value", None)
    else:
        table[name] = value


def _put_answer(holder: Any, key: Any, part: str, written: list[str]) -> None:
    answer = _table(holder[key] if isinstance(holder, list) else holder.get(key), "text")
    _set(answer, part, written)
    holder[key] = answer


def _put_column(table: dict[str, Any], place: int, part: str, written: list[str]) -> None:
    if not isinstance(table.get("answers"), list):
        table["answers"] = []
    answers = table["answers"]
    while len(answers) <= place:
        answers.append({})
    _put_answer(answers, place, part, written)


def _put_each(table: dict[str, Any], part: str, written: list[str]) -> None:
    """Paths below the list are written from its items."""
    answers = table.get("answers")
    answers = answers if isinstance(answers, dict) else {}
    if written and part and part != "models":
        base, star, inner = written[0].partition("[*].")
        if star:
            if answers.get("each", base) != base:
                raise Clash(
                    _("%(first)s and %(second)s are two lists: the answers are one of them.")
                    % {"first": answers["each"], "second": base}
                )
            answers["each"] = base
            written = [inner]
    _set(answers, {"": "each"}.get(part, part), written)
    table["answers"] = answers


def _put_judgment(table: dict[str, Any], name: str, part: str, written: list[str]) -> None:
    judgment = table.get("judgment")
    if isinstance(judgment, list) or "each" in _table(judgment):
        return
    judgment = judgment or {}
    if name == "one_hot":
        columns = judgment.setdefault("one_hot", {})
        _set(columns, part, written)
    elif name in RULES and written:
        judgment[name] = {**_table(judgment.get(name)), "field": written[0]}
    else:
        _set(judgment, name, written)
    table["judgment"] = judgment


def _tidy(table: dict[str, Any]) -> dict[str, Any]:
    """Without places that hold nothing any more; an answer that is a text alone is its path."""
    for name in ("chosen", "rejected", "answers"):
        table[name] = _short(table.get(name))
    if isinstance(table["answers"], list):
        answers = [_short(answer) for answer in table["answers"]]
        while answers and not answers[-1]:
            answers.pop()
        table["answers"] = [answer or {} for answer in answers]
    judgment = table.get("judgment")
    if isinstance(judgment, dict) and judgment.get("one_hot") == {}:
        del judgment["one_hot"]
    return {name: value for name, value in table.items() if value not in (None, [], {})}


def _short(answer: Any) -> Any:
    is_path = isinstance(answer, dict) and set(answer) == {"text"} and type(answer["text"]) is str
    return answer["text"] if is_path else answer


def put_option(table: dict[str, Any], name: str, option: str, value: Any, usual: Any) -> None:
    """Put an option of a role beside its field; the usual value is not written."""
    place = _table(table[name] if not isinstance(table[name], list) else {"field": table[name]})
    place = {key: item for key, item in place.items() if key != option}
    if value != usual:
        place[option] = value
    table[name] = place["field"] if set(place) == {"field"} else place


# What may be chosen


def grouped(names: Iterable[str]) -> list[tuple[Any, list[tuple[str, Any]]]]:
    """These roles as choices, below the names of their groups."""
    wanted = set(names)
    groups = [
        (title, [(name, label) for name, label in known.items() if name in wanted])
        for title, known in GROUPS.items()
    ]
    return [(title, known) for title, known in groups if known]


def choices(field: Field) -> list[str]:
    """The roles that a field of these types can have."""
    steps = paths.steps(field.path)
    if paths.EVERY in steps:
        inner = _OF_ITEMS if _is_value(field) else ("each.text",)
        is_of_item = steps.count(paths.EVERY) == 1 and steps[-1] is not paths.EVERY
        return [*(inner if is_of_item else ()), *_REST]
    if "list" in field.types:
        return [name for name in LABELS if name in _LISTS]
    if "object" in field.types:
        return ["metadata", *_REST]
    return [name for name in LABELS if name not in _OF_ITEMS]


def _is_value(field: Field) -> bool:
    return not {"list", "object"} & set(field.types)


_REST = (KEEP, LEAVE_OUT)
_LISTS = ("prompt", "conversation", "history", "demonstration", "chosen", "rejected", "each")
_LISTS += ("each.models", "ranks", "scores", "row", "source", *LETTERS, *_REST)
_OF_ITEMS = ("each.text", "each.model", "each.rank", "each.score")
