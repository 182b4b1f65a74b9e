"""Cursor pagination: every page costs the same, and no row is repeated while rows are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.exceptions import ValidationError as APIValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

if TYPE_CHECKING:  # REST framework reads this module while it makes its views
    from rest_framework.views import APIView


class Paging(CursorPagination):
    ordering = "-pk"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500

    def get_ordering(self, request: Request, queryset: QuerySet, view: APIView) -> tuple[str, ...]:
        ordering = getattr(view, "ordering", self.ordering)
        return (ordering,) if isinstance(ordering, str) else tuple(ordering)

    def get_page_size(self, request: Request) -> int:
        """The page size. Raises ValidationError unless it is from 1 to max_page_size."""
        text = request.query_params.get(self.page_size_query_param, str(self.page_size))
        is_number = text.isascii() and text.isdecimal()
        if not (is_number and 1 <= int(text[:9]) <= self.max_page_size):
            message = _("Enter a whole number from 1 to %(most)s.") % {"most": self.max_page_size}
            raise APIValidationError({self.page_size_query_param: [message]})
        return int(text)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict]:
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": self.max_page_size}
        return parameters

    def paginate_queryset(
        self, queryset: QuerySet, request: Request, view: APIView | None = None
    ) -> list | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, OverflowError, ValidationError, NotFound):  # an invalid cursor
            message = self.invalid_cursor_message
            raise APIValidationError({self.cursor_query_param: [message]}) from None
