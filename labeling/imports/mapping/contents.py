"""Turns, in the forms in which files hold them: messages, ShareGPT's, transcripts, exchanges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labeling.imports.mapping.paths import opened
from labeling.text import strict_json
from labeling.text.conversations import PICTURE, PICTURES, BadPrompt
from labeling.text.reasons import kind_of, quoted

ROLES = {
    "system": "system",
    "developer": "developer",
    **dict.fromkeys(["user", "human", "prompter", "instruction"], "user"),
    **dict.fromkeys(["assistant", "gpt", "bot", "model", "chatgpt", "ai", "chatbot"], "assistant"),
    **dict.fromkeys(["bard", "bing", "claude"], "assistant"),
    **dict.fromkeys(["tool", "function", "observation", "ipython"], "tool"),
    **dict.fromkeys(["function_response", "tool_response"], "tool"),
    **dict.fromkeys(["function_call", "tool_call"], "call"),
}
ROLE, CONTENT = ("role", "from"), ("content", "value", "text")
READ = (*ROLE, *CONTENT, "tool_calls", "tool_call_id", "name", "function_call")
EXCHANGES = (("input", "output"), ("prompt", "response"), ("user", "assistant"))
EXCHANGES += (("human", "assistant"), ("question", "answer"), ("instruction", "output"))
TEXT_PARTS = ("text", "input_text", "output_text")
MARKS = {"user": "Human:", "assistant": "Assistant:"}
FORMS = ("auto", "text", "messages", "transcript", "exchanges", "turns", "parts")
STRUCTURED = ("messages", "exchanges", "turns", "parts")  # may stand in a cell as JSON text


def read(value: Any, form: str, name: str, marks: re.Pattern | None = None) -> Any:
    """A text; or the turns {role, content} that a value of this form holds. Raises BadPrompt.

    `name` is the field's, for the reason. Of the form "turns" it is a list of texts. What a turn
    may hold is checked later, by conversations.turns and .answer.
    """
    if form in STRUCTURED and isinstance(value, str):
        inner = opened(value)
        if inner is None:
            raise BadPrompt(f"{name} must be a list, or one as JSON text")
        value = inner
    if form == "transcript":
        return transcript(_text(value, name), marks or MARKED, name)
    if form == "exchanges":
        return exchanges(value, name)
    if form == "turns":
        return _texts(value, name)
    if form == "text" or (form == "auto" and isinstance(value, str)):
        return _text(value, name)
    if isinstance(value, dict) and any(key in value for key in ROLE):
        return turn(value, name)
    if isinstance(value, list):
        if not value:
            raise BadPrompt(f"{name} is an empty list")
        if form == "parts" or (form == "auto" and all(map(_is_part, value))):
            return [{"role": "user", "content": content(value, name)}]
        if form == "auto":
            _check_types(value, name)
        return [made for message in value for made in turn(message, name)]
    wanted = "messages" if form == "messages" else "a text, or messages"
    raise BadPrompt(f"{name} must be {wanted}, and is {kind_of(value)}")


def _is_part(value: Any) -> bool:
    """Whether it is a part of a text. Turns may have a type, too, but a part has no speaker."""
    return isinstance(value, dict) and "type" in value and not any(key in value for key in ROLE)


def _check_types(turns: list, name: str) -> None:
    """Raise BadPrompt for a turn's type, which is taken for a part's where nobody says more."""
    types = [turn["type"] for turn in turns if isinstance(turn, dict) and turn.get("type")]
    if said := next((kind for kind in types if kind != "message"), None):
        raise BadPrompt(
            f'{name}: a turn has the type {quoted(said)}: read it as = "messages", '
            "and leave the types out or keep them"
        )


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadPrompt(f"{name} must be a text, and is {kind_of(value)}")
    return value


def _texts(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise BadPrompt(f"{name} must be a list of texts")
    return ["" if item is None else _text(item, f"an item of {name}") for item in value]


def turn(message: Any, name: str) -> list[dict]:
    """The turn, in the names that messages have. Raises BadPrompt."""
    if not isinstance(message, dict):
        raise BadPrompt(f"{name}: a turn must be an object, and is {kind_of(message)}")
    said = next((message[key] for key in ROLE if message.get(key) is not None), None)
    role = ROLES.get(said.strip().casefold()) if isinstance(said, str) else None
    if role is None:
        raise BadPrompt(f"{name}: a turn has the role {quoted(said)}, which is none")
    inner = next((key for key in CONTENT if message.get(key) is not None), "content")
    given = message.get(inner)
    held = {key for key in READ if message.get(key) not in (None, "", [], {})}
    held -= {next(key for key in ROLE if message.get(key) is not None), inner}
    if role == "call":
        _refuse(held, "of a function's call", name)
        return [{"role": "assistant", "content": "", "tool_calls": _calls(given, name)}]
    made: dict[str, Any] = {"role": role, "content": content(given, name)}
    if "tool_calls" in held:
        made["tool_calls"] = message["tool_calls"]
        held.remove("tool_calls")
    elif "function_call" in held:
        made["tool_calls"] = [{"type": "function", "function": message["function_call"]}]
        held.remove("function_call")
    if role == "tool":
        made |= {key: message[key] for key in ("tool_call_id", "name") if key in held}
        held -= {"tool_call_id", "name"}
    _refuse(held, f"of the {role}", name)
    return [made]


def _refuse(held: set[str], whose: str, name: str) -> None:
    """Raise BadPrompt for what a turn holds and could only lose."""
    if held:
        raise BadPrompt(f"{name}: a turn {whose} can't hold {min(held)!r} besides")


def content(given: Any, name: str) -> Any:
    """A text or parts; a picture among them is refused by that name."""
    if not isinstance(given, list):
        return given
    return [_part(part, name) for part in given]


def _part(part: Any, name: str) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise BadPrompt(f"{name}: a part of a turn is {kind_of(part)}")
    kind = part.get("type")
    if kind in PICTURES or any(part.get(key) is not None for key in PICTURES):
        raise BadPrompt(PICTURE)
    return part | {"type": "text"} if kind in TEXT_PARTS else part


def _calls(given: Any, name: str) -> list[dict]:
    """The calls of a ShareGPT turn: JSON of a name and arguments, or a list of such."""
    try:
        value = strict_json.read(given) if isinstance(given, str) else given
    except strict_json.BadJson as error:
        needed = "a call of a function must be JSON with a name and arguments"
        raise BadPrompt(f"{name}: {needed}: {error}") from None
    calls = value if isinstance(value, list) else [value]
    made = []
    for call in calls:
        if not isinstance(call, dict) or not {"name", "arguments"} <= call.keys():
            raise BadPrompt(f"{name}: a call of a function must be JSON with a name and arguments")
        if others := sorted(map(str, call.keys() - {"name", "arguments", "id"})):
            raise BadPrompt(f"{name}: a call of a function can't hold {others[0]!r}")
        function = {"name": call["name"], "arguments": call["arguments"]}
        made.append({"id": call.get("id"), "type": "function", "function": function})
    return made


def exchanges(value: Any, name: str) -> list[dict]:
    """The turns of [[question, answer], …], or of objects with the two; the last answer may be
    missing.
    """
    if not isinstance(value, list):
        raise BadPrompt(f"{name} must be a list of questions and answers, and is {kind_of(value)}")
    turns = []
    for place, exchange in enumerate(value):
        question, answer = _exchange(exchange, name)
        turns.append({"role": "user", "content": _text(question, f"a question of {name}")})
        if answer is not None or place < len(value) - 1:
            turns.append({"role": "assistant", "content": _text(answer, f"an answer of {name}")})
    return turns


def _exchange(exchange: Any, name: str) -> tuple[Any, Any]:
    if isinstance(exchange, list) and len(exchange) == 2:
        return exchange[0], exchange[1]
    if isinstance(exchange, dict):
        for question, answer in EXCHANGES:
            if question in exchange and exchange.keys() <= {question, answer}:
                return exchange[question], exchange.get(answer)
    raise BadPrompt(f"{name}: each exchange must be a question and an answer, and nothing else")


# Transcripts


def marked(marks: Mapping[str, str]) -> re.Pattern:
    """The pattern of a speaker's mark: at the start of the text, or after an empty line."""
    names = "|".join(f"(?P<{role}>{re.escape(mark)})" for role, mark in marks.items())
    return re.compile(rf"(?:\A\s*|\n[^\S\n]*\n\s*)(?:{names})")


MARKED = marked(MARKS)


def transcript(text: str, marks: re.Pattern, name: str) -> list[dict]:
    """The turns of a transcript. An assistant's mark at its end, with nothing after it, asks for
    the answer and is no turn. One space after each mark belongs to it.
    """
    found = list(marks.finditer(text))
    if not found or text[: found[0].start()].strip():
        raise BadPrompt(f"{name} must be a transcript that begins with a mark of its speaker")
    ends = [mark.start() for mark in found[1:]] + [len(text)]
    turns = [
        {"role": str(mark.lastgroup), "content": text[mark.end() : end].removeprefix(" ")}
        for mark, end in zip(found, ends, strict=True)
    ]
    if turns[-1]["role"] == "assistant" and not turns[-1]["content"].strip():
        turns.pop()
    return turns
