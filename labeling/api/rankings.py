"""Rankings: a labeler's own, blind; all of them for who reads a project's judgments."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api import judgments
from labeling.api.assignments import AssignmentBody, OwnAction, Sheet, own_or_404, sheet
from labeling.api.shared import ShownAnswer, Turn
from labeling.judging import form, rankings, scores
from labeling.judging.judgment import letter
from labeling.models import Assignment, Prompt, RankedCandidate, Ranking, RankingTask, Review
from labeling.queue import claims, leases, seen
from labeling.text.conversations import as_stored
from people import pseudonyms
from people.access import RANKERS, READERS, Role
from people.api.base import Action, ActionResult, Answer, DetailEndpoint, ListEndpoint
from people.api.filters import MOST_ID, BooleanFilter, IdFilter
from people.models import Membership


class RankingBody(serializers.Serializer):
    """One judge's decision on one task. Labelers see their own, which never says which model wrote
    an answer.
    """

    id = serializers.IntegerField()
    assignment = serializers.IntegerField(allow_null=True)
    verdict = serializers.ChoiceField(Ranking.Outcome.choices)
    order = serializers.CharField(
        help_text="Best first, ties by `=`; empty where nothing was ranked."
    )
    ranks = serializers.DictField(child=serializers.IntegerField(), help_text="Dense: 1, 2, 2, 3.")
    ratings = serializers.DictField(child=serializers.IntegerField())
    flags = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    scores = judgments.Scores()
    spans = judgments.SpanBody(many=True)
    labels = serializers.ListField(child=serializers.CharField())
    note = serializers.CharField(allow_blank=True)
    strength = serializers.IntegerField(allow_null=True)
    seconds = serializers.FloatField()
    revision = serializers.IntegerField()
    current = serializers.BooleanField(
        help_text="Whether it counts: a revision takes the place of the one before."
    )
    prompted = serializers.BooleanField(
        help_text=(
            "Made after its labeler had seen what others decided or said about the task: no "
            "agreement counts it."
        )
    )
    created_at = serializers.DateTimeField()
    undo_until = serializers.DateTimeField(
        help_text="Until then it can be undone, unless a dataset holds it."
    )
    messages = Turn(many=True, required=False, help_text="The prompt, to its labeler.")
    task = serializers.IntegerField(required=False, help_text="To leads, researchers and admins.")
    judge = serializers.CharField(
        required=False, help_text="A pseudonym, the same throughout this project."
    )
    kind = serializers.ChoiceField(Ranking.Kind.choices, required=False)
    prompt = serializers.IntegerField(required=False, help_text="To researchers and admins.")
    candidates = serializers.DictField(
        child=serializers.IntegerField(),
        required=False,
        help_text="Candidates by letter, to researchers and admins.",
    )


class RankingDetail(RankingBody):
    """A ranking with the answers that its labeler saw."""

    answers = ShownAnswer(
        many=True, required=False, help_text="Of one's own; to researchers and admins, of all."
    )


def as_body(ranking: Ranking, membership: Membership) -> dict[str, Any]:
    """The ranking as this member may see it."""
    answers = {letter(answer.shown).upper(): answer for answer in ranking.ranked.all()}
    letter_of = {answer.candidate_id: name for name, answer in answers.items()}
    stored = scores.stored(ranking)
    body = {name: getattr(ranking, name) for name in PLAIN} | {
        "assignment": ranking.assignment_id,
        "verdict": ranking.outcome,
        "ranks": {letter: answer.rank for letter, answer in answers.items() if answer.rank},
        "ratings": form.in_order(stored.ratings, letter_of),
        "flags": form.in_order(stored.flags, letter_of),
        "undo_until": ranking.created_at + rankings.UNDO,
        **scores.by_letter(stored, letter_of),
    }
    body["order"] = judgments.order_of(body["ranks"])
    if ranking.labeler_id == membership.user_id:
        body["messages"] = ranking.task.prompt.messages
    if membership.role != Role.LABELER:
        body |= {
            "task": ranking.task_id,
            "judge": pseudonyms.of(membership.project, ranking.judge),
            "kind": ranking.kind,
        }
    if membership.role in READERS:
        candidates = {letter: answer.candidate_id for letter, answer in answers.items()}
        body |= {"prompt": ranking.task.prompt_id, "candidates": candidates}
    return body


PLAIN = ("id", "labels", "note", "strength", "seconds", "revision", "current", "prompted")
PLAIN += ("created_at",)


def visible(membership: Membership) -> QuerySet[Ranking]:
    """The rankings that this member may see: labelers their own, leads all but answer keys."""
    rankings = Ranking.objects.filter(
        task__project=membership.project, undone_at=None
    ).select_related("task__prompt")
    if membership.role == Role.LABELER:
        rankings = rankings.filter(labeler=membership.user)
    if membership.role == Role.LEAD:
        rankings = rankings.exclude(kind=Ranking.Kind.GOLD)
    ranked = RankedCandidate.objects.order_by("shown")
    return rankings.prefetch_related(Prefetch("ranked", ranked), *scores.WITH_SCORES)


def with_texts(ranking: Ranking, membership: Membership) -> dict[str, Any]:
    """The ranking with its answers, if this member may read them. Leads rank too, so they see only
    their own.
    """
    body = as_body(ranking, membership)
    if ranking.labeler_id == membership.user_id or membership.role in READERS:
        body["answers"] = texts_of(ranking)
    return body


def texts_of(ranking: Ranking) -> list[dict[str, str]]:
    """The answers under the letters that the ranking's labeler saw."""
    texts = ranking.ranked.order_by("shown").values_list("shown", "candidate__text")
    return [{"letter": letter(shown).upper(), "text": text} for shown, text in texts]


class RankingFilter(filters.FilterSet):
    """Filters of rankings. Those that would reveal a task or a model are for readers only."""

    current = BooleanFilter()
    prompted = BooleanFilter()
    reviewed = BooleanFilter(method="with_reviews", label="Whether a lead has reviewed it.")
    verdict = filters.ChoiceFilter(field_name="outcome", choices=Ranking.Outcome.choices)
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    mine = BooleanFilter(method="of_mine", label="One's own, or the others'.")
    search = filters.CharFilter(
        method="containing", label="In the prompt or the note of one's own."
    )
    task = IdFilter()
    prompt = IdFilter(field_name="task__prompt")
    kind = filters.ChoiceFilter(choices=Ranking.Kind.choices)
    purpose = filters.ChoiceFilter(field_name="task__purpose", choices=RankingTask.Purpose.choices)
    model_version = IdFilter(method="answered_by")
    use_case = filters.CharFilter(field_name="task__prompt__use_case")
    language = filters.CharFilter(field_name="task__prompt__language")
    split = filters.ChoiceFilter(field_name="task__prompt__split", choices=Prompt.Split.choices)

    ABOUT_TASKS = (
        "task",
        "prompt",
        "kind",
        "purpose",
        "model_version",
        "use_case",
        "language",
        "split",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        membership = getattr(self.request, "membership", None)  # none while the schema is made
        if membership and membership.role not in READERS:
            for name in self.ABOUT_TASKS:
                del self.filters[name]

    def of_mine(self, rankings: QuerySet, name: str, mine: bool) -> QuerySet:
        own = Q(labeler=self.request.user)
        return rankings.filter(own if mine else ~own)

    def with_reviews(self, rankings: QuerySet, name: str, reviewed: bool) -> QuerySet:
        reviews = Exists(Review.objects.filter(ranking=OuterRef("pk")))
        return rankings.filter(reviews if reviewed else ~reviews)

    def containing(self, rankings: QuerySet, name: str, words: str) -> QuerySet:
        in_prompt = Q(task__prompt__messages__icontains=as_stored(words))
        return rankings.filter(in_prompt | Q(note__icontains=words), labeler=self.request.user)

    def answered_by(self, rankings: QuerySet, name: str, version: int) -> QuerySet:
        answered = RankedCandidate.objects.filter(candidate__model_version=version)
        return rankings.filter(pk__in=answered.values("ranking"))


# The endpoints


class Rankings(ListEndpoint):
    """One's own rankings; for leads, researchers and admins all, under pseudonyms. Undone ones are
    left out.
    """

    serializer_class, filterset_class = RankingBody, RankingFilter

    def get_queryset(self) -> QuerySet:
        return visible(self.membership)

    def represent(self, rankings: list[Ranking]) -> Any:
        seen.note_rankings(self.actor, rankings)
        return [as_body(ranking, self.membership) for ranking in rankings]


class RankingView(DetailEndpoint):
    """One ranking, with its answers."""

    serializer_class = RankingDetail

    def get_queryset(self) -> QuerySet:
        return visible(self.membership)

    def represent(self, ranking: Ranking) -> Any:
        seen.note_rankings(self.actor, [ranking])
        return with_texts(ranking, self.membership)


class Submit(OwnAction):
    """Record the labeler's judgment, once. If it is refused, it is saved as a draft and the error
    says why.
    """

    input, output, status = judgments.JudgmentInput, RankingBody, 201
    typed = None

    def post(self, request: Request, *args, **kwargs) -> Response:
        try:
            return super().post(request, *args, **kwargs)
        except (serializers.ValidationError, claims.LeaseLost):
            if self.typed:
                leases.save_draft(self.own, self.typed)
            raise

    def act(self, data: dict[str, Any]) -> ActionResult:
        self.typed = judgments.typed(data, self.own)
        with judgments.error_at_answer():
            done = rankings.submit(self.own, form.judgment(self.typed), draft=self.typed)
        return made(self.membership, done)


class RevisionAction(Action):
    """An action on one's own current ranking."""

    roles, scopes, input = {"POST": RANKERS}, {"POST": "label"}, judgments.JudgmentInput

    @cached_property
    def own(self) -> Assignment:
        own_rankings = Ranking.objects.filter(
            labeler=self.actor, task__project=self.project, undone_at=None
        )
        ranking = get_object_or_404(own_rankings, pk=self.kwargs["pk"])
        if not ranking.current:
            raise rankings.NothingToRevise
        return own_or_404(self.membership, ranking.assignment_id)


class RevisionDraft(RevisionAction):
    """Save the draft of a revision."""

    output = AssignmentBody

    def act(self, data: dict[str, Any]) -> ActionResult:
        if not rankings.save_revision_draft(self.own, judgments.typed(data, self.own)):
            raise rankings.NothingToRevise
        self.own.refresh_from_db(fields=AssignmentBody.Meta.fields)
        return self.own


class Revise(RevisionAction):
    """Record a revision, which counts from now. The earlier ranking is kept."""

    output, status = RankingBody, 201

    def act(self, data: dict[str, Any]) -> ActionResult:
        typed = judgments.typed(data, self.own)
        rankings.save_revision_draft(self.own, typed)
        with judgments.error_at_answer():
            done = rankings.revise(self.own, form.judgment(typed))
        return made(self.membership, done)


class UndoInput(serializers.Serializer):
    """The ranking to undo, so that a repeated request does not undo an earlier one."""

    ranking = serializers.IntegerField(min_value=1, max_value=MOST_ID)


class Undone(serializers.Serializer):
    """The result of an undo: the reopened task, or the earlier ranking, which counts again."""

    assignment = Sheet(allow_null=True)
    ranking = RankingBody(allow_null=True)


class Undo(Action):
    """Undo the last submit, within ten minutes."""

    roles, scopes, input, output = {"POST": RANKERS}, {"POST": "label"}, UndoInput, Undone

    def act(self, data: dict[str, Any]) -> ActionResult:
        assignment = rankings.undo(rankings.named_last(self.project, self.actor, data["ranking"]))
        assignment.project = self.project  # read already, with its rules
        if assignment.state != Assignment.State.SUBMITTED:
            return {"assignment": sheet(assignment), "ranking": None}
        before = Ranking.objects.get(assignment=assignment, current=True)
        return {"assignment": None, "ranking": fresh(self.membership, before)}


def fresh(membership: Membership, ranking: Ranking) -> dict[str, Any]:
    return as_body(visible(membership).get(pk=ranking.pk), membership)


def made(membership: Membership, ranking: Ranking) -> Answer:
    return Answer(
        fresh(membership, ranking),
        location=f"/api/v1/projects/{membership.project.slug}/rankings/{ranking.pk}",
    )
