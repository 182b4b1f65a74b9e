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
    insert_all([event(actor, verb, thing, project, **data)])


def event(
    actor: User | None, verb: str, thing: models.Model, project: Project | None = None, **data
) -> AuditEvent:
    """What `record` saves, for an action that saves it along with its other rows."""
    label = f"{thing._meta.model_name} {thing.pk}"
    return AuditEvent(actor=actor, verb=verb, thing=label, project=project, data=data)
