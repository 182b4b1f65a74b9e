"""Model output to HTML that is safe to show. Whoever wrote the text may be hostile; none of it is lost on the way."""

from __future__ import annotations

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

LONGEST = 20_000  # characters that are read as Markdown; what is longer is shown as it is
LARGEST = 200_000  # characters of HTML: a short text can make a huge table
NESTING = 20

# Raw HTML is escaped, a picture becomes a link, and there are no link definitions (each use repeats their address).
_markdown = (
    MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": NESTING})
    .enable(["table", "strikethrough"])
    .disable(["image", "reference"])
)

_cleaner = nh3.Cleaner(
    tags={
        "p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "pre", "code", "strong", "em", "s", "a",
        "table", "thead", "tbody", "tr", "th", "td",
    },
    attributes={"a": {"href", "title"}, "ol": {"start"}},
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="nofollow noopener noreferrer",
)  # fmt: skip


def render(text: str) -> SafeString:
    """The text as HTML; as plain text where Markdown would be too long or too deeply nested."""
    text = text.encode(errors="replace").decode()  # half a surrogate pair can be neither parsed nor sent
    if len(text) > LONGEST:
        return plain(text)
    tokens = _markdown.parse(text)
    if any(token.level >= NESTING - 1 for token in tokens):  # the parser drops what lies deeper
        return plain(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"  # below the page's own headings
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    return mark_safe(_cleaner.clean(html)) if len(html) <= LARGEST else plain(text)


def plain(text: str) -> SafeString:
    return format_html("<pre>{}</pre>", text)
