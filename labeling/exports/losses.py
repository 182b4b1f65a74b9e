"""What a download can't hold, and so does not come back when it is imported again.

tests/labeling/exports/test_coming_back.py imports every format and holds the result against this
table: it may name neither too much nor too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from modelops.models import Dataset

# What may be lost, by its name: of prompts, and of what judgments datasets hold besides.
OF_PROMPTS: dict[str, Promise] = {
    "everything": _("everything: manage.py freeze_text makes a dataset of texts again"),
    "prompts": _("prompts, and what people said of them"),
    "turns": _("turns of a conversation: it is one text"),
    "structure": _("tool calls and contents in parts of prompts"),
    "splits": _("splits"),
    "about": _("use cases and languages"),
    "source": _("sources, licences and metadata of prompts"),
    "empty": _("empty texts: a row with an empty cell is refused"),
    "formulas": _("texts that begin with = + - @: an apostrophe stands before them"),
}
OF_JUDGMENTS: dict[str, Promise] = {
    "unpaired": _("tasks without a pair: all answers tied or bad, or nobody could judge"),
    "answers": _("answers"),
    "others": _("answers but the best one"),
    "judgments": _("judgments"),
    "rankings": _("rankings as a whole: there are pairs, or single answers"),
    "orders": _("which answer is better than which: each is good, bad, or left out"),
    "tasks": _("which judgments are of one task"),
    "ties": _("ties"),
    "all_bad": _("judgments that all answers of a task are bad"),
    "cannot_judge": _("judgments that nobody could make"),
    "judges": _("who judged, and how many judged alike"),
    "judge_kinds": _("whether an imported judge is a model or a script"),
    "ratings": _("ratings and flags"),
    "strength": _("how much better an answer is"),
    "seconds": _("seconds"),
    "criteria": _("scores by criteria, and spans"),
    "prompted": _("whether a labeler had seen what others say"),
    "models": _("which model wrote an answer"),
    "answer_turns": _("tool calls, parts and further turns of answers"),
    "sampling": _("how many tokens an answer has, and whether it was cut"),
}
WHAT = OF_PROMPTS | OF_JUDGMENTS
# What is lost with something else, and not named again.
WITH_ANSWERS = frozenset({"models", "answer_turns", "sampling"})
WITH_JUDGMENTS = frozenset(OF_JUDGMENTS) - WITH_ANSWERS - {"answers", "others", "unpaired"}


@dataclass(frozen=True)
class Losses:
    """What a format loses always, and what only without metadata."""

    always: tuple[str, ...]
    bare: tuple[str, ...] = ()


BARE_PROMPTS = ("splits", "about")
BARE_JUDGMENTS = (*BARE_PROMPTS, "models", "judges", "ratings", "seconds")
NEVER_HELD = ("source", "tasks", "judge_kinds", "criteria", "prompted", "sampling")
OF_PAIRS = (*NEVER_HELD, "unpaired", "rankings", "ties", "all_bad", "cannot_judge")
PLAIN = ("structure", "answer_turns")
BARE_PAIRS = (*BARE_JUDGMENTS, "strength")
TABLE = {
    "conversational": Losses(OF_PAIRS, BARE_PAIRS),
    "trl": Losses((*OF_PAIRS, *PLAIN, "turns"), BARE_PAIRS),
    "trl-implicit": Losses(OF_PAIRS, BARE_PAIRS),
    "hh-rlhf": Losses((*OF_PAIRS, *PLAIN), BARE_PAIRS),
    "csv": Losses((*OF_PAIRS, *PLAIN, "turns", "empty", "formulas"), BARE_PAIRS),
    "unpaired": Losses((*OF_PAIRS, "orders", "strength"), BARE_JUDGMENTS),
    "prompt-completion": Losses(("source", "unpaired", "others", "judgments"), BARE_PROMPTS),
    "prompt-only": Losses(("source", "answers", "judgments"), BARE_PROMPTS),
    "listwise": Losses((*NEVER_HELD, "answer_turns"), BARE_PAIRS),
    "label-studio": Losses(
        ("source", "models", "judges", "judge_kinds", "ratings", "strength")
        + ("criteria", "prompted", "sampling", "answer_turns", "all_bad", "cannot_judge"),
        BARE_PROMPTS,
    ),
    "helpsteer": Losses(
        (*OF_PAIRS, *PLAIN, *BARE_PAIRS, "turns", "orders"),
    ),
    "fine-grained": Losses(
        (*NEVER_HELD, *PLAIN, *BARE_PAIRS, "turns", "unpaired", "rankings", "all_bad")
        + ("cannot_judge",),
    ),
    "metadata": Losses(("prompts",)),
    "rows": Losses(("source",)),
    "folder": Losses(("source",)),
}


def of(format: str, kind: str, metadata: bool = False) -> list[str]:
    """The names of what a download of such a dataset loses, in the order of WHAT.

    It is as offered first: every labeler's judgment, all pairs, all splits.
    """
    if kind == Dataset.Kind.TEXT:
        return ["everything"]
    losses = TABLE[format]
    lost = {*losses.always, *(() if metadata else losses.bare)}
    names = WHAT if kind == Dataset.Kind.JUDGMENTS else OF_PROMPTS
    return [name for name in names if name in lost]


def listed(format: str, kind: str) -> list[dict[str, Any]]:
    """[{name, what, in_metadata}] of what such a download loses: `in_metadata` tells what one with
    metadata holds.
    """
    held = set(of(format, kind)) - set(of(format, kind, metadata=True))
    return [
        {"name": name, "what": WHAT[name], "in_metadata": name in held} for name in of(format, kind)
    ]
