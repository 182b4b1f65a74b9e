"""Open-Assistant's message trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import (
    Format,
    answer,
    has,
    only,
    ranking,
    require,
    split,
    text,
    whole,
)
from labeling.imports.mapping import LeftOut
from labeling.imports.mapping.joined import UNRANKED
from labeling.models import Judge
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import kind_of, quoted

PEOPLE = "open-assistant people"
# what Open-Assistant notes of its review of a message: it stays behind
OF_REVIEW = ("message_id", "parent_id", "user_id", "created_date", "message_tree_id", "tree_state")
OF_REVIEW += ("review_count", "review_result", "deleted", "synthetic", "emojis.*", "detoxify.*")
OF_REVIEW += ("labels.*", "events.*")
ROLES = {"prompter": "user", "assistant": "assistant"}


@dataclass
class Tree:
    """What all conversations of a tree share, and which of its messages come in with all that they
    hold: ranked with others, or without a rank before such.
    """

    author: str
    split: str
    messages: list[dict] = field(default_factory=list)
    used: list[dict] = field(default_factory=list)

    @property
    def unranked(self) -> list[dict]:
        used = set(map(id, self.used))
        return [message for message in self.messages if id(message) not in used]


def read_tree(value: object, file: str = "") -> Iterator[Entry]:
    """Yield an entry for each message with ranked replies, with the conversation before it.

    A tree counts as one author, so that its conversations are all in one split. Ranks count from 0.
    Messages that are in no list of ranked replies, nor before one, are counted. Raises LeftOut for
    a tree without any such list.
    """
    if not isinstance(value, dict) or not isinstance(value.get("prompt"), dict):
        raise BadPrompt('each line must be an Open-Assistant tree with a "prompt"')
    author = f"open-assistant tree {value.get('message_tree_id', '')}"
    tree = Tree(author, split(value))
    entries = list(_branches(value["prompt"], [], tree))
    if not entries:
        raise LeftOut(UNRANKED)
    if tree.unranked:
        unranked = "\n".join(message["text"] for message in tree.unranked)
        entries[0] = entries[0].but(ignored={"unranked": unranked})
    yield from entries


def _branches(message: dict, before: list[dict] | None, tree: Tree) -> Iterator[Entry]:
    """The entries of a message and of what hangs on it. `before` are the messages that led there,
    None where one of them is empty: no conversation can hold it.
    """
    tree.messages.append(message)
    role = _role(message)
    is_empty = before is None or not conversations.clean(message["text"])
    path = None if is_empty else [*before, message]
    replies = message.get("replies") or []
    if not isinstance(replies, list):
        raise BadPrompt(f"the replies to a message must be a list, not {kind_of(replies)}")
    ranked = [reply for reply in replies if require(reply, "role").get("rank") is not None]
    if unfit := [reply["rank"] for reply in ranked if whole(reply["rank"]) is None]:
        raise BadPrompt(f"a rank must be a whole number, not {quoted(unfit[0])}")
    if path and role == "user" and len(ranked) > 1:
        yield _entry(path, ranked, tree)
        tree.used += [turn for turn in path if turn.get("rank") is None]
        tree.used += ranked
    for reply in replies:
        yield from _branches(reply, path, tree)


def _role(message: dict) -> str:
    """Podium's name of the message's role. Raises BadPrompt for what is no message."""
    role = ROLES.get(str(require(message, "role", "text")["role"]))
    if role is None:
        raise BadPrompt(
            'each message of a tree needs a role, "prompter" or "assistant": '
            f"not {quoted(message['role'])}"
        )
    if not isinstance(message["text"], str):
        raise BadPrompt(f"each message of a tree needs a text, not {kind_of(message['text'])}")
    return role


def _entry(path: list[dict], ranked: list[dict], tree: Tree) -> Entry:
    turns = [{"role": _role(message), "content": message["text"]} for message in path]
    language = text(path[-1], "lang", 10)
    others = {text(message, "lang", 10) for message in (*path, *ranked)} - {language, ""}
    return Entry(
        conversations.turns(turns),
        author=tree.author,
        language=language,
        metadata={"other languages": sorted(others)} if others else {},
        split=tree.split,
        source="open-assistant",
        answers=[
            answer(require(reply, "text")["text"], text(reply, "model_name") or PEOPLE)
            for reply in ranked
        ],
        judgments=[
            ranking("open-assistant", [whole(reply["rank"]) for reply in ranked], Judge.Kind.PERSON)
        ],
    )


FORMATS = [
    Format(
        "open-assistant",
        _("Open-Assistant trees, with their ranks"),
        lambda value: (
            has(value, "prompt")
            and isinstance(value["prompt"], dict)
            and "replies" in value["prompt"]
        ),
        read_tree,
        reads=only(
            "message_tree_id",
            "split",
            *(f"prompt.{name}" for name in ("role", "text", "lang", "rank", "model_name")),
        ),
        leaves=only("tree_state", *(f"prompt.{name}" for name in OF_REVIEW)),
        field=lambda path: path.replace("replies[*].", ""),
    )
]
