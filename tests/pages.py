"""How tests read a page."""

from __future__ import annotations

import re

from django.http import HttpResponse


def one_line(page: HttpResponse | str) -> str:
    """The HTML of a page, without the white space that only lays out its template: no text of the
    page changes by it.
    """
    html = page if isinstance(page, str) else page.content.decode()
    html = re.sub(r"\s+", " ", html)
    return html.replace(" >", ">").replace("> <", "><")
