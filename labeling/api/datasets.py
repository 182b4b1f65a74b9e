"""Datasets: freeze, inspect, download and delete them."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling.api.shared import counts_by_kind
from labeling.exports import dataset_card, downloads, forms, labeler_key, losses, preview, serving
from labeling.exports.formats import Format
from labeling.models import Judge
from modelops import datasets, recipes
from modelops.api.jobs import JobBody
from modelops.api.shared import RETRY_AFTER, filled, recipe_field, started, under_way
from modelops.models import Dataset, Job
from people.access import ADMINS, READERS, Refused, sees_names
from people.api import strict
from people.api.base import (
    Action,
    ActionMixin,
    ActionResult,
    Answer,
    EditEndpoint,
    Endpoint,
    Listing,
)
from people.models import Project


class DatasetBody(serializers.ModelSerializer):
    """Frozen rows. They never change, and `digest` depends on them alone."""

    query = serializers.SerializerMethodField(help_text="What was chosen when it was frozen.")
    counts = serializers.DictField(
        help_text=(
            "Rows by split, pairs, good and bad answers, agreement, ties, models, languages, "
            "scores by criterion, spans."
        )
    )

    class Meta:
        model = Dataset
        fields = ["id", "kind", "digest", "note", "licence", "counts", "query", "job", "created_at"]
        fields += ["withdrawn_at", "withdrawn_why", "successor"]
        read_only_fields = fields

    def get_query(self, dataset: Dataset) -> dict[str, Any]:
        return {
            name: value for name, value in dataset.query.items() if name not in dataset_card.HIDDEN
        }


class AboutInput(serializers.Serializer):
    """What may change of a dataset; an empty text removes it."""

    note = serializers.CharField(required=False, allow_blank=True, max_length=200)
    licence = serializers.CharField(required=False, allow_blank=True, max_length=60)


class LossBody(serializers.Serializer):
    """Something that a format can't hold."""

    name = serializers.CharField(help_text="A stable name for scripts.")
    what = serializers.CharField()
    in_metadata = serializers.BooleanField(help_text="A download with metadata does hold it.")


class FormatBody(serializers.Serializer):
    """A download format of a dataset."""

    name, label = serializers.CharField(), serializers.CharField()
    files = serializers.ListField(child=serializers.CharField(), help_text="The first is as usual.")
    options = serializers.ListField(
        child=serializers.CharField(), help_text="Of a download, those that change it."
    )
    loses_ties = serializers.BooleanField(
        help_text="This dataset has ties, and the format can't say so."
    )
    loses = LossBody(
        many=True, help_text="What does not come back when the file is imported again."
    )


class FrozenCriterion(serializers.Serializer):
    """A criterion as it was when the dataset was frozen."""

    key = serializers.CharField()
    revision = serializers.IntegerField()
    scope = serializers.CharField()
    kind = serializers.CharField()
    labels = serializers.ListField(child=serializers.JSONField())
    required = serializers.BooleanField()


class DatasetDetail(DatasetBody):
    """A dataset with the models that learned from it, and its formats."""

    models = serializers.SerializerMethodField(help_text="Model versions that learned from it.")
    criteria = serializers.SerializerMethodField(
        help_text="The criteria that its rows hold `scores` by."
    )
    formats = serializers.SerializerMethodField()
    load = serializers.SerializerMethodField(
        help_text="Python that loads the downloaded folder, and trains on it."
    )

    class Meta(DatasetBody.Meta):
        fields = [*DatasetBody.Meta.fields, "models", "criteria", "formats", "load"]
        read_only_fields = fields

    def get_models(self, dataset: Dataset) -> list[int]:
        return [version.pk for version in datasets.learned_from(dataset)]

    @extend_schema_field(FrozenCriterion(many=True))
    def get_criteria(self, dataset: Dataset) -> list[dict[str, Any]]:
        return datasets.criteria(dataset)

    @extend_schema_field(FormatBody(many=True))
    def get_formats(self, dataset: Dataset) -> list[dict[str, Any]]:
        return [
            format_body(dataset, name, format)
            for name, format in downloads.offered(dataset).items()
        ]

    def get_load(self, dataset: Dataset) -> str:
        return "\n".join(dataset_card.snippet(dataset, "FOLDER"))


def format_body(dataset: Dataset, name: str, format: Format) -> dict[str, Any]:
    options = [*format.options, *(["split"] if name != "folder" else [])]
    loses_ties = downloads.loses_ties(dataset, downloads.choose(dataset, name))
    return FormatBody(
        {
            "name": name,
            "label": format.label,
            "files": format.files,
            "options": options,
            "loses_ties": loses_ties,
            "loses": losses.listed(name, dataset.kind),
        }
    ).data


class FreezeInput(serializers.Serializer):
    """What to freeze: all data of the project that match these filters."""

    def get_fields(self) -> dict[str, serializers.Field]:
        known = {
            field.name: field
            for field in dataclasses.fields(recipes.FreezeRecipe)
            if field.name != "replaces"
        }
        return {name: recipe_field(field) for name, field in known.items()} | {
            "since": serializers.DateField(
                required=False, help_text=known["since"].metadata["help"]
            ),
            "until": serializers.DateField(
                required=False, help_text=known["until"].metadata["help"]
            ),
            "models": names(known["models"].metadata["help"]),
            "without": names(known["without"].metadata["help"] + " Ids of accounts."),
            "judges": serializers.ListField(
                child=serializers.ChoiceField(Judge.Kind.choices),
                required=False,
                help_text="Only judgments by judges of these kinds; none: all.",
            ),
        }


def names(help: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=500, help_text=help
    )


class Shares(serializers.Serializer):
    """Rows of a split."""

    split, rows = serializers.CharField(), serializers.IntegerField()


class PreviewBody(serializers.Serializer):
    """The size of the dataset that a freeze would make: counted, or estimated if `sampled`."""

    rows, judgments, pairs = (
        serializers.IntegerField(),
        serializers.IntegerField(),
        serializers.IntegerField(),
    )
    good, bad = (
        serializers.IntegerField(help_text="Answers with such a label, as KTO learns them.")
        for _ in range(2)
    )
    sampled = serializers.BooleanField(
        help_text="Whether it is estimated from tasks drawn at random."
    )
    near_held_out = serializers.IntegerField(
        allow_null=True,
        help_text="Training rows left out, nearly like a held-out one; null: not counted yet.",
    )
    judge_kinds = counts_by_kind("Judgments by kind of judge, of those that were read.")
    ties, agreement, longer_wins, first_wins = (
        serializers.FloatField(allow_null=True) for _ in range(4)
    )
    splits = Shares(many=True)


class FileInput(serializers.Serializer):
    """A file of a dataset. Options that the format does not use are ignored."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {
            field.name: recipe_field(field) for field in dataclasses.fields(recipes.RenderRecipe)
        }


class RenderedBody(serializers.Serializer):
    """Whether the file is ready, or the job that makes it."""

    ready = serializers.BooleanField()
    job = JobBody(allow_null=True)


class KeyRow(serializers.Serializer):
    """The person that a number stands for."""

    number = serializers.IntegerField()
    name, email = serializers.CharField(), serializers.CharField(allow_blank=True)


class KeyBody(serializers.Serializer):
    """The people that the numbers of a dataset's labelers stand for. The answer is stored
    nowhere.
    """

    labelers = KeyRow(many=True, required=False)


def visible(project: Project) -> QuerySet[Dataset]:
    return Dataset.objects.filter(project=project).select_related("project", "successor")


def freeze_form_of(endpoint: Endpoint, data: dict[str, Any]) -> forms.FreezeForm:
    """The page's form, with the fields that this member may fill. Raises ValidationError."""
    shown = sees_names(endpoint.membership)
    return filled(lambda given: forms.FreezeForm(endpoint.project, given, names=shown), data)


# The endpoints


class Datasets(Listing, ActionMixin, Endpoint):
    """The project's datasets. POST starts a job that freezes one; its result names the dataset."""

    roles, scopes = {"GET": READERS, "POST": READERS}, {"POST": "launch"}
    input, output, status = FreezeInput, JobBody, 202
    filterset_fields = ["kind", "digest"]

    def get_serializer_class(self) -> type[BaseSerializer]:
        return DatasetBody

    def get_queryset(self) -> QuerySet:
        return visible(self.project)

    def act(self, data: dict[str, Any]) -> ActionResult:
        return started(self.actor, freeze_form_of(self, data))


class Preview(Action):
    """What a freeze would make, without freezing."""

    roles, scopes = {"POST": READERS}, {"POST": "read"}
    input, output = FreezeInput, PreviewBody

    def act(self, data: dict[str, Any]) -> ActionResult:
        recipe = forms.recipe_of(freeze_form_of(self, data))
        previewed = preview.preview(self.project, recipe, names=False)
        of_each = {
            name: getattr(previewed.statistics, name)
            for name in ("ties", "agreement", "longer_wins")
        }
        plain = {
            name: getattr(previewed, name)
            for name in ("rows", "judgments", "pairs", "sampled", "first_wins")
        }
        plain |= {"judge_kinds": previewed.statistics.judge_kinds}
        plain |= {"good": previewed.good, "bad": previewed.bad, "near_held_out": previewed.near}
        return (
            plain
            | of_each
            | {"splits": [{"split": split, "rows": rows} for split, rows in previewed.splits]}
        )


class OfDataset(Endpoint):
    """An endpoint of one dataset."""

    @cached_property
    def dataset(self) -> Dataset:
        return get_object_or_404(visible(self.project), pk=self.kwargs["pk"])


class DatasetView(EditEndpoint):
    """One dataset. Its note and licence can be changed; its rows and id never change. It can't be
    deleted once a model learned from it.
    """

    roles, scopes = {"GET": READERS, "PATCH": READERS}, {"PATCH": "launch"}
    serializer_class = DatasetDetail
    refuses = {"DELETE": (409,)}

    def get_queryset(self) -> QuerySet:
        return visible(self.project)

    def get_serializer(self, *args, **kwargs) -> BaseSerializer:
        if "data" in kwargs:
            return AboutInput(*args, **kwargs)
        return super().get_serializer(*args, **kwargs)

    @extend_schema(request=AboutInput)
    def patch(self, request: Request, *args, **kwargs) -> Response:
        return super().patch(request, *args, **kwargs)

    def edit(self, row: Dataset, changes: dict[str, Any]) -> None:
        datasets.edit(self.actor, row, **changes)

    def delete(self, request: Request, *args, **kwargs) -> Response:
        """Remove it with its files. Refused (409) where a model learned from it, or a job reads
        it.
        """
        datasets.delete(self.actor, self.get_object())
        return Response(status=204)


def awaited(job: Job | None, request_it: str) -> Response:
    """202 with the job that makes what is asked for. Raises Refused where none does: the last may
    have failed.
    """
    if job and job.live:
        return Response(JobBody(job).data, status=202, headers=RETRY_AFTER)
    if job and job.error:
        failed = _("The last attempt failed: %(error)s") % {"error": job.error}
        request_it = f"{request_it} {failed}"
    raise Refused(request_it)


class Render(ActionMixin, OfDataset):
    """Make a file of it, unless it exists: a small file when it is downloaded, a large one by a
    job.
    """

    roles, scopes = {"POST": READERS}, {"POST": "read"}
    archived = True
    input, output, status = FileInput, RenderedBody, 200
    also, refuses = {"POST": {202: RenderedBody}}, {"POST": (410,)}

    def act(self, data: dict[str, Any]) -> ActionResult:
        recipe = chosen(self.dataset, data)
        datasets.refuse_withdrawn(self.dataset)
        if downloads.is_ready(self.dataset, recipe):
            return {"ready": True, "job": None}
        answer = under_way(downloads.request(self.actor, self.dataset, recipe))
        return dataclasses.replace(answer, body={"ready": False, "job": JobBody(answer.body).data})


def chosen(dataset: Dataset, data: dict[str, Any]) -> recipes.RenderRecipe:
    """The recipe of the requested file. Raises ValidationError if the dataset has no such file."""
    options = {"format": "rows"} | data
    try:
        return downloads.choose(dataset, options.pop("format"), options.pop("file", ""), **options)
    except downloads.NotOffered as error:
        raise serializers.ValidationError({"format": [str(error)]}) from error


class Download(OfDataset):
    """A file of it, or a range of the file; or the address of it in the store, to which a host may
    redirect.

    A large file is made by a job that `render` starts: 202 while the job runs, 409 before it was
    requested.
    """

    roles = {"GET": READERS}
    serializer_class, sends = FileInput, "*/*"
    also, refuses = {"GET": {202: JobBody, 302: None}}, {"GET": (409, 410, 416, 503)}

    def parameters(self) -> set[str]:
        return set(FileInput().fields)

    @extend_schema(parameters=[FileInput])
    def get(self, request: Request, *args, **kwargs) -> HttpResponse | Response:
        given = strict.read(FileInput(data=request.query_params.dict()))
        recipe = chosen(self.dataset, given)
        if downloads.is_ready(self.dataset, recipe):
            return self.file(recipe)
        datasets.refuse_withdrawn(self.dataset)
        return awaited(
            downloads.latest_job(self.dataset, recipe),
            _("This file is large: have it made first, by a POST to its dataset's render."),
        )

    def file(self, recipe: recipes.RenderRecipe) -> HttpResponse:
        try:
            return serving.answer(self.request._request, self.dataset, recipe)
        except serving.Busy as error:
            raise Busy from error


class Busy(exceptions.APIException):
    status_code, wait = 503, 60
    default_detail = "Others are taking large files just now: ask again in a minute."


class LabelersKey(ActionMixin, OfDataset):
    """The people that the numbers of its labelers stand for. The export is recorded in the audit
    log.
    """

    roles = {"POST": ADMINS}
    archived = True
    output = KeyBody

    def act(self, data: dict[str, Any]) -> ActionResult:
        rows = labeler_key.export(self.actor, self.dataset)
        people = [{"number": number, "name": name, "email": email} for number, name, email in rows]
        return Answer({}, 200, secret={"labelers": people})
