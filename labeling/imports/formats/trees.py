"""Open-Assistant's message trees."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import Format, answer, has, only, ranking, text
from labeling.models import Judge
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry

PEOPLE = "open-assistant people"
# what Open-Assistant notes of its review of a message: it stays behind
OF_REVIEW = ("message_id", "parent_id", "user_id", "created_date", "message_tree_id", "tree_state")
OF_REVIEW += ("review_count", "review_result", "deleted", "synthetic", "emojis.*", "detoxify.*")
OF_REVIEW += ("labels.*", "events.*")


def read_tree(value: object, file: str = "") -> Iterator[Entry]:
    """Yield an entry for each message with ranked replies, with the conversation before it.

    A tree counts as one author, so that its conversations are all in one split. Ranks count from 0;
    replies without a rank are left out.
    """
    if not isinstance(value, dict) or not isinstance(value.get("prompt"), dict):
        raise BadPrompt('each line must be an Open-Assistant tree with a "prompt"')
    author = f"open-assistant tree {value.get('message_tree_id', '')}"
    yield from _branches(value["prompt"], [], author)


def _branches(message: dict, before: list[dict], author: str) -> Iterator[Entry]:
    role = {"prompter": "user", "assistant": "assistant"}.get(message.get("role"))
    if role is None or not isinstance(message.get("text"), str):
        raise BadPrompt(
            'each message of a tree needs a role ("prompter" or "assistant") and a text'
        )
    if not conversations.clean(message["text"]):
        return  # an empty message, and what hangs on it, has nothing to rank
    turns = [*before, {"role": role, "content": message["text"]}]
    replies = message.get("replies") or []
    ranked = [reply for reply in replies if isinstance(reply.get("rank"), int)]
    if role == "user" and len(ranked) > 1:
        yield _entry(message, turns, ranked, author)
    for reply in replies:
        yield from _branches(reply, turns, author)


def _entry(message: dict, turns: list[dict], ranked: list[dict], author: str) -> Entry:
    return Entry(
        conversations.turns(turns),
        author=author,
        language=text(message, "lang")[:10],
        source="open-assistant",
        answers=[answer(reply["text"], text(reply, "model_name") or PEOPLE) for reply in ranked],
        judgments=[
            ranking("open-assistant", [reply["rank"] for reply in ranked], Judge.Kind.PERSON)
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
            *(f"prompt.{name}" for name in ("role", "text", "lang", "rank", "model_name")),
        ),
        leaves=only("tree_state", *(f"prompt.{name}" for name in OF_REVIEW)),
        field=lambda path: path.replace("replies[*].", ""),
    )
]
