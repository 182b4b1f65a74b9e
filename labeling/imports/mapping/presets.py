"""The presets: mappings stored as `presets/NAME.toml`, recognised by the fields that they need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from labeling.imports.mapping import contents, layout, paths
from labeling.imports.mapping.parsing import load
from labeling.imports.mapping.spec import Content, Mapping
from labeling.text.conversations import PICTURE, BadPrompt

FOLDER = Path(__file__).with_name("presets")


@dataclass(frozen=True)
class Preset:
    """A stored mapping, by its name."""

    name: str
    mapping: Mapping

    @property
    def label(self) -> Promise:
        return gettext_lazy(self.mapping.label or self.name)

    @cached_property
    def needs(self) -> frozenset[paths.Steps]:
        """The fields without which a row is not of this kind."""
        return frozenset(layout.needs(self.mapping))

    def looks_like(self, value: Any) -> bool:
        """Whether a row has the needed fields, and texts and turns of the needed form."""
        if not isinstance(value, dict):
            return False
        if not all(layout.is_there(value, path) for path in self.needs):
            return False
        for path, codes in self.mapping.distinct:
            if codes is not None and codes.meaning(paths.get(value, path)) is None:
                return False
        return all(_has_form(value, content) for content in layout.contents_of(self.mapping))


def _has_form(value: Any, content: Content) -> bool:
    """Whether what stands there, if anything does, can be read as this form."""
    if len(content.paths) > 1:
        return all(isinstance(paths.get(value, path), str | None) for path in content.paths)
    standing = paths.get(value, content.paths[0])
    if standing is None or standing == "":
        return True
    try:
        contents.read(standing, content.form, "", content.marks)
    except BadPrompt as error:
        return str(error) == PICTURE
    return True


def _load() -> dict[str, Preset]:
    presets = [Preset(path.stem, load(path)) for path in sorted(FOLDER.glob("*.toml"))]
    # the more fields a preset needs, the surer it is of its kind
    presets.sort(key=lambda preset: -len(preset.needs))
    return {preset.name: preset for preset in presets}


PRESETS: dict[str, Preset] = _load()
