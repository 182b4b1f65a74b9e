"""What a recipe says of the reading of a file, and what follows for the file's fields."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from labeling.imports import roles
from labeling.imports.formats import FORMATS
from labeling.imports.found_codes import Found
from labeling.imports.mapping import Field, Mapping, paths, propose, unread, with_lists
from labeling.imports.roles import KEEP, LEAVE_OUT
from labeling.imports.sources import Source, source_of
from modelops import recipes
from modelops.recipes import BY_MAPPING, InvalidRecipe

SETTINGS = ("format", "mapping", KEEP, LEAVE_OUT)


class Partly:
    """A mapping that lacks something yet: it reads the fields that have a role in it."""

    def __init__(self, table: dict[str, Any]):
        self.known = {paths.steps(path) for path in roles.of(table)}

    def reads(self, path: str) -> bool:
        return any(start in self.known for start in paths.prefixes(paths.steps(path)))

    @staticmethod
    def leaves(path: str) -> bool:
        return False

    field = staticmethod(str)


class Choice:
    """The settings of `recipe` that say how a file is read, over the fields of that file.

    `fault` says what a mapping lacks; then there is no `source`.
    """

    def __init__(self, recipe: dict[str, Any], fields: list[Field], found: Found):
        self.recipe = {name: recipe[name] for name in SETTINGS if name in recipe}
        self.format = recipe.get("format", "prompts")
        self.source: Source | None = None
        self.fault = ""
        try:
            self.source = source_of(recipes.read("import", self.recipe))
        except InvalidRecipe as error:
            self.fault = error.message
        self.fields = self.source.listed(fields) if self.source else fields
        self.found = found

    @property
    def preset(self) -> Mapping | None:
        format = FORMATS.get(self.format)
        return format.mapping if format and not self.recipe.get("mapping") else None

    @property
    def by_mapping(self) -> bool:
        return self.preset is not None or self.format not in FORMATS

    @cached_property
    def table(self) -> dict[str, Any]:
        """The mapping's table with the fields to keep and to leave out; of a format only these."""
        table = self.preset.as_dict() if self.preset else self.recipe.get("mapping") or {}
        try:
            return with_lists(table, self.recipe.get(KEEP, []), self.recipe.get(LEAVE_OUT, []))
        except paths.BadPath:  # which `fault` says
            return table

    def unread(self) -> list[Field]:
        """The fields of which somebody has to say what becomes of them."""
        if self.source is not None:
            return self.source.unread(self.fields)
        table = self.table
        return unread(Partly(table), self.fields, table.get(LEAVE_OUT, []), table.get(KEEP, []))

    def near_miss(self, path: str) -> str:
        """The name that is known, where this field is called nearly so."""
        if self.by_mapping:
            return self._near_misses.get(path, "")
        return self.source.near_miss(path, self.fields) if self.source else ""

    @cached_property
    def _near_misses(self) -> dict[str, str]:
        return propose(self.fields, []).near

    def read_as(self, path: str) -> str | None:
        """In a few words what a field is that is read; None if it is not."""
        if self.source is None or not self.source.of.reads(self.source.of.field(path)):
            return None
        return self.source.mapping.role(path) if self.source.mapping else ""

    def with_table(self, table: dict[str, Any]) -> dict[str, Any]:
        """The settings of a recipe once the table is this one.

        A preset of which fields are kept or left out besides remains a preset.
        """
        rest = {name: table.get(name, []) for name in (KEEP, LEAVE_OUT)}
        if not self.by_mapping:
            return {"format": self.format, "mapping": {}, **rest}
        own = self.preset.as_dict() if self.preset else {}
        is_more = all({*own.get(name, [])} <= {*rest[name]} for name in rest)
        if own and is_more and without_rest(own) == without_rest(table):
            added = {
                name: [path for path in rest[name] if path not in own.get(name, [])]
                for name in rest
            }
            return {"format": self.format, "mapping": {}, **added}
        return {"format": BY_MAPPING, "mapping": without_rest(table), **rest}


def without_rest(table: dict[str, Any]) -> dict[str, Any]:
    """What a mapping's table says of the fields that it reads."""
    return {name: item for name, item in table.items() if name not in (KEEP, LEAVE_OUT)}


def of_table(table: dict[str, Any]) -> dict[str, Any]:
    """The settings of a recipe that reads by this mapping."""
    return Choice({"format": BY_MAPPING}, [], {}).with_table(table)
