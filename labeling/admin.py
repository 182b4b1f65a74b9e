"""The back office of labeling: every judgment can be looked up, none can be changed. Of an imported
judge it can be said who it is.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from labeling.models import (
    Assignment,
    Candidate,
    Criterion,
    DatasetRanking,
    Demonstration,
    Group,
    GroupMember,
    Judge,
    Message,
    ProjectRules,
    Prompt,
    RankedCandidate,
    Ranking,
    RankingTask,
    Review,
    Round,
    RoundStep,
    Score,
    Seen,
    Span,
    Thread,
)
from labeling.quality import judges
from labeling.queue import seen
from people import admin as people_admin
from people.access import Refused
from people.admin import Inline, ReadOnly
from people.models import Project, User

admin.site.unregister(Project)  # registered again below, with its rules


class RulesInline(admin.StackedInline):
    model = ProjectRules
    can_delete = False
    formfield_overrides = Inline.formfield_overrides

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return request.user.is_staff

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return request.user.is_staff

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(people_admin.ProjectAdmin):
    list_display = ["name", "slug", "state", "k", "overlap", "created_at"]
    list_select_related = ["rules"]
    inlines = [RulesInline, *people_admin.ProjectAdmin.inlines]

    @admin.display(description=_("Answers per task"), ordering="rules__k")
    def k(self, project: Project) -> int:
        return project.rules.k

    @admin.display(description=_("Labelers per task"), ordering="rules__overlap")
    def overlap(self, project: Project) -> int:
        return project.rules.overlap


@admin.register(Prompt)
class PromptAdmin(ReadOnly):
    list_display = [
        "__str__",
        "project",
        "split",
        "use_case",
        "language",
        "source",
        "licence",
        "published",
    ]
    list_filter = ["split", "published", "project", "use_case"]
    list_select_related = ["project"]
    search_fields = ["messages", "digest"]


@admin.register(Demonstration)
class DemonstrationAdmin(ReadOnly):
    list_display = ["__str__", "prompt", "labeler", "created_at"]
    list_select_related = ["prompt", "labeler"]
    search_fields = ["text"]


@admin.register(Candidate)
class CandidateAdmin(ReadOnly):
    list_display = [
        "__str__",
        "model_version",
        "job",
        "slot",
        "tokens",
        "finish_reason",
        "truncated",
    ]
    list_filter = ["finish_reason", "truncated"]
    list_select_related = ["model_version", "job"]
    search_fields = ["text", "=job__id"]


@admin.register(RankingTask)
class RankingTaskAdmin(ReadOnly):
    list_display = [
        "id",
        "project",
        "prompt",
        "purpose",
        "state",
        "priority",
        "overlap",
        "free_places",
        "reserved_for_user",
        "reserved_for_group",
    ]
    list_filter = ["purpose", "state", "project"]
    list_select_related = ["project", "prompt", "reserved_for_user", "reserved_for_group"]
    exclude = ["candidates"]
    search_fields = ["=id"]


class GroupMemberInline(Inline):
    model = GroupMember
    fields = ["user"]


@admin.register(Group)
class GroupAdmin(ReadOnly):
    list_display = ["name", "project", "created_at"]
    list_filter = ["project"]
    list_select_related = ["project"]
    search_fields = ["name"]
    inlines = [GroupMemberInline]


@admin.register(GroupMember)
class GroupMemberAdmin(ReadOnly):
    list_display = ["group", "user"]
    list_select_related = ["group", "user"]
    search_fields = ["group__name", "user__email"]


@admin.register(Assignment)
class AssignmentAdmin(ReadOnly):
    list_display = ["task", "labeler", "state", "place", "leased_until", "ended_at"]
    list_filter = ["state", "project"]
    list_select_related = ["task", "labeler"]
    search_fields = ["=task__id", "labeler__email"]


class Telling(ReadOnly):
    """Rows that say what people decided or said: whoever looks at one has seen its task."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None:
            seen.note(request.user, self.tasks_of(row, request.user))
        return super().change_view(request, object_id, form_url, extra_context)

    def tasks_of(self, row: models.Model, person: User) -> list[int]:
        """The task that the row is about; none where the row says what the person decided."""
        raise NotImplementedError


class RankedInline(Inline):
    model = RankedCandidate
    fields = ["candidate", "shown", "rank"]


class ScoreInline(Inline):
    model = Score
    fields = ["criterion", "candidate", "value"]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("criterion")


class SpanInline(Inline):
    model = Span
    fields = ["candidate", "label", "start", "end"]


@admin.register(Ranking)
class RankingAdmin(Telling):
    list_display = ["id", "task", "labeler", "kind", "outcome", "revision", "current", "prompted"]
    list_display += ["created_at"]
    list_filter = ["kind", "outcome", "current", "prompted"]
    list_select_related = ["task", "labeler"]
    search_fields = ["=id", "=task__id", "labeler__email"]
    inlines = [RankedInline, ScoreInline, SpanInline]

    def tasks_of(self, row: models.Model, person: User) -> list[int]:
        return [] if row.labeler_id == person.pk else [row.task_id]


class MessageInline(Inline):
    model = Message
    fields = ["at", "author", "text"]


@admin.register(Thread)
class ThreadAdmin(Telling):
    list_display = ["id", "task", "labeler", "opened_at", "closed_at"]
    list_filter = ["task__project"]
    list_select_related = ["task", "labeler"]
    search_fields = ["=id", "=task__id", "labeler__email", "messages__text"]
    inlines = [MessageInline]

    def tasks_of(self, row: models.Model, person: User) -> list[int]:
        return [] if row.labeler_id == person.pk else [row.task_id]


@admin.register(Review)
class ReviewAdmin(Telling):
    list_display = ["id", "ranking", "reviewer", "verdict", "at"]
    list_filter = ["verdict"]
    list_select_related = ["ranking", "reviewer"]
    search_fields = ["=ranking__id", "=ranking__task__id", "reviewer__email", "comment"]

    def tasks_of(self, row: models.Model, person: User) -> list[int]:
        return [row.ranking.task_id]


@admin.register(Seen)
class SeenAdmin(ReadOnly):
    list_display = ["task", "person", "at"]
    list_select_related = ["task", "person"]
    search_fields = ["=task__id", "person__email"]


@admin.register(DatasetRanking)
class DatasetRankingAdmin(ReadOnly):
    list_display = ["dataset", "ranking"]
    list_select_related = ["dataset", "ranking"]
    search_fields = ["=ranking__id", "dataset__digest"]


@admin.register(Judge)
class JudgeAdmin(ReadOnly):
    """An imported judge's name and kind can be changed; an account says both itself."""

    list_display = ["__str__", "kind", "stated", "account", "model_version"]
    list_filter = ["kind", "stated", ("account", admin.EmptyFieldListFilter)]
    list_select_related = ["account", "model_version"]
    search_fields = ["name", "account__email", "account__name"]
    fields = ["name", "kind", "stated", "account", "model_version", "uuid"]
    readonly_fields = ["stated", "account", "model_version", "uuid"]
    actions = ["are_people", "are_models", "are_scripts"]

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return request.user.is_staff and not (obj and obj.account_id)

    def save_model(self, request: HttpRequest, obj: Judge, form: ModelForm, change: bool) -> None:
        judges.change(request.user, obj, name=obj.name, kind=obj.kind)

    @admin.action(description=_("Say that they are people"))
    def are_people(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._say(request, queryset, Judge.Kind.PERSON)

    @admin.action(description=_("Say that they are models"))
    def are_models(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._say(request, queryset, Judge.Kind.MODEL)

    @admin.action(description=_("Say that they are scripts"))
    def are_scripts(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._say(request, queryset, Judge.Kind.SCRIPT)

    def _say(self, request: HttpRequest, queryset: QuerySet, kind: str) -> None:
        chosen = list(queryset)
        for judge in chosen:
            try:
                judges.change(request.user, judge, kind=kind.value)
            except Refused as error:
                messages.error(request, f"{judge}: {error}")


@admin.register(Criterion)
class CriterionAdmin(ReadOnly):
    list_display = ["__str__", "project", "scope", "kind", "question", "required", "retired_at"]
    list_filter = ["kind", "scope", "preset", "project"]
    list_select_related = ["project"]
    search_fields = ["key", "question"]


class StepInline(Inline):
    model = RoundStep
    fields = ["position", "kind", "job", "gate"]


@admin.register(Round)
class RoundAdmin(ReadOnly):
    list_display = ["__str__", "project", "n", "state", "started_by", "created_at", "ended_at"]
    list_filter = ["state", "project"]
    list_select_related = ["project", "started_by"]
    inlines = [StepInline]
