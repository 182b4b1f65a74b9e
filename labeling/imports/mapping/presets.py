"""The presets: mappings stored as `presets/NAME.toml`, recognised by the fields that they need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labeling.imports.mapping import contents, paths
from labeling.imports.mapping.parsing import load
from labeling.imports.mapping.spec import Content, Judgment, Mapping
from labeling.text.conversations import PICTURE, BadPrompt

FOLDER = Path(__file__).with_name("presets")


@dataclass(frozen=True)
class Preset:
    """A stored mapping, by its name."""

    name: str
    mapping: Mapping

    @property
    def label(self) -> str:
        return self.mapping.label or self.name

    @cached_property
    def needs(self) -> frozenset[paths.Steps]:
        """The fields without which a row is not of this kind."""
        return frozenset(_needs(self.mapping))

    def looks_like(self, value: Any) -> bool:
        """Whether a row has the needed fields, and texts and turns of the needed form."""
        if not isinstance(value, dict):
            return False
        if not all(_is_there(value, path) for path in self.needs):
            return False
        for path, codes in self.mapping.distinct:
            if codes is not None and codes.meaning(paths.get(value, path)) is None:
                return False
        return all(_has_form(value, content) for content in _contents(self.mapping))


def _is_there(value: Any, path: paths.Steps) -> bool:
    """Whether the field is there, be it null: a row may be bad and of this kind all the same."""
    *above, last = path
    parent = paths.get(value, tuple(above)) if above else value
    if isinstance(parent, str):
        parent = paths.opened(parent)
    if paths.EVERY in above:
        return bool(parent) and any(
            isinstance(item, dict) and last in item for item in parent if item is not None
        )
    if isinstance(last, str):
        return isinstance(parent, dict) and last in parent
    return isinstance(parent, list) and (last is paths.EVERY or -len(parent) <= last < len(parent))


def _contents(mapping: Mapping) -> list[Content]:
    answers = [answer.text for answer in mapping.answers if not answer.optional]
    given = [mapping.prompt, mapping.conversation, mapping.demonstration, *answers]
    return [content for content in given if content is not None]


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


def _needs(mapping: Mapping) -> list[paths.Steps]:
    needed = [path for path, _codes in mapping.distinct]
    if mapping.refuse:
        return needed
    for content in _contents(mapping):
        needed += content.paths[:1] if len(content.paths) > 1 else content.paths
    if mapping.each is not None:
        base = (*mapping.each.path, paths.EVERY)
        needed.append(mapping.each.path)
        answer = mapping.each.answer
        inner = [*(answer.text.paths if answer.text else ()), answer.rank, answer.score]
        needed += [(*base, *path) for path in inner if path]
    for answer in mapping.answers:
        needed += [path for path in (answer.rank, answer.score) if path]
    if mapping.tree is not None:
        needed += [mapping.tree.id, mapping.tree.parent, mapping.tree.of, mapping.tree.role]
    for judgment in mapping.judgments:
        needed += _needs_of(judgment)
    return needed


def _needs_of(judgment: Judgment) -> list[paths.Steps]:
    if judgment.optional:
        return []
    verdicts = [judgment.path] if judgment.path else [path for _name, path in judgment.one_hot]
    if judgment.each is None:
        return verdicts
    return [judgment.each, *((*judgment.each, paths.EVERY, *path) for path in verdicts)]


def _load() -> dict[str, Preset]:
    presets = [Preset(path.stem, load(path)) for path in sorted(FOLDER.glob("*.toml"))]
    # the more fields a preset needs, the surer it is of its kind
    presets.sort(key=lambda preset: -len(preset.needs))
    return {preset.name: preset for preset in presets}


PRESETS: dict[str, Preset] = _load()
