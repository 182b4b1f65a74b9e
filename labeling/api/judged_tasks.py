"""Judged tasks: each with its prompt, its answers, and who ranked how, as on the page of judgments.

What a task says is what a row of a dataset would say (modelops/rows.py).
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.shared import KeyPaging, Turn, key_field, limit_field, with_query
from labeling.models import Judge, Prompt, Ranking, RankingTask, judge_kind
from labeling.quality import judged
from labeling.queue import seen
from people import pseudonyms
from people.access import READERS
from people.api import strict
from people.api.base import DetailEndpoint, ListEndpoint
from people.api.filters import MOST_ID
from people.models import Project


class RowAnswer(serializers.Serializer):
    """An answer of a row. Its `id` is its position."""

    id = serializers.IntegerField()
    text = serializers.CharField(
        allow_blank=True, help_text="Markdown, from a model: never trust it."
    )
    model = serializers.CharField(help_text="The model version that wrote it.")
    finish_reason = serializers.CharField(allow_blank=True)
    tokens = serializers.IntegerField(allow_null=True)
    truncated = serializers.BooleanField(
        required=False, help_text="True: its model read the prompt in part."
    )
    messages = Turn(many=True, required=False, help_text="Its turns, where it is more than a text.")


class RowSpan(serializers.Serializer):
    """A part of an answer, in Unicode code points, the end exclusive."""

    answer, start, end = (serializers.IntegerField() for _ in range(3))
    label = serializers.CharField()


class RowJudgment(serializers.Serializer):
    """What one judge said. Lists are in the order of the answers."""

    kind = serializers.ChoiceField(Ranking.Kind.choices)
    outcome = serializers.ChoiceField(Ranking.Outcome.choices)
    ranks = serializers.ListField(
        child=serializers.IntegerField(), help_text="Dense: 1, 2, 2, 3; empty: nothing was ranked."
    )
    ratings = serializers.ListField(child=serializers.IntegerField(allow_null=True))
    flags = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    strength = serializers.IntegerField(
        allow_null=True, help_text="Of two answers: how much better the first is, -3 to 3."
    )
    seconds = serializers.FloatField()
    prompted = serializers.BooleanField(
        required=False, help_text="True: made after seeing what others decided or said."
    )
    scores = serializers.DictField(
        required=False, help_text="By criterion: a value, or a list of values, one for each answer."
    )
    spans = RowSpan(many=True, required=False)


class TaskJudgment(RowJudgment):
    """A judgment of a task: with its ranking and its judge."""

    ranking = serializers.IntegerField()
    judge = serializers.CharField(
        help_text="A pseudonym, the same throughout this project; empty: nobody's judgment."
    )
    judge_kind = serializers.ChoiceField(Judge.Kind.choices)
    note = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class JudgedTaskBody(serializers.Serializer):
    """A task that somebody has judged, as it would be frozen now."""

    task, prompt = serializers.IntegerField(), serializers.IntegerField()
    prompt_id = serializers.CharField(help_text="sha256 of the conversation.")
    messages = Turn(many=True)
    split, use_case, language, source = (serializers.CharField(allow_blank=True) for _ in range(4))
    answers = RowAnswer(many=True)
    judgments = TaskJudgment(many=True)
    agreement = serializers.FloatField(
        allow_null=True,
        help_text="Of the pairs of answers that two judges put in an order, those alike.",
    )


class JudgedQuery(serializers.Serializer):
    """Filters of judged tasks. `judge`, `since`, `until` and `ties` concern one and the same
    judgment.
    """

    search = serializers.CharField(
        required=False, max_length=200, help_text="Words in the conversation."
    )
    source = serializers.CharField(required=False, max_length=100)
    use_case = serializers.CharField(required=False, max_length=40)
    language = serializers.CharField(required=False, max_length=10)
    split = serializers.ChoiceField(Prompt.Split.choices, required=False)
    job = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_ID,
        help_text="The import that brought the prompt or the judgments.",
    )
    model_version = serializers.IntegerField(required=False, min_value=1, max_value=MOST_ID)
    judge = serializers.CharField(
        required=False, max_length=12, help_text="The pseudonym of a judge."
    )
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    ties = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Whether answers share a rank."
    )
    agreement_min, agreement_max = (
        serializers.FloatField(required=False, min_value=0, max_value=1) for _ in range(2)
    )
    before, after = key_field(), key_field()
    limit = limit_field()


class JudgedTasks(ListEndpoint):
    """Judged tasks, newest first.

    A page looks through a fixed number of tasks: it may hold fewer than `limit`, or none, and name
    a `next` page all the same.
    """

    roles, serializer_class, pagination_class = {"GET": READERS}, JudgedTaskBody, KeyPaging
    filter_backends = ()

    def parameters(self) -> set[str]:
        return set(JudgedQuery().fields)

    @extend_schema(parameters=[JudgedQuery])
    def get(self, request: Request, *args, **kwargs) -> Response:
        asked = strict.read(JudgedQuery(data=request.query_params.dict()))
        keys = {name: asked.pop(name) for name in ("before", "after") if name in asked}
        page = judged.page(self.project, self.wanted(asked), asked["limit"], **keys)
        tasks = judged.read(self.project, page.tasks)
        seen.note_rankings(self.actor, (ranking for task in tasks for ranking in task.rankings))
        bodies = [JudgedTaskBody(as_body(self.project, task)).data for task in tasks]
        links = {
            "next": with_query(request, ("before", "after"), before=page.older),
            "previous": with_query(request, ("before", "after"), after=page.newer),
        }
        return Response(links | {"results": bodies})

    def wanted(self, asked: dict[str, Any]) -> judged.Wanted:
        """The filters. Raises ValidationError where there is no such judge."""
        judge = None
        if "judge" in asked and (judge := judged.judge_of(self.project, asked["judge"])) is None:
            raise serializers.ValidationError({"judge": [_("No judge has this pseudonym.")]})
        plain = ("search", "source", "use_case", "language", "split", "job", "since", "until")
        return judged.Wanted(
            **{name: asked[name] for name in plain if name in asked},
            model=asked.get("model_version"),
            judge=judge,
            ties=asked["ties"],
            least=asked.get("agreement_min"),
            most=asked.get("agreement_max"),
        )


class JudgedTaskView(DetailEndpoint):
    """One judged task."""

    roles, serializer_class = {"GET": READERS}, JudgedTaskBody

    def get_queryset(self) -> QuerySet:
        return judged.of_project(self.project)

    def represent(self, task: RankingTask) -> Any:
        [read] = judged.read(self.project, [task.pk])
        seen.note_rankings(self.actor, read.rankings)
        return JudgedTaskBody(as_body(self.project, read)).data


def as_body(project: Project, read: judged.Judged) -> dict[str, Any]:
    judgments = [
        judgment | _about(project, ranking)
        for judgment, ranking in zip(read.row["judgments"], read.rankings, strict=True)
    ]
    prompt = read.task.prompt
    return read.row | {
        "task": read.task.pk,
        "prompt": prompt.pk,
        "source": prompt.source,
        "judgments": judgments,
        "agreement": read.agreement,
    }


def _about(project: Project, ranking: Ranking) -> dict[str, Any]:
    for_all = ranking.kind in Ranking.FOR_ALL  # nobody's judgment
    return {
        "ranking": ranking.pk,
        "judge": "" if for_all else pseudonyms.of(project, ranking.judge),
        "judge_kind": judge_kind(ranking.kind, ranking.by),
        "note": ranking.note,
        "created_at": ranking.created_at,
    }
