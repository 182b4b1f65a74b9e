"""What a labeler says of a task's answers, and whether it is complete by the project's rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.judging import criteria
from labeling.models import Ranking
from modelops import rows
from people.models import Project

LETTERS = "abcdefghi"
MOST = len(LETTERS)  # answers that a person ranks together; a list judged elsewhere may be longer

# Ouyang et al. 2022, Figure 12: what may be said of a prompt
LABELS = {
    "ambiguous": gettext_lazy("Ambiguous"),
    "sensitive": gettext_lazy("Sensitive"),
    "identity_dependent": gettext_lazy("Identity dependent"),
    "closed_domain": gettext_lazy("Closed domain"),
    "continuation": gettext_lazy("Continuation style"),
    "asks_opinion": gettext_lazy("Asks for opinion"),
    "asks_advice": gettext_lazy("Asks for advice"),
    "asks_moral_judgment": gettext_lazy("Asks for moral judgment"),
    "safety_constraint": gettext_lazy("Explicit safety constraints"),
    "other_constraint": gettext_lazy("Other constraints"),
    "unclear": gettext_lazy("Intent unclear"),
}


class InvalidRanking(ValueError):
    """The judgment is incomplete or against the project's rules; `letter` is the answer it
    concerns, if one. `field` is the path of the field in the API.
    """

    def __init__(self, message: str, letter: str = "", field: tuple[str, ...] = ("ranks",)):
        super().__init__(message)
        self.letter, self.field = letter, field

    @property
    def criterion(self) -> str:
        """The name of the criterion that it concerns, if one."""
        return self.field[1] if self.field[0] == "scores" else ""


def letter(position: int) -> str:
    """The letter of an answer: a, b, …, z, aa, ab, …; people rank only those before MOST."""
    before, last = divmod(position, 26)
    return (letter(before - 1) if before else "") + chr(ord("a") + last)


def in_order(letter: str) -> tuple[int, str]:
    """A key that sorts letters as `letter` counts them."""
    return len(letter), letter


@dataclass(frozen=True)
class Verdict:
    """What is said of one answer."""

    rank: int | None = None
    rating: int | None = None
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Judgment:
    """What the form said, answers named by the letter shown: {"a": Verdict, …}.

    `scores` by the criterion's name: a value, or {"a": value, …} of a criterion about answers.
    `spans`: [{"answer": "a", "label": …, "start": …, "end": …}], in code points of the answer.
    """

    verdicts: dict[str, Verdict]
    outcome: str = Ranking.Outcome.RANKED
    labels: list[str] = field(default_factory=list)
    note: str = ""
    seconds: float = 0.0
    strength: int | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    spans: list[dict[str, Any]] = field(default_factory=list)


def by_strength(project: Project, k: int) -> bool:
    """Whether a task of `k` answers asks how much better one of two is, instead of ranks."""
    return project.rules.strength and k == 2


def check(judgment: Judgment, k: int, project: Project) -> list[int | None]:
    """Dense ranks in the order shown, or all None if nothing was ranked. Raises InvalidRanking,
    also where a score is missing or can't be one.
    """
    ranks = _ranks(judgment, k, project)
    _check_scores(judgment, k, project)
    return ranks


def _ranks(judgment: Judgment, k: int, project: Project) -> list[int | None]:
    if judgment.outcome != Ranking.Outcome.RANKED:
        return [None] * k
    if by_strength(project, k):
        return _ranks_of_strength(judgment.strength, project.rules.ties)
    return _ranks_of_verdicts(
        [judgment.verdicts.get(letter, Verdict()) for letter in LETTERS[:k]], project.rules.ties
    )


def _ranks_of_strength(strength: int | None, ties: bool) -> list[int | None]:
    if strength is None:
        raise InvalidRanking(_("Say which answer is better, and how much."))
    if strength == 0 and not ties:
        raise InvalidRanking(_("This project allows no ties: say which answer is better."))
    return [1 if strength >= 0 else 2, 1 if strength <= 0 else 2]


def _ranks_of_verdicts(verdicts: list[Verdict], ties: bool) -> list[int | None]:
    for letter, verdict in zip(LETTERS, verdicts, strict=False):
        if verdict.rank is None:
            raise InvalidRanking(
                _("Answer %(letter)s has no rank yet.") % {"letter": letter.upper()}, letter
            )
    ranks = rows.dense(verdict.rank for verdict in verdicts)
    if not ties and len(set(ranks)) < len(ranks):
        raise InvalidRanking(_("This project allows no ties: give each answer a rank of its own."))
    return ranks


def _check_scores(judgment: Judgment, k: int, project: Project) -> None:
    """What is required is not asked of somebody who cannot judge."""
    known = {criterion.name: criterion for criterion in criteria.accepted(project)}
    for name, letter, message in score_faults(judgment.scores, k, known):
        raise InvalidRanking(message, letter, ("scores", name))
    if judgment.outcome == Ranking.Outcome.CANNOT_JUDGE:
        return
    for criterion in criteria.asked(project):
        given = judgment.scores.get(criterion.name)
        if criterion.required and not criterion.of_answers and given is None:
            message = _("“%(question)s” has no answer yet.") % {"question": criterion.question}
            raise InvalidRanking(message, field=("scores", criterion.name))
        if criterion.required and criterion.of_answers:
            _refuse_missing(criterion, given or {}, k)


def _refuse_missing(criterion: criteria.Asked, given: dict[str, Any], k: int) -> None:
    for letter in LETTERS[:k]:
        if letter not in given:
            raise InvalidRanking(
                _("Answer %(letter)s: “%(question)s” has no answer yet.")
                % {"letter": letter.upper(), "question": criterion.question},
                letter,
                ("scores", criterion.name),
            )


def score_faults(
    scores: dict[str, Any], k: int, known: dict[str, criteria.Asked]
) -> Iterator[tuple[str, str, str]]:
    """Yield (name of the criterion, letter of the answer or empty, what is wrong)."""
    for name, given in scores.items():
        criterion = known.get(name)
        if criterion is None:
            yield name, "", _("This project has no such criterion.")
        elif criterion.of_answers != isinstance(given, dict):
            yield (
                name,
                "",
                _('Give each answer a value: {"A": …}.')
                if criterion.of_answers
                else _("Give one value for all answers together."),
            )
        else:
            for letter, value in (given if criterion.of_answers else {"": given}).items():
                if letter and letter not in tuple(LETTERS[:k]):
                    yield name, letter, _("There is no such answer.")
                elif message := criterion.fault(value):
                    yield name, letter, message
