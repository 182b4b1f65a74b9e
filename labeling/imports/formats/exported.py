"""Podium's own downloads, on their way back, and the two formats of TRL that hold no judgment.

With metadata a download says where its examples come from: `dataset` and `labeler` name the judge
as the frozen rows do (rows.py), so that a labeler of a dataset is one judge in all of its files.
What a format can't hold stands in labeling/exports/losses.py. Rows that others wrote may have
fields of these names too: what is said of the prompt is read, the rest becomes metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats import preferences
from labeling.imports.formats.base import (
    Format,
    answer,
    has,
    held,
    long_text,
    of_turns,
    only,
    ranking,
    split,
    text,
    user,
    whole,
)
from labeling.imports.formats.rows import DATASET, JUDGE_KINDS, LONGEST_NAME
from labeling.models import Judge, Prompt, Ranking
from labeling.text import conversations
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import quoted
from modelops import rows

DIGEST = re.compile(r"[0-9a-f]{64}")
PROMPT = ("dataset", "prompt_id", "split", "use_case", "language", "agreement")
JUDGMENT = ("labeler", "kind", "seconds", "strength", "weight")


# What the metadata say


def is_ours(value: object) -> bool:
    """Whether the row has the metadata of a download."""
    return has(value, "dataset", "prompt_id", "split") and bool(
        DIGEST.fullmatch(str(value["dataset"]))
    )


def about(value: dict) -> dict[str, str]:
    """What the metadata of a download say of the prompt."""
    own_split = text(value, "split")
    if own_split not in Prompt.Split.values:
        raise BadPrompt("split must be train, validation or test")
    return {"split": own_split} | _use(value)


def _about_any(value: dict, *read: str) -> dict[str, Any]:
    """What the row says of the prompt. In a row that is no download the other fields of these names
    mean what their author says: all except those in `read` become metadata.
    """
    if is_ours(value):
        return about(value)
    others = [name for name in ("dataset", *COUNTED, *JUDGMENT) if name not in read]
    kept = {name: value[name] for name in others if held(value, name) is not None}
    metadata = conversations.metadata(kept)
    return {"split": split(value), "metadata": metadata} | _use(value)


def _use(value: dict) -> dict[str, str]:
    return {"use_case": text(value, "use_case", 40), "language": text(value, "language", 10)}


def judge(value: dict, file: str) -> tuple[str, str]:
    """(name, kind) of the judge: the labeler of this number in this dataset, or whom the row names;
    where it names nobody the file.
    """
    if not is_ours(value):
        return _named_judge(value, file), _kind(value)
    dataset = f"dataset {value['dataset'][:12]}"
    labeler = _number(value, "labeler")
    if labeler is None:  # nobody's own judgment
        return f"{dataset} consensus", Judge.Kind.SCRIPT
    return f"{dataset} labeler {labeler}", _kind(value)


def _named_judge(value: dict, file: str) -> str:
    dataset = DATASET.search(file)
    of = f"dataset {dataset[1]}" if dataset else Path(file).name.split(".")[0][:LONGEST_NAME]
    labeler = held(value, "labeler")
    if labeler is None:
        return of
    number = whole(labeler)
    return text(value, "labeler", 200) if number is None else f"{of} labeler {number}"


def _kind(value: dict) -> str:
    """What kind of judge it is, by the kind of the judgment or its own name; "" if nobody says."""
    kind = text(value, "kind") or Ranking.Kind.IMPORTED
    known = (*Ranking.Kind.values, *(() if is_ours(value) else Judge.Kind.values))
    if kind not in known:
        raise BadPrompt(f"kind must be one of {', '.join(known)}; not {quoted(kind)}")
    return kind if kind in Judge.Kind.values else JUDGE_KINDS.get(kind, "")


def _number(value: dict, name: str) -> int | None:
    """A whole number, which is text in a table; None where there is none."""
    given = value.get(name)
    if given in (None, ""):
        return None
    if isinstance(given, str) and re.fullmatch(r"-?\d{1,9}", given.strip()):
        given = int(given)
    if type(given) is not int:
        raise BadPrompt(f"{name} must be a whole number")
    return given


def _seconds(value: dict) -> dict[str, float]:
    given = held(value, "seconds", 0)
    try:
        seconds = -1.0 if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise BadPrompt("seconds must be a number, from 0")
    return {"seconds": seconds} if seconds else {}


def _ignored(value: dict) -> dict[str, str]:
    """A weight other than 1: it belongs to the copy, not to the judgment."""
    weight = value.get("weight")
    return {} if weight in (None, "", 1, "1", "1.0") else {"weights": str(weight)}


def _flags(given: object) -> list[str]:
    """Names of flags; in a table they stand in one cell."""
    names = given.split("; ") if given and isinstance(given, str) else given
    names = [] if names in (None, "") else names
    if not isinstance(names, list) or not all(
        isinstance(name, str) and 0 < len(name) <= 100 for name in names
    ):
        raise BadPrompt("flags must be texts of at most 100 characters")
    return [conversations.storable(name) for name in names]


def _rating(given: object) -> int | None:
    rating = _number({"rating": given}, "rating")
    if rating is not None and not 1 <= rating <= 7:
        raise BadPrompt("a rating must be a whole number from 1 to 7")
    return rating


def _verdicts(ratings: list[object], flags: list[object]) -> dict[str, list]:
    """Ratings and flags of a judgment, one for each answer; keys that say nothing are absent."""
    said: dict[str, list] = {}
    checked = [_rating(rating) for rating in ratings]
    if any(rating is not None for rating in checked):
        said["ratings"] = checked
    names = [_flags(given) for given in flags]
    if any(names):
        said["flags"] = names
    return said


# Pairs, and single answers with a label


def read_pair(value: object, file: str = "") -> Iterator[Entry]:
    """A pair with its metadata: texts, turns or transcripts, as the downloads write them."""
    if not is_pair(value):
        raise BadPrompt('each row needs "chosen" and "rejected", and the metadata of a download')
    [entry] = _reader_of_pairs(value)(value, file)
    name, kind = judge(value, file)
    sides = ("chosen", "rejected")
    said = _verdicts(
        [value.get(f"{side}_rating") for side in sides],
        [value.get(f"{side}_flags") for side in sides],
    )
    if strength := _strength(value):
        said["strength"] = strength
    answers = [
        given | {"model": text(value, f"{side}_model") or "unknown"}
        for side, given in zip(sides, entry.answers, strict=True)
    ]
    judgment = ranking(name, (1, 2), kind) | said | _seconds(value)
    yield replace(
        entry,
        source="",
        answers=answers,
        judgments=[judgment],
        shares=True,
        ignored=_ignored(value),
        **about(value),
    )


def _reader_of_pairs(value: dict):
    if "prompt" in value:
        return preferences.read_explicit
    is_transcript = isinstance(value["chosen"], str)
    return preferences.read_transcripts if is_transcript else preferences.read_implicit


def _strength(value: dict) -> int:
    """How much better the chosen answer is; 0 where nobody said so. The download has the number of
    the row, where it is negative if the second answer is the better one.
    """
    strength = abs(_number(value, "strength") or 0)
    if strength > 3:
        raise BadPrompt("strength must be a whole number from -3 to 3")
    return strength


def is_pair(value: object) -> bool:
    return is_ours(value) and has(value, "chosen", "rejected", "chosen_model", "rejected_model")


def read_labelled(value: object, file: str = "") -> Iterator[Entry]:
    """An answer with a label and its metadata: good, or bad."""
    if not is_labelled(value):
        raise BadPrompt(
            'each row needs "prompt", "completion", "label" and the metadata of a download'
        )
    bare = {name: value[name] for name in ("prompt", "completion", "label")}
    [entry] = preferences.read_unpaired(bare, file)
    name, kind = judge(value, file)
    ranks = entry.judgments[0]["ranks"]
    judgment = ranking(name, ranks or [], kind) | {"ranks": ranks}
    judgment |= _verdicts([value.get("answer_rating")], [value.get("answer_flags")])
    answers = [entry.answers[0] | {"model": text(value, "answer_model") or "unknown"}]
    yield replace(
        entry,
        source="",
        answers=answers,
        judgments=[judgment | _seconds(value)],
        shares=True,
        ignored=_ignored(value),
        **about(value),
    )


def is_labelled(value: object) -> bool:
    return is_ours(value) and has(value, "prompt", "completion", "label", "answer_model")


# Whole rankings


def read_ranking(value: object, file: str = "") -> Iterator[Entry]:
    """{"prompt", "completions", "ranks", "outcome"}, and the metadata if there are any: one judge's
    ranking of all answers; no ranks where nothing was ranked.
    """
    if not is_ranking(value):
        raise BadPrompt('each row needs "prompt", "completions", "ranks" and "outcome"')
    answers = _answers(value)
    name, kind = judge(value, file)
    judgment = ranking(name, _ranks(value, len(answers)), kind)
    if value["outcome"] != Ranking.Outcome.RANKED:
        judgment |= {"ranks": None, "outcome": value["outcome"]}
    ratings = _of_each(value, "ratings", len(answers))
    judgment |= _verdicts(ratings, _of_each(value, "flags", len(answers))) | _seconds(value)
    strength = _number(value, "strength")
    if strength is not None:
        if abs(strength) > 3 or len(answers) != 2:
            raise BadPrompt("strength must be a whole number from -3 to 3, of two answers")
        judgment["strength"] = strength
    yield Entry(
        _conversation(value["prompt"]),
        answers=answers,
        judgments=[judgment],
        shares=True,
        ignored=_ignored(value),
        **_about_any(value, *JUDGMENT),
    )


def _answers(value: dict) -> list[dict]:
    texts = value["completions"]
    if not isinstance(texts, list) or not texts:
        raise BadPrompt("completions must be a list of answers")
    models = held(value, "models", [""] * len(texts))
    if not isinstance(models, list) or len(models) != len(texts):
        raise BadPrompt("models must name one model for each of the completions")
    named = zip(texts, models, strict=True)
    return [answer(given, text({"model": model}, "model")) for given, model in named]


def _ranks(value: dict, answers: int) -> list[int]:
    outcome, ranks = value["outcome"], held(value, "ranks", [])
    if outcome not in Ranking.Outcome.values:
        raise BadPrompt(f"outcome must be one of {', '.join(Ranking.Outcome.values)}")
    expected = answers if outcome == Ranking.Outcome.RANKED else 0
    if not isinstance(ranks, list) or len(ranks) != expected:
        raise BadPrompt(
            "ranks must hold one rank for each completion; none where nothing is ranked"
        )
    if any(type(rank) is not int or rank < 1 for rank in ranks):
        raise BadPrompt("ranks must be whole numbers, from 1")
    return ranks


def _of_each(value: dict, name: str, answers: int) -> list:
    given = held(value, name, [None] * answers)
    if not isinstance(given, list) or len(given) != answers:
        raise BadPrompt(f"{name} must hold one item for each of the completions")
    return given


def is_ranking(value: object) -> bool:
    return has(value, "prompt", "completions", "outcome") and (
        "ranks" in value or value["outcome"] != Ranking.Outcome.RANKED
    )


# Prompts with an answer to imitate, and prompts alone


def read_completion(value: object, file: str = "") -> Iterator[Entry]:
    """{"prompt", "completion"}: texts, or lists of messages. The completion is a demonstration.

    A table of demonstrations names it "text".
    """
    name = "completion" if has(value, "completion") else "text"
    if not has(value, "prompt", name):
        raise BadPrompt('each row needs "prompt" and "completion"')
    if name == "completion" and held(value, "text") is not None:
        raise BadPrompt("each row has a completion or a text, not both")
    yield Entry(
        _conversation(value["prompt"]),
        demonstration=_demonstration(value[name], name),
        **_about_any(value),
    )


def _demonstration(content: Any, name: str) -> str:
    if isinstance(content, list):
        turns = conversations.answer(content)
        if len(turns) > 1 or not rows.is_plain(turns):
            raise BadPrompt(
                "a demonstration is a text: this completion has tool calls, parts or several turns"
            )
        content = turns[0]["content"]
    if content == "":
        raise BadPrompt(f"{name} is empty: there is nothing to imitate")
    return long_text(content, name)


def is_completion(value: object) -> bool:
    if not has(value, "prompt") or has(value, "label"):
        return False
    named = set(value) - set(PROMPT) - set(JUDGMENT)
    return named in ({"prompt", "completion"}, {"prompt", "text"})


def read_prompt(value: object, file: str = "") -> Iterator[Entry]:
    """{"prompt"}: a list of messages, as TRL has it, or a text."""
    if not has(value, "prompt"):
        raise BadPrompt('each row needs a "prompt"')
    yield Entry(_conversation(value["prompt"]), **_about_any(value))


def is_prompt(value: object) -> bool:
    if not isinstance(value, dict) or set(value) - set(PROMPT) != {"prompt"}:
        return False
    return isinstance(value["prompt"], list) or is_ours(value)


def _conversation(prompt: object) -> list[dict]:
    if isinstance(prompt, list):
        return conversations.turns(prompt)
    return user(long_text(prompt, "prompt"))


# The paths that the readers read. What else the metadata hold is counted from the rows, or means
# nothing elsewhere.
ABOUT = ("dataset", "split", "use_case", "language")
COUNTED = ("prompt_id", "agreement")
JUDGED = (*ABOUT, "labeler", "kind", "seconds", "weight")
OF_PAIR = tuple(f"{side}_{name}" for side in ("chosen", "rejected") for name in ("model", "rating"))
OF_PAIR += ("chosen_flags.*", "rejected_flags.*", "strength")

FORMATS = [
    Format(
        "listwise",
        _("Podium's whole rankings"),
        is_ranking,
        read_ranking,
        reads=only(
            *of_turns("prompt"),
            *of_turns("completions[*]"),
            *("ranks[*]", "outcome", "models[*]", "ratings[*]", "flags.*", "strength"),
            *JUDGED,
        ),
        leaves=only(*COUNTED),
    ),
    Format(
        "pairs",
        _("Podium's pairs, with their metadata"),
        is_pair,
        read_pair,
        reads=only(
            *of_turns("prompt"), *of_turns("chosen"), *of_turns("rejected"), *OF_PAIR, *JUDGED
        ),
        leaves=only(*COUNTED, "chosen_rank", "rejected_rank"),
    ),
    Format(
        "labelled",
        _("Podium's good and bad answers, with their metadata"),
        is_labelled,
        read_labelled,
        reads=only(
            *of_turns("prompt"),
            *of_turns("completion"),
            *("label", "answer_model", "answer_rating", "answer_flags.*"),
            *JUDGED,
        ),
        leaves=only(*COUNTED, "answer_rank", "strength"),
    ),
    Format(
        "prompt-completion",
        _("TRL prompts, each with an answer to imitate"),
        is_completion,
        read_completion,
        reads=only(*of_turns("prompt"), *of_turns("completion"), "text", *ABOUT),
        leaves=only(*COUNTED, *JUDGMENT),
    ),
    Format(
        "prompt-only",
        _("TRL prompts alone"),
        is_prompt,
        read_prompt,
        reads=only(*of_turns("prompt"), *ABOUT),
        leaves=only(*COUNTED),
    ),
]
