"""How endpoints describe themselves: the verbs' inputs and outputs, and each way in which a request
can be refused.
"""

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_mock_request
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS

from people.api.base import Act, Detail, Editing, Listing
from people.api.problems import MEDIA_TYPE, Problem
from people.models import Membership, Project, User

ALWAYS = (400, 401, 403, 404, 406, 429)
ON_INPUT = (409, 413, 415, 422)


def mock_request(method: str, path: str, view, original):
    """Endpoints are asked about themselves with nobody at the door: here is somebody, so that they
    can answer.
    """
    request = build_mock_request(method, path, view, original)
    request.user = User(pk=0)
    request.membership = Membership(
        user=request.user, project=Project(pk=0), role=Membership.Role.ADMIN
    )
    request.project = request.membership.project
    return request


class Schema(AutoSchema):
    """What endpoints say of themselves by attributes: `may_be_empty` (methods that also answer
    204), `also` (bodies by further statuses, by method), `refuses` (further statuses of problems,
    by method), `sends` (GET answers a file of this media type, or a range of it), `group` (in
    Swagger's page; by default its address says it).
    """

    def get_tags(self) -> list[str]:
        """The group in which Swagger's page shows it. Of 29 groups that page showed two, so reuse
        one.
        """
        if group := getattr(self.view, "group", ""):
            return [group]
        parts = [part for part in self.path.split("/") if part and not part.startswith("{")]
        below = [part for part in parts if part not in ("api", "v1", "projects")]
        return [(below or ["projects"])[0]]

    def _is_list_view(self, serializer=None) -> bool:
        return isinstance(self.view, Listing) and self.method == "GET"

    def get_request_serializer(self):
        if self._acts():
            return self.view.input
        return super().get_request_serializer()

    def get_response_serializers(self):
        if self._acts():
            found = {self.view.status if self.view.output else 204: self.view.output}
        elif self.method == "DELETE":
            found = {204: None}
        elif media_type := getattr(self.view, "sends", ""):
            found = {(status, media_type): OpenApiTypes.BINARY for status in (200, 206)} | {
                304: None
            }
        else:
            found = {200: super().get_response_serializers()}
        if self.method == "GET" and isinstance(self.view, Detail):
            found[304] = None
        if self.method in getattr(self.view, "may_be_empty", ()):
            found[204] = None
        found |= getattr(self.view, "also", {}).get(self.method, {})
        return found | {(status, MEDIA_TYPE): Problem for status in self._refusals()}

    def get_override_parameters(self):
        return super().get_override_parameters() + self._headers()

    def _map_basic_serializer(self, serializer, direction):
        """A request holds what is described and nothing else: see strict.py."""
        schema = super()._map_basic_serializer(serializer, direction)
        return schema | {"additionalProperties": False} if direction == "request" else schema

    def _acts(self) -> bool:
        return isinstance(self.view, Act) and self.method == "POST"

    def _refusals(self) -> list[int]:
        found = set(ALWAYS)
        if self.method not in SAFE_METHODS:
            found |= set(ON_INPUT)
        if self.method == "PATCH" and isinstance(self.view, Editing):
            found |= {412, 428}
        return sorted(found | set(getattr(self.view, "refuses", {}).get(self.method, ())))

    def _headers(self) -> list:
        def header(name: str, said: str) -> OpenApiParameter:
            return OpenApiParameter(
                name, str, OpenApiParameter.HEADER, required=False, description=said
            )

        if self.method == "POST":
            return [header("Idempotency-Key", "The same request with the same key counts once.")]
        if self.method == "PATCH":
            return [
                header("If-Match", "The ETag of what is changed, as it was read; without it: 428.")
            ]
        return []
