"""Rows to entries, as a mapping says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from labeling.imports.files import Row
from labeling.imports.formats import base
from labeling.imports.formats.base import MOST_ANSWERS
from labeling.imports.mapping import codes, contents, layout, paths, verdicts
from labeling.imports.mapping.codes import absent
from labeling.imports.mapping.groups import Groups
from labeling.imports.mapping.spec import Answer, Content, Mapping
from labeling.imports.mapping.values import kept, short, source_text, split
from labeling.text import conversations
from labeling.text.conversations import PICTURE, BadPrompt, Entry
from labeling.text.reasons import kind_of, quoted

Read = tuple[Row, list[Entry], str]  # a row, its entries, why it is bad
MOST_REASONS = 20  # why rows are left out, each counted
LONGEST_SHORT = {"author": 200, "use_case": 40, "language": 10, "source": 100, "licence": 100}


class LeftOut(BadPrompt):
    """The row is none of those that the mapping takes."""


@dataclass
class Parts:
    """What a row holds: turns of the prompt, and answers with what each says of itself."""

    prompt: list[dict]
    answers: list[dict] = field(default_factory=list)
    marks: list[dict] = field(default_factory=list)
    demonstration: str = ""


class Reader:
    """Reads rows by a mapping. Nothing but BadPrompt ever escapes."""

    def __init__(self, mapping: Mapping):
        self.mapping = mapping
        self.fields = dict(mapping.fields)
        self.left_out: Counter[str] = Counter()
        self.strips = mapping.prompt is not None and mapping.prompt.form == "transcript"

    @property
    def joins(self) -> bool:
        """Whether rows are joined: then `read` is the only way."""
        return self.mapping.group or self.mapping.tree is not None

    def read(self, all_rows: Iterable[Row]) -> Iterator[Read]:
        """Yield each row once, with its entries and why it is bad ("" if it is not).

        Where the mapping joins rows, all good ones come at the end, each group's entries with its
        first row.
        """
        if self.joins:
            yield from self._joined(all_rows)
            return
        for row in all_rows:
            yield self._outcome(row)

    def _outcome(self, row: Row) -> Read:
        try:
            return row, self.entries(row), ""
        except LeftOut as error:
            self.count_left_out(error)
            return row, [], ""
        except BadPrompt as error:
            return row, [], self.reason(error, row)

    def count_left_out(self, why: LeftOut, rows: int = 1) -> None:
        """Count rows that the mapping does not take, by reason as far as there are few."""
        reason = str(why)
        is_new = reason not in self.left_out
        if is_new and len(self.left_out) >= MOST_REASONS:
            reason = "another value that the mapping does not take"
        self.left_out[reason] += rows

    def reason(self, fault: BadPrompt, row: Row) -> str:
        """Why a row is bad; of one of another layout, also how that is seen."""
        lacking, strange = layout.strangers(self.mapping, row.value)
        if not lacking:
            return str(fault)
        return (
            f"{fault}: it has no {lacking}, but {strange}. A mapping reads one layout: import rows "
            "of another one from a file of their own"
        )

    def entries(self, row: Row) -> list[Entry]:
        """The entries of one row. Raises BadPrompt; LeftOut for a row that `only` does not take."""
        if row.error:
            raise BadPrompt(row.error)
        return [safely(self._entry, row.value)]

    # One row

    def _entry(self, row: Any) -> Entry:
        self.check(row)
        parts = self.parts(row)
        judgments = [
            judgment
            for spec in self.mapping.judgments
            for judgment in verdicts.judgments(
                spec, row, parts.answers, parts.marks, self.mapping.name or "imported"
            )
        ]
        verdicts.check_all_said(judgments, parts.marks)
        return self.made(row, parts, judgments)

    def check(self, row: Any) -> None:
        """Raise BadPrompt for what the mapping refuses, LeftOut for what it does not take."""
        mapping = self.mapping
        if mapping.refuse:
            raise BadPrompt(mapping.refuse)
        if not isinstance(row, dict):
            raise BadPrompt(f"a row must be an object, and is {kind_of(row)}")
        for path, table in mapping.only:
            given = paths.get(row, path)
            if table.meaning(given) is None:
                raise LeftOut(f"{paths.text(path)} is {quoted(given)}")
        for path in mapping.pictures:
            if any(standing not in ("", [], {}) for standing in paths.values(row, path)):
                raise BadPrompt(PICTURE)

    def made(self, row: Any, parts: Parts, judgments: list[dict]) -> Entry:
        metadata: dict[str, Any] = {}
        if self.mapping.metadata is not None:
            metadata |= conversations.metadata(paths.get(row, self.mapping.metadata) or {})
        about = {name: self._about(name, row, metadata) for name in LONGEST_SHORT}
        if "time" in self.fields:
            self._time(row, metadata)
        for name, value in kept(row, self.mapping.keep).items():
            if metadata.setdefault(name, value) != value:
                raise BadPrompt(f"two fields are the metadata {name!r}")
        return Entry(
            conversations.turns(parts.prompt),
            split=split(self.fields["split"], row) if "split" in self.fields else "",
            sensitive=self._sensitive(row),
            metadata=conversations.metadata(metadata) if metadata else {},
            demonstration=parts.demonstration,
            answers=parts.answers,
            judgments=judgments,
            shares=self.mapping.shared,
            **about,
        )

    def _about(self, name: str, row: Any, metadata: dict[str, Any]) -> str:
        """A short text about the prompt. What its column can't hold becomes metadata."""
        if name not in self.fields:
            return ""
        source = self.fields[name]
        if name == "author":
            return source_text(source, row, name, LONGEST_SHORT[name])
        written = source_text(source, row, name.replace("_", " "), conversations.MOST_METADATA)
        if not written:
            return ""
        fitting = codes.language(written) if name == "language" else written
        if fitting is not None and len(fitting) <= LONGEST_SHORT[name]:
            return fitting
        place = name if source.path is None else paths.text(source.path)
        if metadata.setdefault(place, written) != written:
            raise BadPrompt(f"two fields are the metadata {place!r}")
        return ""

    def _time(self, row: Any, metadata: dict[str, Any]) -> None:
        source = self.fields["time"]
        given = source.value if source.path is None else paths.get(row, source.path)
        if not absent(given):
            time = f"{source.prefix}{codes.time(given)}"
            if metadata.setdefault("time", time) != time:
                raise BadPrompt("two fields are the metadata 'time'")

    def _sensitive(self, row: Any) -> bool:
        if self.mapping.sensitive is None:
            return False
        given = paths.get(row, self.mapping.sensitive)
        if absent(given):
            return False
        meaning = codes.YES_NO.meaning(given)
        if meaning is None:
            raise BadPrompt(f"sensitive must be true or false, and is {quoted(given)}")
        return meaning == "good"

    # Prompt and answers

    def parts(self, row: Any) -> Parts:
        mapping = self.mapping
        if mapping.conversation is not None:
            return self._of_conversation(row)
        prompt = None if mapping.prompt is None else _needed(mapping.prompt, row)
        given, marks = self._given(row)
        if _is_texts(prompt) and given and all(map(_is_texts, given)):
            given = [_interleaved(prompt, texts) for texts in given]
            prompt = None
        whole = [self._is_whole(answer) for answer in given]
        if any(whole):
            if not all(whole):
                raise BadPrompt("some answers are whole conversations, and some are not")
            turns, given = self._common(given, row)
            _check_prompt(prompt, turns)
        else:
            if prompt is None:
                raise BadPrompt("the answers are no whole conversations, and there is no prompt")
            if mapping.turns is not None:
                where = paths.text(mapping.turns)
                raise BadPrompt(f"{where} ends whole conversations, and the answers are none")
            turns = _as_turns(prompt)
        answers = [
            _answer(content, mark["model"], self.strips and not any(whole))
            for content, mark in zip(given, marks, strict=True)
        ]
        if mapping.preferred:
            base.better(*answers)
        return Parts(self._led(turns, row), answers, marks, self._demonstration(row))

    def _is_whole(self, answer: Any) -> bool:
        """Whether it is a whole conversation. An answer alone begins with the assistant's turn."""
        if not isinstance(answer, list) or _is_texts(answer):
            return False
        return self.mapping.prompt is None or answer[0]["role"] != "assistant"

    def _of_conversation(self, row: Any) -> Parts:
        """The last turns of the assistant are a demonstration; with a judgment, an answer."""
        content = self.mapping.conversation
        assert content is not None
        turns, (last,) = self._common([_as_turns(_needed(content, row))], row)
        turns = self._led(turns, row)
        answer = _answer(last, "", False)
        if self.mapping.judgments:
            return Parts(turns, [answer], [{"model": ""}])
        if "messages" in answer:
            raise BadPrompt("a demonstration must be one text of the assistant")
        return Parts(turns, demonstration=answer["text"])

    def _common(self, given: list[list[dict]], row: Any) -> tuple[list[dict], list[list[dict]]]:
        """(the turns that all conversations share, what follows them in each)."""
        if self.mapping.turns is not None:
            given = [self._cut(turns, row) for turns in given]
        first, *others = given
        shared = []
        for place, turn in enumerate(first):
            if any(turns[place : place + 1] != [turn] for turns in others):
                break
            shared.append(turn)
        while shared and shared[-1]["role"] not in ("user", "tool"):
            shared.pop()
        if not shared:
            raise BadPrompt("the conversations share no turns that ask for an answer")
        rest = [turns[len(shared) :] for turns in given]
        if not all(rest):
            raise BadPrompt("a conversation ends without the assistant's turn")
        return shared, rest

    def _cut(self, turns: list[dict], row: Any) -> list[dict]:
        """The conversation up to the end of the answer to the user's turn of that number."""
        path = self.mapping.turns
        assert path is not None
        given = paths.get(row, path)
        number = codes.number(given)
        if number is None or number < 1 or number != int(number):
            raise BadPrompt(f"{paths.text(path)} must be the number of a turn, from 1")
        asked = [place for place, turn in enumerate(turns) if turn["role"] == "user"]
        if len(asked) < number:
            raise BadPrompt(f"a conversation has no turn {int(number)}")
        return turns[: asked[int(number)]] if len(asked) > number else turns

    def _led(self, turns: list[dict], row: Any) -> list[dict]:
        """The turns after those of the history and the system."""
        mapping = self.mapping
        if mapping.history is not None and (earlier := _read(mapping.history, row)):
            turns = [*_as_turns(earlier), *turns]
        if mapping.system is None:
            return turns
        system = paths.get(row, mapping.system)
        if absent(system):
            return turns
        if not isinstance(system, str):
            raise BadPrompt(f"{paths.text(mapping.system)} must be a text")
        turn = {"role": "system", "content": system}
        return turns if turns[0] == turn else [turn, *turns]

    def _demonstration(self, row: Any) -> str:
        content = self.mapping.demonstration
        if content is None:
            return ""
        given = _needed(content, row)
        answer = _answer(given, "", self.strips)
        if "messages" in answer:
            raise BadPrompt("a demonstration must be one text of the assistant")
        if not answer["text"]:
            raise BadPrompt(f"{content.name} is empty")
        return answer["text"]

    def _given(self, row: Any) -> tuple[list[Any], list[dict]]:
        """(texts or turns, what is said of each) of the answers."""
        mapping = self.mapping
        if mapping.each is not None:
            return self._listed(row)
        given, marks = [], []
        for place, answer in enumerate(mapping.answers):
            assert answer.text is not None
            content = _read(answer.text, row)
            if content is None or content == "":
                if answer.optional:
                    continue
                raise BadPrompt(f"{answer.text.name} is empty")
            given.append(content)
            marks.append(marks_of(answer, row))
            if len(mapping.answers) > 1:
                marks[-1]["column"] = place
        return given, marks

    def _listed(self, row: Any) -> tuple[list[Any], list[dict]]:
        each = self.mapping.each
        assert each is not None
        where = paths.text(each.path)
        items = paths.get(row, each.path)
        items = paths.opened(items) if isinstance(items, str) else items
        if not isinstance(items, list) or not items:
            raise BadPrompt(f"{where} must be a list of answers, and is {kind_of(items)}")
        if len(items) > MOST_ANSWERS:
            raise BadPrompt(f"has more than {MOST_ANSWERS} answers to one prompt")
        answer = each.answer
        given = [_item(answer, item, where) for item in items]
        marks = [marks_of(answer, item) for item in items]
        if each.models is not None:
            for mark, model in zip(marks, self._models(row, len(items)), strict=True):
                mark["model"] = model
        return given, marks

    def _models(self, row: Any, count: int) -> list[str]:
        each = self.mapping.each
        assert each is not None
        assert each.models is not None
        models = paths.get(row, each.models)
        models = paths.opened(models) if isinstance(models, str) else models
        if models is None:
            return [""] * count
        if not isinstance(models, list) or len(models) != count:
            raise BadPrompt(f"{paths.text(each.models)} must be a list, one for each answer")
        named = [short(model, "a model") for model in models]
        if any(len(name) > 100 for name in named):
            raise BadPrompt("the name of a model must have at most 100 characters")
        return named

    # Joined rows

    def _joined(self, all_rows: Iterable[Row]) -> Iterator[Read]:
        from labeling.imports.mapping import joined

        groups = Groups()
        for row in all_rows:
            try:
                if row.error:
                    raise BadPrompt(row.error)
                groups.add(safely(joined.key, self, row.value), row)
            except LeftOut as error:
                self.count_left_out(error)
                yield row, [], ""
            except BadPrompt as error:
                yield row, [], self.reason(error, row)
        for group in groups:
            yield from joined.read(self, group)


def safely(function: Callable[..., Any], *arguments) -> Any:
    """The function's result; what it raises for a value that nobody thought of is a bad row."""
    try:
        return function(*arguments)
    except BadPrompt:
        raise
    except RecursionError:
        raise BadPrompt("nested too deeply") from None
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, ArithmeticError):
        raise BadPrompt("does not fit the mapping") from None


def _read(content: Content, row: Any) -> Any:
    """A text or turns; None if nothing is there. Raises BadPrompt."""
    standing = [paths.get(row, path) if path else row for path in content.paths]
    if len(standing) > 1:
        texts = [
            contents.read(value, "text", paths.text(path), None)
            for value, path in zip(standing, content.paths, strict=True)
            if value is not None
        ]
        return "\n\n".join(text for text in texts if text.strip()) if texts else None
    value = standing[0]
    if value is None or (isinstance(value, float) and absent(value)):
        return None
    return contents.read(value, content.form, content.name, content.marks)


def _needed(content: Content, row: Any) -> Any:
    value = _read(content, row)
    if value is None or value == "":
        raise BadPrompt(f"{content.name} is empty")
    return value


def _item(answer: Answer, item: Any, where: str) -> Any:
    """An item's text or turns. It may be empty: that is what the model wrote."""
    if answer.text is None:
        content = Content(((),))
        if item is None:
            raise BadPrompt(f"an item of {where} is empty")
        return contents.read(item, content.form, f"an item of {where}")
    value = _read(answer.text, item)
    if value is None:
        raise BadPrompt(f"an item of {where} has no {answer.text.name}")
    return value


def marks_of(answer: Answer, value: Any) -> dict:
    return {
        "model": source_text(answer.model, value, "the model"),
        "rank": None if answer.rank is None else paths.get(value, answer.rank),
        "score": None if answer.score is None else paths.get(value, answer.score),
        "rating": None if answer.rating is None else paths.get(value, answer.rating),
        "flags": None if answer.flags is None else paths.get(value, answer.flags),
    }


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(t, str) for t in value)


def _interleaved(asked: list[str], answered: list[str]) -> list[dict]:
    if len(asked) != len(answered):
        raise BadPrompt("the prompt and an answer have different numbers of turns")
    return [
        turn
        for question, answer in zip(asked, answered, strict=True)
        for turn in (
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        )
    ]


def _as_turns(prompt: Any) -> list[dict]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if _is_texts(prompt):
        return [
            {"role": "assistant" if place % 2 else "user", "content": text}
            for place, text in enumerate(prompt)
        ]
    return prompt


def _check_prompt(prompt: Any, turns: list[dict]) -> None:
    """Raise BadPrompt unless the turns hold what the field of the prompt says."""
    if prompt is None:
        return
    asked = [conversations.clean(_said(turn)) for turn in turns]
    for turn in _as_turns(prompt):
        if conversations.clean(_said(turn)) not in asked:
            raise BadPrompt("the prompt is not among the turns that the conversations share")


def _said(turn: dict) -> str:
    content = turn.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(
        part["text"]
        for part in content
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def _answer(content: Any, model: str, strips: bool) -> dict:
    if _is_texts(content):
        content = _alternating(content)
    if isinstance(content, str) and strips:
        content = content.removeprefix(" ")
    return base.answer(content, model)


def _alternating(texts: list[str]) -> list[dict]:
    return [
        {"role": "user" if place % 2 else "assistant", "content": text}
        for place, text in enumerate(texts)
    ]
