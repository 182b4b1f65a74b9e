"""The upload forms: a file is kept and looked at, checked by a job of its own, and imported once
that is confirmed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import imports
from labeling.imports import saved_mappings
from labeling.imports.mapping import Field
from labeling.imports.sources import source_of
from labeling.imports.uploads import keep
from modelops import jobs, recipes, store
from modelops.forms.jobs import recipe_field
from modelops.models import Job
from people.forms import IdempotentForm
from people.models import Project, User

FORMATS = [
    (
        gettext_lazy("Formats"),
        [(f.name, f.label) for f in imports.FORMATS.values() if not f.mapping],
    ),
    (
        gettext_lazy("Public sets"),
        [(f.name, f.label) for f in imports.FORMATS.values() if f.mapping],
    ),
    (recipes.BY_MAPPING, gettext_lazy("Say for each field what it is")),
]
SOURCE = ("mapping", "keep", "leave_out")
LABELS = {
    "format": gettext_lazy("What a line holds"),
    "split": gettext_lazy("Split"),
    "skip_bad": gettext_lazy("Skip bad rows"),
    "repair": gettext_lazy("Repair characters"),
    "controls": gettext_lazy("Control characters"),
    "spaces": gettext_lazy("Spaces"),
    "personal": gettext_lazy("Personal data"),
    "answers": gettext_lazy("Answers too"),
    "prefixes": gettext_lazy("Same beginnings"),
    "near": gettext_lazy("Near duplicates"),
    "languages": gettext_lazy("Languages"),
    "per_author": gettext_lazy("Prompts of one author"),
    "fewest_tokens": gettext_lazy("Fewest tokens"),
    "most_tokens": gettext_lazy("Most tokens"),
    "empty": gettext_lazy("Nothing left"),
    "weights": gettext_lazy("Weights left out"),
    "prompt_id": gettext_lazy("Ids that are not those of their prompts"),
    "near_limit": gettext_lazy("Not compared with every prompt that it may be like"),
    "sensitive": gettext_lazy("Prompts that are sensitive now: they were here, and not called so"),
    "other_sensitive": gettext_lazy("Sensitive, left out: the row came in with other cleaning"),
    "metadata": gettext_lazy("Metadata left out: the prompt is here with other ones"),
    "other_source": gettext_lazy("Source left out: the prompt is here with another one"),
    "other_author": gettext_lazy("Author left out: the prompt is here with another one, or none"),
    "other_use_case": gettext_lazy("Use case left out: the prompt is here with another, or none"),
    "other_language": gettext_lazy("Language left out: the prompt is here with another, or none"),
    "other_split": gettext_lazy("Split left out: the prompt is here in another one"),
    "utf_16": gettext_lazy("Converted from UTF-16"),
    "windows_1252": gettext_lazy("Converted from Windows-1252 (check the letters)"),
    "characters": gettext_lazy("Characters replaced that cannot be stored"),
    "not_a_number": gettext_lazy("NaN, read as no value"),
    "infinity": gettext_lazy("Infinity, read as the largest number"),
    "rounded": gettext_lazy("Numbers rounded: more digits than a float has"),
    "bytes": gettext_lazy("Bytes that are no text, ignored"),
    "empty_rows": gettext_lazy("Empty rows, ignored"),
    "short_rows": gettext_lazy("Rows with fewer cells than the header"),
    "other_sheets": gettext_lazy("Other sheets of the workbook, ignored"),
    "other_files": gettext_lazy("Files beside the data, ignored"),
    "only": gettext_lazy("Rows that the mapping does not take"),
    "unranked": gettext_lazy("Messages that are in no list of ranked replies"),
    "judges": gettext_lazy("Judges of rows without their judgment"),
    "skipped": gettext_lazy("Annotations that were skipped, discarded or not sent"),
    "buckets": gettext_lazy("Names of buckets: their order is kept"),
    "titles": gettext_lazy("Titles and other texts beside answers"),
}
ASKED = ["format", "split", "skip_bad"]
READ = ["utf_16", "windows_1252", "characters", "not_a_number", "infinity", "rounded", "bytes"]
READ += ["empty_rows", "short_rows", "other_sheets", "other_files"]
LEFT = ["judges", "skipped", "buckets", "titles"]  # which no table holds
LOST = ["sensitive", "other_sensitive", "metadata", "other_source", "other_author"]
LOST += ["other_use_case", "other_language", "other_split"]
COUNTED = ["empty", "weights", "prompt_id", "only", "unranked", "near_limit", *LEFT, *LOST, *READ]
CLEANING = [name for name in LABELS if name not in (*ASKED, *COUNTED)]


class FilesInput(forms.FileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One file or several."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        return [super(FilesField, self).clean(one, initial) for one in data or [None]]


class UploadForm(IdempotentForm):
    file = FilesField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("Several files of one format are taken as one."),
    )
    format = forms.ChoiceField(
        label=LABELS["format"],
        choices=[("", gettext_lazy("as it looks")), *FORMATS],
        required=False,
    )

    def __init__(self, *args, project: Project | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.project = project
        if project and (saved := saved_mappings.choices(project)):
            choices = self.fields["format"].choices
            self.fields["format"].choices = [*choices, (_("Mappings of this project"), saved)]

    def clean_file(self) -> list[UploadedFile]:
        files = self.cleaned_data["file"]
        if sum(file.size for file in files) > settings.UPLOAD_LIMIT:
            limit = filesizeformat(settings.UPLOAD_LIMIT)
            raise forms.ValidationError(
                _("The file is larger than %(limit)s: split it.") % {"limit": limit}
            )
        return files

    def clean(self) -> dict:
        """Keep what was uploaded, and look at how it begins: before the transaction that asks for
        the check.
        """
        cleaned = super().clean()
        if not self.errors:
            self.path = keep(cleaned["file"])
            self.stored = store.put(self.path)
            self.reading = self._reading(cleaned["format"])
        return cleaned

    def _reading(self, format: str) -> dict[str, Any]:
        """The settings that say what reads the file: what was chosen, else what it looks like."""
        if format and self.project:
            return saved_mappings.settings_of(self.project, format)
        return {"format": format} if format else imports.proposed(self.path)

    def request_check(self, actor: User, project: Project) -> Job:
        files = self.cleaned_data["file"]
        name = files[0].name if len(files) == 1 else _("%(n)s files") % {"n": len(files)}
        place = str(self.path.relative_to(settings.VAR))
        recipe = {
            "path": place,
            "stored": self.stored,
            "filename": name,
            "dry_run": True,
            **self.reading,
        }
        return jobs.request(actor, project, Job.Kind.IMPORT, recipe)


class ConfirmForm(IdempotentForm):
    """How a file that was looked at is to be imported."""

    recipe: dict[str, Any] | None = None  # the settings that it starts from; None: of the job

    def __init__(self, job: Job, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.job = job
        for field in dataclasses.fields(recipes.ImportRecipe):
            if field.name in LABELS:
                self.fields[field.name] = self._field(field)
        self.make_source_fields()

    def make_source_fields(self) -> None:
        """Fields for what the format leaves open: a mapping, and fields to keep or leave out."""
        known = {field.name: field for field in dataclasses.fields(recipes.ImportRecipe)}
        for name in SOURCE:
            initial = self.job.recipe.get(name, recipes.default_of(known[name]))
            self.fields[name] = forms.JSONField(required=False, initial=initial)

    def clean(self) -> dict:
        """What reads the file, at `source`. Adds an error at the setting that is wrong."""
        cleaned = super().clean()
        try:
            self.source = source_of(recipes.read(Job.Kind.IMPORT, self._reading()))
        except recipes.InvalidRecipe as error:
            self.add_error(error.field if error.field in self.fields else None, error.message)
        return cleaned

    def _reading(self) -> dict[str, Any]:
        given = {name: self.cleaned_data.get(name) for name in ("format", *SOURCE)}
        return {name: value for name, value in given.items() if value}

    def unread(self) -> list[Field]:
        """The fields of the file that are not read, kept or left out. Of a valid form."""
        fields, _found = imports.fields_of(self.job, self._reading())
        return self.source.unread(fields)

    def _field(self, field: dataclasses.Field) -> forms.Field:
        made = recipe_field(field)
        made.label = LABELS[field.name]
        recipe = self.job.recipe if self.recipe is None else self.recipe
        made.initial = recipe.get(field.name, field.default)
        if field.name == "format":
            made.choices, made.help_text = FORMATS, ""  # its label says as much
        if field.name == "split":
            made.required = False
            made.choices = [("", gettext_lazy("by author or conversation")), *made.choices[1:]]
        return made

    @property
    def asked(self) -> list:
        return [self[name] for name in ASKED]

    @property
    def cleaning(self) -> list:
        return [self[name] for name in CLEANING]

    def request(self, actor: User, dry_run: bool) -> Job:
        of_file = ("path", "stored", "filename")
        kept = {name: self.job.recipe[name] for name in of_file if name in self.job.recipe}
        recipe = (
            kept
            | {name: self.cleaned_data[name] for name in (*ASKED, *CLEANING)}
            | self._reading()
            | {"dry_run": dry_run}
        )
        return jobs.request(actor, self.job.project, Job.Kind.IMPORT, recipe)
