"""The OpenAPI schema, its documentation page, and the response to unknown paths."""

from __future__ import annotations

from typing import NoReturn

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework import exceptions
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

openapi = SpectacularJSONAPIView.as_view()
docs = SpectacularSwaggerSplitView.as_view(
    url_name="api-openapi", template_name="people/api_docs.html"
)


@extend_schema(exclude=True)
class Unknown(APIView):
    """A path that the API does not have."""

    permission_classes = [AllowAny]

    def dispatch(self, request: HttpRequest, *args, **kwargs) -> HttpResponse:
        self.http_method_not_allowed = self.refuse
        return super().dispatch(request, *args, **kwargs)

    def refuse(self, *_args, **_kwargs) -> NoReturn:
        raise exceptions.NotFound("The API has no such path. /api/v1/docs/ lists all of them.")


unknown = Unknown.as_view()
