"""What was decided: one's own history, blind; and everybody's, for who reads a project's judgments."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import Prefetch, Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import serializers

from labeling.api import judgments
from labeling.api.assignments import AssignmentBody, OwnVerb, Sheet, own_or_404, sheet
from labeling.api.shared import ShownAnswer, Turn
from labeling.judging import form, judgment, rankings
from labeling.models import Assignment, Prompt, RankedCandidate, Ranking, RankingTask
from labeling.queue import claims, leases
from labeling.text.conversations import as_stored
from people import pseudonyms
from people.access import RANKERS, READERS, Role
from people.api.base import Answer, DetailEndpoint, ListEndpoint, Verb
from people.api.filters import MOST_ID, BooleanFilter, IdFilter
from people.models import Membership

LETTERS = judgment.LETTERS.upper()


class RankingBody(serializers.Serializer):
    """One judge's decision on one task. A labeler sees their own, without a word of who wrote the
    answers.
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
    labels = serializers.ListField(child=serializers.CharField())
    note = serializers.CharField(allow_blank=True)
    strength = serializers.IntegerField(allow_null=True)
    seconds = serializers.FloatField()
    revision = serializers.IntegerField()
    current = serializers.BooleanField(
        help_text="Whether it counts: a revision takes the place of the one before."
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
    """A decision with all that its labeler saw."""

    answers = ShownAnswer(
        many=True, required=False, help_text="Of one's own; to researchers and admins, of all."
    )


def told(one: Ranking, eyes: Membership) -> dict[str, Any]:
    """The ranking as this person may see it."""
    said = {LETTERS[answer.shown]: answer for answer in one.ranked.all()}
    told = {name: getattr(one, name) for name in PLAIN} | {
        "assignment": one.assignment_id,
        "verdict": one.outcome,
        "ranks": {letter: answer.rank for letter, answer in said.items() if answer.rank},
        "ratings": {letter: answer.rating for letter, answer in said.items() if answer.rating},
        "flags": {letter: answer.flags for letter, answer in said.items() if answer.flags},
        "undo_until": one.created_at + rankings.UNDO,
    }
    told["order"] = judgments.order_of(told["ranks"])
    if one.labeler_id == eyes.user_id:
        told["messages"] = one.task.prompt.messages
    if eyes.role != Role.LABELER:
        told |= {
            "task": one.task_id,
            "judge": pseudonyms.of(eyes.project, one.judge),
            "kind": one.kind,
        }
    if eyes.role in READERS:
        candidates = {letter: answer.candidate_id for letter, answer in said.items()}
        told |= {"prompt": one.task.prompt_id, "candidates": candidates}
    return told


PLAIN = ("id", "labels", "note", "strength", "seconds", "revision", "current", "created_at")


def visible(eyes: Membership) -> QuerySet[Ranking]:
    """What this person may see of the project's rankings: a labeler their own, a lead no answer
    keys.
    """
    found = Ranking.objects.filter(task__project=eyes.project, undone_at=None).select_related(
        "task__prompt"
    )
    if eyes.role == Role.LABELER:
        found = found.filter(labeler=eyes.user)
    if eyes.role == Role.LEAD:
        found = found.exclude(kind=Ranking.Kind.GOLD)
    ranked = RankedCandidate.objects.order_by("shown")
    return found.prefetch_related(Prefetch("ranked", ranked))


def with_texts(one: Ranking, eyes: Membership) -> dict[str, Any]:
    """The ranking with its answers, where this person may read them. A lead ranks too: others' stay
    unread.
    """
    said = told(one, eyes)
    if one.labeler_id == eyes.user_id or eyes.role in READERS:
        texts = one.ranked.order_by("shown").values_list("shown", "candidate__text")
        said["answers"] = [{"letter": LETTERS[shown], "text": text} for shown, text in texts]
    return said


class RankingFilter(filters.FilterSet):
    """What rankings may be chosen by; for who must not know what a task or an answer is, by nothing
    that tells it.
    """

    current = BooleanFilter()
    verdict = filters.ChoiceFilter(field_name="outcome", choices=Ranking.Outcome.choices)
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    mine = BooleanFilter(method="of_mine", label="One's own, or the others'.")
    search = filters.CharFilter(method="said", label="In the prompt or the note of one's own.")
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

    def of_mine(self, found: QuerySet, name: str, mine: bool) -> QuerySet:
        own = Q(labeler=self.request.user)
        return found.filter(own if mine else ~own)

    def said(self, found: QuerySet, name: str, words: str) -> QuerySet:
        in_prompt = Q(task__prompt__messages__icontains=as_stored(words))
        return found.filter(in_prompt | Q(note__icontains=words), labeler=self.request.user)

    def answered_by(self, found: QuerySet, name: str, version: int) -> QuerySet:
        answered = RankedCandidate.objects.filter(candidate__model_version=version)
        return found.filter(pk__in=answered.values("ranking"))


# The endpoints


class Rankings(ListEndpoint):
    """One's own rankings; to leads, researchers and admins everybody's, under pseudonyms. Undone
    ones are left out.
    """

    serializer_class, filterset_class = RankingBody, RankingFilter

    def get_queryset(self):
        return visible(self.membership)

    def represent(self, found):
        return [told(one, self.membership) for one in found]


class RankingView(DetailEndpoint):
    """One ranking, with the answers that it is about."""

    serializer_class = RankingDetail

    def get_queryset(self):
        return visible(self.membership)

    def represent(self, one):
        return with_texts(one, self.membership)


class Submit(OwnVerb):
    """Record what the labeler decided, once. What can't be recorded is kept as a draft, and the
    refusal says why.
    """

    input, output, status = judgments.JudgmentInput, RankingBody, 201
    typed = None

    def post(self, request, *args, **kwargs):
        try:
            return super().post(request, *args, **kwargs)
        except (serializers.ValidationError, claims.LeaseLost):
            if self.typed:
                leases.save_draft(self.own, self.typed)
            raise

    def act(self, data):
        self.typed = judgments.typed(data, self.own)
        with judgments.at_its_answer():
            done = rankings.submit(self.own, form.judgment(self.typed), draft=self.typed)
        return made(self.membership, done)


class RevisionVerb(Verb):
    """Something done with a ranking of one's own, while it counts."""

    roles, scopes, input = {"POST": RANKERS}, {"POST": "label"}, judgments.JudgmentInput

    @cached_property
    def own(self) -> Assignment:
        mine = Ranking.objects.filter(
            labeler=self.actor, task__project=self.project, undone_at=None
        )
        one = get_object_or_404(mine, pk=self.kwargs["pk"])
        if not one.current:
            raise rankings.NothingToRevise
        return own_or_404(self.membership, one.assignment_id)


class RevisionDraft(RevisionVerb):
    """Keep what is said so far of a second thought."""

    output = AssignmentBody

    def act(self, data):
        if not rankings.save_revision_draft(self.own, judgments.typed(data, self.own)):
            raise rankings.NothingToRevise
        self.own.refresh_from_db(fields=AssignmentBody.Meta.fields)
        return self.own


class Revise(RevisionVerb):
    """Record a second thought: a revision that counts from now. The ranking before it is kept."""

    output, status = RankingBody, 201

    def act(self, data):
        typed = judgments.typed(data, self.own)
        rankings.save_revision_draft(self.own, typed)
        with judgments.at_its_answer():
            done = rankings.revise(self.own, form.judgment(typed))
        return made(self.membership, done)


class UndoInput(serializers.Serializer):
    """Which one to undo: a second request doesn't undo the one before."""

    ranking = serializers.IntegerField(min_value=1, max_value=MOST_ID)


class Undone(serializers.Serializer):
    """What stands after an undo: the task, at hand again; or the ranking before, which counts
    again.
    """

    assignment = Sheet(allow_null=True)
    ranking = RankingBody(allow_null=True)


class Undo(Verb):
    """Take the last submit back, within ten minutes."""

    roles, scopes, input, output = {"POST": RANKERS}, {"POST": "label"}, UndoInput, Undone

    def act(self, data):
        one = rankings.undo(rankings.named_last(self.project, self.actor, data["ranking"]))
        if one.state != Assignment.State.SUBMITTED:
            return {"assignment": sheet(one), "ranking": None}
        before = Ranking.objects.get(assignment=one, current=True)
        return {"assignment": None, "ranking": fresh(self.membership, before)}


def fresh(eyes: Membership, one: Ranking) -> dict[str, Any]:
    return told(visible(eyes).get(pk=one.pk), eyes)


def made(eyes: Membership, one: Ranking) -> Answer:
    return Answer(
        fresh(eyes, one), location=f"/api/v1/projects/{eyes.project.slug}/rankings/{one.pk}"
    )
