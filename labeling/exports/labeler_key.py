"""The labeler key of a dataset: who its numbers stand for. Only admins may export it, because it
would join the labelers of several datasets.
"""

from __future__ import annotations

from django.db import transaction

from labeling.models import DatasetLabeler, Judge
from modelops.models import Dataset
from people import audit
from people.models import User


@transaction.atomic
def export(actor: User, dataset: Dataset) -> list[tuple[int, str, str]]:
    """(number, name, e-mail) of each labeler of the dataset.

    An imported judge has the name that its file gave it, and no e-mail.
    """
    labelers = DatasetLabeler.objects.filter(dataset=dataset).order_by("number")
    numbered = list(labelers.values_list("number", "judge"))
    accounts = User.objects.filter(uuid__in=[judge for _number, judge in numbered])
    by_uuid = {user.uuid: user for user in accounts}
    judges = Judge.objects.in_bulk([judge for _number, judge in numbered])
    audit.record(actor, "export labeler key", dataset, dataset.project, digest=dataset.digest)
    key = []
    for number, judge in numbered:
        if user := by_uuid.get(judge):
            key.append((number, user.name, user.email))
        else:
            key.append((number, judges[judge].name if judge in judges else "", ""))
    return key
