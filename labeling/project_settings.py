"""Projects with their labeling settings: a project and its rules are made and changed together."""

from __future__ import annotations

from django.db import transaction

from labeling.judging import criteria
from labeling.judging.presets import REASON, Preset
from labeling.models import ProjectRules, QueuePosition
from people import projects
from people.models import Project, User

SETTINGS = [
    field.name for field in ProjectRules._meta.fields if field.editable and not field.primary_key
]


@transaction.atomic
def create(actor: User, **fields) -> Project:
    """Create a project; the actor becomes its first admin. Raises Refused if the slug is taken."""
    rules, own = _apart(fields)
    project = projects.create(actor, **own)
    ProjectRules.objects.create(project=project, **rules)
    return project


@transaction.atomic
def make(**fields) -> Project:
    """A project with its rules that nobody is a member of yet: of the demo, and of scripts."""
    rules, own = _apart(fields)
    project = Project.objects.create(**own)
    ProjectRules.objects.create(project=project, **rules)
    return project


def change(actor: User, project: Project, **fields) -> None:
    """Change settings. Archiving returns leases and cancels waiting jobs."""
    changed = projects.change(actor, project, settings=project.rules, **fields)
    if "completion" in changed:  # how far somebody has looked means nothing in another order
        QueuePosition.objects.filter(project=project).update(sort_key=QueuePosition.FRONT)


@transaction.atomic
def ask(actor: User, project: Project, preset: Preset) -> None:
    """Ask exactly what a preset says beside ranks: what it does not ask is retired, and no score is
    lost. The question why stays. Raises Refused where a flag of the project has a key of it.
    """
    change(actor, project, rating=preset.rating, flags=list(preset.flags))
    asked = project.criteria.filter(preset="", retired_at=None)
    for criterion in asked.exclude(key__in=[*preset.criteria, REASON]):
        criteria.retire(actor, criterion)
    for key, fields in preset.criteria.items():
        criterion = asked.filter(key=key).first()
        if criterion is None:
            criteria.create(actor, project, key=key, **fields)
        else:
            criteria.change(actor, criterion, **fields)


def _apart(fields: dict) -> tuple[dict, dict]:
    """The fields of the rules, and those of the project itself."""
    rules = {name: value for name, value in fields.items() if name in SETTINGS}
    return rules, {name: value for name, value in fields.items() if name not in SETTINGS}
