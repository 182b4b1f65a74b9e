"""Prompt templates, and the rows that filled them."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.prompts import Prompt
from people.models import Project, User


class PromptTemplate(models.Model):
    """A text with slots, like {title}. Each row of a table fills it and becomes a prompt. Its text
    never changes.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="templates")
    name = models.CharField(_("name"), max_length=80)
    text = models.TextField(_("text"))
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="a_name_is_one_template_of_a_project"
            )
        ]

    def __str__(self) -> str:
        return self.name


class TemplateRow(models.Model):
    """A row that filled a template, and the prompt that it became."""

    template = models.ForeignKey(PromptTemplate, models.PROTECT, related_name="rows")
    prompt = models.OneToOneField(Prompt, models.CASCADE, related_name="filled")
    place = models.PositiveIntegerField(help_text=_("Of the row in its table, from 1."))
    values = models.JSONField(help_text=_("What the slots were filled with."))

    def __str__(self) -> str:
        return f"{self.template} {self.place}"
