"""Base classes of all endpoints: permissions, token scopes, pagination, ETags and idempotency
keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import Http404, HttpResponseBase
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from people import idempotency
from people.access import ADMINS, ANYONE, membership_or_404, refuse_archived
from people.api import problems, strict
from people.api.filters import MOST_ID
from people.models import Membership, Project, User

LONGEST_KEY = 200


@dataclass(frozen=True)
class Answer:
    """The response of an action: status, body and headers.

    `secret` is merged into the body once, and not stored for repeated requests.
    """

    body: Any = None
    status: int = 201
    location: str = ""
    secret: dict[str, Any] = field(default_factory=dict)


# What an action returns: the body, or an instance that `output` serializes; None answers 204.
ActionResult = Answer | models.Model | dict[str, Any] | list[Any] | None


class SiteEndpoint(GenericAPIView):
    """An endpoint that belongs to no project.

    `scopes`: the scope that a token needs, by method (default: read or admin). A browser's session
    has all scopes.
    """

    scopes: dict[str, str] = {}
    staff = False  # True: only for administrators of the site

    def dispatch(self, request: Request, *args, **kwargs) -> HttpResponseBase:
        with timezone.override(UTC):  # the API always uses UTC, whatever the user's zone
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args, **kwargs) -> None:
        super().initial(request, *args, **kwargs)
        self.admit(request, **kwargs)
        strict.refuse_parameters(request, self.parameters())
        if request.method == "DELETE":
            strict.read(strict.Nothing(data=request.data))

    def admit(self, request: Request, **kwargs) -> None:
        """Check permissions. Raises PermissionDenied or Http404."""
        if any(isinstance(value, int) and value > MOST_ID for value in kwargs.values()):
            raise Http404
        default = "read" if request.method in SAFE_METHODS else "admin"
        scope = self.scopes.get(request.method, default)
        if request.auth is not None and not request.auth.reaches(scope):
            raise PermissionDenied(
                f"This token lacks the scope “{scope}”. Create a token that has it."
            )
        if self.staff and not request.user.is_staff:
            raise PermissionDenied("Only administrators of this site can do this.")

    def parameters(self) -> set[str]:
        """The allowed query parameters; any other is refused."""
        return set()

    @property
    def actor(self) -> User:
        return self.request.user


class Endpoint(SiteEndpoint):
    """An endpoint of the project `slug`. `roles`: the allowed roles, by method."""

    roles: dict[str, tuple[str, ...]] = {}
    archived = False  # True: it may change an archived project

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
    """GET: a page of get_queryset(), filtered; newest first, or by `ordering`."""

    def represent(self, rows: list) -> list[Any]:
        """The serialized rows of a page."""
        return self.get_serializer(rows, many=True).data

    def parameters(self) -> set[str]:
        if self.request.method not in SAFE_METHODS:
            return set()
        names = {self.paginator.cursor_query_param, self.paginator.page_size_query_param}
        for backend in self.filter_backends:
            filterset = backend().get_filterset(self.request, self.get_queryset(), self)
            if filterset:
                names |= set(filterset.filters)
        return names

    def get(self, request: Request, *args, **kwargs) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.represent(page))


class Detail:
    """GET: one row of get_queryset(), with an ETag."""

    def represent(self, row: Any) -> Any:
        """The serialized row."""
        return self.get_serializer(row).data

    def get(self, request: Request, *args, **kwargs) -> Response:
        body = self.represent(self.get_object())
        tag = etag(body)
        if tag in tags(request, "If-None-Match"):
            return Response(status=304, headers={"ETag": tag})
        return Response(body, headers={"ETag": tag})


class Editing(Detail):
    """GET and PATCH. `edit` makes the change; If-Match must hold the row's current ETag."""

    def edit(self, row: Any, changes: dict[str, Any]) -> None:
        """Apply the validated changes to the row."""
        raise NotImplementedError

    def patch(self, request: Request, *args, **kwargs) -> Response:
        with transaction.atomic():
            row = self.locked()
            self.must_match(row)
            serializer = self.get_serializer(row, data=request.data, partial=True)
            changes = dict(strict.read(serializer))
        self.edit(row, changes)
        body = self.represent(self.get_object())
        return Response(body, headers={"ETag": etag(body)})

    def locked(self) -> Any:
        """What is changed; two changes at once take turns."""
        instance = self.get_object()
        type(instance)._default_manager.select_for_update(of=("self",)).filter(
            pk=instance.pk
        ).first()
        return self.get_object()

    def must_match(self, row: Any) -> None:
        """Raises MatchMissing (428) or MustMatch (412) unless If-Match holds the row's ETag."""
        expected = tags(self.request, "If-Match")
        if not expected:
            raise problems.MatchMissing
        if "*" not in expected and etag(self.represent(row)) not in expected:
            raise problems.MustMatch


class ListEndpoint(Listing, Endpoint):
    """A list of objects of a project."""


class DetailEndpoint(Detail, Endpoint):
    """An object of a project."""


class EditEndpoint(Editing, Endpoint):
    """An object of a project that can be changed."""


class ActionMixin:
    """POST: an action. `act` runs it.

    `input` is the serializer of the request, `output` that of the response.
    """

    input: Any = None
    output: Any = None
    status = 200

    def get_serializer_class(self) -> type[BaseSerializer]:
        return self.input or self.output

    def act(self, data: dict[str, Any]) -> ActionResult:
        """Run the action."""
        raise NotImplementedError

    def post(self, request: Request, *args, **kwargs) -> Response:
        data = self.given(request)
        return once(request, lambda: self.answer(self.act(data)))

    def given(self, request: Request) -> dict[str, Any]:
        """The validated data of the request."""
        serializer = self.input or strict.Nothing
        return strict.read(serializer(data=request.data, context=self.get_serializer_context()))

    def answer(self, result: Any) -> Answer:
        """The result of `act` as an Answer."""
        if isinstance(result, Answer):
            return replace(result, body=self.serialized(result.body))
        if result is None:
            return Answer(None, 204)
        return Answer(self.serialized(result), self.status)

    def serialized(self, body: Any) -> Any:
        """The body for JSON; an instance goes through `output`."""
        if body is None or isinstance(body, dict | list) or self.output is None:
            return body
        return self.output(body, context=self.get_serializer_context()).data


class Action(ActionMixin, Endpoint):
    """An action in a project."""


class SiteAction(ActionMixin, SiteEndpoint):
    """An action that belongs to no project."""


# Idempotency keys


def once(request: Request, action: Callable[[], Answer]) -> Response:
    """Run the action once per Idempotency-Key. A repeated request gets the first response.

    Raises Unprocessable (422) where the key was used for a different request.
    """
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY:
        raise ValidationError(
            {"Idempotency-Key": [f"The key is longer than {LONGEST_KEY} characters."]}
        )
    request_hash = fingerprint(request)
    secret: dict[str, Any] = {}  # stays empty for a repeated request

    def run() -> dict[str, Any]:
        nonlocal secret
        answer = action()
        secret = answer.secret
        return _as_receipt(request_hash, answer)

    uuid = uuid5(NAMESPACE_URL, key) if key else uuid4()
    receipt, is_new = idempotency.once(request.user, uuid, run)
    if receipt.get("asked") != request_hash:
        reused = "This key was used for a different request. Use a new key."
        raise problems.Unprocessable({"Idempotency-Key": [reused]})
    headers = {}
    if receipt["location"]:
        headers["Location"] = settings.PATH + receipt["location"]
    if not is_new:
        headers["Idempotent-Replayed"] = "true"
    body = {**receipt["body"], **secret} if secret else receipt["body"]
    return Response(body, status=receipt["status"], headers=headers)


def _as_receipt(request_hash: str, answer: Answer) -> dict[str, Any]:
    return {
        "asked": request_hash,
        "status": answer.status,
        "location": answer.location,
        "body": plain(answer.body),
    }


def fingerprint(request: Request) -> str:
    """A hash of method, path and data: equal for two requests with the same content."""
    content = json.dumps(
        [request.method, request.path, request.data], sort_keys=True, default=_of_file
    )
    return hashlib.sha256(content.encode()).hexdigest()


def _of_file(value: Any) -> str:
    return f"{getattr(value, 'name', value)} {getattr(value, 'size', '')}"


# Response bodies


def plain(body: Any) -> Any:
    """The body as plain JSON types, so that what is stored and hashed equals what is sent."""
    return json.loads(JSONRenderer().render(body) or b"null")


def etag(body: Any) -> str:
    """The ETag of a response body."""
    return f'"{hashlib.sha256(JSONRenderer().render(body)).hexdigest()[:32]}"'


def tags(request: Request, header: str) -> list[str]:
    """The ETags in a header of the request."""
    return [
        tag.strip().removeprefix("W/")
        for tag in request.headers.get(header, "").split(",")
        if tag.strip()
    ]
