"""Below /api/v1/."""

from django.urls import path

from people.api import accounts, root

urlpatterns = [
    path("openapi.json", root.openapi, name="api-openapi"),
    path("docs/", root.docs, name="api-docs"),
    path("me", accounts.Me.as_view()),
    path("tokens", accounts.Tokens.as_view()),
    path("tokens/<int:pk>", accounts.OneToken.as_view()),
]
