"""The form on which somebody chooses what to freeze, and that of a dataset's note and licence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.exports import selection
from labeling.models import Judge, Prompt
from modelops import recipes, registry
from modelops.forms.jobs import JobForm
from modelops.models import Dataset, Job
from modelops.recipes import FreezeRecipe
from people.models import Project

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

LABELS = {
    "kind": gettext_lazy("A row is"),
    "since": gettext_lazy("From"),
    "until": gettext_lazy("To"),
    "models": gettext_lazy("Model versions"),
    "without": gettext_lazy("Labelers to leave out"),
    "judges": gettext_lazy("Kinds of judges"),
    "agreement": gettext_lazy("Smallest agreement"),
    "answers": gettext_lazy("Texts to imitate"),
    "adjudicated": gettext_lazy("Adjudicated only"),
    "ties": gettext_lazy("With ties"),
    "apart": gettext_lazy("Keep splits apart"),
}


class AboutForm(forms.ModelForm):  # type: ignore[type-arg]  # takes none at run time
    """What may change of a dataset; its rows and its id never do."""

    class Meta:
        model = Dataset
        fields = ("note", "licence")
        labels = {"note": gettext_lazy("Note"), "licence": gettext_lazy("Licence")}
        help_texts = {
            "licence": gettext_lazy(
                "As the Hugging Face Hub names it if it does, like cc-by-4.0 or apache-2.0."
            )
        }


LISTS = ("models", "without", "judges")  # several, one a line in the recipe


class FreezeForm(JobForm):
    """The settings of a freeze, with what there is in the project to choose from."""

    def __init__(self, project: Project, *args: Any, names: bool, **kwargs: Any):
        super().__init__(project, Job.Kind.FREEZE, *args, **kwargs)
        del self.fields["replaces"]  # asked for by an erasure only
        for name in ("since", "until"):
            self._change(name, day_field())
        self._change("kind", forms.ChoiceField(choices=Dataset.Kind.choices))
        for name in ("use_case", "language"):
            known = Prompt.objects.filter(project=project, published=True).exclude(**{name: ""})
            values = known.order_by(name).values_list(name, flat=True).distinct()
            self._change(
                name,
                forms.ChoiceField(
                    required=False, choices=[("", _("all")), *((v, v) for v in values)]
                ),
            )
        versions = registry.visible(project).order_by("-pk").values_list("name", flat=True)
        self._change("models", _several((name, name) for name in versions))
        self._change("without", _several(people(project, names)))
        self._change("judges", _several(Judge.Kind.choices))
        for name, label in LABELS.items():
            self.fields[name].label = label

    def _change(self, name: str, new: forms.Field) -> None:
        old = self.fields[name]
        new.label, new.help_text, new.initial = old.label, old.help_text, old.initial
        self.fields[name] = new

    def recipe(self) -> dict[str, Any]:
        recipe = {name: value for name, value in self.cleaned_data.items() if name in self.settings}
        for name in ("since", "until"):
            recipe[name] = recipe[name].isoformat() if recipe[name] else ""
        return recipe | {name: "\n".join(recipe[name]) for name in LISTS}


def day_field(label: StrPromise | str = "") -> forms.DateField:
    """A day that every time zone has."""
    return forms.DateField(
        label=label,
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        validators=[
            MinValueValidator(selection.FIRST_DAY),
            MaxValueValidator(selection.LAST_DAY),
        ],
    )


def _several(choices: Iterable[tuple[str, Any]]) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        required=False, choices=list(choices), widget=forms.SelectMultiple(attrs={"size": 5})
    )


def people(project: Project, names: bool) -> list[tuple[str, str]]:
    """The project's people; a researcher, who is not to know them, sees numbers."""
    members = project.memberships.select_related("user").order_by("user__email")
    return [
        (str(member.user_id), str(member.user) if names else f"#{member.user_id}")
        for member in members
    ]


def recipe_of(form: FreezeForm) -> FreezeRecipe:
    """What the form says so far, or, before anything was said, what it starts from."""
    settings = form.recipe() if form.is_bound and form.is_valid() else {}
    recipe: FreezeRecipe = recipes.read(Job.Kind.FREEZE, settings)
    return recipe
