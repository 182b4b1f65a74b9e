"""The parser of JSON request bodies."""

from __future__ import annotations

from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from people.json_depth import DEEPEST, too_deep


class Json(JSONParser):
    """JSON with limited nesting, so that no body causes a RecursionError."""

    def parse(
        self,
        stream: IO,
        media_type: str | None = None,
        parser_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            body = super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError(_too_deep()) from None
        if too_deep(body):
            raise ParseError(_too_deep())
        return body


def _too_deep() -> str:
    return _("The body has more than %(n)s levels of lists and objects.") % {"n": DEEPEST}
