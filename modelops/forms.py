"""A form from a recipe: each setting's field, bounds and help text come from its dataclass."""

from __future__ import annotations

import dataclasses

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from modelops import mixtures, recipes, registry
from modelops.models import Dataset, Job
from people.forms import Keyed
from people.models import Project

Kind = Job.Kind
STARTABLE = (Kind.SAMPLE, Kind.FREEZE, Kind.REWARD, Kind.SFT, Kind.DPO, Kind.KTO)  # an import starts with an upload
TRAINED = (Kind.REWARD, Kind.SFT, Kind.DPO, Kind.KTO)
LABELS = {"k": gettext_lazy("Answers to each prompt (K)"), "lora": gettext_lazy("LoRA adapter")}


def label(name: str) -> str:
    return LABELS.get(name) or name.replace("_", " ").capitalize()


def recipe_field(field: dataclasses.Field) -> forms.Field:
    """The form field of one setting."""
    about = {"label": label(field.name), "help_text": field.metadata["help"], "initial": field.default}
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if isinstance(field.default, bool):
        return forms.BooleanField(required=False, **about)
    if isinstance(field.default, int):
        return forms.IntegerField(min_value=low, max_value=high, **about)
    if isinstance(field.default, float):
        return forms.FloatField(min_value=low, max_value=high, widget=forms.NumberInput(attrs={"step": "any"}), **about)
    if choices:
        return forms.ChoiceField(choices=[(choice, choice) for choice in choices], **about)
    return forms.CharField(required=False, max_length=200, **about)


class JobForm(Keyed):
    """What a job of this kind is told, and what it works on."""

    def __init__(self, project: Project, kind: str, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.project, self.kind = project, kind
        self.settings = [field.name for field in dataclasses.fields(recipes.RECIPES[kind])]
        if kind == Kind.SAMPLE or kind in TRAINED:
            self.fields["model_version"] = self._model(project)
        if kind in TRAINED:
            self.fields["dataset"] = self._dataset(project)
        for field in dataclasses.fields(recipes.RECIPES[kind]):
            self.fields[field.name] = recipe_field(field)
        if kind == Kind.SAMPLE:
            self.fields["k"].initial = project.k

    def _model(self, project: Project) -> forms.ModelChoiceField:
        name = _("Model that answers") if self.kind == Kind.SAMPLE else _("Model to start from")
        found = registry.policies(project)
        missing = "" if found.exists() else _("No model here has weights yet: register a folder first.")
        return forms.ModelChoiceField(
            found, label=name, help_text=missing, empty_label=None, initial=registry.champion(project)
        )

    def _dataset(self, project: Project) -> forms.ModelChoiceField:
        found = Dataset.objects.filter(project=project).order_by("-pk")
        if self.kind != Kind.SFT:
            found = found.filter(kind=Dataset.Kind.JUDGMENTS)
        newest = found.first()
        missing = "" if newest else _("Nothing is frozen yet: freeze what has been ranked first.")
        label = _("Dataset to learn from")
        return DatasetField(found, label=label, help_text=missing, empty_label=None, initial=newest)

    def clean(self) -> dict:
        cleaned = super().clean()
        dataset = cleaned.get("dataset")
        if self.kind != Kind.SFT:
            return cleaned
        if dataset and cleaned.get("source") not in mixtures.SOURCES.get(dataset.kind, ()):
            self.add_error(
                "dataset",
                _("This dataset holds %(kind)s: choose the source that goes with it, or another dataset.")
                % {"kind": dataset.kind},
            )
        try:
            mixtures.read(self.project, cleaned.get("mix", ""))
        except mixtures.BadMix as error:
            self.add_error("mix", str(error))
        return cleaned

    def recipe(self) -> dict:
        return {name: self.cleaned_data[name] for name in self.settings}

    def links(self) -> dict:
        return {name: self.cleaned_data[name] for name in ("model_version", "dataset") if name in self.fields}


class DatasetField(forms.ModelChoiceField):
    def label_from_instance(self, dataset: Dataset) -> str:
        counts = dataset.counts
        size = (
            _("%(n)s pairs") % {"n": counts["pairs"]}
            if counts.get("pairs")
            else _("%(n)s rows") % {"n": counts.get("rows", 0)}
        )
        return " · ".join(part for part in (dataset.short, dataset.kind, size, dataset.note) if part)


class RegisterForm(Keyed):
    """A model that lies on this machine already."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    folder = forms.CharField(
        label=gettext_lazy("Folder"),
        max_length=500,
        help_text=gettext_lazy("A folder with config.json, tokenizer and .safetensors files, below an allowed root."),
    )
