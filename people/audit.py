"""The audit log: one row for each action.

Call `record` inside the action's transaction, so that neither is saved without the other.
"""

from django.db import models

from people.db.compiled import insert_all
from people.models import AuditEvent, Project, User


def record(
    actor: User | None, verb: str, thing: models.Model, project: Project | None = None, **data
) -> None:
    """Record that `actor` (None: Podium itself) did `verb` to `thing`. `data` must be JSON."""
    label = f"{thing._meta.model_name} {thing.pk}"
    insert_all([AuditEvent(actor=actor, verb=verb, thing=label, project=project, data=data)])
