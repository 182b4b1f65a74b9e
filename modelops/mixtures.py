"""What fine-tuning may imitate in a dataset, and mixtures of several datasets in one run."""

from __future__ import annotations

from django.utils.translation import gettext as _

from modelops.models import Dataset
from people.models import Project

# Of a dataset of each kind; the first is what a mixture takes from one.
SOURCES = {
    Dataset.Kind.JUDGMENTS: ("best", "better-half"),
    Dataset.Kind.DEMONSTRATIONS: ("demonstrations",),
    Dataset.Kind.TEXT: ("text",),
}
MOST = 1000.0


class BadMix(ValueError):
    """A mixture names a dataset that the project does not have, or a weight that is none."""


def read(project: Project, text: str) -> list[tuple[Dataset, float]]:
    """The datasets and weights of a mixture, "id:weight, id:weight". Raises BadMix."""
    parts = [part.strip().partition(":") for part in text.split(",") if part.strip()]
    return [
        (_dataset(project, start.strip()), _weight(weight or "1"))
        for start, _colon, weight in parts
    ]


def _dataset(project: Project, start: str) -> Dataset:
    ours = Dataset.objects.filter(project=project, kind__in=SOURCES)
    matching = list(ours.filter(digest__startswith=start)[:2]) if start else []
    if len(matching) != 1:
        raise BadMix(
            _("This project has no dataset “%(id)s”: look its id up on its page.") % {"id": start}
        )
    return matching[0]


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= MOST:  # a NaN fails this too
        raise BadMix(
            _("“%(text)s” is no weight above 0: write id:weight, such as 3f2a:0.5.")
            % {"text": text.strip()}
        )
    return weight
