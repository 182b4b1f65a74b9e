"""The back office of models: a job, a figure, a dataset and a version are what they are; nobody
edits them.
"""

from django.contrib import admin

from modelops.models import (
    Alias,
    Dataset,
    Job,
    LabelerWeights,
    LogLine,
    Metric,
    ModelVersion,
    RenderedFile,
    Worker,
)
from people.admin import ReadOnly


@admin.register(Job)
class JobAdmin(ReadOnly):
    list_display = ["id", "project", "kind", "state", "done", "total", "requested_by", "created_at"]
    list_filter = ["state", "kind", "project"]
    list_select_related = ["project", "requested_by"]
    search_fields = ["=id", "error", "machine"]


@admin.register(LogLine)
class LogLineAdmin(ReadOnly):
    list_display = ["at", "job", "text"]
    list_select_related = ["job"]
    search_fields = ["=job__id", "text"]


@admin.register(Metric)
class MetricAdmin(ReadOnly):
    list_display = ["job", "name", "slice", "step", "value", "low", "high", "n", "method"]
    list_filter = ["slice"]
    list_select_related = ["job"]
    search_fields = ["=job__id", "name"]


@admin.register(Dataset)
class DatasetAdmin(ReadOnly):
    list_display = ["short", "project", "kind", "note", "created_at"]
    list_filter = ["kind", "project"]
    list_select_related = ["project"]
    search_fields = ["digest", "note"]


@admin.register(RenderedFile)
class RenderedFileAdmin(ReadOnly):
    list_display = ["name", "dataset", "stored", "made_at"]
    list_select_related = ["dataset"]
    search_fields = ["dataset__digest", "stored"]


@admin.register(Worker)
class WorkerAdmin(ReadOnly):
    list_display = ["name", "host", "pid", "queues", "devices", "code", "torch", "started_at"]
    list_display += ["changed_at", "seen_at"]
    list_filter = ["host"]
    search_fields = ["name", "host"]


@admin.register(LabelerWeights)
class LabelerWeightsAdmin(ReadOnly):
    list_display = ["digest", "dataset", "note", "stored_by", "created_at"]
    list_select_related = ["dataset", "stored_by"]
    search_fields = ["digest", "dataset__digest", "note"]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnly):
    list_display = ["name", "project", "kind", "parent", "job", "created_at"]
    list_filter = ["kind", "project"]
    list_select_related = ["project", "parent", "job"]
    search_fields = ["name", "sha256"]


@admin.register(Alias)
class AliasAdmin(ReadOnly):
    list_display = ["name", "project", "model_version", "moved_at"]
    list_select_related = ["project", "model_version"]
