"""Markdown from a model to HTML that is safe to show.

The text may be hostile. None of it is lost: what cannot be rendered is shown as plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token as MarkupToken
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, String, Token, _TokenType

from labeling.text import mathematics

LONGEST = 20_000  # characters that are read as Markdown; a longer text is shown as plain text
LARGEST = 200_000  # characters of HTML: a short text can make a huge table
NESTING = 20

# Lexers are regular expressions and the text may be hostile: so only widely used ones, and only
# short code.
LANGUAGES = {
    "bash",
    "c",
    "c++",
    "cpp",
    "csharp",
    "css",
    "diff",
    "go",
    "html",
    "java",
    "javascript",
    "js",
    "json",
    "kotlin",
    "php",
    "py",
    "python",
    "r",
    "ruby",
    "rust",
    "sh",
    "shell",
    "sql",
    "swift",
    "toml",
    "ts",
    "typescript",
    "xml",
    "yaml",
}
LONGEST_CODE = 10_000

# The token types that get a colour; their subtypes in Pygments' tree get the same.
TOKEN_CLASSES = {
    Comment: "code-comment",
    Keyword: "code-keyword",
    Name.Function: "code-name",
    Name.Class: "code-name",
    Name.Tag: "code-name",
    Number: "code-number",
    String: "code-string",
}


def highlight(code: str, language: str, _attributes: str = "") -> str:
    """HTML of a code block in the language that its fence names; "" (plain text) for an unknown
    one.
    """
    if language.lower() not in LANGUAGES or len(code) > LONGEST_CODE:
        return ""
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return "".join(_coloured(kind, text) for kind, text in lexer.get_tokens(code))


def _coloured(token_type: _TokenType, text: str) -> str:
    while token_type not in TOKEN_CLASSES and token_type is not Token:
        token_type = token_type.parent
    if token_type not in TOKEN_CLASSES:
        return escape(text)
    return f'<span class="{TOKEN_CLASSES[token_type]}">{escape(text)}</span>'


def _parser() -> MarkdownIt:
    """Raw HTML is escaped, an image becomes a link, and link definitions are off (each use would
    repeat their address).
    """
    options = {"html": False, "breaks": True, "maxNesting": NESTING, "highlight": highlight}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    parser.disable("reference").add_render_rule("image", _as_link)
    return parser


def _as_link(
    _renderer: RendererHTML, tokens: Sequence[MarkupToken], index: int, *_others: Any
) -> str:
    """An image as a link: its description, or its address where it has none. Within a link, as
    text.
    """
    image = tokens[index]
    address = str(image.attrGet("src"))
    if image.meta.get("within_link"):
        return escape(f"{image.content} ({address})" if image.content else address)
    return f'<a href="{escape(address)}">{escape(image.content or address)}</a>'


_plain_parser = _parser()  # most texts have no formula: its rules would cost them a tenth
_parser_of_formulas = _parser().use(mathematics.plugin)

_cleaner = nh3.Cleaner(
    tags={
        "p",
        "br",
        "hr",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "ul",
        "ol",
        "li",
        "pre",
        "code",
        "strong",
        "em",
        "s",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
    }
    | mathematics.TAGS,
    attributes={"a": {"href", "title"}, "ol": {"start"}} | mathematics.ATTRIBUTES,
    tag_attribute_values={"span": {"class": set(TOKEN_CLASSES.values())}} | mathematics.VALUES,
    # what may scroll sideways can be focused by keyboard
    set_tag_attribute_values={
        "a": {"target": "_blank"},
        "pre": {"tabindex": "0"},
        "table": {"tabindex": "0"},
        "figure": {"tabindex": "0"},  # a formula on a line of its own
    },
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="nofollow noopener noreferrer",
)


def render(text: str) -> SafeString:
    """The text as HTML; as plain text if the Markdown is too long or too deeply nested."""
    text = text.encode(errors="replace").decode()  # a lone surrogate can't be parsed or sent
    if len(text) > LONGEST:
        return plain(text)
    parser = _parser_of_formulas if mathematics.may_hold_formulas(text) else _plain_parser
    tokens = parser.parse(text)
    if any(token.level >= NESTING - 1 for token in tokens):  # the parser drops what is deeper
        return plain(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"  # below the page's own headings
        _mark_images_within_links(token.children or [])
    html = parser.renderer.render(tokens, parser.options, {})
    return mark_safe(_cleaner.clean(html)) if len(html) <= LARGEST else plain(text)


def _mark_images_within_links(tokens: list[MarkupToken]) -> None:
    depth = 0
    for token in tokens:
        depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type == "image":
            token.meta["within_link"] = depth > 0


def plain(text: str) -> SafeString:
    return format_html("<pre>{}{}</pre>", leading_break(text), text)


def leading_break(text: str) -> str:
    """A line break to put before a text in <pre>, where browsers drop the first one."""
    return "\n" if text.startswith("\n") else ""
