"""Labeler weights: how much the judgments of each labeler of a dataset count.

They are a side file of the dataset: the rows keep the weight 1, because fitted weights differ
between processors and days, and the id of the rows may not. Its line is canonical JSON,

    {"dataset": ID, "weights": {"0": 0.85, "1": 1.0}}

with the numbers that the dataset gives its labelers, and weights of at most two decimals. Its
sha256 is the id of the weights, which recipes name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from django.db import transaction
from django.utils.translation import gettext as _

from modelops import datasets, rows
from modelops.models import Dataset, LabelerWeights
from people import audit
from people.models import User

LARGEST = 100.0
DECIMALS = 2


class BadWeights(ValueError):
    """These are no weights of this dataset; the message says why."""


@transaction.atomic
def store(
    actor: User | None, dataset: Dataset, given: Mapping[str, float], note: str = ""
) -> tuple[LabelerWeights, bool]:
    """Keep the weights of some labelers of the dataset; returns them, and whether they are new.

    Raises BadWeights, or datasets.Withheld.
    """
    datasets.refuse_withdrawn(dataset)
    weights = checked(dataset, given)
    digest = rows.digest(content(dataset, weights))
    stored, new = LabelerWeights.objects.get_or_create(
        dataset=dataset,
        digest=digest,
        defaults={"weights": weights, "note": note, "stored_by": actor},
    )
    if new:
        about = {"digest": digest, "dataset": dataset.digest, "labelers": len(weights)}
        audit.record(actor, "store labeler weights", stored, dataset.project, **about)
    return stored, new


def content(dataset: Dataset, weights: Mapping[str, float]) -> dict[str, object]:
    """What the file holds."""
    return {"dataset": dataset.digest, "weights": dict(weights)}


def file_text(stored: LabelerWeights) -> str:
    """The one line of the file."""
    return rows.canonical(content(stored.dataset, stored.by_labeler))


def checked(dataset: Dataset, given: Mapping[str, float]) -> dict[str, float]:
    """The weights as they are stored. Raises BadWeights."""
    if dataset.kind != Dataset.Kind.JUDGMENTS:
        raise BadWeights(
            _("Dataset %(short)s holds %(kind)s: only judgments have labelers to weigh.")
            % {"short": dataset.short, "kind": dataset.kind}
        )
    if not given:
        raise BadWeights(_("Name at least one labeler with a weight."))
    known = {str(number) for number in range(labelers(dataset))}
    if unknown := sorted(given.keys() - known):
        raise BadWeights(
            _("Dataset %(short)s has no labeler %(number)s: its labelers are 0 to %(last)s.")
            % {"short": dataset.short, "number": unknown[0], "last": len(known) - 1}
        )
    for number, weight in given.items():
        if not (0 <= weight <= LARGEST and math.isclose(weight, round(weight, DECIMALS))):
            raise BadWeights(
                _("Labeler %(number)s: a weight lies between 0 and 100 and has at most 2 decimals.")
                % {"number": number}
            )
    if len(given) == len(known) and not any(given.values()):
        raise BadWeights(_("Every weight is 0: no judgment would count."))
    return {number: round(float(weight), DECIMALS) for number, weight in given.items()}


def labelers(dataset: Dataset) -> int:
    """How many labelers judged; their numbers begin at 0."""
    if "judges" in dataset.counts:
        return dataset.counts["judges"]
    judged = (row["judgments"] for row in rows.read(datasets.path(dataset)))
    return len({judgment["labeler"] for judgments in judged for judgment in judgments})


def missing(stored: LabelerWeights) -> int:
    """How many labelers of the dataset it does not name: their judgments count 1, as in the
    rows.
    """
    return labelers(stored.dataset) - len(stored.weights)


def find(dataset: Dataset | None, start: str) -> LabelerWeights:
    """The weights of the dataset whose id begins so. Raises BadWeights where it is not exactly one,
    and says so where they are of another dataset of the project.
    """
    if dataset is None:
        raise BadWeights(_("The dataset was deleted, and its weights with it."))
    matching = LabelerWeights.objects.filter(digest__startswith=start).select_related("dataset")
    fitting = list(matching.filter(dataset=dataset)[:2])
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise BadWeights(_("Several labeler weights begin with %(id)s.") % {"id": start})
    other = matching.filter(dataset__project=dataset.project).first()
    if other:
        raise BadWeights(
            _("The labeler weights %(id)s are of dataset %(other)s, not of %(short)s.")
            % {"id": start, "other": other.dataset.short, "short": dataset.short}
        )
    raise BadWeights(
        _("Dataset %(short)s has no labeler weights %(id)s: store them first.")
        % {"short": dataset.short, "id": start}
    )
