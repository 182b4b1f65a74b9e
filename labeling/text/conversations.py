"""Clean, check, hash and split prompts."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy

from labeling.text import strict_json
from labeling.text.reasons import kind_of, no_text, quoted
from modelops import rows

ROLES = {
    "system": gettext_lazy("System"),
    "developer": gettext_lazy("Developer"),
    "user": gettext_lazy("User"),
    "assistant": gettext_lazy("Assistant"),
    "tool": gettext_lazy("Tool"),
}
LONGEST = 100_000  # characters in one prompt
MOST_METADATA = 16_384  # bytes of canonical JSON
LONGEST_NAME = 200  # characters in the name of a function, or in the id of its call
PICTURES = ("image", "image_url", "input_image", "picture")  # types and names of parts
PICTURE = "holds a picture"  # why a row with one is bad
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SAYING = re.compile(r"[^\s\x00-\x1f\x7f]")  # a character that clean() leaves


class BadPrompt(ValueError):
    """This cannot be a prompt; the message says why."""


@dataclass  # not frozen: that takes three times as long to make
class Entry:
    """A prompt as a file gave it, with all that the file says about it; not yet in the database.

    Entries are not changed, see but().
    """

    messages: list[dict]
    author: str = ""
    use_case: str = ""
    language: str = ""
    split: str = ""
    source: str = ""
    licence: str = ""
    metadata: dict = field(default_factory=dict)
    demonstration: str = ""
    sensitive: bool = False
    line: int | str = 0  # of the file, from 1
    lead: str = ""  # what the file's format puts before each answer: no part of the text
    # {"text", "model"}, and where the file says so "messages", "finish_reason", "tokens",
    # "truncated"
    answers: list[dict] = field(default_factory=list)
    # {"judge", "ranks"}: one rank for each answer, None if all are bad; and where the file says so
    # "outcome", "ratings", "flags", "strength", "seconds", "judge_kind", "scores", "spans". A
    # judgment of some of the answers has their positions, sorted, in "answers", and its lists are
    # in their order.
    judgments: list[dict] = field(default_factory=list)
    shares: bool = False  # whether an answer to the same prompt in another row is the same answer
    # what the file says and no table holds: the name of it, counted, and an example
    ignored: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digest(self.messages)

    @property
    def bare(self) -> bool:
        """Whether it is a prompt and nothing else: leaving it out loses no person's work."""
        return not (self.answers or self.demonstration)

    def but(self, **changes: Any) -> Entry:
        """A copy with these fields changed. dataclasses.replace() takes ten times as long."""
        copy = object.__new__(Entry)
        copy.__dict__.update(self.__dict__, **changes)
        return copy


def digest(messages: list[dict]) -> str:
    """rows.digest() of turns. They hold texts alone, which orjson writes alike, in less time."""
    return hashlib.sha256(orjson.dumps(messages, option=orjson.OPT_SORT_KEYS)).hexdigest()


def clean(text: str) -> str:
    """Text in Unicode's composed form (NFC), with line feeds for line breaks, without control
    characters or space around it.
    """
    if not text.isascii():
        text = text.encode(errors="replace").decode()  # a lone surrogate can't be stored
        text = unicodedata.normalize("NFC", text)
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def storable(text: str) -> str:
    """The text unchanged, but for what no database stores: lone surrogates and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "")


def turns(messages: object) -> list[dict]:
    """The messages, checked and otherwise as they are; names that no turn has are left out.

    Raises BadPrompt unless they are turns of which the last is the user's or a tool's, and for
    what only turns of another role have.
    """
    if not isinstance(messages, list) or not messages:
        given = "an empty list" if messages == [] else kind_of(messages)
        raise BadPrompt(f"messages must be a list of turns, not {given}")
    checked = [_turn(message) for message in messages]
    if checked[-1]["role"] not in ("user", "tool"):
        last = checked[-1]["role"]
        raise BadPrompt(f"the last turn must be the user's or a tool's, not one of {last}")
    length = sum(len(rows.turn_text(turn)) for turn in checked)
    if length > LONGEST:
        raise BadPrompt(f"the conversation is longer than {LONGEST:,} characters: {length:,}")
    return checked


def answer(messages: object) -> list[dict]:
    """The turns of an answer, checked as those of a conversation. It begins with the assistant's,
    which may be empty. Raises BadPrompt.
    """
    if not isinstance(messages, list) or not messages:
        given = "an empty list" if messages == [] else kind_of(messages)
        raise BadPrompt(f"an answer must be a text, or a list of turns, not {given}")
    checked = [_turn(message, may_be_empty=True) for message in messages]
    if checked[0]["role"] != "assistant":
        first = checked[0]["role"]
        raise BadPrompt(f"an answer must begin with the assistant's turn, not with one of {first}")
    text = rows.answer_text(checked)
    if len(text) > LONGEST:
        raise BadPrompt(no_text("an answer", text, LONGEST))
    return checked


def metadata(value: object) -> dict:
    """What is known of a prompt besides, as a database holds it. Raises BadPrompt."""
    if value == {}:
        return {}
    kept = _storable_object(value, "metadata")
    length = len(rows.canonical(kept).encode())
    if length > MOST_METADATA:
        raise BadPrompt(f"metadata must have at most {MOST_METADATA:,} bytes: {length:,}")
    return kept


def _storable_object(value: object, name: str) -> dict:
    """An object, or one as JSON text, as a database and a download hold it. Raises BadPrompt."""
    given = from_json(value, f"{name} must be an object")
    if not isinstance(given, dict):
        raise BadPrompt(f"{name} must be an object, not {kind_of(given)}")
    try:
        kept = _mapped(given, storable, storable)
        orjson.dumps(kept)
        json.dumps(kept, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        why = "with finite numbers of at most 64 bits, not nested too deeply"
        raise BadPrompt(f"{name} must be an object {why}") from None
    return kept


def from_json(value: object, needed: str) -> Any:
    """The value; of a JSON text what it says. Raises BadPrompt, whose reason begins `needed`."""
    try:
        return strict_json.read(value) if isinstance(value, str) else value
    except strict_json.BadJson as error:
        raise BadPrompt(f"{needed}: {error}") from None


def _turn(message: object, may_be_empty: bool = False) -> dict:
    if not isinstance(message, dict):
        raise BadPrompt(f"each turn must be an object, not {kind_of(message)}")
    if not isinstance(message.get("role"), str) or message["role"] not in ROLES:
        given = f", not {quoted(message['role'])}" if "role" in message else ""
        raise BadPrompt(
            f"each turn needs a role: system, developer, user, assistant or tool{given}"
        )
    role, calls = message["role"], message.get("tool_calls")
    if calls and role != "assistant":
        raise BadPrompt("only a turn of the assistant has tool_calls")
    content = message.get("content")
    if content is None and (calls or role == "tool"):
        content = ""
    turn: dict[str, Any] = {"role": role, "content": _content(content)}
    if calls:
        turn["tool_calls"] = _tool_calls(calls)
    named = _names(message, "tool_call_id", "name")
    if named and role != "tool":
        name, value = next(iter(named.items()))
        raise BadPrompt(f"only a turn of a tool has a {name}, not one of {role}: {quoted(value)}")
    turn |= named
    if is_empty(turn) and not may_be_empty:
        raise BadPrompt("each turn needs a content that is not empty")
    return turn


def is_empty(turn: dict) -> bool:
    """Whether a turn says nothing. A tool may have nothing to say."""
    return turn["role"] != "tool" and not _SAYING.search(rows.turn_text(turn))


def _content(content: object) -> str | list[dict]:
    """A text, or a list of parts that are texts."""
    if isinstance(content, str):
        return storable(content)
    if not isinstance(content, list) or not content:
        given = "an empty list" if content == [] else kind_of(content)
        raise BadPrompt(f"the content of a turn must be a text or a list of parts, not {given}")
    return [_part(part) for part in content]


def _part(part: object) -> dict:
    given = _given(part)
    kind = given.get("type")
    if kind in PICTURES or any(name in given for name in PICTURES):
        raise BadPrompt(PICTURE)
    if kind != "text":
        name = repr(kind) if isinstance(kind, str | None) else kind_of(kind)
        raise BadPrompt(f"a turn can't hold a part of the type {name}: only text")
    if given.keys() != {"type", "text"} or not isinstance(given["text"], str):
        raise BadPrompt("a part of a turn has a type and a text, and nothing else")
    return {"type": "text", "text": storable(given["text"])}


def _tool_calls(calls: object) -> list[dict]:
    if not isinstance(calls, list):
        raise BadPrompt(f"tool_calls must be a list of calls, not {kind_of(calls)}")
    return [_tool_call(call) for call in calls]


def _tool_call(call: object) -> dict:
    given = _given(call)
    function = _given(given.get("function"))
    if given.get("type", "function") != "function" or not function:
        raise BadPrompt('each tool call needs a "function" with a name and arguments')
    unknown = [*given.keys() - {"id", "type", "function"}, *function.keys() - {"name", "arguments"}]
    if unknown:
        raise BadPrompt(f"a tool call can't hold {min(unknown)!r}")
    name = _names(function, "name")
    if not name:
        raise BadPrompt("each tool call needs the name of its function")
    arguments = _arguments(function.get("arguments", {}))
    return _names(given, "id") | {
        "type": "function",
        "function": name | {"arguments": arguments},
    }


def _arguments(arguments: object) -> str:
    """The arguments of a call as JSON text: it keeps their order, and is one and the same on every
    database.
    """
    value = _storable_object(arguments, "the arguments of a tool call")
    return json.dumps(value, ensure_ascii=False)


def _names(value: dict, *names: str) -> dict[str, str]:
    """Those of these short fields that are there, cleaned."""
    result = {}
    for name in names:
        given = value.get(name)
        if given is None:
            continue
        if not isinstance(given, str):
            raise BadPrompt(f"{name} must be a text, not {kind_of(given)}")
        if len(given) > LONGEST_NAME:
            raise BadPrompt(f"{name} must be a text of at most {LONGEST_NAME} characters")
        result |= {name: text} if (text := clean(given)) else {}
    return result


def _given(value: object) -> dict:
    """An object without the names that hold nothing: a table fills them in."""
    if not isinstance(value, dict):
        return {}
    return {name: inner for name, inner in value.items() if inner is not None}


def _mapped(
    value: Any, change: Callable[[str], str], rename: Callable[[str], str] = lambda name: name
) -> Any:
    """A JSON value with each text in it changed, and each name of an object renamed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(inner, change, rename) for inner in value]
    if isinstance(value, dict):
        return {rename(name): _mapped(inner, change, rename) for name, inner in value.items()}
    return value


# The texts of a conversation


class Call(NamedTuple):
    """A tool call as pages show it: the name of the function, and its arguments as JSON."""

    name: str
    arguments: str


class Turn(NamedTuple):
    """A turn as pages show it: its role, the role's name, all that it says as text, and apart what
    it says in words and what it calls.
    """

    role: str
    name: str
    text: str
    content: str
    calls: tuple[Call, ...]


def shown(messages: Iterable[dict]) -> list[Turn]:
    return [_shown(turn) for turn in messages]


def _shown(turn: dict) -> Turn:
    functions = [call["function"] for call in turn.get("tool_calls") or []]
    calls = tuple(
        Call(function["name"], _indented(function["arguments"])) for function in functions
    )
    return Turn(turn["role"], _title(turn), rows.turn_text(turn), rows.content_text(turn), calls)


def _indented(arguments: str) -> str:
    """The arguments of a call, a name a line; as they are if they are no JSON."""
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False, indent=2)
    except ValueError:
        return arguments


def _title(turn: dict) -> str:
    title = str(ROLES[turn["role"]])
    return f"{title}: {turn['name']}" if turn.get("name") else title


def asked(messages: list[dict]) -> str:
    """The text of the user's last turn; of the last turn if there is none."""
    of_user = (turn for turn in reversed(messages) if turn["role"] == "user")
    return rows.turn_text(next(of_user, messages[-1]))


def texts(messages: list[dict]) -> list[str]:
    """Each text that cleaning may change: contents, their parts, and texts in calls' arguments."""
    result: list[str] = []

    def keep(text: str) -> str:
        result.append(text)
        return text

    changed(messages, keep)
    return result


def with_texts(messages: list[dict], others: Iterable[str]) -> list[dict]:
    """The conversation with other texts, in the order in which texts() gives them."""
    following = iter(others)
    return changed(messages, lambda _text: next(following))


def changed(messages: list[dict], change: Callable[[str], str]) -> list[dict]:
    """The conversation with each of its texts changed."""
    return [_changed_turn(turn, change) for turn in messages]


def _changed_turn(turn: dict, change: Callable[[str], str]) -> dict:
    content = turn["content"]
    if isinstance(content, str):
        content = change(content)
    else:
        content = [part | {"text": change(part["text"])} for part in content]
    result = turn | {"content": content}
    if "tool_calls" in turn:
        result["tool_calls"] = [_changed_call(call, change) for call in turn["tool_calls"]]
    return result


def _changed_call(call: dict, change: Callable[[str], str]) -> dict:
    """The call with its arguments' values changed; their names are the function's."""
    function = call["function"]
    arguments = _mapped(json.loads(function["arguments"]), change)
    written = json.dumps(arguments, ensure_ascii=False)
    return call | {"function": function | {"arguments": written}}


def split_of(entry: Entry) -> str:
    """The split that the file gives; otherwise the split of the author or, without one, of the
    conversation.
    """
    return entry.split or rows.split_of(entry.author or entry.digest)


def author_key(author: str) -> str:
    """What is stored of an author: a hash salted with the installation's secret; "" for none."""
    return _author_key(author, settings.SECRET_KEY) if author else ""


@lru_cache(10_000)
def _author_key(author: str, secret: str) -> str:
    return salted_hmac("author", author, secret=secret, algorithm="sha256").hexdigest()


def as_stored(text: str) -> str:
    """The text as a JSON column holds it: SQLite stores escapes, PostgreSQL the characters."""
    return json.dumps(text, ensure_ascii=connection.vendor == "sqlite")[1:-1]
