"""Lists in pages: a cursor, so that a page costs the same however deep it lies and nothing is shown
twice.
"""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.exceptions import ValidationError as Wrong
from rest_framework.pagination import CursorPagination


class Paging(CursorPagination):
    ordering = "-pk"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500

    def get_ordering(self, request, queryset, view) -> tuple[str, ...]:
        ordering = getattr(view, "ordering", self.ordering)
        return (ordering,) if isinstance(ordering, str) else tuple(ordering)

    def get_page_size(self, request) -> int:
        """Raises ValidationError for a limit that is no number from 1 to the highest one."""
        asked = request.query_params.get(self.page_size_query_param, str(self.page_size))
        whole = asked.isascii() and asked.isdecimal()
        if not (whole and 1 <= int(asked[:9]) <= self.max_page_size):
            said = _("A whole number from 1 to %(most)s is needed.")
            raise Wrong({self.page_size_query_param: [said % {"most": self.max_page_size}]})
        return int(asked)

    def get_schema_operation_parameters(self, view) -> list[dict]:
        told = super().get_schema_operation_parameters(view)
        for parameter in told:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": self.max_page_size}
        return told

    def paginate_queryset(self, queryset, request, view=None):
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, OverflowError, ValidationError, NotFound):  # a made-up cursor
            raise Wrong({self.cursor_query_param: [self.invalid_cursor_message]}) from None
