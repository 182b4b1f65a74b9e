"""The upload form: the whole file is checked before anything is kept."""

from __future__ import annotations

import secrets
from pathlib import Path

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import imports
from modelops import jobs
from modelops.models import Job
from people.forms import Keyed
from people.models import Project, User

FORMATS = {one.name: one.label for one in imports.FORMATS.values()}


class UploadForm(Keyed):
    file = forms.FileField(label=gettext_lazy("File"))
    format = forms.ChoiceField(label=gettext_lazy("What a line holds"), choices=FORMATS.items(), initial="prompts")

    def clean_file(self) -> UploadedFile:
        file = self.cleaned_data["file"]
        if file.size > settings.UPLOAD_LIMIT:
            limit = filesizeformat(settings.UPLOAD_LIMIT)
            raise forms.ValidationError(_("The file is larger than %(limit)s: split it.") % {"limit": limit})
        return file

    def clean(self) -> dict:
        """Keep the file and read it whole; a bad one is deleted again, and each bad line named."""
        cleaned = super().clean()
        if "file" in cleaned and "format" in cleaned:
            self.path = keep(cleaned["file"])
            try:
                imports.reading.read(self.path, cleaned["format"])
            except imports.BadFile as error:
                self.path.unlink()
                self.add_error("file", str(error).splitlines())
        return cleaned

    def request_import(self, actor: User, project: Project) -> Job:
        place = str(self.path.relative_to(settings.VAR))
        recipe = {"path": place, "format": self.cleaned_data["format"], "filename": self.cleaned_data["file"].name}
        return jobs.request(actor, project, Job.Kind.IMPORT, recipe)


def keep(file: UploadedFile) -> Path:
    """The upload as a file of its own below the data folder, under a name that nobody chose."""
    folder = settings.VAR / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(16)}.jsonl"
    with open(path, "xb") as out:
        for chunk in file.chunks():
            out.write(chunk)
    return path
