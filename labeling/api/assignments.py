"""A labeler's work, task by task, blind as on the page: answers have letters, and nothing says
which model wrote them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.judgments import JudgmentInput, as_body, typed
from labeling.api.shared import Apart, ShownAnswer, Turn
from labeling.judging import criteria, form, judgment, progress, rankings, skips
from labeling.models import Assignment, Criterion, Ranking
from labeling.models.rules import FLAGS
from labeling.queue import claims, leases
from people.access import RANKERS
from people.api.base import Action, ActionResult, Detail, Endpoint
from people.models import Membership, Project

State = Assignment.State


class AskedWord(serializers.Serializer):
    """A choice that the form offers, and its label."""

    name = serializers.CharField()
    label = serializers.CharField(help_text="In the language of the account.")


class AskedCriterion(serializers.Serializer):
    """A criterion that the form asks."""

    key = serializers.CharField()
    name = serializers.CharField(help_text="With its revision, as judgments name it.")
    scope = serializers.ChoiceField(Criterion.Scope.choices)
    kind = serializers.ChoiceField(Criterion.Kind.choices)
    question = serializers.CharField()
    required = serializers.BooleanField()
    options = AskedWord(
        many=True, help_text="Of a scale or a choice: its values as texts, and what they mean."
    )


class Asks(serializers.Serializer):
    """What the form asks, by the project's rules."""

    ties = serializers.BooleanField(help_text="Whether two answers may have one rank.")
    ratings = serializers.BooleanField(help_text="Whether each answer is rated, 1 to 7.")
    strength = serializers.BooleanField(
        help_text="Whether `strength` is asked in place of an order."
    )
    notes = serializers.BooleanField(help_text="Whether a note may be written.")
    flags = AskedWord(many=True, help_text="What may be said of an answer.")
    criteria = AskedCriterion(many=True, help_text="What else is asked; see `scores`.")
    span_labels = serializers.ListField(
        child=serializers.CharField(),
        help_text="What a marked passage of an answer may be; see `spans`. None: none is asked.",
    )
    labels = AskedWord(many=True, help_text="What may be said of the prompt.")
    verdicts = AskedWord(many=True)
    skip_reasons = AskedWord(many=True)


class AssignmentBody(serializers.ModelSerializer):
    """The state of an assignment."""

    class Meta:
        model = Assignment
        fields = ["id", "state", "leased_until", "draft_at", "ended_at"]
        read_only_fields = fields


class Sheet(AssignmentBody):
    """A task as its labeler sees it, with the draft of the judgment."""

    messages = Turn(
        many=True, help_text="The prompt: a conversation whose last turn is the user's."
    )
    answers = ShownAnswer(many=True)
    asks = Asks()
    guidelines = serializers.CharField(
        help_text="Version of the project's guidelines: read them again when it changes."
    )
    draft = JudgmentInput(allow_null=True)

    class Meta(AssignmentBody.Meta):
        fields = [*AssignmentBody.Meta.fields, "messages", "answers", "asks", "guidelines", "draft"]
        read_only_fields = fields


class SkipInput(serializers.Serializer):
    """Why a labeler skips a task."""

    reason = serializers.ChoiceField(list(form.SKIP_REASONS.items()))
    detail = serializers.CharField(
        required=False, allow_blank=True, max_length=200, help_text="In one's own words."
    )


class Pace(serializers.Serializer):
    """The labeler's and the project's progress."""

    today = serializers.IntegerField(
        help_text="Tasks submitted since midnight, in the labeler's zone."
    )
    pace = serializers.FloatField(
        allow_null=True, help_text="Seconds that one of them took on average."
    )
    progress = serializers.IntegerField(
        allow_null=True, help_text="Percent of the project's places that are ranked."
    )
    undo = serializers.IntegerField(
        allow_null=True, help_text="The ranking that can be undone now."
    )


class Guidelines(serializers.Serializer):
    """The project's guidelines for labelers."""

    version = serializers.CharField(help_text="Another one whenever the text is another.")
    text = serializers.CharField(allow_blank=True, help_text="Markdown.")


# What a labeler may see


def version(project: Project) -> str:
    return hashlib.sha256(project.guidelines.encode()).hexdigest()[:12]


def sheet(assignment: Assignment) -> dict[str, Any]:
    """What the labeler may see of an assignment, as `Sheet` shows it."""
    return {name: getattr(assignment, name) for name in AssignmentBody.Meta.fields} | {
        "messages": assignment.messages,
        "answers": shown(assignment),
        "asks": asks(assignment.project, len(assignment.order)),
        "guidelines": version(assignment.project),
        "draft": as_body(assignment.draft),
    }


def shown(assignment: Assignment) -> list[dict[str, str]]:
    texts = [assignment.texts[candidate] for candidate in assignment.order]
    return [
        {"letter": letter, "text": text} for letter, text in zip(judgment.LETTERS.upper(), texts)
    ]


def asks(project: Project, k: int) -> dict[str, Any]:
    rules = project.rules
    return {
        "ties": rules.ties,
        "ratings": rules.rating,
        "strength": judgment.by_strength(project, k),
        "notes": rules.notes,
        "flags": words((flag, FLAGS.get(flag, flag)) for flag in rules.flags),
        "criteria": [_as_asked(criterion) for criterion in criteria.asked(project)],
        "span_labels": rules.span_labels,
        "labels": words(judgment.LABELS.items()),
        "verdicts": words(Ranking.Outcome.choices),
        "skip_reasons": words(form.SKIP_REASONS.items()),
    }


def _as_asked(criterion: criteria.Asked) -> dict[str, Any]:
    names = ("key", "name", "scope", "kind", "question", "required")
    options = [(str(value), label) for value, label in criterion.labels]
    return {name: getattr(criterion, name) for name in names} | {"options": words(options)}


def words(choices: Iterable[tuple[str, Any]]) -> list[dict[str, str]]:
    return [{"name": name, "label": str(label)} for name, label in choices]


def own_or_404(membership: Membership, pk: int) -> Assignment:
    assignment = get_object_or_404(
        Assignment, labeler=membership.user, project=membership.project, pk=pk
    )
    assignment.labeler, assignment.project = membership.user, membership.project  # read already
    return assignment


def nothing(membership: Membership) -> Response:
    """The answer when no task is open to this person: how many tasks others hold, and when the
    first of their leases ends.
    """
    held = claims.held_by_others(membership)
    headers = {
        "Podium-Others": held["others"],
        "Podium-Next-At": held["free_at"] and held["free_at"].isoformat(),
    }
    return Response(
        status=204,
        headers={name: str(value) for name, value in headers.items() if value is not None},
    )


# The endpoints


class Assignments(Apart, Endpoint):
    """The task at hand, or the next one, leased now; a second request returns the same one.

    If no task is open to you, the answer is 204: `Podium-Others` says how many tasks others hold,
    `Podium-Next-At` when the first of their leases ends. If you may not be given tasks for now, 409
    says why and until when.
    """

    roles, scopes, output, may_be_empty = {"POST": RANKERS}, {"POST": "label"}, Sheet, ("POST",)

    def post(self, request: Request, *args, **kwargs) -> Response:
        response = super().post(request, *args, **kwargs)
        return response if response.data else nothing(self.membership)

    def act(self, data: dict[str, Any]) -> ActionResult:
        assignment = claims.next_for(self.membership)
        return assignment and sheet(assignment)


class Current(Endpoint):
    """The task at hand, if there is one. It leases nothing; 204 has the headers of a claim."""

    roles, serializer_class, may_be_empty = {"GET": RANKERS}, Sheet, ("GET",)

    def get(self, request: Request, *args, **kwargs) -> Response:
        assignment = claims.current(self.project, self.actor)
        return Response(sheet(assignment)) if assignment else nothing(self.membership)


class OwnAction(Action):
    """An action on one's own assignment; the answer is its state afterwards."""

    roles, scopes, output = {"POST": RANKERS}, {"POST": "label"}, AssignmentBody

    @cached_property
    def own(self) -> Assignment:
        return own_or_404(self.membership, self.kwargs["pk"])

    def as_it_stands(self, wanted: str = "") -> Assignment:
        """The assignment, read again. Raises AlreadySubmitted or LeaseLost if it is not in the
        wanted state.
        """
        self.own.refresh_from_db(fields=AssignmentBody.Meta.fields)
        if wanted and self.own.state != wanted:
            raise (
                rankings.AlreadySubmitted if self.own.state == State.SUBMITTED else claims.LeaseLost
            )
        return self.own


class Ahead(OwnAction):
    """Lease the task after this one in advance; 204 if there is none."""

    output, may_be_empty = Sheet, ("POST",)

    def act(self, data: dict[str, Any]) -> ActionResult:
        assignment = claims.lease_ahead(self.membership, self.own.pk)
        return assignment and sheet(assignment)


class Draft(OwnAction):
    """Save the judgment so far, complete or not, and renew the lease."""

    input = JudgmentInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        if not leases.save_draft(self.own, typed(data, self.own)):
            raise rankings.AlreadySubmitted
        return self.as_it_stands()


class Heartbeat(OwnAction):
    """Renew the lease, and that of the task after this one."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        leases.renew(self.own)
        return self.as_it_stands(State.LEASED)


class Skip(OwnAction):
    """Give up the task for good, with a reason; somebody else gets it."""

    input = SkipInput

    def act(self, data: dict[str, Any]) -> ActionResult:
        leases.skip(self.own, form.skip_reason(data))
        return self.as_it_stands(State.SKIPPED)


class UndoSkip(OwnAction):
    """Take a skip back within ten minutes, unless somebody else has the task by then."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        skips.undo(self.own)
        return self.as_it_stands(State.LEASED)


class Return(OwnAction):
    """Give the task back without a judgment. The draft is kept, and the task may be offered
    again.
    """

    def act(self, data: dict[str, Any]) -> ActionResult:
        leases.give_back(self.own, self.actor)
        return self.as_it_stands(State.RETURNED)


class PaceView(Endpoint):
    """The labeler's and the project's progress, and the ranking that can be undone."""

    roles, serializer_class = {"GET": RANKERS}, Pace

    def get(self, request: Request, *args, **kwargs) -> Response:
        last = rankings.last_of(self.project, self.actor)
        done = progress.today(self.actor, self.project) | {
            "progress": progress.progress(self.project)
        }
        return Response(done | {"undo": last and last.pk})


class GuidelinesView(Detail, Endpoint):
    """The project's guidelines for labelers."""

    roles, serializer_class = {"GET": RANKERS}, Guidelines

    def get_object(self) -> dict[str, Any]:
        return {"version": version(self.project), "text": self.project.guidelines}
