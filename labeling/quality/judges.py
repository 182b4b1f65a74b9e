"""The judges of imported files: who they are, and who may say so."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from labeling.models import Judge, Ranking
from people import audit
from people.access import Refused
from people.models import Project, User


def imported(project: Project) -> QuerySet[Judge]:
    """The judges without an account whose judgments are in this project."""
    judged = Ranking.objects.filter(task__project=project, kind=Ranking.Kind.IMPORTED)
    return Judge.objects.filter(account=None, uuid__in=judged.values("judge"))


def rankings_of(project: Project, judges: list[Judge]) -> dict:
    """How many current rankings each of them has here, by UUID: one query."""
    current = Ranking.objects.filter(
        task__project=project, current=True, judge__in=[judge.pk for judge in judges]
    )
    counted: dict = {}
    for uuid, _kind, n in current.by_judge():
        counted[uuid] = counted.get(uuid, 0) + n
    return counted


@transaction.atomic
def change(actor: User, judge: Judge, project: Project | None = None, **fields: str) -> None:
    """Say of what kind an imported judge is, or how it is named. What it judged stays.

    Raises Refused for a judge with an account, which says both itself, and where the judge is also
    another project's and `actor` no administrator of the site.
    """
    judge = Judge.objects.select_for_update().get(pk=judge.pk)
    if judge.account_id:
        raise Refused(_("This judge has an account: change the account."))
    if not actor.is_staff and _judged_elsewhere(judge, project):
        raise Refused(
            _(
                "Other projects hold judgments of this judge, too: only an administrator of the "
                "site can change it."
            )
        )
    changes = {
        name: {"from": getattr(judge, name), "to": value}
        for name, value in fields.items()
        if getattr(judge, name) != value or (name == "kind" and not judge.stated)
    }
    if not changes:
        return
    for name, change in changes.items():
        setattr(judge, name, change["to"])
    judge.stated = judge.stated or "kind" in changes
    if judge.kind != Judge.Kind.MODEL:
        judge.model_version = None
    judge.save(update_fields=[*changes, "stated", "model_version"])
    audit.record(actor, "change judge", judge, project, **changes)


def _judged_elsewhere(judge: Judge, project: Project | None) -> bool:
    return Ranking.objects.filter(judge=judge.pk).exclude(task__project=project).exists()
