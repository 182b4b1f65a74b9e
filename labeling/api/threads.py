"""Threads of labelers and leads about tasks, and reviews of rankings: blind, as on the page.

Whoever reads what others say of a task gets no place on it any more.
"""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from labeling.api import assignments, rankings
from labeling.api.shared import ShownAnswer, Turn
from labeling.judging import reviews, threads
from labeling.models import Assignment, Message, Ranking, Review, Thread
from labeling.queue import seen
from people import pseudonyms
from people.access import LEADS, RANKERS, Role
from people.api.base import Action, ActionResult, Answer, DetailEndpoint, ListEndpoint
from people.api.filters import BooleanFilter
from people.models import Membership


class MessageInput(serializers.Serializer):
    """A message."""

    text = serializers.CharField(max_length=Message.LONGEST)


class MessageBody(serializers.Serializer):
    """A message of a thread, without a name."""

    id = serializers.IntegerField()
    by = serializers.ChoiceField(["labeler", "lead"])
    mine = serializers.BooleanField()
    text = serializers.CharField()
    at = serializers.DateTimeField()


class Shown(serializers.Serializer):
    """What is talked about: the prompt, and the answers under its labeler's letters."""

    messages = Turn(many=True)
    answers = ShownAnswer(many=True)


class ThreadBody(serializers.Serializer):
    """A labeler's thread about one task."""

    id = serializers.IntegerField()
    assignment = serializers.IntegerField(
        required=False, help_text="The labeler's place on the task; to the labeler."
    )
    task = serializers.IntegerField(required=False, help_text="To leads and admins.")
    judge = serializers.CharField(
        required=False, help_text="The labeler's pseudonym, as in rankings; to leads and admins."
    )
    count = serializers.IntegerField(help_text="How many messages it holds.")
    last_at = serializers.DateTimeField(help_text="When the last of them was written.")
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(
        allow_null=True, help_text="Null while it is open; a message opens it again."
    )


class ThreadDetail(ThreadBody):
    """A thread with its messages, and with the answers that they are about."""

    messages = MessageBody(many=True)
    about = Shown()
    ranking = serializers.IntegerField(
        allow_null=True, help_text="The labeler's current ranking of the task."
    )


class RankingReviewInput(serializers.Serializer):
    """What a lead thinks of a ranking."""

    verdict = serializers.ChoiceField(Review.Verdict.choices)
    comment = serializers.CharField(required=False, allow_blank=True, max_length=Review.LONGEST)


class RankingReview(serializers.Serializer):
    """A lead's review of a ranking, without a name."""

    id = serializers.IntegerField()
    verdict = serializers.ChoiceField(Review.Verdict.choices)
    comment = serializers.CharField(allow_blank=True)
    mine = serializers.BooleanField()
    at = serializers.DateTimeField()


class ReviewsBody(serializers.Serializer):
    """A ranking, the answers that it is about, and what leads think of it."""

    ranking = rankings.RankingBody()
    about = Shown()
    reviews = RankingReview(many=True)


# What a member may see


def is_own(thread: Thread, membership: Membership) -> bool:
    return thread.labeler_id == membership.user_id


def as_body(thread: Thread, membership: Membership, places: dict[int, int]) -> dict[str, Any]:
    """The thread as this member may see it; `places` are their assignments by task."""
    body = {
        name: getattr(thread, name) for name in ("id", "count", "last_at", "opened_at", "closed_at")
    }
    if is_own(thread, membership):
        body["assignment"] = places[thread.task_id]
    if membership.role != Role.LABELER:
        body["task"] = thread.task_id
        body["judge"] = pseudonyms.of(membership.project, thread.labeler.uuid)
    return body


def places_of(membership: Membership, shown: list[Thread]) -> dict[int, int]:
    """The member's assignments by task, for their own threads of these."""
    tasks = [thread.task_id for thread in shown if is_own(thread, membership)]
    own = Assignment.objects.filter(labeler=membership.user, task__in=tasks) if tasks else ()
    return {assignment.task_id: assignment.pk for assignment in own}


def in_full(thread: Thread, membership: Membership) -> dict[str, Any]:
    """The thread with its messages; whoever reads another person's has seen the task."""
    if not is_own(thread, membership):
        seen.note(membership.user, [thread.task_id])
    place = Assignment.objects.get(task=thread.task_id, labeler=thread.labeler_id)
    current = Ranking.objects.filter(assignment=place, current=True)
    messages = [
        {
            "id": message.pk,
            "by": "labeler" if message.author_id == thread.labeler_id else "lead",
            "mine": message.author_id == membership.user_id,
            "text": message.text,
            "at": message.at,
        }
        for message in thread.messages.order_by("pk")
    ]
    return as_body(thread, membership, places_of(membership, [thread])) | {
        "messages": messages,
        "about": {"messages": thread.task.prompt.messages, "answers": assignments.shown(place)},
        "ranking": current.values_list("pk", flat=True).first(),
    }


def fresh(membership: Membership, pk: int) -> dict[str, Any]:
    return in_full(threads.visible(membership).get(pk=pk), membership)


def reviewable(membership: Membership) -> QuerySet[Ranking]:
    """What people ranked, as far as this member may see it with its answers."""
    people = rankings.visible(membership).exclude(kind__in=Ranking.FOR_ALL)
    if membership.user.sensitive:
        return people
    return people.filter(Q(labeler=membership.user) | Q(task__prompt__sensitive=False))


def review_body(review: Review, membership: Membership) -> dict[str, Any]:
    body = {name: getattr(review, name) for name in ("id", "verdict", "comment", "at")}
    return body | {"mine": review.reviewer_id == membership.user_id}


# The endpoints


class ThreadFilter(filters.FilterSet):
    """Filters of threads."""

    open = BooleanFilter(field_name="closed_at", lookup_expr="isnull")
    mine = BooleanFilter(method="of_mine", label="One's own, or the others'.")

    def of_mine(self, queryset: QuerySet, name: str, mine: bool) -> QuerySet:
        own = Q(labeler=self.request.user)
        return queryset.filter(own if mine else ~own)


class Threads(ListEndpoint):
    """One's own threads; for leads and admins all of the project. The list holds no message."""

    roles, serializer_class, filterset_class = {"GET": RANKERS}, ThreadBody, ThreadFilter

    def get_queryset(self) -> QuerySet:
        return threads.visible(self.membership)

    def represent(self, rows: list[Thread]) -> Any:
        places = places_of(self.membership, rows)
        return [as_body(thread, self.membership, places) for thread in rows]


class ThreadView(DetailEndpoint):
    """One thread. Whoever reads another person's gets no place on its task any more."""

    roles, serializer_class = {"GET": RANKERS}, ThreadDetail

    def get_queryset(self) -> QuerySet:
        return threads.visible(self.membership)

    def represent(self, thread: Thread) -> Any:
        return in_full(thread, self.membership)


class OpenThread(assignments.OwnAction):
    """Ask about the task at hand, or about one ranked before. A task has one thread of each
    labeler: asking again adds a message.
    """

    input, output, status = MessageInput, ThreadDetail, 201
    group = "threads"

    def act(self, data: dict[str, Any]) -> ActionResult:
        thread = threads.open_on(self.own, data["text"])
        address = f"/api/v1/projects/{self.project.slug}/threads/{thread.pk}"
        return Answer(fresh(self.membership, thread.pk), location=address)


class ThreadAction(Action):
    """An action on a thread; the answer is the thread afterwards."""

    roles, scopes, output = {"POST": RANKERS}, {"POST": "label"}, ThreadDetail

    @cached_property
    def thread(self) -> Thread:
        return get_object_or_404(threads.visible(self.membership), pk=self.kwargs["pk"])


class Say(ThreadAction):
    """Write a message. What the labeler ranks there after a lead's message is marked prompted."""

    input, status = MessageInput, 201

    def act(self, data: dict[str, Any]) -> ActionResult:
        threads.say(self.actor, self.thread, data["text"])
        return fresh(self.membership, self.thread.pk)


class Close(ThreadAction):
    """Close the thread: nothing is left to answer."""

    def act(self, data: dict[str, Any]) -> ActionResult:
        threads.close(self.actor, self.thread)
        return fresh(self.membership, self.thread.pk)


class Reviews(Action):
    """A ranking with its reviews: for its labeler, and for leads and admins, who get no place on
    its task after they have read it. POST reviews it, or replaces one's own review. What its
    labeler ranks there afterwards is marked prompted.
    """

    roles, scopes = {"GET": RANKERS, "POST": LEADS}, {"POST": "label"}
    input, output, status = RankingReviewInput, RankingReview, 201

    def get_serializer_class(self) -> type[BaseSerializer]:
        return ReviewsBody

    @cached_property
    def ranking(self) -> Ranking:
        return get_object_or_404(reviewable(self.membership), pk=self.kwargs["pk"])

    def get(self, request: Request, *args, **kwargs) -> Response:
        seen.note_rankings(self.actor, [self.ranking])
        body = {
            "ranking": rankings.as_body(self.ranking, self.membership),
            "about": {
                "messages": self.ranking.task.prompt.messages,
                "answers": rankings.texts_of(self.ranking),
            },
            "reviews": [
                review_body(review, self.membership)
                for review in self.ranking.reviews.order_by("pk")
            ],
        }
        return Response(body)

    def act(self, data: dict[str, Any]) -> ActionResult:
        review = reviews.review(self.actor, self.ranking, **data)
        return review_body(review, self.membership)
