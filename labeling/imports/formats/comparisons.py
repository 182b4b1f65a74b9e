"""Exports of other annotation tools, and OpenAI's comparisons of summaries. Each judge keeps a
name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats import exported
from labeling.imports.formats.base import (
    Format,
    among,
    answer,
    has,
    long_text,
    of_turns,
    only,
    ranking,
    require,
    split,
    text,
    user,
    whole,
)
from labeling.models import Judge
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import kind_of, quoted

ITEM = ("id", "body", "text", "html", "title", "model")  # of an answer of a Label Studio task
UNPLACED = "_"  # the tool's own name for what was put in no bucket


# summarize-from-feedback


def read_summaries(value: object, file: str = "") -> Iterator[Entry]:
    """A post, two summaries of it by named policies, and which of them a worker chose."""
    value = require(value, "info", "summaries", "choice")
    summaries, choice = value["summaries"], whole(value["choice"])
    if choice not in (0, 1):
        raise BadPrompt(f"choice must be 0 or 1, not {quoted(value['choice'])}")
    if not isinstance(summaries, list) or len(summaries) != 2:
        given = len(summaries) if isinstance(summaries, list) else kind_of(summaries)
        raise BadPrompt(f"summaries must be a list of two, not {given}")
    yield Entry(
        user(_post(value["info"])),
        use_case="summarization",
        split=_split_of_summaries(value),
        source="summarize-from-feedback",
        answers=[
            answer(long_text(summary["text"], "text").removeprefix(" "), text(summary, "policy"))
            for summary in summaries
        ],
        judgments=[
            ranking(
                f"summarize-from-feedback {value.get('worker', '')}".strip(),
                _choice(choice),
                Judge.Kind.PERSON,
            )
        ],
    )


def _split_of_summaries(value: dict) -> str:
    """The set has two validation splits."""
    return "validation" if value.get("split") in ("valid1", "valid2") else split(value)


def _choice(choice: int) -> tuple[int, int]:
    return (2, 1) if choice else (1, 2)


def _post(info: dict) -> str:
    """The prompt that the models of the paper were given."""
    if info.get("article"):
        return f"Article: {long_text(info['article'], 'article')}\n\nTL;DR:"
    subreddit, title = (long_text(info.get(name) or "", name) for name in ("subreddit", "title"))
    head = f"SUBREDDIT: r/{subreddit}\n\n" if subreddit else ""
    title = f"TITLE: {title}\n\n" if title else ""
    return f"{head}{title}POST: {long_text(info.get('post'), 'post')}\n\nTL;DR:"


# Label Studio


def read_label_studio(value: object, file: str = "") -> Iterator[Entry]:
    """A task with its annotations by a Ranker. Buckets are tiers, in the order of the file.

    Annotations of the same answers make one task, those of others another one over the same
    answers. Answers that an annotation did not place are not part of its task. Answers that nobody
    has ranked become a task to rank. What the task's data hold besides prompt and answers is kept
    as metadata.
    """
    value = require(value, "data", "annotations")
    data = value["data"]
    items_in = _items_in(data)
    items = _items(data.get(items_in, []))
    judged = [
        Judged(*_annotator(annotation, place), tiers, _lead_time(annotation))
        for place, annotation in enumerate(value["annotations"], start=1)
        if not annotation.get("was_cancelled") and (tiers := _tiers(annotation))
    ]
    messages, prompt_in = _conversation(data)
    ours = exported.PROMPT if exported.is_ours(data) else ()
    besides = _besides(data, "split", items_in, *prompt_in, *ours)
    about = {"split": split(data), "metadata": besides} | exported.about(data)
    if items and not judged:
        yield Entry(messages, source="label-studio", answers=list(items.values()), **about)
    else:
        yield from _by_answers(messages, "label-studio", items, judged, about)


def _conversation(data: dict) -> tuple[list[dict], tuple[str, ...]]:
    """The prompt, and the names under which it stands: Podium's own download has its turns too."""
    turns = data.get("messages")
    are_turns = isinstance(turns, list) and all(has(turn, "role", "content") for turn in turns)
    if turns and are_turns and turns[-1]["role"] in ("user", "tool"):
        return conversations.turns(turns), ("prompt", "messages")
    prompt_in = _prompt_in(data)
    return user(data[prompt_in]), (prompt_in,)


def _items_in(data: dict) -> str:
    """The name of the answers: of the first list of the data whose items all have an id."""
    lists = (
        name
        for name, items in data.items()
        if isinstance(items, list) and items and all(has(item, "id") for item in items)
    )
    return next(lists, "")


def _items(items: list[dict]) -> dict[str, dict]:
    """The answers by id."""
    return {
        str(item["id"]): answer(
            item.get("body") or item.get("text") or item.get("html") or item.get("title"),
            text(item, "model"),
        )
        for item in items
    }


def _prompt_in(data: dict) -> str:
    """The name of the prompt: a usual one, or that of the first text. Raises BadPrompt."""
    texts = [name for name, content in data.items() if isinstance(content, str) and content.strip()]
    for name in ("prompt", "instruction", "question", "text", *texts):
        if name in texts:
            return name
    raise BadPrompt("no text among its fields could be the prompt")


def _besides(data: dict, *names: str) -> dict:
    """What the data hold besides these names, as metadata."""
    kept = {name: content for name, content in data.items() if name not in names}
    return conversations.metadata(kept)


def _annotator(annotation: dict, place: int) -> tuple[str, str]:
    """(name, kind) of who made the annotation, the `place`-th of its task. The tool names them all.
    Where nobody is named, as in Podium's own download, all that is known is that they differ.
    """
    person = annotation.get("completed_by", "")
    if isinstance(person, dict):
        person = person.get("email") or person.get("id", "")
    if person in ("", None):
        return f"label-studio annotation {place}", ""
    return f"label-studio {person}", Judge.Kind.PERSON


def _lead_time(annotation: dict) -> float:
    """The seconds that the annotation took; 0 where the tool does not say."""
    seconds = annotation.get("lead_time") or 0
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadPrompt("lead_time must be a number")
    if not 0 <= seconds < math.inf:
        raise BadPrompt("lead_time must be a number, from 0")
    return round(float(seconds), 1)


def _tiers(annotation: dict) -> dict[str, int]:
    """The tier of each answer, by its id."""
    for result in annotation.get("result", []):
        placed = result.get("value", {}).get("ranker")
        if isinstance(placed, dict) and set(placed) - {UNPLACED} == {"rank"}:
            placed = placed["rank"]
        if isinstance(placed, list):
            return {str(item): rank for rank, item in enumerate(placed, start=1)}
        if isinstance(placed, dict):
            buckets = [members for name, members in placed.items() if name != UNPLACED]
            return {
                str(item): rank for rank, bucket in enumerate(buckets, start=1) for item in bucket
            }
    return {}


# Argilla


def read_argilla(value: object, file: str = "") -> Iterator[Entry]:
    """A record with responses to a ranking question: [{"value", "rank"}], each value a field's
    name. Other fields than the prompt and the answers are kept as metadata.
    """
    value = require(value, "fields", "responses")
    judged = [
        Judged(f"argilla {judge}", Judge.Kind.PERSON, ranks)
        for judge, ranks in _responses(value["responses"])
        if ranks
    ]
    named = {name for judgment in judged for name in judgment.ranks}
    items = {
        name: answer(_field(content)) for name, content in value["fields"].items() if name in named
    }
    others = {
        name: content
        for name, content in value["fields"].items()
        if name not in named and name not in items
    }
    chats = (name for name, content in others.items() if isinstance(content, list) and content)
    prompt_in = next(chats, None) or _prompt_in(others)
    prompt = others[prompt_in]
    messages = conversations.turns(prompt) if isinstance(prompt, list) else user(prompt)
    known = value.get("metadata")
    about = {
        "split": split(known if isinstance(known, dict) else {}),
        "metadata": _besides(others, prompt_in),
    }
    yield from _by_answers(messages, "argilla", items, judged, about)


def _field(content: object) -> object:
    """A text; of a chat, its last turn, which is the answer."""
    if not isinstance(content, list) or not content or not isinstance(content[-1], dict):
        return content
    last = content[-1]
    return [last] if last.get("role") == "assistant" else last.get("content")


def _responses(responses: object) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield (person, ranks) of each submitted response. A record groups responses by question, an
    older one by person.
    """
    if isinstance(responses, dict):
        for given in responses.values():
            yield from (
                (str(response.get("user_id", "")), _ranks(response))
                for response in given
                if _submitted(response)
            )
    else:
        for response in filter(_submitted, responses):
            for answered in (response.get("values") or {}).values():
                yield str(response.get("user_id", "")), _ranks(answered)


def _submitted(response: dict) -> bool:
    return response.get("status", "submitted") == "submitted"


def _ranks(response: dict) -> dict[str, int]:
    """The rank of each value; {} if the question is not a ranking."""
    placed = response.get("value")
    if not isinstance(placed, list):
        return {}
    if all(isinstance(item, str) for item in placed):
        return {item: rank for rank, item in enumerate(placed, start=1)}
    if not all(has(item, "value", "rank") for item in placed):
        return {}
    ranked = {item["value"]: whole(item["rank"]) for item in placed if item["rank"] is not None}
    if None in ranked.values():
        raise BadPrompt("a rank must be a whole number")
    return ranked


# Both


@dataclass(frozen=True)
class Judged:
    """What one judge said: the rank of each answer that they placed, by the answer's name."""

    judge: str
    kind: str
    ranks: dict[str, int]
    seconds: float = 0.0


def _by_answers(
    messages: list,
    source: str,
    items: dict,
    judged: list[Judged],
    about: dict,
) -> Iterator[Entry]:
    """Yield the entry of the answers that anybody ranked; a judgment of some of them names those.

    Annotators may have ranked different ones: each set of answers becomes a task. Both tools keep
    what models say apart, as predictions or suggestions: who answered is a person.
    """
    named = {name for judgment in judged for name in judgment.ranks}
    if not named:
        raise BadPrompt("nobody has ranked it")
    if unknown := named - set(items):
        raise BadPrompt(f"the answer {sorted(unknown)[0]} is ranked, but not there")
    names = [name for name in items if name in named]
    judgments = []
    for said in judged:
        positions = [position for position, name in enumerate(names) if name in said.ranks]
        ranks = [said.ranks[names[position]] for position in positions]
        judgment = ranking(said.judge, ranks, said.kind)
        judgment |= {"seconds": said.seconds} if said.seconds else {}
        whole = len(positions) == len(names)
        judgments.append(judgment if whole else among(judgment, positions))
    yield Entry(
        messages,
        source=source,
        **about,
        answers=[items[name] for name in names],
        judgments=judgments,
    )


def _reads_label_studio(path: str) -> bool:
    """Of a list of objects in `data`, which are the answers, only what an answer is made of, and of
    `messages` what a turn is made of.
    """
    if path.startswith("data.messages[*]."):
        return _reads_turns(path)
    inside = re.fullmatch(r"data\.[^.[]+\[\*\]\.(.*)", path, re.DOTALL)
    return _reads_task(path) if inside is None else inside[1] in ITEM


_OF_TASK = ("id", "inner_id", "created_at", "updated_at", "project", "updated_by.*", "file_upload")
_OF_TASK += ("total_annotations", "cancelled_annotations", "total_predictions", "comment_count")
_OF_TASK += ("comment_authors.*", "unresolved_comment_count", "last_comment_updated_at")
_OF_ANNOTATION = ("id", "unique_id", "import_id", "task", "project", "updated_by", "created_at")
_OF_ANNOTATION += ("updated_at", "draft_created_at", "ground_truth", "result_count")
_OF_ANNOTATION += ("last_action", "bulk_created", "parent_prediction", "parent_annotation")
_OF_ANNOTATION += ("last_created_by", "completed_by.*")
_OF_RESULT = ("id", "from_name", "to_name", "type", "origin")

_leaves_label_studio = only(
    *_OF_TASK,
    *(f"annotations[*].{name}" for name in _OF_ANNOTATION),
    *(f"annotations[*].result[*].{name}" for name in _OF_RESULT),
)

_reads_turns = only(*of_turns("data.messages"))
_reads_task = only(
    "data.*",
    "annotations[*].completed_by",
    "annotations[*].completed_by.id",
    "annotations[*].completed_by.email",
    "annotations[*].was_cancelled",
    "annotations[*].lead_time",
    "annotations[*].result[*].value.ranker.*",
)


def _of_responses(response: str, value: str) -> Iterator[str]:
    """The paths of responses to a ranking question."""
    ranked = ("[*]", "[*].value", "[*].rank")
    for name in ("user_id", "status", *(f"{value}{path}" for path in ranked)):
        yield f"{response}.{name}"


FORMATS = [
    Format(
        "summarize-from-feedback",
        _("Summarize-from-feedback comparisons"),
        lambda value: has(value, "info", "summaries", "choice"),
        read_summaries,
        reads=only(
            *(f"info.{name}" for name in ("article", "post", "subreddit", "title")),
            "summaries[*].text",
            "summaries[*].policy",
            "choice",
            "worker",
            "split",
        ),
        leaves=only("info.id", "info.site", "summaries[*].note", "batch", "extra.*"),
    ),
    Format(
        "label-studio",
        _("Label Studio, the tag Ranker"),
        lambda value: has(value, "data", "annotations"),
        read_label_studio,
        reads=_reads_label_studio,
        leaves=_leaves_label_studio,
    ),
    Format(
        "argilla",
        _("Argilla, a ranking question"),
        lambda value: has(value, "fields", "responses"),
        read_argilla,
        reads=only(
            "fields.*",  # those that are neither the prompt nor an answer become metadata
            *_of_responses("responses.*[*]", "value"),
            *_of_responses("responses[*]", "values.*.value"),
            "metadata.split",
        ),
        leaves=only("id", "_server_id", "status", "inserted_at", "updated_at"),
    ),
]
