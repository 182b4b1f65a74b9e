"""What cleaning does to the texts of one entry, whatever else the file and the project hold.

Other processes can do it: nothing here asks Django for more than its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labeling.text import conversations, personal_data, repair
from modelops import rows

Step = Callable[[str], str]


class Wanted(NamedTuple):
    """The settings of an import that say what is done to texts."""

    repair: bool
    controls: bool
    spaces: bool
    personal: bool
    answers: bool
    prefixes: bool
    near: bool
    languages: bool

    @classmethod
    def by(cls, recipe: Any) -> Wanted:
        return cls(*(getattr(recipe, name) for name in cls._fields))

    @property
    def steps(self) -> list[tuple[str, Step]]:
        known = (repair.repair, repair.without_controls, repair.tidy)
        return [(name, step) for name, step in zip(self._fields, known) if getattr(self, name)]


class Given(NamedTuple):
    """What of an entry the steps need. `answers` are there only if they are cleaned."""

    messages: list[dict]
    demonstration: str
    answers: list[dict]
    names_language: bool
    is_held_out: bool


@dataclass
class Version:
    """An entry's texts as they come in, and what is known of its prompt by itself.

    `changes` are the steps that changed a text, each with the texts from before and after its first
    change. `answers` has for each answer its cleaned form and an example of the change, if any.
    """

    messages: list[dict]
    demonstration: str
    answers: list[tuple[dict, tuple[str, str] | None]]
    changes: list[tuple[str, str, str]]
    digest: str
    prefix: int | None = None
    bands: list[int] = field(default_factory=list)
    sketch: bytes = b""
    language: str = ""

    @property
    def marks(self) -> list[int]:
        """The numbers that prompts like it share."""
        return self.bands if self.prefix is None else [*self.bands, self.prefix]

    @property
    def is_empty(self) -> bool:
        return any(map(conversations.is_empty, self.messages))


class Versions(NamedTuple):
    """An entry as held-out splits have it; and as the training split has it, where that differs."""

    plain: Version
    masked: Version | None


def versions(given: list[Given], wanted: Wanted) -> list[Versions]:
    """The cleaned versions of each entry."""
    steps = wanted.steps
    all_versions = [_versions(entry, steps, wanted) for entry in given]
    listed = [
        (version, entry.names_language)
        for entry, versions in zip(given, all_versions, strict=True)
        for version in versions
        if version is not None and not version.is_empty
    ]
    _compare([version for version, _named in listed], wanted)
    if wanted.languages:
        _detect_languages([version for version, named in listed if not named])
    return all_versions


def _versions(given: Given, steps: list[tuple[str, Step]], wanted: Wanted) -> Versions:
    before = [*conversations.texts(given.messages), given.demonstration]
    texts, changes = _stepped(before, steps)
    answers = [_answer(answer, steps) for answer in given.answers]
    plain = _version(given, before, texts, changes, answers)
    if not wanted.personal or given.is_held_out:
        return Versions(plain, None)
    masked = [personal_data.mask(text) for text in texts]
    answers = [_answer(answer, steps, masks=True) for answer in given.answers]
    if masked != texts:
        # the example must not show personal data
        hidden = ("personal", "", _first_change(texts, masked)[1])
        return Versions(plain, _version(given, before, masked, [*changes, hidden], answers))
    if answers != plain.answers:
        return Versions(plain, _version(given, before, texts, changes, answers))
    return Versions(plain, None)


def _version(
    given: Given,
    before: list[str],
    texts: list[str],
    changes: list[tuple[str, str, str]],
    answers: list[tuple[dict, tuple[str, str] | None]],
) -> Version:
    messages = given.messages
    if texts != before:
        messages = conversations.with_texts(messages, texts[:-1])
    return Version(messages, texts[-1], answers, changes, conversations.digest(messages))


def _stepped(
    texts: list[str], steps: list[tuple[str, Step]]
) -> tuple[list[str], list[tuple[str, str, str]]]:
    changes = []
    for name, step in steps:
        after = [step(text) for text in texts]
        if after != texts:
            changes.append((name, *_first_change(texts, after)))
            texts = after
    return texts, changes


def _first_change(before: Iterable[str], after: Iterable[str]) -> tuple[str, str]:
    """The texts from before and after the first change, from shortly before it on."""
    old, new = next((a, b) for a, b in zip(before, after, strict=True) if a != b)
    return _around(old, new), _around(new, old)


def _around(text: str, other: str) -> str:
    """The text from 40 characters before its first difference."""
    differs = next(
        (n for n, (a, b) in enumerate(zip(text, other)) if a != b), min(len(text), len(other))
    )
    return text[max(0, differs - 40) :]


def _answer(
    answer: dict, steps: list[tuple[str, Step]], masks: bool = False
) -> tuple[dict, tuple[str, str] | None]:
    """The answer after the steps, and an example if they change it."""
    cleaned = answer
    for _name, step in steps:
        cleaned = _changed_answer(cleaned, step)
    masked = _changed_answer(cleaned, personal_data.mask) if masks else cleaned
    if masked == answer:
        return answer, None
    before, after = answer["text"], masked["text"]
    # the example must not show what a mask hides
    return masked, (_around(before, after) if masked == cleaned else "", _around(after, before))


def _changed_answer(answer: dict, step: Step) -> dict:
    if "messages" not in answer:
        return answer | {"text": step(answer["text"])}
    turns = conversations.changed(answer["messages"], step)
    return answer | {"messages": turns, "text": rows.answer_text(turns)}


def _compare(prompts: list[Version], wanted: Wanted) -> None:
    """Note what each prompt is compared with others by."""
    if not (wanted.near or wanted.prefixes):
        return
    from labeling.text import similarity  # its imports take memory, which no web process needs

    turns = [rows.spoken(prompt.messages) for prompt in prompts]
    if wanted.prefixes:
        for prompt, spoken in zip(prompts, turns, strict=True):
            prompt.prefix = similarity.beginning(spoken[0]) if len(spoken) == 1 else None
    if wanted.near:
        sketches = similarity.sketches("\n".join(spoken) for spoken in turns)
        for prompt, sketch in zip(prompts, sketches, strict=True):
            if sketch is not None:
                prompt.sketch, prompt.bands = sketch.tobytes(), similarity.bands(sketch)


def _detect_languages(prompts: list[Version]) -> None:
    from labeling.text import languages  # its imports take memory, see above

    asked = [conversations.asked(prompt.messages) for prompt in prompts]
    for prompt, code in zip(prompts, languages.detect(asked), strict=True):
        prompt.language = code
