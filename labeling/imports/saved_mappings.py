"""Mappings that a project keeps under a name, to be offered again."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.imports import choice
from labeling.imports.mapping import BadMapping, Mapping
from labeling.models import ImportMapping
from people import audit
from people.access import Refused
from people.models import Project, User

SAVED = "saved "  # before the id of a saved mapping, where a format may be chosen


def choices(project: Project) -> list[tuple[str, str]]:
    """The project's mappings, to be chosen like a format."""
    saved = ImportMapping.objects.filter(project=project).order_by("name")
    return [(f"{SAVED}{pk}", name) for pk, name in saved.values_list("pk", "name")]


def settings_of(project: Project, format: str) -> dict[str, Any]:
    """The settings of a recipe that a choice of a format or of a saved mapping stands for."""
    if not format.startswith(SAVED):
        return {"format": format, "mapping": {}, "keep": [], "leave_out": []}
    pk = int(format.removeprefix(SAVED))
    return choice.of_table(ImportMapping.objects.get(project=project, pk=pk).mapping)


@transaction.atomic
def save(actor: User | None, project: Project, name: str, mapping: dict[str, Any]) -> ImportMapping:
    """Keep a mapping under a name; it takes the place of an earlier one of that name.

    Jobs hold copies of their mappings, which stay. Raises Refused at the mapping.
    """
    content = checked(mapping).as_dict()
    saved, is_new = ImportMapping.objects.update_or_create(
        project=project,
        name=name,
        defaults={"mapping": content},
        create_defaults={"mapping": content, "created_by": actor},
    )
    audit.record(actor, "create mapping" if is_new else "change mapping", saved, project, name=name)
    return saved


@transaction.atomic
def delete(actor: User | None, saved: ImportMapping) -> None:
    audit.record(actor, "delete mapping", saved, saved.project, name=saved.name)
    saved.delete()


def checked(mapping: dict[str, Any]) -> Mapping:
    """The mapping of a dict. Raises Refused with what is wrong."""
    try:
        return Mapping.parse(mapping)
    except BadMapping as error:
        raise Refused(
            _("The mapping can't be used: %(why)s") % {"why": error}, "mapping"
        ) from error
