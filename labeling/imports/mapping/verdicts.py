"""What a row's judgments say, by each rule of a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from labeling.imports.formats import base
from labeling.imports.mapping import codes, paths
from labeling.imports.mapping.spec import POSITIONS, Judgment, Source
from labeling.imports.mapping.values import short, source_text
from labeling.text import conversations
from labeling.text.conversations import BadPrompt
from labeling.text.reasons import quoted
from modelops import rows

TIE, ALL_BAD = "tie", "both_bad"
STRONGEST = 3  # of Podium's scale of strength


class Unjudged(BadPrompt):
    """The row has no verdict here; a reader goes on without one where the mapping allows it."""


def judgments(
    spec: Judgment, row: Any, answers: Sequence[dict], marks: Sequence[dict], name: str
) -> list[dict]:
    """The judgments of a row, each of all its answers or of those in its "answers".

    `marks` is what each answer says of itself: {"rank", "score", "rating", "flags"}, and "column",
    its place in the mapping, where some of the answers may be absent. `name` is the judge's where
    neither the mapping nor the row has one. Raises BadPrompt.
    """
    values = [row]
    if spec.each is not None:
        values = paths.get(row, spec.each)
        if isinstance(values, str):
            values = paths.opened(values)
        if not isinstance(values, list):
            if spec.optional and codes.absent(values):
                return []
            raise BadPrompt(f"{paths.text(spec.each)} must be a list of judgments")
    made = []
    for value in values:
        try:
            made.append(_judgment(spec, value, answers, marks, name))
        except Unjudged:
            if not spec.optional:
                raise
            _check_nothing_said(spec, value, marks)
    return made


def _check_nothing_said(spec: Judgment, value: Any, marks: Iterable[dict]) -> None:
    """Raise BadPrompt if ratings or flags are given where there is no verdict to say them with."""
    said = [paths.get(value, path) for path in (spec.ratings, spec.flags, spec.strength) if path]
    if _is_rated(marks) or any(not codes.absent(given) and given != [] for given in said):
        raise BadPrompt("there are ratings, flags or a strength, but no verdict")


def _is_rated(marks: Iterable[dict]) -> bool:
    given = [mark.get(name) for mark in marks for name in ("rating", "flags")]
    return any(not codes.absent(value) and value != [] for value in given)


def check_all_said(judgments: Iterable[dict], marks: Sequence[dict]) -> None:
    """Raise BadPrompt if an answer has a rating or flags, and no judgment is of it."""
    every = range(len(marks))
    judged = {place for judgment in judgments for place in judgment.get("answers", every)}
    if _is_rated(mark for place, mark in enumerate(marks) if place not in judged):
        raise BadPrompt("an answer has a rating or flags, and no judgment is of it")


def judge_name(spec: Judgment, value: Any, name: str) -> str:
    return source_text(spec.judge, value, "the judge", 200, " ") or spec.name or name


def judge_kind(spec: Judgment, value: Any) -> str:
    """person, model, script, or "" where nobody knows. Raises BadPrompt."""
    kind = spec.kind.value or _coded(spec.kind, value, "the kind of judge")
    return "" if kind == "unknown" else kind


def _coded(source: Source, row: Any, what: str) -> str:
    assert source.path is not None
    assert source.codes is not None
    value = paths.get(row, source.path)
    if isinstance(value, list):
        value = short(value, what, " ")
    meaning = source.codes.meaning(value)
    if meaning is None:
        raise BadPrompt(f"{what} is {quoted(value)}, which {source.codes.fault(value)}")
    return meaning


def _judgment(
    spec: Judgment, value: Any, answers: Sequence[dict], marks: Sequence[dict], name: str
) -> dict:
    positions = _positions(spec, marks)
    judged = [answers[place] for place in positions]
    strength = None
    outcome = _outcome(spec, value)
    if outcome is not None and outcome != "ranked":
        ranks = None
        if _says_more(spec, value, [marks[place] for place in positions]):
            raise BadPrompt(f"the outcome is {outcome}, and there is a verdict too")
    else:
        ranks, positions, strength = _verdict(spec, value, judged, marks, positions)
        if spec.rule != "label" and len(positions) < 2:
            raise BadPrompt("a verdict compares two answers or more, and the others are not there")
    judgment = base.ranking(judge_name(spec, value, name), ranks or [], judge_kind(spec, value)) | {
        "ranks": ranks
    }
    if outcome == "cannot_judge":
        judgment["outcome"] = outcome
    judgment |= _besides(spec, value, marks, positions, strength)
    if positions == list(range(len(answers))):
        return judgment
    return _among(judgment, positions)


def _positions(spec: Judgment, marks: Sequence[dict]) -> list[int]:
    """The positions of the answers that are judged, in the order in which the mapping names them.
    Raises BadPrompt if one is not there.
    """
    if spec.answers is None:
        return list(range(len(marks)))
    places = {mark.get("column", place): place for place, mark in enumerate(marks)}
    if not places.keys() >= set(spec.answers):
        raise BadPrompt("a judgment is of an answer that is not there")
    return [places[column] for column in spec.answers]


def _says_more(spec: Judgment, value: Any, marks: Iterable[dict]) -> bool:
    """Whether there is a verdict beside the outcome."""
    if spec.rule == "chosen":
        return True
    if any(codes.YES_NO.meaning(paths.get(value, path)) == "good" for _name, path in spec.one_hot):
        return True
    given = [mark.get(spec.rule) for mark in marks]
    given += [paths.get(value, spec.path)] if spec.path else []
    return any(not codes.absent(one) and one not in ([], "[]") for one in given)


def _among(judgment: dict, positions: list[int]) -> dict:
    """The judgment of the answers at these positions alone, its lists in their order."""
    order = sorted(range(len(positions)), key=positions.__getitem__)
    made = dict(judgment)
    for name in ("ranks", "ratings", "flags"):
        if made.get(name) is not None:
            made[name] = [made[name][place] for place in order]
    if "strength" in made and order[0] != 0:
        made["strength"] = -made["strength"]
    return made | {"answers": sorted(positions)}


def _outcome(spec: Judgment, value: Any) -> str | None:
    if spec.outcome is None:
        return None
    given = paths.get(value, spec.outcome)
    outcome = codes.spelled(given)
    if outcome in codes.OUTCOMES:
        return outcome
    raise BadPrompt(f"{paths.text(spec.outcome)} must be one of: {', '.join(codes.OUTCOMES)}")


# The rules: (ranks or None for all bad, positions, strength)

Verdict = tuple[list[int] | None, list[int], int | None]


def _verdict(
    spec: Judgment,
    value: Any,
    judged: list[dict],
    marks: Sequence[dict],
    positions: list[int],
) -> Verdict:
    letters = _letters(spec, marks, positions)
    if spec.rule == "chosen":
        return [1, 2], positions, None
    if spec.rule in ("rank", "score"):
        return _of_marks(spec, marks, positions)
    if spec.rule == "one_hot":
        return _ranks_of(_hot(spec, value), letters), positions, None
    assert spec.path is not None
    given = paths.get(value, spec.path)
    where = paths.text(spec.path)
    if spec.rule in ("ranks", "scores"):
        return _of_list(spec, given, where, positions)
    if spec.rule == "label":
        return _label(spec, given, where), positions, None
    if spec.rule == "scale":
        return _of_scale(spec, given, where, positions)
    return _ranks_of(_winner(spec, given, where, judged), letters), positions, None


def _letters(spec: Judgment, marks: Sequence[dict], positions: list[int]) -> list[str]:
    """What each of the judged answers is called in codes: by its column, where some may be absent,
    or by its place among those that the judgment names.
    """
    named = spec.answers is not None
    places = enumerate(positions)
    columns = [n if named else marks[place].get("column", n) for n, place in places]
    return [POSITIONS[column] if column < len(POSITIONS) else "" for column in columns]


def _of_marks(spec: Judgment, marks: Sequence[dict], positions: list[int]) -> Verdict:
    """Ranks by what each answer says of itself; where it may, of those alone that say something."""
    read = [codes.number(marks[place].get(spec.rule)) for place in positions]
    for place, number in zip(positions, read, strict=True):
        given = marks[place].get(spec.rule)
        if number is None and not (spec.optional and codes.absent(given)):
            what = "missing" if codes.absent(given) else quoted(given)
            raise BadPrompt(f"the {spec.rule} of answer {place + 1} is {what}")
    having = [place for place, number in zip(positions, read, strict=True) if number is not None]
    numbers = [number for number in read if number is not None]
    if len(having) < 2:
        raise Unjudged("fewer than two of the answers have a rank or score")
    others = [marks[place] for place in positions if place not in having]
    _check_nothing_said(replace(spec, ratings=None, flags=None, strength=None), None, others)
    ranks = rows.dense(numbers) if spec.rule == "rank" else ranked(numbers, spec)
    return ranks, having, None


def ranked(scores: Sequence[float], spec: Judgment) -> list[int]:
    """Ranks by score, 1 is best. Scores that are no further than the tolerance from the best of a
    tie belong to it.
    """
    better = [score if spec.higher else -score for score in scores]
    ranks = [0] * len(better)
    rank, best = 0, float("inf")
    for place in sorted(range(len(better)), key=lambda place: -better[place]):
        if rank == 0 or best - better[place] > spec.tolerance:
            rank, best = rank + 1, better[place]
        ranks[place] = rank
    return ranks


def _of_list(spec: Judgment, given: Any, where: str, positions: list[int]) -> Verdict:
    if isinstance(given, str):
        given = paths.opened(given)
    if codes.absent(given):
        raise Unjudged(f"{where} is missing")
    if not isinstance(given, list) or len(given) != len(positions):
        raise BadPrompt(f"{where} must be a list with one number for each answer")
    numbers = [codes.number(item) for item in given]
    if len(numbers) < 2 or None in numbers:
        raise BadPrompt(f"{where} must hold numbers, of two or more answers")
    known = [number for number in numbers if number is not None]
    return rows.dense(known) if spec.rule == "ranks" else ranked(known, spec), positions, None


def _label(spec: Judgment, given: Any, where: str) -> list[int] | None:
    assert spec.codes is not None
    meaning = spec.codes.meaning(given)
    if meaning is None:
        raise _unknown(given, where, spec.codes)
    return [1] if meaning == "good" else None


def _unknown(given: Any, where: str, table: codes.Codes | None = None) -> BadPrompt:
    if codes.absent(given):
        return Unjudged(f"{where} is missing")
    why = table.fault(given) if table else "is no number"
    return BadPrompt(f"{where} is {quoted(given)}, which {why}")


def _of_scale(spec: Judgment, given: Any, where: str, positions: list[int]) -> Verdict:
    number = codes.number(given)
    if number is None:
        raise _unknown(given, where)
    if len(positions) != 2:
        raise BadPrompt(f"{where} compares two answers, and there are {len(positions)}")
    first, tie, second = spec.scale
    if not min(first, second) <= number <= max(first, second):
        raise BadPrompt(f"{where} is {quoted(given)}, beyond the ends of its scale")
    strength = None
    if spec.with_strength:
        end = first if (number - tie) * (first - tie) > 0 else second
        exact = STRONGEST * (number - tie) / (end - tie) * (1 if end == first else -1)
        strength = round(exact)
        if abs(strength - exact) > 1e-9:
            raise BadPrompt(f"{where} is {quoted(given)}, between two strengths of −3 to 3")
        strength += 0
    if abs(number - tie) <= spec.tolerance:
        ranks = [1, 1]
    else:
        ranks = [1, 2] if (number < tie) == (first < second) else [2, 1]
    if strength is not None and ranks == [1, 1]:
        strength = 0
    return ranks, positions, strength


def _winner(spec: Judgment, given: Any, where: str, judged: list[dict]) -> str | int:
    assert spec.codes is not None
    meaning = spec.codes.meaning(given)
    if meaning is not None:
        return meaning
    if spec.by and isinstance(given, str):
        named = [place for place, answer in enumerate(judged) if answer[spec.by] == given]
        if len(named) == 1:
            return named[0]
    raise _unknown(given, where, spec.codes)


def _hot(spec: Judgment, row: Any) -> str:
    """The one column that says yes."""
    hot = []
    for name, path in spec.one_hot:
        given = paths.get(row, path)
        meaning = "bad" if codes.absent(given) else codes.YES_NO.meaning(given)
        if meaning is None:
            raise BadPrompt(f"{paths.text(path)} must be 0 or 1, and is {quoted(given)}")
        if meaning == "good":
            hot.append(name)
    if len(hot) != 1:
        columns = ", ".join(paths.text(path) for _name, path in spec.one_hot)
        fault = "none" if not hot else "several"
        raise (BadPrompt if hot else Unjudged)(f"{fault} of {columns} is 1")
    return hot[0]


def _ranks_of(winner: str | int, letters: list[str]) -> list[int] | None:
    """Ranks by the winner: one of the letters, or a position."""
    if winner == ALL_BAD:
        return None
    if winner == TIE:
        return [1] * len(letters)
    if isinstance(winner, str) and winner not in letters:
        raise BadPrompt("the winner is an answer that is not there")
    place = letters.index(winner) if isinstance(winner, str) else winner
    return [1 if other == place else 2 for other in range(len(letters))]


# What a judgment says besides


def _besides(
    spec: Judgment,
    value: Any,
    marks: Sequence[dict],
    positions: list[int],
    strength: int | None,
) -> dict[str, Any]:
    said: dict[str, Any] = {}
    ratings = _beside(spec.ratings, value, "rating", marks, positions)
    if any(rating is not None for rating in ratings):
        said["ratings"] = [_rating(rating) for rating in ratings]
    flags = _beside(spec.flags, value, "flags", marks, positions)
    if any(flags):
        said["flags"] = [_flags(names) for names in flags]
    if spec.strength is not None:
        strength = _strength(paths.get(value, spec.strength), positions, strength)
    if strength is not None:
        said["strength"] = strength
    if spec.seconds is not None and not codes.absent(given := paths.get(value, spec.seconds)):
        seconds = codes.number(given)
        if seconds is None or seconds < 0:
            raise BadPrompt(f"{paths.text(spec.seconds)} must be a number of seconds")
        said["seconds"] = seconds
    return said


def _beside(
    path: paths.Steps | None,
    value: Any,
    name: str,
    marks: Sequence[dict],
    positions: list[int],
) -> list:
    """What is said of each answer: in a list of the judgment, or by the answer itself."""
    if path is None:
        return [None if codes.absent(given := marks[p].get(name)) else given for p in positions]
    given = paths.get(value, path)
    if codes.absent(given):
        return [None] * len(positions)
    if not isinstance(given, list) or len(given) != len(positions):
        raise BadPrompt(f"{paths.text(path)} must be a list with one item for each answer")
    return [None if codes.absent(item) else item for item in given]


def _rating(given: Any) -> int | None:
    if given is None:
        return None
    number = codes.number(given)
    if number is None or number not in range(1, 8):
        raise BadPrompt(f"a rating must be a whole number from 1 to 7, and is {quoted(given)}")
    return int(number)


def _flags(given: Any) -> list[str]:
    names = [given] if isinstance(given, str) else given or []
    if not isinstance(names, list) or any(
        not isinstance(name, str) or not 0 < len(name) <= 100 for name in names
    ):
        raise BadPrompt("flags must be texts of at most 100 characters")
    return [conversations.storable(name) for name in names]


def _strength(given: Any, positions: list[int], known: int | None) -> int | None:
    if codes.absent(given):
        return known
    number = codes.number(given)
    if number is None or number != int(number) or abs(number) > STRONGEST or len(positions) != 2:
        raise BadPrompt(
            f"strength must be a whole number from -3 to 3, of two answers, and is {quoted(given)}"
        )
    return int(number)
