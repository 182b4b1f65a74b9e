"""Open-Assistant's message trees."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import Format, answer, has, only, ranking, require, text, whole
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
    role = ROLES.get(str(require(message, "role", "text")["role"]))
    if role is None:
        raise BadPrompt(
            'each message of a tree needs a role, "prompter" or "assistant": '
            f"not {quoted(message['role'])}"
        )
    if not isinstance(message["text"], str):
        raise BadPrompt(f"each message of a tree needs a text, not {kind_of(message['text'])}")
    if not conversations.clean(message["text"]):
        return  # an empty message, and what hangs on it, has nothing to rank
    turns = [*before, {"role": role, "content": message["text"]}]
    replies = message.get("replies") or []
    if not isinstance(replies, list):
        raise BadPrompt(f"the replies to a message must be a list, not {kind_of(replies)}")
    ranked = [reply for reply in replies if require(reply, "role").get("rank") is not None]
    if unfit := [reply["rank"] for reply in ranked if whole(reply["rank"]) is None]:
        raise BadPrompt(f"a rank must be a whole number, not {quoted(unfit[0])}")
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
            *(f"prompt.{name}" for name in ("role", "text", "lang", "rank", "model_name")),
        ),
        leaves=only("tree_state", *(f"prompt.{name}" for name in OF_REVIEW)),
        field=lambda path: path.replace("replies[*].", ""),
    )
]
