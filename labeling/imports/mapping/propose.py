"""A first mapping for a file that no preset knows: by the names and types of its fields.

Only what is certain is mapped. What a person has to say is left open: what kind of judge it was,
and what each code of a winner means that no column's name explains. A field whose name is nearly
known, such as `anwsers`, is mapped to nothing and named.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeling.imports.mapping import codes, contents, paths
from labeling.imports.mapping.fields import Field, unread
from labeling.imports.mapping.presets import PRESETS

NAMES = {
    "prompt": "prompt instruction question query user_prompt task post history context messages",
    "conversation": "conversations conversation dialog dialogue chat",
    "system": "system system_prompt",
    "chosen": "chosen preferred preferred_output chosen_response accepted better positive",
    "rejected": (
        "rejected dispreferred non_preferred_output rejected_response worse negative unpreferred"
    ),
    "answers": "answers completions responses candidates outputs generations predictions",
    "answer": "answer completion response output generation prediction demonstration target",
    "winner": "winner preference preferred_answer choice better_response_id selection verdict best",
    "label": "label labels kto_tag liked is_good thumbs",
    "scale": "preference_strength strength overall_preference likert",
    "ranks": "ranks ranking rankings",
    "rank": "rank position",
    "score": "score rating overall_score quality reward helpfulness",
    "model": "model model_name generator policy",
    "models": "models model_names",
    "judge": "judge annotator annotator_id labeler rater worker worker_id user_id judge_id",
    "split": "split fold partition",
    "language": "language lang locale",
    "source": "source dataset origin",
    "licence": "licence license",
    "author": "author author_id",
    "use_case": "use_case category task_type",
    "time": "time timestamp created_at created date tstamp",
    "pictures": "image images picture pictures",
    "text": "text answer response completion content output generated_text generation",
}
ROLE = {name: role for role, names in NAMES.items() for name in names.split()}
PAIRS = (("a", "b"), ("1", "2"), ("0", "1"), ("left", "right"), ("first", "second"))
PAIRED = "answer response completion output conversation candidate reply option summary text"
PAIRED += " human_ref generation prediction"
MOST_CODES = 20  # of a winner; more of them are no codes
ABOUT = ("split", "language", "source", "licence", "author", "use_case", "time")
NEAR = 0.8  # how alike two names are, of 1, of which one may be a slip of the other


@dataclass
class Proposal:
    """A mapping as a table, not checked: it may lack what only a person can say.

    `near` has the name that is known, by the path of a field that is called nearly so.
    """

    mapping: dict = field(default_factory=dict)
    preset: str = ""
    near: dict[str, str] = field(default_factory=dict)


def propose(listed: Sequence[Field], rows: Sequence[Any]) -> Proposal:
    """A mapping for rows with these fields: a preset's, else one by names and types."""
    preset = _preset(listed, rows)
    if preset:
        return Proposal(PRESETS[preset].mapping.as_dict(), preset)
    return _Proposing(listed, rows).proposal


def near_miss(name: str, known: Iterable[str]) -> str:
    """The known name that this one is nearly, of more than three letters; "" for none."""
    if len(plain(name)) <= 3:
        return ""
    return next(iter(difflib.get_close_matches(plain(name), known, 1, NEAR)), "")


def _preset(listed: Sequence[Field], rows: Sequence[Any]) -> str:
    """The preset that most rows look like and that leaves nothing unread; "" if there is none."""
    for name, preset in PRESETS.items():
        alike = sum(map(preset.looks_like, rows))
        if rows and alike * 2 >= len(rows) and not unread(preset.mapping, listed):
            return name
    return ""


def plain(name: str) -> str:
    """A name as names are compared."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s._-]+", "_", spaced).casefold()


class _Proposing:
    """One proposal in the making. Each step takes fields that no step before has taken."""

    def __init__(self, listed: Sequence[Field], rows: Sequence[Any]):
        self.rows = rows
        self.fields = {paths.steps(one.path): one for one in listed}
        self.columns = {
            path[0]: path for path in self.fields if len(path) == 1 and isinstance(path[0], str)
        }
        self.taken: set[str] = set()
        self.table: dict[str, Any] = {}
        self.judgment: dict[str, Any] = {}
        self.is_judged = False  # by what the answers say of themselves
        self.proposal = self._proposed()

    def _proposed(self) -> Proposal:
        self._pictures()
        single = self._answers()
        self._prompt(single)
        if "chosen" in self.table or self.judgment or self.is_judged:
            self._judge()
        for name in ABOUT:
            if column := self._take(name, "text", "number", "other"):
                self.table[name] = _path(column)
        return Proposal(self.table, "", self._near_misses())

    # Columns by name

    def _take(self, role: str, *types: str) -> str:
        """The first free column whose name has this role and which holds one of the types."""
        order = NAMES[role].split()
        fitting = [
            (order.index(name), column)
            for column in self.columns
            if column not in self.taken
            and (name := plain(column)) in order
            and self._holds(column, *types)
        ]
        if not fitting:
            return ""
        column = min(fitting)[1]
        self.taken.add(column)
        return column

    def _holds(self, column: str, *types: str) -> bool:
        return not types or any(kind in types for kind in self.fields[self.columns[column]].types)

    def _may_be_text(self, column: str) -> bool:
        """Whether it holds nothing but texts, if anything."""
        return set(self.fields[self.columns[column]].types) <= {"text"}

    def _values(self, *path: Any) -> list:
        return [value for row in self.rows for value in paths.values(row, path)]

    # The steps

    def _pictures(self) -> None:
        pictures = []
        while column := self._take("pictures"):
            pictures.append(_path(column))
        if pictures:
            self.table["pictures"] = pictures

    def _answers(self) -> bool:
        """Map the answers; whether there is at most one in a row."""
        pair = [self._take("chosen", "text", "list", "object")]
        pair.append(self._take("rejected", "text", "list", "object"))
        if all(pair):
            self.table |= {"chosen": _path(pair[0]), "rejected": _path(pair[1])}
            return False
        self.taken -= set(pair)
        return not (self._columns() or self._list())

    def _columns(self) -> bool:
        """Two columns with the same name but for its end: response_a and response_b."""
        stems = self._stems(PAIRED.split(), "text", "list")
        if not stems:
            return False
        _stem, _ends, columns = stems[0]
        answers: list[dict[str, Any]] = [{"text": _path(column)} for column in columns]
        self.taken |= set(columns)
        for name in ("model", "score", "rank"):
            for _beside, _ends, both in self._stems(NAMES[name].split(), "text", "number"):
                if name in answers[0] or (name == "rank" and "score" in answers[0]):
                    continue
                self.taken |= set(both)
                for answer, column in zip(answers, both, strict=True):
                    answer[name] = _path(column)
        self.table["answers"] = answers
        if "score" in answers[0]:
            self.judgment["better"] = "higher"
        elif "rank" in answers[0]:
            self.is_judged = True
        else:
            self._verdict(columns)
        return True

    def _stems(
        self, names: Iterable[str], *types: str
    ) -> list[tuple[str, tuple[str, str], tuple[str, str]]]:
        """(stem, ends, columns) of each pair of free columns whose stem has one of the names."""
        free = {plain(column): column for column in self.columns if column not in self.taken}
        pairs = []
        for order, name in enumerate(names):
            for ends in PAIRS:
                both = [free.get(f"{name}_{end}") or free.get(f"{name}{end}") for end in ends]
                if both[0] and both[1] and all(self._holds(column, *types) for column in both):
                    pairs.append((order, name, ends, (both[0], both[1])))
        return [(name, ends, both) for _order, name, ends, both in sorted(pairs)]

    def _list(self) -> bool:
        """A list of answers, texts or objects."""
        column = self._take("answers", "list")
        if not column:
            return False
        inside = {
            plain(path[2]): path[2]
            for path in self.fields
            if len(path) == 3 and path[:2] == (column, paths.EVERY) and isinstance(path[2], str)
        }
        answers: dict[str, Any] = {"each": _path(column)}
        for key in ("text", "model", "rank", "score"):
            name = next((name for name in NAMES[key].split() if name in inside), "")
            if name and not ({"rank", "score"} & answers.keys() and key in ("rank", "score")):
                answers[key] = _path(inside[name])
        if inside and "text" not in answers:
            self.taken.discard(column)
            return False
        if not inside and (models := self._take("models", "list")):
            answers["models"] = _path(models)
        self.table["answers"] = answers
        if "score" in answers:
            self.judgment["better"] = "higher"
        elif "rank" in answers:
            self.is_judged = True
        elif ranks := self._take("ranks", "list"):
            self.judgment["ranks"] = _path(ranks)
        return True

    def _verdict(self, columns: tuple[str, str]) -> None:
        """The column that says which of two answers is better."""
        hot = self._one_hot()
        if hot:
            self.judgment["one_hot"] = hot
            return
        column = self._take("winner")
        if self._put_scale(column):
            return
        if not column and (scale := self._take("scale", "number", "text")):
            if self._put_scale(scale):
                return
            self.taken.discard(scale)
        column = column or self._take("label")
        if not column:
            return
        values = list(dict.fromkeys(filter(None, map(codes.spelled, self._values(column)))))
        if not 0 < len(values) <= MOST_CODES:
            self.taken.discard(column)
            return
        winner: dict[str, Any] = {"field": _path(column)}
        for value in values:
            if outcome := _guess(value, columns):
                winner.setdefault(outcome, []).append(value)
        self.judgment["winner"] = winner

    def _put_scale(self, column: str) -> bool:
        """Map a column of numbers below and above 0; others may say only how much better."""
        given = [codes.number(value) for value in self._values(column)] if column else []
        ends = [number for number in given if number is not None]
        if len(ends) < len(given) or not ends or not min(ends) < 0 < max(ends):
            return False
        end = max(map(abs, ends))
        self.judgment["scale"] = {"field": _path(column), "a": -end, "b": end}
        return True

    def _one_hot(self) -> dict[str, str]:
        """Columns winner_…: one for each outcome."""
        hot: dict[str, str] = {}
        for column in self.columns:
            name = plain(column)
            if column in self.taken or not name.startswith("winner_"):
                continue
            outcome = _guess(name.removeprefix("winner_"), ("", ""))
            if outcome and outcome not in hot:
                hot[outcome] = column
        if not {"a", "b"} <= hot.keys():
            return {}
        self.taken |= set(hot.values())
        return {outcome: _path(column) for outcome, column in hot.items()}

    def _prompt(self, single: bool) -> None:
        """The prompt; and where a row has one answer at most, the demonstration or that answer."""
        conversation = self._take("conversation", "list", "text")
        prompt = self._take("prompt", "text", "list")
        if system := self._take("system", "text"):
            self.table["system"] = _path(system)
        if not prompt and conversation and (not single or self._asks(conversation)):
            prompt, conversation = conversation, ""
        if prompt and not conversation and single and not self._asks(prompt):
            prompt, conversation = "", prompt
        if prompt:
            self.table["prompt"] = self._content(prompt)
            if conversation:
                self.taken.discard(conversation)
        elif conversation:
            self.table["conversation"] = self._content(conversation)
        if not single:
            return
        if not conversation and (answer := self._take("answer", "text", "list", "object")):
            key = "demonstration"
            if label := self._take("label"):
                key, self.judgment["label"] = "answers", _path(label)
            self.table[key] = _path(answer)
        elif conversation and (label := self._take("label")):
            self.judgment["label"] = _path(label)

    def _content(self, column: str) -> Any:
        """The prompt's field; with the input beside an instruction, and transcripts said so."""
        texts = [value for value in self._values(column) if isinstance(value, str)]
        if texts and all(map(contents.MARKED.match, texts)):
            return {"field": _path(column), "as": "transcript"}
        if texts and all(text.lstrip()[:2] in ("[{", '{"') for text in texts):
            return {"field": _path(column), "as": "messages"}
        beside = [name for name in self.columns if plain(name) == "input"]
        if plain(column) == "instruction" and beside and self._may_be_text(beside[0]):
            self.taken.add(beside[0])
            return [_path(column), _path(beside[0])]
        return _path(column)

    def _asks(self, column: str) -> bool:
        """Whether most of its values end with a turn that waits for an answer, or are texts."""
        asking = total = 0
        for value in self._values(column):
            try:
                turns = contents.read(value, "auto", column)
            except contents.BadPrompt:
                continue
            total += 1
            asking += isinstance(turns, str) or turns[-1]["role"] != "assistant"
        return 2 * asking >= total

    def _judge(self) -> None:
        """Who judged. What kind of judge it was is never guessed."""
        if judge := self._take("judge", "text", "number", "list"):
            self.judgment["judge"] = _path(judge)
        self.table["judgment"] = self.judgment

    def _near_misses(self) -> dict[str, str]:
        """The known name, by the path of each column that is called nearly so."""
        ends = [end for both in PAIRS for end in both]
        known = [*ROLE, *(f"{name}_{end}" for name in PAIRED.split() for end in ends)]
        open_ = [
            column
            for column in self.columns
            if column not in self.taken and plain(column) not in known
            if self._holds(column, "text", "number", "list", "object")
        ]
        near = {_path(column): near_miss(column, known) for column in open_}
        return {path: name for path, name in near.items() if name}


def _path(column: str) -> str:
    return paths.text((column,))


_SIDES = {
    "a": "a model_a response_a answer_a assistant_a left first chosen_a model_1 response_1",
    "b": "b model_b response_b answer_b assistant_b right second chosen_b model_2 response_2",
    "tie": "tie draw equal same both both_good tie_bothgood no_preference tied",
    "both_bad": "both_bad bothbad tie_bothbad neither none tie_both_bad all_bad",
}
_SAID = {name: side for side, names in _SIDES.items() for name in names.split()}


def _guess(value: str, columns: tuple[str, str]) -> str:
    """Which outcome a code most likely means; "" where nothing speaks for one."""
    name = re.sub(r"_+", "_", re.sub(r"[^\w]+", "_", plain(value))).strip("_")
    for outcome, column in zip("ab", columns):
        if column and name == plain(column):
            return outcome
    if name in _SAID:
        return _SAID[name]
    # numbers are only likely where the columns are numbered the same way
    for outcome, column in zip("ab", columns):
        end = re.search(r"\d+$", column)
        if end and value == end[0]:
            return outcome
    return ""
