"""Clean, tell apart and split prompts."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection
from django.utils.crypto import salted_hmac

from modelops import rows

ROLES = ("system", "user", "assistant")
LONGEST = 100_000  # characters in one prompt
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class BadPrompt(ValueError):
    """This can't be a prompt; the text says why."""


@dataclass(frozen=True)
class Entry:
    """A prompt as a file gave it, with what was said of it; not yet in the database."""

    messages: list[dict]
    author: str = ""
    use_case: str = ""
    language: str = ""
    split: str = ""
    source: str = ""
    demonstration: str = ""
    sensitive: bool = False
    line: int | str = 0  # of the file, from 1
    lead: str = ""  # what the form of the file puts before each answer, none of its text
    answers: list[dict] = field(default_factory=list)  # {"text", "model"}
    judgments: list[dict] = field(
        default_factory=list
    )  # {"judge", "ranks"}: one of each answer; None: all bad

    @property
    def digest(self) -> str:
        return rows.digest(self.messages)

    @property
    def bare(self) -> bool:
        """Whether it is a prompt and nothing else: no work of people is lost with it."""
        return not (self.answers or self.demonstration)


def clean(text: str) -> str:
    """Unicode in composed form, newlines as line feeds, no control characters, no space around."""
    text = text.encode(errors="replace").decode()  # half a surrogate pair can't be stored
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text).strip()


def storable(text: str) -> str:
    """The text as it is, but for what no database keeps: half a surrogate pair, and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "")


def conversation(messages: list) -> list[dict]:
    """The cleaned messages. Raises BadPrompt unless they are turns that end with the user's."""
    return [turn | {"content": clean(turn["content"])} for turn in turns(messages)]


def turns(messages: list) -> list[dict]:
    """The messages as they are. Raises BadPrompt unless they are turns that end with the user's."""
    if not isinstance(messages, list) or not messages:
        raise BadPrompt("messages must be a list of turns, each with a role and a content")
    said = [_turn(message) for message in messages]
    if said[-1]["role"] != "user":
        raise BadPrompt("the last turn must be the user's")
    if sum(len(turn["content"]) for turn in said) > LONGEST:
        raise BadPrompt(f"the conversation is longer than {LONGEST:,} characters")
    return said


def _turn(message: object) -> dict:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise BadPrompt("each turn needs a role: system, user or assistant")
    if not isinstance(message.get("content"), str) or not clean(message["content"]):
        raise BadPrompt("each turn needs a content that is not empty")
    return {"role": message["role"], "content": storable(message["content"])}


def split_of(entry: Entry) -> str:
    """The supplied split, else that of the author or, without one, of the conversation."""
    return entry.split or rows.split_of(entry.author or entry.digest)


def author_key(author: str) -> str:
    """What is stored of an author: a hash salted with the installation's secret, or nothing."""
    return (
        salted_hmac("author", author, secret=settings.SECRET_KEY, algorithm="sha256").hexdigest()
        if author
        else ""
    )


def as_stored(text: str) -> str:
    """As the text stands in a JSON column: SQLite keeps it with escapes, PostgreSQL as it is."""
    return json.dumps(text, ensure_ascii=connection.vendor == "sqlite")[1:-1]
