"""Whom a dataset's numbers stand for: the one thing that would join labelers across datasets, given
to admins only.
"""

from __future__ import annotations

from django.db import transaction

from labeling.models import DatasetLabeler
from modelops.models import Dataset
from people import audit
from people.models import User


@transaction.atomic
def export(actor: User, dataset: Dataset) -> list[tuple[int, str, str]]:
    """(number, name, e-mail) of each labeler of the dataset; a judge of an imported file has no
    account.
    """
    key = list(
        DatasetLabeler.objects.filter(dataset=dataset)
        .order_by("number")
        .values_list("number", "judge")
    )
    people = {
        user.uuid: user for user in User.objects.filter(uuid__in=[judge for _number, judge in key])
    }
    audit.record(actor, "export labeler key", dataset, dataset.project, digest=dataset.digest)
    return [
        (number, people[judge].name, people[judge].email)
        if judge in people
        else (number, "(imported)", "")
        for number, judge in key
    ]
