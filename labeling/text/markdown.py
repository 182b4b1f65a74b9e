"""Markdown from a model to HTML that is safe to show.

The text may be hostile. None of it is lost: what cannot be rendered is shown as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token as MarkupToken
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, String, Token, _TokenType

from labeling.text import conversations, mathematics

# Characters that are read as Markdown: all of any prompt and of any answer that was imported.
LONGEST = conversations.LONGEST
LARGEST = 1_000_000  # characters of HTML: a short text can make a huge table
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
    Generic.Deleted: "code-deleted",
    Generic.Heading: "code-keyword",
    Generic.Inserted: "code-inserted",
    Generic.Subheading: "code-keyword",
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
    """An image as a link to it: its description in brackets. Within a link, as text with its
    address.
    """
    image = tokens[index]
    address = str(image.attrGet("src"))
    name = _("[image: %(text)s]") % {"text": image.content} if image.content else _("[image]")
    if image.meta.get("within_link"):
        return escape(f"{name} ({address})")
    return f'<a href="{escape(address)}">{escape(name)}</a>'


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


# What a model thought before it answered. A chat template may have written the first of the tags.
_THOUGHT = re.compile(r"\s*<(think|thinking)>(.*?)(?:</\1>|\Z)", re.DOTALL)
_THOUGHT_WITHOUT_BEGINNING = re.compile(r"((?:(?!<think>).)*?)^</think>[ \t]*$", re.DOTALL | re.M)


def render(text: str) -> SafeString:
    """The text as HTML; as plain text if it can't be formatted."""
    html = formatted(text)
    return plain(text) if html is None else html


def render_alike(texts: Sequence[str]) -> tuple[list[SafeString], bool]:
    """The texts as HTML, and whether they are formatted: all of them, or none. Formatting would
    speak for an answer beside one that has none.
    """
    formatted_texts = [formatted(text) for text in texts]
    htmls = [html for html in formatted_texts if html is not None]
    if len(htmls) == len(texts):
        return htmls, True
    return [plain(text) if text else SafeString("") for text in texts], False


def formatted(text: str) -> SafeString | None:
    """The text as HTML, what the model thought folded; None if the Markdown is too long, too deeply
    nested, or makes too large a page.
    """
    text = text.encode(errors="replace").decode()  # a lone surrogate can't be parsed or sent
    if len(text) > LONGEST:
        return None
    thought, answer = _thought_and_answer(text)
    html = _formatted(answer)
    if html is None or not thought.strip():
        return html
    thought_html = _formatted(thought)
    if thought_html is None or len(thought_html) + len(html) > LARGEST:
        return None
    return format_html(
        '<details class="thought"{}><summary>{}</summary>{}</details>\n{}',
        "" if answer.strip() else mark_safe(" open"),
        _("Reasoning"),
        thought_html,
        html,
    )


def _thought_and_answer(text: str) -> tuple[str, str]:
    if found := _THOUGHT.match(text):
        return found[2], text[found.end() :]
    if "</think>" in text and (found := _THOUGHT_WITHOUT_BEGINNING.match(text)):
        return found[1], text[found.end() :]
    return "", text


def _formatted(text: str) -> SafeString | None:
    parser = _parser_of_formulas if mathematics.may_hold_formulas(text) else _plain_parser
    tokens = parser.parse(text)
    if any(token.level >= NESTING - 1 for token in tokens):  # the parser drops what is deeper
        return None
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"  # below the page's own headings
        _mark_images_within_links(token.children or [])
    html = parser.renderer.render(tokens, parser.options, {})
    return mark_safe(_cleaner.clean(html)) if len(html) <= LARGEST else None


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
