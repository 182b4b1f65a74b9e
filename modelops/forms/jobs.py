"""A form from a recipe: each setting's field, bounds and help text come from its dataclass."""

from __future__ import annotations

import dataclasses

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from modelops import jobs, mixtures, registry, weights
from modelops.kinds import KINDS, LINKS, PROJECT_DEFAULTS
from modelops.models import Dataset, Job
from people.forms import IdempotentForm
from people.models import Project, User

Kind = Job.Kind
REHEARSED = ("text", "demonstrations")
LABELS = {
    "k": gettext_lazy("Answers to each prompt (K)"),
    "lora": gettext_lazy("LoRA adapter"),
    "kl_target": gettext_lazy("KL target"),
    "gae_lambda": gettext_lazy("GAE lambda"),
    "repo": gettext_lazy("Id at the Hub"),
    "stop": gettext_lazy("Stop texts"),
    "weights": gettext_lazy("Labeler weights"),
}
LINES = ("stop",)  # settings of several lines, whose blanks count


def label(name: str) -> str:
    return LABELS.get(name) or name.replace("_", " ").capitalize()


def recipe_field(field: dataclasses.Field) -> forms.Field:
    """The form field of one setting."""
    about = {
        "label": label(field.name),
        "help_text": field.metadata["help"],
        "initial": field.default,
    }
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if isinstance(field.default, bool):
        return forms.BooleanField(required=False, **about)
    if isinstance(field.default, int):
        return forms.IntegerField(min_value=low, max_value=high, **about)
    if isinstance(field.default, float):
        return forms.FloatField(
            min_value=low, max_value=high, widget=forms.NumberInput(attrs={"step": "any"}), **about
        )
    if choices:
        return forms.ChoiceField(choices=[(choice, choice) for choice in choices], **about)
    if field.name in LINES:
        return forms.CharField(
            required=False,
            max_length=1000,
            strip=False,
            widget=forms.Textarea(attrs={"rows": 2}),
            **about,
        )
    return forms.CharField(required=False, max_length=200, **about)


class JobForm(IdempotentForm):
    """What a job of this kind is told, and what it works on."""

    def __init__(self, project: Project, kind: str, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.project, self.kind, self.about = project, kind, KINDS[kind]
        fields = dataclasses.fields(self.about.recipe)
        self.settings = [field.name for field in fields]
        for link in self.about.links:
            self.fields[link] = self._link(link, project)
        for field in fields:
            self.fields[field.name] = recipe_field(field)
        if kind in PROJECT_DEFAULTS:
            for name, value in PROJECT_DEFAULTS[kind](project).items():
                self.fields[name].initial = value
        if kind == Kind.SAMPLE:
            self.fields["others"] = self._others(project)
        for link in self.about.last_links:
            self.fields[link] = self._link(link, project)

    def _link(self, link: str, project: Project) -> forms.ModelChoiceField:
        """The field that asks for what the job works on; `link` is one of LINKS."""
        fields = {
            "model_version": self._model,
            "dataset": self._dataset,
            "reward_model": self._reward_model,
            "rehearsal": self._rehearsal,
        }
        return fields[link](project)

    def _model(self, project: Project) -> forms.ModelChoiceField:
        models = self.about.models(project)
        missing = (
            "" if models.exists() else _("No model here has weights yet: register a folder first.")
        )
        return forms.ModelChoiceField(
            models,
            label=self.about.model_label,
            help_text=missing,
            empty_label=None,
            initial=registry.champion(project),
        )

    def _others(self, project: Project) -> forms.ModelMultipleChoiceField:
        return forms.ModelMultipleChoiceField(
            registry.answering(project),
            to_field_name="name",
            required=False,
            label=_("Other models that answer too"),
            help_text=_(
                "The answers to a prompt are divided among all chosen models; one model is loaded "
                "after the other."
            ),
            widget=forms.CheckboxSelectMultiple,
        )

    def _dataset(self, project: Project) -> forms.ModelChoiceField:
        fitting = Dataset.objects.filter(
            project=project, kind__in=self.about.datasets, withdrawn_at=None
        ).order_by("-pk")
        newest = fitting.first()
        missing = "" if newest else _("Nothing is frozen yet: freeze what has been ranked first.")
        return DatasetField(
            fitting,
            label=self.about.dataset_label,
            help_text=missing,
            empty_label=None,
            initial=newest,
        )

    def _reward_model(self, project: Project) -> forms.ModelChoiceField:
        models, required = registry.reward_models(project), "reward_model" in self.about.links
        missing = (
            "" if models.exists() else _("No reward model has been trained yet: train one first.")
        )
        asked = {"empty_label": None} if required else {"empty_label": _("none"), "required": False}
        missing = missing or (
            "" if required else _("Chooses among the draws, where Best of is above 1.")
        )
        return forms.ModelChoiceField(
            models,
            label=_("Reward model"),
            help_text=missing,
            initial=models.first() if required else None,
            **asked,
        )

    def _rehearsal(self, project: Project) -> forms.ModelChoiceField:
        return DatasetField(
            Dataset.objects.filter(project=project, kind__in=REHEARSED).order_by("-pk"),
            required=False,
            label=_("Pretraining mix"),
            help_text=_(
                "Texts or demonstrations that PPO also learns from (PPO-ptx), with the weight "
                "gamma."
            ),
            empty_label=_("none"),
        )

    def clean(self) -> dict:
        cleaned = super().clean()
        dataset = cleaned.get("dataset")
        if (
            self.kind == Kind.SAMPLE
            and cleaned.get("best_of", 1) > 1
            and not cleaned.get("reward_model")
        ):
            self.add_error("reward_model", _("Which reward model is to choose among the draws?"))
        missing = (
            lacks(dataset, cleaned.get("labels", "")) if self.kind == Kind.KTO and dataset else ""
        )
        if missing:
            self.add_error("dataset", missing)
        if dataset and cleaned.get("weights"):
            self._name_weights(dataset)
        if self.kind != Kind.SFT:
            return cleaned
        if dataset and cleaned.get("source") not in mixtures.SOURCES.get(dataset.kind, ()):
            self.add_error(
                "dataset",
                _(
                    "This dataset holds %(kind)s: choose the source that goes with it, or another "
                    "dataset."
                )
                % {"kind": dataset.kind},
            )
        try:
            mixtures.read(self.project, cleaned.get("mix", ""))
        except mixtures.BadMix as error:
            self.add_error("mix", str(error))
        return cleaned

    def _name_weights(self, dataset: Dataset) -> None:
        """Put the whole id in place of its start: the recipe says what was used."""
        try:
            self.cleaned_data["weights"] = weights.find(
                dataset, self.cleaned_data["weights"]
            ).digest
        except weights.BadWeights as error:
            self.add_error("weights", str(error))

    def recipe(self) -> dict:
        recipe = {name: self.cleaned_data[name] for name in self.settings}
        if self.kind == Kind.SAMPLE:
            recipe["others"] = "\n".join(version.name for version in recipe["others"])
        return recipe

    def links(self) -> dict:
        return {name: self.cleaned_data[name] for name in LINKS if name in self.fields}

    def request(self, actor: User) -> Job:
        """The job that was asked for. Raises recipes.InvalidRecipe."""
        return jobs.request(actor, self.project, self.kind, self.recipe(), **self.links())


def lacks(dataset: Dataset, labels: str) -> str:
    """What KTO misses in a dataset whose training split lacks good or bad answers; else empty.

    Empty too where the dataset is older than these counts: its trainer says so then.
    """
    counts = dataset.counts.get("kto", {}).get(labels)
    if counts is None or (counts["good"] and counts["bad"]):
        return ""
    return _(
        "Its training split has %(good)s good and %(bad)s bad answers, told apart by “%(labels)s”, "
        "and KTO takes both: choose another dataset, or other labels."
    ) % (counts | {"labels": labels})


class DatasetField(forms.ModelChoiceField):
    def label_from_instance(self, dataset: Dataset) -> str:
        counts = dataset.counts
        size = (
            _("%(n)s pairs") % {"n": counts["pairs"]}
            if counts.get("pairs")
            else _("%(n)s rows") % {"n": counts.get("rows", 0)}
        )
        return " · ".join(
            part for part in (dataset.short, dataset.kind, size, dataset.note) if part
        )
