"""Comparisons of two answers as training libraries keep them: hh-rlhf's transcripts, and TRL's
rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import (
    Format,
    all_bad,
    answer,
    better,
    has,
    long_text,
    of_turns,
    only,
    ranking,
    require,
    split,
    text,
    user,
)
from labeling.models import Judge
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import kind_of, quoted

# Where a turn begins. Podium's own transcripts may begin with instructions, and a tool speaks after
# a call, which ends with a bracket.
TURN = re.compile(
    r"(?:\n\n(?=Human:|Assistant:)|\A\n\n(?=System:|Developer:)|(?<=\))\n\n(?=Tool:))(\w+):"
)
STARTS = ("\n\nHuman:", "\n\nSystem:", "\n\nDeveloper:")
ANSWER = "\n\nAssistant:"
ROLES = {
    "Human": "user",
    "Assistant": "assistant",
    "System": "system",
    "Developer": "developer",
    "Tool": "tool",
}


ENDS = ("user", "tool")  # who speaks last in a prompt


# hh-rlhf


def read_transcripts(value: object, file: str = "") -> Iterator[Entry]:
    """Two whole transcripts. The prompt ends before the last assistant's turn that both begin.

    It does not end before each one's own last turn: the transcripts may have continued differently,
    and then an answer holds what followed it.
    """
    chosen, rejected = (_transcript(value, name) for name in ("chosen", "rejected"))
    cut = _prompt_end(chosen, rejected)
    answers = [
        answer(_without_leading_space(whole[cut + len(ANSWER) :])) for whole in (chosen, rejected)
    ]
    yield Entry(
        conversations.turns(_turns(chosen[:cut])),
        split=split(value),
        source="hh-rlhf",
        answers=better(*answers),
        judgments=[ranking("hh-rlhf", (1, 2), Judge.Kind.PERSON)],
    )


def _transcript(value: object, name: str) -> str:
    content = require(value, "chosen", "rejected")[name]
    if not isinstance(content, str):
        raise BadPrompt(f"{name} must be a transcript, not {kind_of(content)}")
    if not content.startswith(STARTS):
        raise BadPrompt(f'{name} must be a transcript that begins with "\\n\\nHuman:"')
    return content


def _prompt_end(chosen: str, rejected: str) -> int:
    shared = shared_start(chosen, rejected)
    cut = shared.rfind(ANSWER)
    while cut > 0 and TURN.findall(shared[:cut])[-1:] not in (["Human"], ["Tool"]):
        cut = shared.rfind(ANSWER, 0, cut)
    if cut <= 0:
        raise BadPrompt("the two transcripts share no prompt")
    return cut


def shared_start(first: str, second: str) -> str:
    return "".join(a for a, _b in takewhile(lambda both: both[0] == both[1], zip(first, second)))


def _turns(transcript: str) -> list[dict]:
    pieces = TURN.split(transcript)[1:]
    turns = zip(pieces[::2], pieces[1::2], strict=True)
    return [
        {"role": ROLES[speaker], "content": _without_leading_space(content)}
        for speaker, content in turns
    ]


def _without_leading_space(content: str) -> str:
    """The text without the one space that follows the colon."""
    return content.removeprefix(" ")


# TRL


def read_explicit(value: object, file: str = "") -> Iterator[Entry]:
    """{"prompt", "chosen", "rejected"}: texts, or lists of messages."""
    value = require(value, "prompt", "chosen", "rejected")
    yield _comparison(_prompt(value["prompt"]), value["chosen"], value["rejected"], split(value))


def read_implicit(value: object, file: str = "") -> Iterator[Entry]:
    """{"chosen", "rejected"} with a common beginning, which is the prompt."""
    value = require(value, "chosen", "rejected")
    chosen, rejected = value["chosen"], value["rejected"]
    if isinstance(chosen, list) and isinstance(rejected, list):
        shared = [a for a, _b in takewhile(lambda both: both[0] == both[1], zip(chosen, rejected))]
        while shared and not (has(shared[-1], "role") and shared[-1]["role"] in ENDS):
            shared.pop()
        if not shared:
            raise BadPrompt("chosen and rejected begin with no turn of the user that both have")
        yield _comparison(
            conversations.turns(shared),
            chosen[len(shared) :],
            rejected[len(shared) :],
            split(value),
        )
    else:
        shared = shared_start(long_text(chosen, "chosen"), long_text(rejected, "rejected"))
        cut = len(shared.rstrip(" ")) if shared.endswith(" ") else len(shared)
        lead = (
            " " if shared[cut:] == " " and not shared[:cut].endswith("\n") else ""
        )  # else it is indentation
        yield replace(
            _comparison(user(shared[:cut]), chosen[cut:], rejected[cut:], split(value)), lead=lead
        )


def read_unpaired(value: object, file: str = "") -> Iterator[Entry]:
    """{"prompt", "completion", "label"}: one answer that is good, or bad."""
    value = require(value, "prompt", "completion", "label")
    judge = text(value, "labeler", 200) or "trl"
    good = _is_good(value["label"])
    yield Entry(
        _prompt(value["prompt"]),
        split=split(value),
        source="trl",
        answers=[_completion(value["completion"], text(value, "model"))],
        judgments=[ranking(judge, [1]) if good else all_bad(judge)],
    )


def _comparison(messages: list[dict], chosen: object, rejected: object, split: str) -> Entry:
    return Entry(
        messages,
        split=split,
        source="trl",
        answers=better(_completion(chosen), _completion(rejected)),
        judgments=[ranking("trl", (1, 2))],
    )


def _prompt(value: object) -> list[dict]:
    return (
        conversations.turns(value) if isinstance(value, list) else user(long_text(value, "prompt"))
    )


def _completion(value: object, model: str = "") -> dict:
    """A text, or messages that begin with the assistant's turn."""
    return answer(value, model)


def _is_good(label: object) -> bool:
    known = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
    label = label.lower() if isinstance(label, str) else label
    # 1 and 0 are True and False, also as floats
    if not isinstance(label, bool | int | float | str) or label not in known:
        raise BadPrompt(f"label must be true or false, not {quoted(label)}")
    return known[label]


FORMATS = [
    Format(
        "hh-rlhf",
        _("hh-rlhf: chosen and rejected transcripts"),
        lambda value: has(value, "chosen", "rejected") and str(value["chosen"]).startswith(STARTS),
        read_transcripts,
        reads=only("chosen", "rejected", "split"),
    ),
    Format(
        "trl",
        _("TRL preference, with a prompt"),
        lambda value: has(value, "prompt", "chosen", "rejected"),
        read_explicit,
        reads=only(*of_turns("prompt"), *of_turns("chosen"), *of_turns("rejected"), "split"),
    ),
    Format(
        "trl-implicit",
        _("TRL preference, the prompt in both"),
        lambda value: has(value, "chosen", "rejected"),
        read_implicit,
        reads=only(*of_turns("chosen"), *of_turns("rejected"), "split"),
    ),
    Format(
        "trl-unpaired",
        _("TRL unpaired: an answer and whether it is good"),
        lambda value: has(value, "prompt", "completion", "label"),
        read_unpaired,
        reads=only(
            *of_turns("prompt"), *of_turns("completion"), "label", "labeler", "model", "split"
        ),
    ),
]
