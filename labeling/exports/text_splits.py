"""The splits of plain text: the training split holds no held-out prompt of the project."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from labeling.models import Prompt
from labeling.text.conversations import clean
from modelops import rows
from people.models import Project

SEPARATOR = "\n\n"  # between turns, and between prompt and answer, as in frozen texts
# The split of a text that begins with several prompts: the first of these.
BY_PRECEDENCE = ("test", "validation", "train")


class TextSplits:
    """Finds the split of a text of a corpus. Holds a hash of each prompt of the project."""

    def __init__(self, project: Project):
        self.known: dict[bytes, str] = {}
        prompts = Prompt.objects.filter(project=project).values_list("messages", "split")
        for messages, split in prompts.iterator(chunk_size=500):
            for text in _as_texts(messages):
                key = hashlib.sha256(text.encode()).digest()
                self.known[key] = _first([split, self.known.get(key, split)])

    def of(self, text: str) -> str:
        """The split of the prompt that the text is or begins with, else that of a new prompt."""
        text = clean(text)
        splits = [self.known[key] for key in _prefix_hashes(text) if key in self.known]
        if splits:
            return _first(splits)
        return rows.split_of(rows.digest([{"role": "user", "content": text}]))


def _as_texts(messages: list[dict[str, Any]]) -> set[str]:
    """A prompt as text, its turns joined: with and without the instructions."""
    return {
        clean(SEPARATOR.join(map(rows.turn_text, messages))),
        clean(SEPARATOR.join(rows.spoken(messages))),
    }


def _prefix_hashes(text: str) -> Iterator[bytes]:
    """Yield the sha256 of the text up to each empty line, and of the whole text."""
    hasher = hashlib.sha256()
    for number, paragraph in enumerate(text.split(SEPARATOR)):
        hasher.update(((SEPARATOR if number else "") + paragraph).encode())
        yield hasher.digest()


def _first(splits: Iterable[str]) -> str:
    return min(splits, key=BY_PRECEDENCE.index)
