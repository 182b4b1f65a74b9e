"""What every endpoint is made of: who may ask, with which token; pages of a list; an ETag on what
can be changed; and requests that count once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from people import idempotency
from people.access import ADMINS, ANYONE, membership_or_404, refuse_archived
from people.api import problems, strict
from people.api.filters import MOST_ID
from people.models import Membership, Project, User

LONGEST_KEY = 200


@dataclass(frozen=True)
class Answer:
    """What a verb answers, where it is not plainly 201 with a body: a job that was started, 202
    with its Location.
    """

    body: Any = None
    status: int = 201
    location: str = ""
    secret: dict[str, Any] = field(default_factory=dict)  # of the body: told once, and kept nowhere


class SiteEndpoint(GenericAPIView):
    """An endpoint that belongs to no project. `scopes`: what a token must reach, by method; a
    browser's log-in reaches all.
    """

    scopes: dict[str, str] = {}
    staff = False  # only for administrators of the site

    def dispatch(self, request, *args, **kwargs):
        with timezone.override(UTC):  # a script wants one zone, whatever its owner's pages show
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args, **kwargs) -> None:
        super().initial(request, *args, **kwargs)
        self.admit(request, **kwargs)
        strict.refuse_parameters(request, self.parameters())
        if request.method == "DELETE":
            strict.read(strict.Nothing(data=request.data))

    def admit(self, request: Request, **kwargs) -> None:
        """Raises PermissionDenied or Http404 for whoever may not ask."""
        if any(isinstance(value, int) and value > MOST_ID for value in kwargs.values()):
            raise Http404
        scope = self.scopes.get(
            request.method, "read" if request.method in SAFE_METHODS else "admin"
        )
        if request.auth is not None and not request.auth.reaches(scope):
            raise PermissionDenied(f"This token does not reach “{scope}”: make one that does.")
        if self.staff and not request.user.is_staff:
            raise PermissionDenied("Only administrators of this site may do this.")

    def parameters(self) -> set[str]:
        """The names that may stand in the query; any other is refused."""
        return set()

    @property
    def actor(self) -> User:
        return self.request.user


class Endpoint(SiteEndpoint):
    """An endpoint of the project that `slug` names. `roles`: who may ask, by method."""

    roles: dict[str, tuple[str, ...]] = {}
    archived = False  # may change an archived project

    def admit(self, request: Request, **kwargs) -> None:
        super().admit(request, **kwargs)
        safe = request.method in SAFE_METHODS
        method = "GET" if request.method == "HEAD" else request.method
        roles = self.roles.get(method, ANYONE if safe else ADMINS)
        request.membership = membership_or_404(request.user, kwargs["slug"], roles)
        request.project = request.membership.project
        if not safe and not self.archived:
            refuse_archived(request.project)

    @property
    def membership(self) -> Membership:
        return self.request.membership

    @property
    def project(self) -> Project:
        return self.request.project


class Listing:
    """GET: a page of get_queryset(), filtered, newest first unless `ordering` says otherwise."""

    def represent(self, found: list) -> list[Any]:
        """The rows of a page as they are told."""
        return self.get_serializer(found, many=True).data

    def parameters(self) -> set[str]:
        if self.request.method not in SAFE_METHODS:
            return set()
        names = {self.paginator.cursor_query_param, self.paginator.page_size_query_param}
        for backend in self.filter_backends:
            chosen = backend().get_filterset(self.request, self.get_queryset(), self)
            names |= set(chosen.filters) if chosen else set()
        return names

    def get(self, request: Request, *args, **kwargs) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.represent(page))


class Detail:
    """GET: one of get_queryset(), with an ETag."""

    def represent(self, one: Any) -> Any:
        return self.get_serializer(one).data

    def get(self, request: Request, *args, **kwargs) -> Response:
        body = self.represent(self.get_object())
        tag = etag(body)
        if tag in tags(request, "If-None-Match"):
            return Response(status=304, headers={"ETag": tag})
        return Response(body, headers={"ETag": tag})


class Editing(Detail):
    """PATCH beside GET: `edit(one, changes)` calls the verb, for whoever has seen what they change."""

    def edit(self, one: Any, changes: dict[str, Any]) -> None:
        raise NotImplementedError

    def patch(self, request: Request, *args, **kwargs) -> Response:
        with transaction.atomic():
            one = self.locked()
            self.must_match(one)
            given = self.get_serializer(one, data=request.data, partial=True)
            changes = dict(strict.read(given))
        self.edit(one, changes)
        body = self.represent(self.get_object())
        return Response(body, headers={"ETag": etag(body)})

    def locked(self) -> Any:
        """What is changed; two changes at once take turns."""
        one = self.get_object()
        type(one)._default_manager.select_for_update(of=("self",)).filter(pk=one.pk).first()
        return self.get_object()

    def must_match(self, one: Any) -> None:
        wanted = tags(self.request, "If-Match")
        if not wanted:
            raise problems.MatchMissing
        if "*" not in wanted and etag(self.represent(one)) not in wanted:
            raise problems.MustMatch


class ListEndpoint(Listing, Endpoint):
    """A list of a project's things."""


class DetailEndpoint(Detail, Endpoint):
    """One of a project's things."""


class EditEndpoint(Editing, Endpoint):
    """One of a project's things, which can be changed."""


class Act:
    """POST: a verb. `input` is what it takes, `output` what it answers (instances are told by it);
    `act` calls it.
    """

    input: Any = None
    output: Any = None
    status = 200

    def get_serializer_class(self):
        return self.input or self.output

    def act(self, data: dict[str, Any]) -> Any:
        """An instance, a dict, an Answer, or None for 204."""
        raise NotImplementedError

    def post(self, request: Request, *args, **kwargs) -> Response:
        data = self.given(request)
        return once(request, lambda: self.answer(self.act(data)))

    def given(self, request: Request) -> dict[str, Any]:
        kind = self.input or strict.Nothing
        return strict.read(kind(data=request.data, context=self.get_serializer_context()))

    def answer(self, done: Any) -> Answer:
        if isinstance(done, Answer):
            return replace(done, body=self.told(done.body))
        return Answer(None, 204) if done is None else Answer(self.told(done), self.status)

    def told(self, body: Any) -> Any:
        if body is None or isinstance(body, dict | list) or self.output is None:
            return body
        return self.output(body, context=self.get_serializer_context()).data


class Verb(Act, Endpoint):
    """A verb of a project."""


class SiteVerb(Act, SiteEndpoint):
    """A verb that belongs to no project."""


# Requests that count once


def once(request: Request, verb: Callable[[], Answer]) -> Response:
    """Run the verb, or answer what it answered when this Idempotency-Key came with the same request
    before.

    Raises Unprocessable (422) when the key came with another one.
    """
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY:
        raise ValidationError({"Idempotency-Key": [f"At most {LONGEST_KEY} characters."]})
    asked, answers = fingerprint(request), []

    def run() -> dict[str, Any]:
        answers[:] = [verb()]
        return _kept(asked, answers[0])

    kept, new = idempotency.once(request.user, uuid5(NAMESPACE_URL, key) if key else uuid4(), run)
    if kept.get("asked") != asked:
        reused = "This key came with another request: use a new one."
        raise problems.Unprocessable({"Idempotency-Key": [reused]})
    headers = {"Location": kept["location"]} if kept["location"] else {}
    headers |= {} if new else {"Idempotent-Replayed": "true"}
    secret = answers[0].secret if new else {}
    return Response(
        {**kept["body"], **secret} if secret else kept["body"],
        status=kept["status"],
        headers=headers,
    )


def _kept(asked: str, answer: Answer) -> dict[str, Any]:
    return {
        "asked": asked,
        "status": answer.status,
        "location": answer.location,
        "body": plain(answer.body),
    }


def fingerprint(request: Request) -> str:
    """The same for two requests that ask for the same."""
    said = json.dumps(
        [request.method, request.path, request.data], sort_keys=True, default=_of_file
    )
    return hashlib.sha256(said.encode()).hexdigest()


def _of_file(value: Any) -> str:
    return f"{getattr(value, 'name', value)} {getattr(value, 'size', '')}"


# What is told


def plain(body: Any) -> Any:
    """A body as JSON knows it: what is kept and compared is what is sent."""
    return json.loads(JSONRenderer().render(body) or b"null")


def etag(body: Any) -> str:
    return f'"{hashlib.sha256(JSONRenderer().render(body)).hexdigest()[:32]}"'


def tags(request: Request, header: str) -> list[str]:
    return [
        tag.strip().removeprefix("W/")
        for tag in request.headers.get(header, "").split(",")
        if tag.strip()
    ]
