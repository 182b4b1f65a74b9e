"""What a format is, and what its readers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.functional import Promise

from labeling.models import Judge
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import kind_of, no_text, quoted
from modelops import rows

if TYPE_CHECKING:
    from labeling.imports.mapping import Mapping

MOST_ANSWERS = 100
LONGEST_JUDGE = 200  # characters of a name
SPLITS = {
    "train": "train",
    "training": "train",
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    "test": "test",
    "testing": "test",
}
LARGEST = 2**53  # whole numbers up to it are exact as floats


@dataclass(frozen=True)
class Format:
    """A file format. `read(value, file)` yields the entries of one row, or raises BadPrompt.

    `reads(path)` says whether it reads the field at this path, such as `answers[*].text`; what it
    does not read has to be left out or kept by the person who imports. `field(path)` is the path
    under which fields are listed that are the same at any depth.
    """

    name: str
    label: Promise
    looks_like: Callable[[Any], bool]
    read: Callable[[Any, str], Iterator[Entry]]
    reads: Callable[[str], bool]
    field: Callable[[str], str] = str
    leaves: Callable[[str], bool] = lambda path: False  # a tool's own notes, which stay behind
    mapping: Mapping | None = None  # of a preset, which is nothing but a stored mapping


class Reads:
    """A format's `reads`. `names` are those of a row that it knows; `others` are further paths."""

    def __init__(self, paths: tuple[str, ...], others: re.Pattern | None):
        self.fullmatch = re.compile("|".join(map(_pattern, paths)), re.DOTALL).fullmatch
        self.others = others
        self.names = tuple(dict.fromkeys(re.split(r"[.[]", path)[0] for path in paths))

    def __call__(self, path: str) -> bool:
        is_other = self.others is not None and self.others.fullmatch(path)
        return bool(is_other or self.fullmatch(path))


def only(*paths: str, others: re.Pattern | None = None) -> Reads:
    """A format's `reads`: these paths, and all that lies below one that ends with `.*`. Elsewhere
    `.*` stands for any one name.
    """
    return Reads(paths, others)


def _pattern(path: str) -> str:
    below = r"([.[].*)?" if path.endswith(".*") else ""
    return re.escape(path.removesuffix(".*")).replace(r"\.\*", r"\.[^.[]+") + below


def of_turns(name: str) -> tuple[str, ...]:
    """The paths of a conversation or an answer: of a text, or of a list of turns."""
    inside = ("role", "content", "content[*].type", "content[*].text", "tool_calls.*")
    inside += ("tool_call_id", "name")
    return (name, *(f"{name}[*].{path}" for path in inside))


def has(value: object, *names: str) -> bool:
    return isinstance(value, dict) and all(name in value for name in names)


def held(value: dict, name: str, otherwise: Any = None) -> Any:
    """What the object holds under this name; `otherwise` for nothing: null, or something empty."""
    content = value.get(name)
    return otherwise if content in (None, "", [], {}) else content


def text(value: dict, name: str, longest: int = 100) -> str:
    """A short field, cleaned."""
    if name not in value:
        return ""
    content = held(value, name)
    if content is None:
        return ""
    if not isinstance(content, str) or len(content) > longest:
        raise BadPrompt(no_text(name, content, longest))
    return conversations.clean(content)


def split(value: dict) -> str:
    """The split that a row names, in the usual spellings; "" if it names none."""
    given = text(value, "split").casefold()
    if given and given not in SPLITS:
        raise BadPrompt(f"split must be train, validation or test, and is {given!r}")
    return SPLITS.get(given, "")


def long_text(value: object, name: str) -> str:
    """An answer or a prompt, as it is."""
    if not isinstance(value, str) or len(value) > conversations.LONGEST:
        raise BadPrompt(no_text(name, value, conversations.LONGEST))
    return conversations.storable(value)


def require(value: object, *names: str) -> dict:
    """The row. Raises BadPrompt unless it is an object that has these names."""
    if not isinstance(value, dict):
        raise BadPrompt(f"each row must be an object, not {kind_of(value)}")
    if missing := [name for name in names if name not in value]:
        wanted = ", ".join(f'"{name}"' for name in names)
        raise BadPrompt(f'each row needs {wanted}: this one has no "{missing[0]}"')
    return value


def whole(value: object) -> int | None:
    """The whole number that it is, also as a float: tables with empty cells have only these."""
    if type(value) is int:
        return value
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST
    return int(value) if is_whole else None


def user(content: str) -> list[dict]:
    return conversations.turns([{"role": "user", "content": content}])


def answer(content: object, model: str = "", name: str = "an answer") -> dict:
    """An answer that is a text, or a list of turns."""
    if not isinstance(content, list):
        return {"text": long_text(content, name), "model": model or "unknown"}
    turns = conversations.answer(content)
    made = {"text": rows.answer_text(turns), "model": model or "unknown"}
    only_text = len(turns) == 1 and rows.is_plain(turns)
    return made if only_text else made | {"messages": turns}


def ranking(judge: str, ranks: Iterable[int], kind: str = "") -> dict:
    """A judgment; `kind` is what the file or its documentation says the judge is ("": nothing)."""
    return _judgment(judge, list(ranks), kind)


def among(judgment: dict, positions: list[int]) -> dict:
    """The judgment, of the answers at these positions alone; its ranks are in their order."""
    order = sorted(range(len(positions)), key=positions.__getitem__)
    ranks = [judgment["ranks"][place] for place in order]
    return judgment | {"ranks": ranks, "answers": [positions[place] for place in order]}


def all_bad(judge: str, kind: str = "") -> dict:
    return _judgment(judge, None, kind)


def _judgment(judge: str, ranks: list[int] | None, kind: str) -> dict:
    name = conversations.clean(judge)
    if len(name) > LONGEST_JUDGE:
        raise BadPrompt(no_text("the name of a judge", name, LONGEST_JUDGE))
    judgment = {"judge": name, "ranks": ranks}
    return judgment | {"judge_kind": str(kind)} if kind else judgment


def judge_kind(value: dict) -> str:
    """What a row says its judge is: one of the kinds, or "" where it says nothing."""
    kind = text(value, "judge_kind")
    if kind and kind not in Judge.Kind.values:
        known = ", ".join(Judge.Kind.values)
        raise BadPrompt(f"judge_kind must be one of: {known}; not {quoted(kind)}")
    return kind


def better(chosen: dict, rejected: dict) -> list[dict]:
    """The two answers of a comparison, the better one first. Raises BadPrompt if they are equal."""
    if chosen == rejected:
        raise BadPrompt("chosen and rejected are the same")
    return [chosen, rejected]
