"""Mappings of a project: how its people read files of a layout that no format knows."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from people.models import Project, User


class ImportMapping(models.Model):
    """A mapping that is offered again by its name. Jobs hold copies: it can be replaced at any
    time.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="mappings")
    name = models.CharField(_("name"), max_length=80)
    mapping = models.JSONField(_("mapping"))
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="a_name_is_one_mapping_of_a_project"
            )
        ]

    def __str__(self) -> str:
        return self.name
