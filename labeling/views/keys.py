"""Keys of rows that stand in the query of an address."""

from __future__ import annotations

from django.http import Http404, HttpRequest

from people.api.filters import MOST_ID


def key_in(request: HttpRequest, name: str) -> int | None:
    """The key that this parameter holds; None for an empty one. Raises Http404 for what is no key:
    Python refuses to read a number of thousands of digits.
    """
    text = request.GET.get(name, "")
    if not text:
        return None
    if len(text) > len(str(MOST_ID)) or not (text.isascii() and text.isdecimal()):
        raise Http404
    if int(text) > MOST_ID:
        raise Http404
    return int(text)
