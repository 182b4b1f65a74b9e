"""The forms of a project: each shows fields of the project and of its rules as those of one row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from labeling.models.criteria import LONGEST_SPAN_LABEL
from labeling.models.rules import FLAGS, ProjectRules
from labeling.text.conversations import clean
from people.forms import IdempotentForm, zone_field
from people.models import Project

MOST_FLAGS, LONGEST_FLAG = 30, 100
LIMITS = {"n": MOST_FLAGS, "length": LONGEST_FLAG}
MOST_SPAN_LABELS = 9  # each has a digit


class FlagsField(forms.CharField):
    """Flags, one per line.

    The translated name of a standard flag is stored as its key; any other flag as its text.
    """

    widget = forms.Textarea(attrs={"rows": 6})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return "\n".join(str(FLAGS.get(flag, flag)) for flag in value)

    def clean(self, value: Any) -> list[str]:
        standard = {str(name): flag for flag, name in FLAGS.items()}
        lines = [line.strip() for line in super().clean(value).splitlines()]
        flags = [standard.get(line, line) for line in lines if line]
        flags = list(dict.fromkeys(flags))  # without duplicates
        if len(flags) > MOST_FLAGS or any(len(flag) > LONGEST_FLAG for flag in flags):
            raise ValidationError(
                _("Use at most %(n)s flags of at most %(length)s characters.") % LIMITS
            )
        return flags


class SpanLabelsField(forms.CharField):
    """Labels of passages, one per line."""

    widget = forms.Textarea(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        lines = [clean(line) for line in super().clean(value).splitlines()]
        labels = list(dict.fromkeys(line for line in lines if line))  # without duplicates
        if len(labels) > MOST_SPAN_LABELS or any(
            len(label) > LONGEST_SPAN_LABEL for label in labels
        ):
            raise ValidationError(
                _("Use at most %(n)s labels of at most %(length)s characters.")
                % {"n": MOST_SPAN_LABELS, "length": LONGEST_SPAN_LABEL}
            )
        return labels


class NewRulesForm(forms.ModelForm):
    class Meta:
        model = ProjectRules
        fields = ["k", "overlap"]


class RulesForm(forms.ModelForm):
    flags = FlagsField(
        label=_("Flags"),
        required=False,
        help_text=_("Flags that labelers can set on an answer, one per line."),
    )

    span_labels = SpanLabelsField(
        label=_("Labels of passages"),
        required=False,
        help_text=_(
            "What labelers can mark in the text of an answer, one per line: hallucinated, wrong, "
            "unsafe. None: no passages are marked."
        ),
    )

    class Meta:
        model = ProjectRules
        fields = [
            "k",
            "overlap",
            "completion",
            "skips_to_set_aside",
            "ties",
            "rating",
            "flags",
            "span_labels",
            "notes",
            "strength",
            "lease_minutes",
            "daily_limit",
            "gold_share",
        ]
        help_texts = {
            "k": _("Applies to the next sampling job. Existing tasks don't change."),
            "overlap": _("How many labelers rank each new task."),
        }


class WithRules(forms.ModelForm):
    """The form of a project, with the fields of its rules; `cleaned_data` holds both."""

    rules_form: type[forms.ModelForm]

    def __init__(self, data: Mapping[str, Any] | None = None, *, instance: Project | None = None):
        super().__init__(data, instance=instance)
        self.rules = self.rules_form(data, instance=instance and instance.rules)
        self.fields |= self.rules.fields
        self.initial |= self.rules.initial
        self.order_fields(self.field_order)

    def _post_clean(self) -> None:
        super()._post_clean()
        for name, errors in self.rules.errors.as_data().items():
            if name not in self.errors:  # what a field by itself refuses was said already
                self.add_error(name, errors)


class ProjectForm(IdempotentForm, WithRules):
    """A new project. All other settings are on its settings page."""

    rules_form = NewRulesForm

    class Meta:
        model = Project
        fields = ["name", "slug"]


class SettingsForm(WithRules):
    rules_form = RulesForm
    field_order = ["name", "guidelines", *RulesForm.Meta.fields, "zone", "state"]
    zone = zone_field()

    class Meta:
        model = Project
        fields = ["name", "guidelines", "zone", "state"]
        widgets = {"guidelines": forms.Textarea(attrs={"rows": 12})}
        help_texts = {
            "state": _(
                "Archiving returns leases, cancels waiting jobs and makes the project read-only."
            ),
        }
