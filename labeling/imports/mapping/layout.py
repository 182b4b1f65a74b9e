"""The fields without which a row is not of a mapping's layout."""

from __future__ import annotations

from typing import Any

from labeling.imports.mapping import paths
from labeling.imports.mapping.codes import absent
from labeling.imports.mapping.spec import Content, Judgment, Mapping


def needs(mapping: Mapping) -> list[paths.Steps]:
    """The paths that each row of the layout has."""
    needed = [path for path, _codes in mapping.distinct]
    if mapping.refuse:
        return needed
    for content in contents_of(mapping):
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


def contents_of(mapping: Mapping) -> list[Content]:
    """Where a row's prompt, conversation, demonstration and answers are read from."""
    answers = [answer.text for answer in mapping.answers if not answer.optional]
    given = [mapping.prompt, mapping.conversation, mapping.demonstration, *answers]
    return [content for content in given if content is not None]


def is_there(value: Any, path: paths.Steps) -> bool:
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


def strangers(mapping: Mapping, row: Any) -> tuple[str, str]:
    """A field that a row of the layout has and this one lacks, and one that it has instead; "" for
    both where it is a row of the layout, or may be.
    """
    if not isinstance(row, dict):
        return "", ""
    lacking = [path for path in needs(mapping) if not is_there(row, path)]
    names = [paths.text((name,)) for name, value in row.items() if not absent(value)]
    strange = [name for name in names if not mapping.reads(name)]
    return (paths.text(lacking[0]), strange[0]) if lacking and strange else ("", "")
