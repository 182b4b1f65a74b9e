"""How a file's rows become entries, by a format or by a mapping; and which of its fields nothing
reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext_lazy as _

from labeling.imports.files import Row
from labeling.imports.formats import FORMATS, listed
from labeling.imports.formats.base import Format
from labeling.imports.mapping import (
    BadMapping,
    Field,
    LeftOut,
    Mapping,
    Read,
    Reader,
    fields,
    near_miss,
    paths,
    unread,
    values,
    with_fields,
)
from labeling.imports.mapping.spec import POSITIONS, Judgment
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import kind_of, quoted
from modelops.recipes import ImportRecipe, InvalidRecipe


@dataclass
class Source:
    """What reads the rows of a file: a coded format, or a mapping (also that of a preset).

    `left_out` counts the rows that it takes for none of its own, by reason.
    """

    of: Format | Mapping
    keep: list[str] = field(default_factory=list)
    leave_out: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def mapping(self) -> Mapping | None:
        return self.of if isinstance(self.of, Mapping) else None

    @property
    def opened(self) -> frozenset[paths.Steps]:
        """The paths at which JSON text is opened."""
        return self.of.opened if isinstance(self.of, Mapping) else frozenset()

    @property
    def table(self) -> dict[str, Any]:
        """The mapping's table; {} of a format."""
        return self.of.as_dict() if isinstance(self.of, Mapping) else {}

    def read(self, rows: Iterable[Row]) -> Iterator[Read]:
        """Yield each row once, with its entries. Those of joined rows come with one of them."""
        if isinstance(self.of, Mapping):
            reader = Reader(self.of)
            yield from reader.read(rows)
            self.left_out += reader.left_out
            return
        for row in rows:
            yield row, *self._entries(self.of, row)

    def _entries(self, format: Format, row: Row) -> tuple[list[Entry], str]:
        """The entries of a row of a coded format, and why it is bad."""
        if row.error:
            return [], row.error
        try:
            entries = list(format.read(row.value, row.file))
            return [self._with_kept(entry, row) for entry in entries] if self.keep else entries, ""
        except LeftOut as error:
            self.left_out[str(error)] += 1
            return [], ""
        except BadPrompt as error:
            return [], str(error)
        except RecursionError:
            return [], "nested too deeply"
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            return [], f"does not fit the format {format.name}: {_why(error)}"

    def _with_kept(self, entry: Entry, row: Row) -> Entry:
        kept = values.kept(row.value, map(paths.steps, self.keep))
        if doubled := next((n for n in kept if entry.metadata.get(n, kept[n]) != kept[n]), ""):
            raise BadPrompt(f"two fields are the metadata {doubled!r}")
        return entry.but(metadata=conversations.metadata(entry.metadata | kept)) if kept else entry

    def listed(self, of_file: Iterable[Field]) -> list[Field]:
        """The fields under the paths by which people are asked about them."""
        return listed(self.of.field, of_file)

    def behind(self, rows: Iterable[Any]) -> list[Field]:
        """The fields with content of these rows that do not come in, left out or not decided."""
        if isinstance(self.of, Mapping):
            of = Mapping.parse({**self.of.as_dict(), "leave_out": []})
        else:
            of = replace(self.of, leaves=lambda path: False)
        return unread(of, self.listed(fields(rows, self.opened)), (), self.keep)

    def near_miss(self, path: str, of_file: Iterable[Field]) -> str:
        """The name that a format reads, where a field is called nearly so; "" if there is none."""
        here = {one.path for one in of_file}
        names = [name for name in getattr(self.of.reads, "names", ()) if name not in here]
        return near_miss(path, names)

    def unread(self, of_file: Iterable[Field]) -> list[Field]:
        """The fields with content that are neither read nor kept nor left out."""
        return unread(self.of, self.listed(of_file), self.leave_out, self.keep)


def _why(error: Exception) -> str:
    """What a format's reader did not expect, as far as its error says it."""
    if isinstance(error, KeyError):
        return f"it has no {quoted(error.args[0])}"
    if isinstance(error, AttributeError):
        return f"{kind_of(error.obj)} stands where something else belongs"
    return str(error)


def source_of(recipe: ImportRecipe) -> Source:
    """The reader that a recipe asks for. Raises InvalidRecipe at the setting that is wrong."""
    for name in ("keep", "leave_out"):
        _check_paths(name, getattr(recipe, name))
    format = None if recipe.mapping else FORMATS.get(recipe.format)
    if format is not None and format.mapping is None:
        if recipe.keep and format.field is not str:
            message = f"fields of {format.name} lie at many depths: they can only be left out"
            raise InvalidRecipe("keep", message)
        return Source(format, recipe.keep, recipe.leave_out)
    try:
        mapping = Mapping.parse(recipe.mapping) if format is None else format.mapping
        assert mapping is not None
        return Source(with_fields(mapping, recipe.keep, recipe.leave_out))
    except BadMapping as error:
        raise InvalidRecipe("mapping", str(error)) from error


def _check_paths(name: str, written: list[str]) -> None:
    try:
        for path in written:
            paths.steps(path)
    except paths.BadPath as error:
        raise InvalidRecipe(name, str(error)) from error


# What is asked of people before a mapping is used


@dataclass(frozen=True)
class Verdict:
    """Where a judgment's verdict stands, and what each code means: (code, meaning)."""

    path: str
    meanings: tuple[tuple[str, str], ...]


def verdicts(mapping: Mapping | None) -> list[Verdict]:
    """What the mapping takes each code of a winner, a label or a scale for."""
    if mapping is None:
        return []
    return [one for judgment in mapping.judgments if (one := _verdict(judgment))]


def _verdict(judgment: Judgment) -> Verdict | None:
    path = paths.text((*_items(judgment), *judgment.path)) if judgment.path else ""
    if judgment.codes is not None:
        codes = judgment.codes
        beginnings = [(f"{start}*", meaning) for start, meaning in codes.begins]
        ends = [(f"*{end}", meaning) for end, meaning in codes.ends]
        others = [("*", codes.others)] if codes.others else []
        return Verdict(path, (*codes.exact.items(), *beginnings, *ends, *others))
    if judgment.one_hot:
        columns = [(paths.text(column), meaning) for meaning, column in judgment.one_hot]
        return Verdict("", tuple(columns))
    if judgment.rule == "scale":
        first, tie, second = (f"{number:g}" for number in judgment.scale)
        return Verdict(path, ((first, "a"), (tie, "tie"), (second, "b")))
    if judgment.rule in ("score", "scores"):
        return Verdict(path, (("higher" if judgment.higher else "lower", "better"),))
    return None


def _items(judgment: Judgment) -> paths.Steps:
    return (*judgment.each, paths.EVERY) if judgment.each else ()


MEANINGS = {
    **{letter: letter.upper() for letter in POSITIONS},
    "tie": _("tie"),
    "both_bad": _("both bad"),
    "good": _("good"),
    "bad": _("bad"),
    "better": _("better"),
}
