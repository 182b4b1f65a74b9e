"""What a labeler says of a task's answers, and whether it is complete by the project's rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
    concerns, if one.
    """

    def __init__(self, message: str, letter: str = ""):
        super().__init__(message)
        self.letter = letter


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
    """What the form said, answers named by the letter shown: {"a": Verdict, …}."""

    verdicts: dict[str, Verdict]
    outcome: str = Ranking.Outcome.RANKED
    labels: list[str] = field(default_factory=list)
    note: str = ""
    seconds: float = 0.0
    strength: int | None = None


def by_strength(project: Project, k: int) -> bool:
    """Whether a task of `k` answers asks how much better one of two is, instead of ranks."""
    return project.rules.strength and k == 2


def check(judgment: Judgment, k: int, project: Project) -> list[int | None]:
    """Dense ranks in the order shown, or all None if nothing was ranked. Raises InvalidRanking."""
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
