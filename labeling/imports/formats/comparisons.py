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
    held,
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
from modelops import rows

TEXTS = ("body", "text", "html", "title")  # of an answer of a Label Studio task, the best first
ITEM = ("id", "model", *TEXTS)
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
    prompt, besides = _post(value["info"])
    yield Entry(
        user(prompt),
        use_case="summarization",
        split=_split_of_summaries(value),
        metadata=conversations.metadata(besides),
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


def _post(info: dict) -> tuple[str, dict]:
    """The prompt that the models of the paper were given, and what else is known of the text."""
    about = {name: held(info, name) for name in ("subreddit", "title", "post")}
    about = {name: content for name, content in about.items() if content is not None}
    if held(info, "article") is not None:
        return f"Article: {long_text(info['article'], 'article')}\n\nTL;DR:", about
    subreddit, title = (long_text(about.get(name, ""), name) for name in ("subreddit", "title"))
    head = f"SUBREDDIT: r/{subreddit}\n\n" if subreddit else ""
    title = f"TITLE: {title}\n\n" if title else ""
    return f"{head}{title}POST: {long_text(info.get('post'), 'post')}\n\nTL;DR:", {}


# Label Studio


def read_label_studio(value: object, file: str = "") -> Iterator[Entry]:
    """A task with its annotations by a Ranker. Buckets are tiers, in the order of the file.

    Annotations of the same answers make one task, those of others another one over the same
    answers. Answers that an annotation did not place are not part of its task. Answers that nobody
    has ranked become a task to rank. What the task's data hold besides prompt and answers is kept
    as metadata. What no table holds is counted: annotations that were skipped, the names of
    buckets, and a title or another text beside an answer.
    """
    value = require(value, "data", "annotations")
    data = value["data"]
    items_in = _items_in(data)
    listed = data.get(items_in, [])
    items = _items(listed)
    annotated = [
        (annotation, *_annotator(annotation, place))
        for place, annotation in enumerate(value["annotations"], start=1)
    ]
    submitted = [
        (annotation, judge, kind, _buckets(annotation))
        for annotation, judge, kind in annotated
        if not annotation.get("was_cancelled")
    ]
    judged = [
        Judged(judge, kind, _tiers(buckets), _lead_time(annotation))
        for annotation, judge, kind, buckets in submitted
        if any(buckets.values())
    ]
    skipped = [
        judge
        for annotation, judge, _kind in annotated
        if annotation.get("was_cancelled") and annotation.get("result")
    ]
    named = [name for *_, buckets in submitted for name in buckets if not name.isdecimal()]
    ignored = {
        "skipped": ", ".join(skipped),
        "buckets": ", ".join(dict.fromkeys(named)),
        "titles": "\n".join(str(content) for item in listed for content in _texts(item)[1:]),
    }
    messages, prompt_in = _conversation(data)
    ours = exported.PROMPT if exported.is_ours(data) else ()
    about = {"split": split(data), "metadata": _besides(data, "split", items_in, *prompt_in, *ours)}
    if ours:
        about |= exported.about(data)
    yield from _by_answers(messages, "label-studio", items, judged, about, ignored)


def _conversation(data: dict) -> tuple[list[dict], tuple[str, ...]]:
    """The prompt, and the names under which it stands: Podium's own download has its turns too."""
    turns = data.get("messages")
    are_turns = isinstance(turns, list) and all(has(turn, "role", "content") for turn in turns)
    if turns and are_turns and turns[-1]["role"] in ("user", "tool"):
        messages = conversations.turns(turns)
        words = (rows.transcript(messages), *map(rows.turn_text, messages))
        is_same = data.get("prompt") in words
        return messages, ("messages", "prompt") if is_same else ("messages",)
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
    answers = {}
    for item in items:
        name = str(item["id"])
        if name in answers:
            raise BadPrompt(f"two answers have the id {quoted(name)}")
        answers[name] = answer(next(iter(_texts(item)), None), text(item, "model"))
    return answers


def _texts(item: dict) -> list:
    """What the answer says, then what stands beside it: further texts that are not its id."""
    given = [item[name] for name in TEXTS if item.get(name) is not None]
    texts = [content for content in given if content != ""] or given
    known = (*texts[:1], str(item["id"]))
    return texts[:1] + [content for content in texts[1:] if content not in known]


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
    seconds = held(annotation, "lead_time", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadPrompt("lead_time must be a number")
    if not 0 <= seconds < math.inf:
        raise BadPrompt("lead_time must be a number, from 0")
    return float(seconds)


def _buckets(annotation: dict) -> dict[str, list]:
    """The answers in each bucket, the best first, by its name. In a plain list each answer has a
    bucket of its own.
    """
    results = [
        result for result in annotation.get("result") or [] if has(result.get("value"), "ranker")
    ]
    if len(results) > 1:
        names = ", ".join(str(result.get("from_name", "?")) for result in results)
        raise BadPrompt(f"an annotation has several rankings ({names}): only one can be read")
    placed = results[0]["value"]["ranker"] if results else []
    if isinstance(placed, dict) and set(placed) - {UNPLACED} == {"rank"}:
        placed = placed["rank"]
    if isinstance(placed, list):
        return {str(rank): [item] for rank, item in enumerate(placed, start=1)}
    if not isinstance(placed, dict):
        raise BadPrompt(f"a ranking must be a list, or buckets, not {kind_of(placed)}")
    for name, members in placed.items():
        if not isinstance(members, list):
            raise BadPrompt(f"the bucket {quoted(name)} must be a list, not {kind_of(members)}")
    return {name: members for name, members in placed.items() if name != UNPLACED}


def _tiers(buckets: dict[str, list]) -> dict[str, int]:
    """The tier of each answer, by its id."""
    tiers: dict[str, int] = {}
    for rank, members in enumerate(buckets.values(), start=1):
        for item in map(str, members):
            if item in tiers:
                raise BadPrompt(f"an annotation places the answer {quoted(item)} twice")
            tiers[item] = rank
    return tiers


# Argilla


def read_argilla(value: object, file: str = "") -> Iterator[Entry]:
    """A record with responses to a ranking question: [{"value", "rank"}], each value a field's
    name. Other fields than the prompt and the answers are kept as metadata. Responses that were not
    sent are counted.
    """
    value = require(value, "fields", "responses")
    responses = list(_responses(value["responses"]))
    ranked = [
        (response, ranks)
        for response in responses
        if response.is_sent and (ranks := _ranks(response.given))
    ]
    questions = list(dict.fromkeys(response.question for response, _ in ranked))
    if len(questions) > 1:
        names = ", ".join(map(str, questions))
        raise BadPrompt(f"several questions have rankings ({names}): only one can be read")
    named = {name for _, ranks in ranked for name in ranks}
    others = {name: content for name, content in value["fields"].items() if name not in named}
    chats = (name for name, content in others.items() if isinstance(content, list) and content)
    prompt_in = next(chats, None) or _prompt_in(others)
    prompt = others[prompt_in]
    messages = conversations.turns(prompt) if isinstance(prompt, list) else user(prompt)
    items = {
        name: answer(_after(messages, content))
        for name, content in value["fields"].items()
        if name in named
    }
    judged = [
        Judged(response.judge, Judge.Kind.PERSON, placed)
        for response, ranks in ranked
        if (placed := {name: rank for name, rank in ranks.items() if rank is not None})
    ]
    known = value.get("metadata")
    about = {
        "split": split(known if isinstance(known, dict) else {}),
        "metadata": _besides(others, prompt_in),
    }
    unsent = [
        response.judge
        for response in responses
        if not response.is_sent and held(response.given, "value") is not None
    ]
    yield from _by_answers(
        messages, "argilla", items, judged, about, {"skipped": ", ".join(unsent)}
    )


def _after(messages: list[dict], content: object) -> object:
    """An answer: a text; of a chat, the turns after those of the prompt. Raises BadPrompt where the
    chat begins with others.
    """
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return content
    if len(content) == 1:
        [turn] = content
        return turn.get("content") if turn.get("role") == "user" else content
    if content[0].get("role") == "assistant":
        return content
    start = content[: len(messages)]
    if len(start) == len(content) or conversations.turns(start) != messages:
        raise BadPrompt("a chat that is an answer begins with other turns than the prompt")
    return content[len(messages) :]


@dataclass(frozen=True)
class Response:
    """What a person said to a question."""

    judge: str
    question: str
    is_sent: bool
    given: dict


def _responses(responses: object) -> Iterator[Response]:
    """A record groups responses by question, an older one by person."""
    if isinstance(responses, dict):
        for question, given in responses.items():
            for response in given:
                yield _response(response, question, response)
    else:
        for response in responses:
            for question, given in (response.get("values") or {}).items():
                yield _response(response, question, given)


def _response(of: dict, question: str, given: dict) -> Response:
    is_sent = of.get("status", "submitted") == "submitted"
    return Response(f"argilla {of.get('user_id', '')}", question, is_sent, given)


def _ranks(given: dict) -> dict[str, int | None]:
    """The rank of each value, None for what was not ranked; {} if the question is not a ranking."""
    placed = given.get("value")
    if not isinstance(placed, list) or not any(map(_is_ranked, placed)):
        return {}  # another question: its fields are not read
    if all(isinstance(item, str) for item in placed):
        pairs = [(item, rank) for rank, item in enumerate(placed, start=1)]
    elif all(has(item, "value", "rank") for item in placed):
        pairs = [(item["value"], _rank(item["rank"])) for item in placed]
    else:
        raise BadPrompt("a ranking must be a list of names, or of a value and a rank each")
    ranks = dict(pairs)
    if len(ranks) < len(pairs):
        raise BadPrompt("a response ranks an answer twice")
    return ranks


def _is_ranked(item: object) -> bool:
    """Whether an item is of a ranking, or at least looks like one."""
    return not isinstance(item, dict) or "value" in item or "rank" in item


def _rank(given: object) -> int | None:
    rank = whole(given)
    if rank is None and given is not None:
        raise BadPrompt(f"a rank must be a whole number, not {quoted(given)}")
    return rank


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
    ignored: dict[str, str],
) -> Iterator[Entry]:
    """Yield the entry of the answers that anybody ranked, and that of the others, if there are any;
    a judgment of some of them names those.

    Annotators may have ranked different ones: each set of answers becomes a task. Both tools keep
    what models say apart, as predictions or suggestions: who answered is a person.
    """
    placed = {name for judgment in judged for name in judgment.ranks}
    if unknown := placed - set(items):
        raise BadPrompt(f"the answer {sorted(unknown)[0]} is ranked, but not there")
    if not items:
        raise BadPrompt("nobody has ranked it")
    names = [name for name in items if name in placed]
    entries = []
    if names:
        judgments = [_judgment(judgment, names) for judgment in judged]
        answers = [items[name] for name in names]
        entries.append(
            Entry(messages, source=source, answers=answers, judgments=judgments, **about)
        )
    if unplaced := [answer for name, answer in items.items() if name not in placed]:
        entries.append(Entry(messages, source=source, answers=unplaced, **about))
    counted = {name: example for name, example in ignored.items() if example}
    entries[0] = entries[0].but(ignored=counted)
    yield from entries


def _judgment(judged: Judged, names: list[str]) -> dict:
    """The judgment of the answers with these names, or of some of them."""
    positions = [position for position, name in enumerate(names) if name in judged.ranks]
    ranks = [judged.ranks[names[position]] for position in positions]
    judgment = ranking(judged.judge, ranks, judged.kind)
    judgment |= {"seconds": judged.seconds} if judged.seconds else {}
    is_whole = len(positions) == len(names)
    return judgment if is_whole else among(judgment, positions)


INSIDE = re.compile(r'(?:data|fields)\.(?:[^.["]+|"(?:[^"\\]|\\.)*")\[\*\]\.(.*)', re.DOTALL)


def _reads_label_studio(path: str) -> bool:
    """Of a list of objects in `data`, which are the answers, only what an answer is made of, and of
    `messages` what a turn is made of.
    """
    if path.startswith("data.messages[*]."):
        return _reads_turns(path)
    inside = INSIDE.fullmatch(path)
    return _reads_task(path) if inside is None else inside[1] in ITEM


def _reads_argilla(path: str) -> bool:
    """Of a list of objects in `fields`, which is a chat, only what a turn is made of."""
    inside = INSIDE.fullmatch(path)
    return _reads_record(path) if inside is None else _reads_turns(f"data.messages[*].{inside[1]}")


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


_reads_record = only(
    "fields.*",  # those that are neither the prompt nor an answer become metadata
    *_of_responses("responses.*[*]", "value"),
    *_of_responses("responses[*]", "values.*.value"),
    "metadata.split",
)

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
        leaves=only("info.id", "info.site", "batch"),
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
        reads=_reads_argilla,
        leaves=only("id", "_server_id", "status", "inserted_at", "updated_at"),
    ),
]
