"""The ranking page's keys: what each does, and which one it is for this person. Letters a–i and
digits are answers' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from people.models import User

SHOWN = {"backspace": "⌫", " ": "␣"}
TAKEN = set("abcdefghi0123456789?")  # answers, their questions, and the help that tells all others
FREE = set("jklmnopqrstuvwxyz,.;/")
NAMED = ("backspace", "delete", "tab")


@dataclass(frozen=True)
class Shortcut:
    """Something a key does on the ranking page."""

    key: str
    says: Any


SHORTCUTS = {
    "tie": Shortcut("=", gettext_lazy("the next letter ties with the last")),
    "back": Shortcut(
        "backspace",
        gettext_lazy("remove the last letter; on an answer just rated or moved to, its rating"),
    ),
    "questions": Shortcut(
        "q", gettext_lazy("questions about the answer; again: those about all of them")
    ),
    "spans": Shortcut(
        "t", gettext_lazy("mark passages of the answer, where the project asks for it")
    ),
    "flags": Shortcut("x", gettext_lazy("flags of the answer")),
    "prompt": Shortcut("p", gettext_lazy("about this prompt")),
    "note": Shortcut("n", gettext_lazy("note")),
    "compare": Shortcut("v", gettext_lazy("compare the answer with another one, side by side")),
    "differences": Shortcut(
        "m", gettext_lazy("mark what the other answers contain and this one does not")
    ),
    "source": Shortcut("o", gettext_lazy("switch between source and formatted")),
    "layout": Shortcut("l", gettext_lazy("columns, or one below the other")),
    "all_bad": Shortcut("w", gettext_lazy("all answers are bad; again: back to the ranking")),
    "cannot_judge": Shortcut(
        "j", gettext_lazy("you cannot judge this task; again: back to the ranking")
    ),
    "ask": Shortcut("y", gettext_lazy("ask a lead about this task, or report a problem")),
    "skip": Shortcut("s", gettext_lazy("skip")),
    "undo": Shortcut("u", gettext_lazy("undo the last submit or skip")),
    "guidelines": Shortcut("r", gettext_lazy("read the guidelines")),
}


def of(user: User) -> dict[str, str]:
    """The key of each action for this person.

    A standard key that the person chose for another action goes to that one; its own action, which
    may have come with an update, gets a letter that is free.
    """
    own = {name: key for name, key in user.keys.items() if name in SHORTCUTS}
    keys = {name: shortcut.key for name, shortcut in SHORTCUTS.items()} | own
    twice = [name for name in keys if name not in own and keys[name] in own.values()]
    free = sorted(FREE - set(keys.values()))
    return keys | dict(zip(twice, free, strict=False))


def shown(key: str) -> str:
    """The key as it is printed on a cap."""
    return SHOWN.get(key, key)


def problems(chosen: dict[str, str]) -> dict[str, str]:
    """What is wrong with a choice of keys, by action; empty when nothing is."""
    messages = {}
    for name, key in chosen.items():
        if len(key) != 1 and key not in NAMED:
            messages[name] = _("One character, or one of: %(names)s.") % {"names": ", ".join(NAMED)}
        elif key in TAKEN:
            messages[name] = _("Letters a to i, digits and ? are already in use.")
        elif list(chosen.values()).count(key) > 1:
            messages[name] = _("Two actions can't share a shortcut.")
    return messages
