"""The OpenAPI schema of endpoints: inputs and outputs of actions, and all error responses."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_mock_request
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.views import APIView

from people.api.base import ActionMixin, Detail, Editing, Listing
from people.api.problems import MEDIA_TYPE, Problem
from people.models import Membership, Project, User

ALWAYS = (400, 401, 403, 404, 406, 429)
ON_INPUT = (409, 413, 415, 422)


def mock_request(method: str, path: str, view: APIView, original: Any) -> Request:
    """A request with a user and a project, which endpoints need to describe themselves."""
    request = build_mock_request(method, path, view, original)
    request.user = User(pk=0)
    request.membership = Membership(
        user=request.user, project=Project(pk=0), role=Membership.Role.ADMIN
    )
    request.project = request.membership.project
    return request


class Schema(AutoSchema):
    """The schema of one endpoint. It reads these attributes of the view.

    `may_be_empty`: methods that can also answer 204.
    `also`: further response bodies by status, by method.
    `refuses`: further statuses with problem details, by method.
    `sends`: the media type of a file that GET returns, whole or as a range.
    `group`: the group on Swagger's page (default: from the path).
    """

    def get_tags(self) -> list[str]:
        """The group on Swagger's page. That page has few groups: reuse an existing one."""
        if group := getattr(self.view, "group", ""):
            return [group]
        parts = [part for part in self.path.split("/") if part and not part.startswith("{")]
        below = [part for part in parts if part not in ("api", "v1", "projects")]
        return [(below or ["projects"])[0]]

    def _is_list_view(self, serializer: Any = None) -> bool:
        return isinstance(self.view, Listing) and self.method == "GET"

    def get_request_serializer(self) -> Any:
        if self._acts():
            return self.view.input
        return super().get_request_serializer()

    def get_response_serializers(self) -> dict[Any, Any]:
        if self._acts():
            responses = {self.view.status if self.view.output else 204: self.view.output}
        elif self.method == "DELETE":
            responses = {204: None}
        elif media_type := getattr(self.view, "sends", ""):
            responses = {(status, media_type): OpenApiTypes.BINARY for status in (200, 206)}
            responses[304] = None
        else:
            responses = {200: super().get_response_serializers()}
        if self.method == "GET" and isinstance(self.view, Detail):
            responses[304] = None
        if self.method in getattr(self.view, "may_be_empty", ()):
            responses[204] = None
        responses |= getattr(self.view, "also", {}).get(self.method, {})
        return responses | {(status, MEDIA_TYPE): Problem for status in self._refusals()}

    def get_override_parameters(self) -> list[Any]:
        return super().get_override_parameters() + self._headers()

    def _map_basic_serializer(self, serializer: Any, direction: str):
        """Requests allow no additional properties: see strict.py."""
        schema = super()._map_basic_serializer(serializer, direction)
        return schema | {"additionalProperties": False} if direction == "request" else schema

    def _acts(self) -> bool:
        return isinstance(self.view, ActionMixin) and self.method == "POST"

    def _refusals(self) -> list[int]:
        statuses = set(ALWAYS)
        if self.method not in SAFE_METHODS:
            statuses |= set(ON_INPUT)
        if self.method == "PATCH" and isinstance(self.view, Editing):
            statuses |= {412, 428}
        return sorted(statuses | set(getattr(self.view, "refuses", {}).get(self.method, ())))

    def _headers(self) -> list:
        def header(name: str, description: str) -> OpenApiParameter:
            return OpenApiParameter(
                name, str, OpenApiParameter.HEADER, required=False, description=description
            )

        if self.method == "POST":
            return [
                header("Idempotency-Key", "A repeated request with the same key takes effect once.")
            ]
        if self.method == "PATCH":
            return [header("If-Match", "The ETag of the object as you read it. Without it: 428.")]
        return []
