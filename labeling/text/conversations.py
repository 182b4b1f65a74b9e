"""Clean, check, hash and split prompts."""

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
    """This cannot be a prompt; the message says why."""


@dataclass(frozen=True)
class Entry:
    """A prompt as a file gave it, with all that the file says about it; not yet in the database."""

    messages: list[dict]
    author: str = ""
    use_case: str = ""
    language: str = ""
    split: str = ""
    source: str = ""
    demonstration: str = ""
    sensitive: bool = False
    line: int | str = 0  # of the file, from 1
    lead: str = ""  # what the file's format puts before each answer: no part of the text
    # {"text", "model"}, and where the file says so "finish_reason", "tokens", "truncated"
    answers: list[dict] = field(default_factory=list)
    # {"judge", "ranks"}: one rank for each answer, None if all are bad; and where the file says so
    # "outcome", "ratings", "flags", "strength", "seconds", "judge_kind"
    judgments: list[dict] = field(default_factory=list)
    # what the file says and no table holds: the name of it, counted, and an example
    ignored: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return rows.digest(self.messages)

    @property
    def bare(self) -> bool:
        """Whether it is a prompt and nothing else: leaving it out loses no person's work."""
        return not (self.answers or self.demonstration)


def clean(text: str) -> str:
    """Text in Unicode's composed form (NFC), with line feeds for line breaks, without control
    characters or space around it.
    """
    text = text.encode(errors="replace").decode()  # a lone surrogate can't be stored
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text).strip()


def storable(text: str) -> str:
    """The text unchanged, but for what no database stores: lone surrogates and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "")


def conversation(messages: list) -> list[dict]:
    """The messages, cleaned. Raises BadPrompt unless they are turns that end with the user's."""
    return [turn | {"content": clean(turn["content"])} for turn in turns(messages)]


def turns(messages: list) -> list[dict]:
    """The messages, unchanged. Raises BadPrompt unless they are turns that end with the user's."""
    if not isinstance(messages, list) or not messages:
        raise BadPrompt("messages must be a list of turns, each with a role and a content")
    checked = [_turn(message) for message in messages]
    if checked[-1]["role"] != "user":
        raise BadPrompt("the last turn must be the user's")
    if sum(len(turn["content"]) for turn in checked) > LONGEST:
        raise BadPrompt(f"the conversation is longer than {LONGEST:,} characters")
    return checked


def _turn(message: object) -> dict:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise BadPrompt("each turn needs a role: system, user or assistant")
    if not isinstance(message.get("content"), str) or not clean(message["content"]):
        raise BadPrompt("each turn needs a content that is not empty")
    return {"role": message["role"], "content": storable(message["content"])}


def split_of(entry: Entry) -> str:
    """The split that the file gives; otherwise the split of the author or, without one, of the
    conversation.
    """
    return entry.split or rows.split_of(entry.author or entry.digest)


def author_key(author: str) -> str:
    """What is stored of an author: a hash salted with the installation's secret; "" for none."""
    if not author:
        return ""
    return salted_hmac("author", author, secret=settings.SECRET_KEY, algorithm="sha256").hexdigest()


def as_stored(text: str) -> str:
    """The text as a JSON column holds it: SQLite stores escapes, PostgreSQL the characters."""
    return json.dumps(text, ensure_ascii=connection.vendor == "sqlite")[1:-1]
