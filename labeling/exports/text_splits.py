"""The splits of plain texts: no training split of a corpus holds a project's held-out prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from labeling.models import Prompt
from labeling.text.conversations import clean
from modelops import rows
from people.models import Project

APART = "\n\n"  # between turns, and between prompt and answer, as frozen texts have it
CAREFUL = ("test", "validation", "train")  # where a text begins with several prompts


class TextSplits:
    """Where the texts of a corpus belong, in one project. Holds a hash for each of its prompts."""

    def __init__(self, project: Project):
        self.known: dict[bytes, str] = {}
        prompts = Prompt.objects.filter(project=project).values_list("messages", "split")
        for messages, split in prompts.iterator(chunk_size=500):
            for text in _written(messages):
                key = hashlib.sha256(text.encode()).digest()
                self.known[key] = _most_careful([split, self.known.get(key, split)])

    def of(self, text: str) -> str:
        """The split of the prompt that the text is or begins with, else that of a new prompt."""
        text = clean(text)
        splits = [self.known[key] for key in _beginnings(text) if key in self.known]
        if splits:
            return _most_careful(splits)
        return rows.split_of(rows.digest([{"role": "user", "content": text}]))


def _written(messages: list[dict]) -> set[str]:
    """A prompt as a text: its turns below each other, with what the system says or without."""
    spoken = [turn["content"] for turn in messages if turn["role"] != "system"]
    return {clean(APART.join(turn["content"] for turn in messages)), clean(APART.join(spoken))}


def _beginnings(text: str) -> Iterator[bytes]:
    """The sha256 of the text up to each empty line, and of all of it."""
    read = hashlib.sha256()
    for number, paragraph in enumerate(text.split(APART)):
        read.update(((APART if number else "") + paragraph).encode())
        yield read.digest()


def _most_careful(splits: Iterable[str]) -> str:
    return min(splits, key=CAREFUL.index)
