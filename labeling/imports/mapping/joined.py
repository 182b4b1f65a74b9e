"""Entries of several rows: the answers to one prompt, or the messages of a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from labeling.imports.files import Row
from labeling.imports.formats import base
from labeling.imports.mapping import codes, contents, paths, verdicts
from labeling.imports.mapping.reader import LeftOut, Parts, Read, Reader, marks_of, safely
from labeling.imports.mapping.spec import Answer, Judgment, Source
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import quoted
from modelops import rows

MOST_ROWS = 5_000  # of one group
UNRANKED = "no message of the tree has two ranked replies"


def key(reader: Reader, row: Any) -> str:
    """What the row has in common with those that it is joined with. Raises BadPrompt."""
    reader.check(row)
    mapping = reader.mapping
    if mapping.tree is not None:
        _message(reader, row)
        path = mapping.tree.of
    else:
        parts = reader.parts(row)
        reader.made(row, parts, [])
        if mapping.group_by is None:
            return rows.digest(conversations.turns(parts.prompt))
        path = mapping.group_by
    given = paths.get(row, path)
    written = codes.key(given)
    if not written:
        raise BadPrompt(f"{paths.text(path)} is missing or no key: {quoted(given)}")
    return written


def read(reader: Reader, group: Iterator[Row]) -> Iterator[Read]:
    """Yield each row of a group once: the first with the entries, or all with the fault."""
    members = list(islice(group, MOST_ROWS))
    for row in group:
        yield row, [], f"more than {MOST_ROWS:,} rows belong together"
    joining = _tree if reader.mapping.tree is not None else _list
    try:
        entries, bad = safely(joining, reader, members)
    except LeftOut as error:
        reader.count_left_out(error, len(members))
        entries, bad = [], {}
    except BadPrompt as error:
        entries, bad = [], dict.fromkeys(range(len(members)), str(error))
    for place, row in enumerate(members):
        yield row, [] if place in bad else entries, bad.get(place, "")
        if place not in bad:
            entries = []


# Answers to one prompt


def _list(reader: Reader, members: list[Row]) -> tuple[list[Entry], dict[int, str]]:
    """One entry, of all answers. Where rows name their judges, each judge is a judgment."""
    parts = [reader.parts(row.value) for row in members]
    if any(other.prompt != parts[0].prompt for other in parts):
        raise BadPrompt("rows that belong together have different prompts")
    singles = [reader.made(row.value, part, []) for row, part in zip(members, parts, strict=True)]
    places, answers = _places(reader, parts)
    if len(answers) > base.MOST_ANSWERS:
        raise BadPrompt(f"has more than {base.MOST_ANSWERS} answers to one prompt")
    judgments = []
    for spec in reader.mapping.judgments:
        judgments += _judgments(reader, spec, members, parts, places, answers)
    return [replace(_merged(singles), answers=answers, judgments=judgments)], {}


def _places(reader: Reader, parts: list[Parts]) -> tuple[list[int], list[dict]]:
    """(the position of each row's answer, the answers). Rows of several judges repeat answers."""
    shared = any(spec.judge.path is not None for spec in reader.mapping.judgments)
    answers: list[dict] = []
    known: dict[str, int] = {}
    places = []
    for part in parts:
        (answer,) = part.answers
        same = rows.canonical(answer) if shared else str(len(answers))
        if same not in known:
            known[same] = len(answers)
            answers.append(answer)
        places.append(known[same])
    return places, answers


def _judgments(
    reader: Reader,
    spec: Judgment,
    members: list[Row],
    parts: list[Parts],
    places: list[int],
    answers: list[dict],
) -> list[dict]:
    """The judgments of one rule: one of each judge, of the answers in the rows that name them."""
    name = reader.mapping.name or "imported"
    by_judge: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(members):
        judge = verdicts.judge_name(spec, row.value, name), verdicts.judge_kind(spec, row.value)
        by_judge.setdefault(judge, []).append(number)
    judgments = []
    for numbers in by_judge.values():
        positions = [places[number] for number in numbers]
        if len(set(positions)) < len(positions):
            raise BadPrompt("one judge judges an answer twice")
        marks: list[dict] = [{} for _answer in answers]
        for number in numbers:
            marks[places[number]] = parts[number].marks[0]
        of_these = replace(spec, answers=tuple(positions))
        first = members[numbers[0]].value
        judgments += verdicts.judgments(of_these, first, answers, marks, name)
    return judgments


def _merged(entries: list[Entry]) -> Entry:
    """The entry that says what all say of their prompt: what differs becomes a list, in metadata.

    Raises BadPrompt where they name two splits or two authors, or where a field that is kept has
    the name of such a list.
    """
    first = entries[0]
    for name in ("split", "author"):
        said = {getattr(entry, name) for entry in entries} - {""}
        if len(said) > 1:
            raise BadPrompt(f"rows that belong together name two {name}s")
        first = replace(first, **{name: said.pop() if said else ""})
    metadata: dict[str, Any] = {}
    for name in ("use_case", "language", "source", "licence"):
        said_of_each = [getattr(entry, name) for entry in entries]
        named = [text for text in said_of_each if text]
        first = replace(first, **{name: named[0] if named else ""})
        if len(set(named)) > 1:
            metadata[name] = said_of_each
    for name in dict.fromkeys(name for entry in entries for name in entry.metadata):
        if name in metadata:
            raise BadPrompt(f"two fields are the metadata {name!r}")
        said_of_each = [entry.metadata.get(name) for entry in entries]
        same = all(value == said_of_each[0] for value in said_of_each)
        metadata[name] = said_of_each[0] if same else said_of_each
    return replace(
        first,
        metadata=conversations.metadata(metadata) if metadata else {},
        sensitive=any(entry.sensitive for entry in entries),
    )


# Trees of messages


def _message(reader: Reader, row: Any) -> tuple[str, str, dict]:
    """(id, parent's id or "", turn). Raises BadPrompt."""
    mapping = reader.mapping
    assert mapping.tree is not None
    answer = mapping.answers[0]
    assert answer.text is not None
    ids = []
    for path in (mapping.tree.id, mapping.tree.parent):
        ids.append(codes.key(paths.get(row, path)))
    if not ids[0]:
        raise BadPrompt(f"{paths.text(mapping.tree.id)} must be the id of a message")
    message = {
        "role": paths.get(row, mapping.tree.role),
        "content": paths.get(row, answer.text.paths[0]),
    }
    (turn,) = contents.turn(message, paths.text(mapping.tree.role))
    if not isinstance(turn["content"], str):
        raise BadPrompt(f"{answer.text.name} must be a text")
    return ids[0], ids[1], turn


def _tree(reader: Reader, members: list[Row]) -> tuple[list[Entry], dict[int, str]]:
    """An entry for each message of the user with two or more ranked replies."""
    messages = [_message(reader, row.value) for row in members]
    number_of: dict[str, int] = {}
    for number, (id, _parent, _turn) in enumerate(messages):
        if number_of.setdefault(id, number) != number:
            raise BadPrompt(f"the tree has two messages of the id {id}")
    replies: dict[str, list[int]] = {}
    bad = {}
    for number, (_id, parent, _turn) in enumerate(messages):
        if parent and parent not in number_of:
            bad[number] = "the message that it answers is not there"
        elif parent:
            replies.setdefault(parent, []).append(number)
    entries = []
    used: set[int] = set()
    for id, _parent, turn in messages:
        if turn["role"] != "user":
            continue
        entry = _of_message(reader, members, messages, number_of, replies.get(id, []), id, used)
        entries += [entry] if entry else []
    if not entries and not bad:
        raise LeftOut(UNRANKED)
    others = [number for number in range(len(messages)) if number not in used and number not in bad]
    if entries and others:
        unranked = "\n".join(messages[number][2]["content"] for number in others)
        entries[0] = replace(entries[0], ignored={"unranked": unranked})
    return entries, bad


def _of_message(
    reader: Reader,
    members: list[Row],
    messages: list[tuple[str, str, dict]],
    number_of: dict[str, int],
    replies: Iterable[int],
    id: str,
    used: set[int],
) -> Entry | None:
    """The entry of a message, if two of its replies have a rank; notes in `used` what is in it.

    Its metadata is that of all its turns and, after them, its answers; its author is who wrote it.
    """
    spec = reader.mapping.answers[0]
    assert spec.rank is not None
    of_assistant = [number for number in replies if messages[number][2]["role"] == "assistant"]
    ranked = [
        number
        for number in of_assistant
        if codes.number(paths.get(members[number].value, spec.rank)) is not None
    ]
    if len(ranked) < 2:
        return None
    chain = _chain(messages, number_of, id)
    used.update(chain, ranked)
    turns = [messages[number][2] for number in chain]
    parts = [_reply(turns, messages[number][2], spec, members[number].value) for number in ranked]
    answers = [part.answers[0] for part in parts]
    replies_rows = [members[number] for number in ranked]
    judgment = _judged(reader.mapping.judgments[0], members[chain[-1]].value, replies_rows)
    judgments = _judgments(reader, judgment, replies_rows, parts, list(range(len(parts))), answers)
    singles = [reader.made(members[number].value, Parts(turns), []) for number in (*chain, *ranked)]
    return replace(
        _merged([single.but(author="") for single in singles]),
        author=singles[len(chain) - 1].author,
        answers=answers,
        judgments=judgments,
    )


def _reply(turns: list[dict], turn: dict, spec: Answer, row: Any) -> Parts:
    mark = marks_of(spec, row)
    return Parts(turns, [base.answer(turn["content"], mark["model"])], [mark])


def _judged(spec: Judgment, asked: Any, replies: list[Row]) -> Judgment:
    """The judgment of ranked replies. Their rows name the judge; where none does, that of the
    message may. Raises BadPrompt if the message names a judge who ranks no reply.
    """
    if spec.judge.path is None or not (judge := verdicts.judge_name(spec, asked, "")):
        return spec
    named = {verdicts.judge_name(replace(spec, name=""), row.value, "") for row in replies} - {""}
    if named and judge not in {*named, spec.name}:
        raise BadPrompt(f"the judge {judge} of a message ranks none of its replies")
    return spec if named else replace(spec, judge=Source(value=judge))


def _chain(messages: list[tuple[str, str, dict]], number_of: dict[str, int], id: str) -> list[int]:
    """The numbers of the messages from the root to this one. Raises BadPrompt if one is missing."""
    chain: list[int] = []
    while id:
        if id not in number_of or len(chain) > len(messages):
            raise BadPrompt("a message that it answers is not there")
        chain.append(number_of[id])
        id = messages[number_of[id]][1]
    return chain[::-1]
