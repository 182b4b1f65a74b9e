"""Exports of other annotation tools, and OpenAI's comparisons of summaries. Each judge keeps a
name.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import (
    Format,
    among,
    answer,
    has,
    long_text,
    ranking,
    text,
    user,
)
from labeling.models import Judge
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry

UNPLACED = "_"  # the tool's own name for what was put in no bucket


# summarize-from-feedback


def read_summaries(value: object, file: str = "") -> Iterator[Entry]:
    """A post, two summaries of it by named policies, and which of them a worker chose."""
    if (
        not has(value, "info", "summaries", "choice")
        or value["choice"] not in (0, 1)
        or len(value["summaries"]) != 2
    ):
        raise BadPrompt('each row needs "info", two "summaries" and a "choice" of 0 or 1')
    split = {"train": "train", "test": "test"}.get(
        value.get("split"), "validation" if value.get("split") else ""
    )
    yield Entry(
        user(_post(value["info"])),
        use_case="summarization",
        split=split,
        source="summarize-from-feedback",
        answers=[
            answer(summary["text"].removeprefix(" "), text(summary, "policy"))
            for summary in value["summaries"]
        ],
        judgments=[
            ranking(
                f"summarize-from-feedback {value.get('worker', '')}".strip(),
                _choice(value["choice"]),
                Judge.Kind.PERSON,
            )
        ],
    )


def _choice(choice: int) -> tuple[int, int]:
    return (2, 1) if choice else (1, 2)


def _post(info: dict) -> str:
    """The prompt that the models of the paper were given."""
    if info.get("article"):
        return f"Article: {long_text(info['article'], 'article')}\n\nTL;DR:"
    head = f"SUBREDDIT: r/{info['subreddit']}\n\n" if info.get("subreddit") else ""
    title = f"TITLE: {info['title']}\n\n" if info.get("title") else ""
    return f"{head}{title}POST: {long_text(info.get('post'), 'post')}\n\nTL;DR:"


# Label Studio


def read_label_studio(value: object, file: str = "") -> Iterator[Entry]:
    """A task with its annotations by a Ranker. Buckets are tiers, in the order of the file.

    Annotations of the same answers make one task, those of others another one over the same
    answers. Answers that an annotation did not place are not part of its task.
    """
    if not has(value, "data", "annotations"):
        raise BadPrompt('each row needs "data" and "annotations"')
    items = _items(value["data"])
    judged = [
        (f"label-studio {_annotator(annotation)}", tiers)
        for annotation in value["annotations"]
        if not annotation.get("was_cancelled") and (tiers := _tiers(annotation))
    ]
    messages = user(_prompt(value["data"]))
    yield from _by_answers(messages, "label-studio", items, judged)


def _items(data: dict) -> dict[str, dict]:
    """The answers by id: from the first list of the task's data whose items all have an id."""
    lists = (
        items
        for items in data.values()
        if isinstance(items, list) and items and all(has(item, "id") for item in items)
    )
    return {
        str(item["id"]): answer(
            item.get("body") or item.get("text") or item.get("html") or item.get("title"),
            text(item, "model"),
        )
        for item in next(lists, [])
    }


def _prompt(data: dict) -> str:
    texts = {
        name: content
        for name, content in data.items()
        if isinstance(content, str) and content.strip()
    }
    for name in ("prompt", "instruction", "question", "text", *texts):
        if name in texts:
            return texts[name]
    raise BadPrompt("the data hold no prompt")


def _annotator(annotation: dict) -> str:
    person = annotation.get("completed_by", "")
    return (
        str(person.get("email") or person.get("id", ""))
        if isinstance(person, dict)
        else str(person)
    )


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
    name.
    """
    if not has(value, "fields", "responses"):
        raise BadPrompt('each row needs "fields" and "responses"')
    judged = [
        (f"argilla {judge}", ranks) for judge, ranks in _responses(value["responses"]) if ranks
    ]
    named = {name for _judge, ranks in judged for name in ranks}
    items = {
        name: answer(_field(content)) for name, content in value["fields"].items() if name in named
    }
    others = {
        name: content
        for name, content in value["fields"].items()
        if name not in named and name not in items
    }
    chat = next((content for content in others.values() if isinstance(content, list)), None)
    messages = conversations.turns(chat) if chat else user(_prompt(others))
    yield from _by_answers(messages, "argilla", items, judged)


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
    return {item["value"]: item["rank"] for item in placed if type(item["rank"]) is int}


# Both


def _by_answers(
    messages: list, source: str, items: dict, judged: list[tuple[str, dict[str, int]]]
) -> Iterator[Entry]:
    """Yield the entry of the answers that anybody ranked; a judgment of some of them names those.

    Annotators may have ranked different ones: each set of answers becomes a task. Both tools keep
    what models say apart, as predictions or suggestions: who answered is a person.
    """
    named = {name for _judge, tiers in judged for name in tiers}
    if not named:
        raise BadPrompt("nobody has ranked it")
    if unknown := named - set(items):
        raise BadPrompt(f"the answer {sorted(unknown)[0]} is ranked, but not there")
    names = [name for name in items if name in named]
    judgments = []
    for judge, tiers in judged:
        positions = [position for position, name in enumerate(names) if name in tiers]
        ranks = [tiers[names[position]] for position in positions]
        judgment = ranking(judge, ranks, Judge.Kind.PERSON)
        whole = len(positions) == len(names)
        judgments.append(judgment if whole else among(judgment, positions))
    yield Entry(
        messages, source=source, answers=[items[name] for name in names], judgments=judgments
    )


FORMATS = [
    Format(
        "summarize-from-feedback",
        _("Summarize-from-feedback comparisons"),
        lambda value: has(value, "info", "summaries", "choice"),
        read_summaries,
    ),
    Format(
        "label-studio",
        _("Label Studio, the tag Ranker"),
        lambda value: has(value, "data", "annotations"),
        read_label_studio,
    ),
    Format(
        "argilla",
        _("Argilla, a ranking question"),
        lambda value: has(value, "fields", "responses"),
        read_argilla,
    ),
]
