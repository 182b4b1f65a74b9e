"""Import files: upload and check, inspect, then confirm."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse, Http404, QueryDict
from django.shortcuts import get_object_or_404
from django.utils.datastructures import MultiValueDict
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling import imports
from labeling.api.shared import Turn
from labeling.imports import undo
from labeling.imports.forms import ASKED, CLEANING, SOURCE, ConfirmForm, UploadForm
from labeling.imports.sources import Source, source_of, verdicts
from labeling.imports.uploads import find
from modelops import recipes
from modelops.api.jobs import JobBody
from modelops.api.shared import filled, recipe_field, started, under_way
from modelops.models import Job
from modelops.stores import trees
from people.access import ADMINS, Refused
from people.api import problems
from people.api.base import Action, ActionMixin, ActionResult, Detail, Endpoint, once
from people.models import Project
from people.request_limits import takes_upload

UNREAD = "Nothing reads this field: put it into leave_out or keep."


class UploadInput(serializers.Serializer):
    """A file of any known format. Nothing is imported before the import is confirmed."""

    file = serializers.FileField()
    format = serializers.ChoiceField(
        recipes.FORMATS_IN, required=False, help_text="As it looks, where none is named."
    )


class ImportSettings(serializers.Serializer):
    """How a file is read and cleaned. Settings that are left out are as in its last check.

    Each field of the file that nothing reads has to be in `leave_out` or `keep`.
    """

    def get_fields(self) -> dict[str, serializers.Field]:
        known = {field.name: field for field in dataclasses.fields(recipes.ImportRecipe)}
        return {name: recipe_field(known[name]) for name in (*ASKED, *SOURCE, *CLEANING)}


class EntryBody(serializers.Serializer):
    """What a row would become."""

    messages = Turn(many=True)
    answers, judgments = serializers.ListField(), serializers.ListField()
    demonstration, split, use_case = (serializers.CharField(allow_blank=True) for _ in range(3))
    language, source = (serializers.CharField(allow_blank=True) for _ in range(2))
    metadata = serializers.DictField(help_text="With the fields that are kept.")


class RowBody(serializers.Serializer):
    """One of the first rows of the file, as it is read."""

    place = serializers.CharField(help_text="Its line, or where in the file it stands.")
    entries = EntryBody(many=True)
    error = serializers.CharField(allow_blank=True, help_text="Why it can't come in.")


class CodesBody(serializers.Serializer):
    """What a mapping takes the codes of a verdict for."""

    path = serializers.CharField(allow_blank=True, help_text="Of the field that has the codes.")
    meanings = serializers.DictField(
        child=serializers.CharField(), help_text="By code: a, b, tie, both_bad, good, bad, better."
    )


class ImportBody(JobBody):
    """A check or an import of a file; `result.check` shows what would be imported, once the job is
    done: also its `fields`, which of them are `unread`, and the `fault` of a mapping that is not
    complete.
    """

    codes = CodesBody(
        many=True, source="verdicts", help_text="To be confirmed before the file is imported."
    )

    rows = RowBody(
        many=True, source="shown", help_text="The first ten; none once the file is gone."
    )

    class Meta(JobBody.Meta):
        fields = [*JobBody.Meta.fields, "rows", "codes"]
        read_only_fields = fields


def with_rows(job: Job) -> Job:
    """The job with what ImportBody shows of its file, which is fetched unless this host has it."""
    path = find(job.recipe)
    name = job.recipe.get("filename", "")
    source = source_or_none(job)
    rows = imports.preview(path, source, name) if source and path.exists() else []
    job.verdicts = [
        {"path": verdict.path, "meanings": dict(verdict.meanings)}
        for verdict in (verdicts(source.mapping) if source else [])
    ]
    job.shown = [
        {"place": row.place, "entries": entries, "error": error} for row, entries, error in rows
    ]
    return job


def source_or_none(job: Job) -> Source | None:
    """What reads the job's file; None where its mapping is not complete."""
    try:
        return source_of(recipes.read(Job.Kind.IMPORT, job.recipe))
    except recipes.InvalidRecipe:
        return None


def uploads(project: Project) -> QuerySet[Job]:
    """The jobs that check and import files."""
    jobs = Job.objects.filter(project=project, kind=Job.Kind.IMPORT)
    return jobs.select_related("project", "requested_by", "model_made")


# The endpoints


@takes_upload
class Imports(ActionMixin, Endpoint):
    """Upload a file, which a job checks; confirm that job to import it."""

    scopes, parser_classes = {"POST": "launch"}, [MultiPartParser]
    input, output, status = UploadInput, JobBody, 202

    def post(self, request: Request, *args, **kwargs) -> Response:
        form = self.given(request)
        response = once(
            request, lambda: self.answer(under_way(form.request_check(self.actor, self.project)))
        )
        if "Idempotent-Replayed" in response.headers:
            trees.remove(form.path)
        return response

    def given(self, request: Request) -> UploadForm:
        """The page's form, which stores the file: before the transaction that requests the
        check.
        """
        data = super().given(request)
        files = MultiValueDict({"file": request.FILES.getlist("file")})
        query = QueryDict(mutable=True)
        query["format"] = data.get("format", "")
        form = UploadForm(query, files, project=self.project)
        if not form.is_valid():
            raise serializers.ValidationError(form.errors)
        return form


class ImportView(Detail, Endpoint):
    """A check or an import, with the file's first rows."""

    roles, serializer_class = {"GET": ADMINS}, ImportBody

    def get_queryset(self) -> QuerySet:
        return uploads(self.project)

    def represent(self, job: Job) -> Any:
        return super().represent(with_rows(job))


class Confirm(Action):
    """Import the file."""

    scopes, dry_run = {"POST": "launch"}, False
    input, output, status = ImportSettings, JobBody, 202

    def act(self, data: dict[str, Any]) -> ActionResult:
        job = get_object_or_404(uploads(self.project), pk=self.kwargs["pk"])
        form = filled(lambda given: ConfirmForm(job, given), data)
        if not self.dry_run and (unread := form.unread()):
            raise problems.Unprocessable({"unread": {field.path: [UNREAD] for field in unread}})
        return started(self.actor, form, dry_run=self.dry_run)


class Check(Confirm):
    """Check the file again, with other settings."""

    dry_run = True


class BadRows(Endpoint):
    """The rows that were left out, each with the reason, as JSON Lines."""

    roles = {"GET": ADMINS}
    serializer_class, sends = JobBody, "application/x-ndjson"

    def get(self, request: Request, *args, **kwargs) -> FileResponse:
        job = get_object_or_404(uploads(self.project), pk=kwargs["pk"])
        path = imports.bad_rows(job)
        if path is None:
            raise Http404
        return FileResponse(
            open(path, "rb"),
            content_type="application/x-ndjson",
            filename=f"job-{job.pk}-bad.jsonl",
        )


class BroughtBody(serializers.Serializer):
    """What an import brought, and what would stay of it."""

    prompts = serializers.IntegerField()
    kept_prompts = serializers.IntegerField(
        help_text="Stay: another import, a sampling or a writer works on them too."
    )
    answers = serializers.IntegerField()
    demonstrations = serializers.IntegerField()
    tasks = serializers.IntegerField()
    rankings = serializers.IntegerField()
    drafts = serializers.IntegerField(help_text="Of labelers who are not at the task any more.")
    why_not = serializers.CharField(
        allow_blank=True, help_text="Why the import can't be undone as things stand."
    )


class Undo(Action):
    """Undo an import while nobody has judged or frozen any of it: GET counts what would go, POST
    starts the job.
    """

    roles, scopes = {"GET": ADMINS}, {"POST": "launch"}
    output, status, refuses = JobBody, 202, {"POST": (409,)}

    def get_serializer_class(self) -> type[BaseSerializer]:
        return BroughtBody if self.request.method == "GET" else JobBody

    def imported(self) -> Job:
        return get_object_or_404(undo.of_project(self.project), pk=self.kwargs["pk"])

    def get(self, request: Request, *args, **kwargs) -> Response:
        imported, why_not = self.imported(), ""
        try:
            undo.refuse(imported)
        except Refused as error:
            why_not = str(error)
        body = vars(undo.foresee(imported)) | {"why_not": why_not}
        return Response(BroughtBody(body).data)

    def act(self, data: dict[str, Any]) -> ActionResult:
        return under_way(undo.request(self.actor, self.project, self.imported()))
