"""What other annotation tools export, and OpenAI's comparisons of summaries. Each judge keeps a
name.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import Format, answer, has, long_text, ranking, text, user
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
            answer(one["text"].removeprefix(" "), text(one, "policy")) for one in value["summaries"]
        ],
        judgments=[
            ranking(
                f"summarize-from-feedback {value.get('worker', '')}".strip(),
                _choice(value["choice"]),
            )
        ],
    )


def _choice(choice: int) -> tuple[int, int]:
    return (2, 1) if choice else (1, 2)


def _post(info: dict) -> str:
    """As the paper's models were asked."""
    if info.get("article"):
        return f"Article: {long_text(info['article'], 'article')}\n\nTL;DR:"
    head = f"SUBREDDIT: r/{info['subreddit']}\n\n" if info.get("subreddit") else ""
    title = f"TITLE: {info['title']}\n\n" if info.get("title") else ""
    return f"{head}{title}POST: {long_text(info.get('post'), 'post')}\n\nTL;DR:"


# Label Studio


def read_label_studio(value: object, file: str = "") -> Iterator[Entry]:
    """A task with its annotations by the tag Ranker. Buckets are tiers, in the order in which the
    file has them.

    Annotations of the same answers make one task; what an annotation left unplaced is not among its
    answers.
    """
    if not has(value, "data", "annotations"):
        raise BadPrompt('each row needs "data" and "annotations"')
    items = _items(value["data"])
    judged = [
        (f"label-studio {_who(annotation)}", tiers)
        for annotation in value["annotations"]
        if not annotation.get("was_cancelled") and (tiers := _tiers(annotation))
    ]
    messages = user(_asked(value["data"]))
    yield from _by_answers(messages, "label-studio", items, judged)


def _items(data: dict) -> dict[str, dict]:
    """The answers by their id: the first list of the task's data whose members have one."""
    lists = (
        found
        for found in data.values()
        if isinstance(found, list) and found and all(has(one, "id") for one in found)
    )
    return {
        str(one["id"]): answer(
            one.get("body") or one.get("text") or one.get("html") or one.get("title"),
            text(one, "model"),
        )
        for one in next(lists, [])
    }


def _asked(data: dict) -> str:
    texts = {
        name: found for name, found in data.items() if isinstance(found, str) and found.strip()
    }
    for name in ("prompt", "instruction", "question", "text", *texts):
        if name in texts:
            return texts[name]
    raise BadPrompt("the data hold no prompt")


def _who(annotation: dict) -> str:
    who = annotation.get("completed_by", "")
    return str(who.get("email") or who.get("id", "")) if isinstance(who, dict) else str(who)


def _tiers(annotation: dict) -> dict[str, int]:
    """The tier of each answer's id."""
    for result in annotation.get("result", []):
        placed = result.get("value", {}).get("ranker")
        if isinstance(placed, dict) and set(placed) - {UNPLACED} == {"rank"}:
            placed = placed["rank"]
        if isinstance(placed, list):
            return {str(one): rank for rank, one in enumerate(placed, start=1)}
        if isinstance(placed, dict):
            buckets = [members for name, members in placed.items() if name != UNPLACED]
            return {
                str(one): rank for rank, bucket in enumerate(buckets, start=1) for one in bucket
            }
    return {}


# Argilla


def read_argilla(value: object, file: str = "") -> Iterator[Entry]:
    """A record with responses to a ranking question: [{"value", "rank"}], each value the name of a
    field.
    """
    if not has(value, "fields", "responses"):
        raise BadPrompt('each row needs "fields" and "responses"')
    judged = [(f"argilla {who}", ranks) for who, ranks in _responses(value["responses"]) if ranks]
    named = {name for _who, ranks in judged for name in ranks}
    items = {name: answer(_field(said)) for name, said in value["fields"].items() if name in named}
    others = {
        name: said
        for name, said in value["fields"].items()
        if name not in named and name not in items
    }
    chat = next((said for said in others.values() if isinstance(said, list)), None)
    messages = conversations.turns(chat) if chat else user(_asked(others))
    yield from _by_answers(messages, "argilla", items, judged)


def _field(said: object) -> object:
    """A text; or a chat, of which the answer is the last turn."""
    return (
        said[-1].get("content")
        if isinstance(said, list) and said and isinstance(said[-1], dict)
        else said
    )


def _responses(responses: object) -> Iterator[tuple[str, dict[str, int]]]:
    """(who, ranks) of each submitted response: a record keeps them by question, an older one by
    person.
    """
    if isinstance(responses, dict):
        for given in responses.values():
            yield from (
                (str(one.get("user_id", "")), _ranks(one)) for one in given if _submitted(one)
            )
    else:
        for one in filter(_submitted, responses):
            for answered in (one.get("values") or {}).values():
                yield str(one.get("user_id", "")), _ranks(answered)


def _submitted(response: dict) -> bool:
    return response.get("status", "submitted") == "submitted"


def _ranks(response: dict) -> dict[str, int]:
    """The rank of each value; an answer to another kind of question has none."""
    placed = response.get("value")
    if not isinstance(placed, list):
        return {}
    if all(isinstance(one, str) for one in placed):
        return {one: rank for rank, one in enumerate(placed, start=1)}
    if not all(has(one, "value", "rank") for one in placed):
        return {}
    return {one["value"]: one["rank"] for one in placed if type(one["rank"]) is int}


# Both


def _by_answers(
    messages: list, source: str, items: dict, judged: list[tuple[str, dict[str, int]]]
) -> Iterator[Entry]:
    """An entry for each set of answers that was judged, with all who judged just that."""
    groups: list[tuple[list[str], list[dict]]] = []
    for judge, tiers in judged:
        if unknown := set(tiers) - set(items):
            raise BadPrompt(f"the answer {sorted(unknown)[0]} is ranked, but not there")
        names = [name for name in items if name in tiers]
        one = ranking(judge, [tiers[name] for name in names])
        _group(groups, names, one["judge"]).append(one)
    if not any(judgments for _names, judgments in groups):
        raise BadPrompt("nobody has ranked it")
    for names, judgments in groups:
        yield Entry(
            messages, source=source, answers=[items[name] for name in names], judgments=judgments
        )


def _group(groups: list, names: list[str], judge: str) -> list[dict]:
    for known, judgments in groups:
        if known == names and judge not in [one["judge"] for one in judgments]:
            return judgments
    groups.append((names, []))
    return groups[-1][1]


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
