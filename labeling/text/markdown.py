"""Model output to HTML that is safe to show. Whoever wrote the text may be hostile; none of it is
lost on the way.
"""

from __future__ import annotations

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, String, Token

LONGEST = 20_000  # characters that are read as Markdown; what is longer is shown as it is
LARGEST = 200_000  # characters of HTML: a short text can make a huge table
NESTING = 20

# Lexers are regular expressions, and the text is hostile: only well-worn ones, and only for code of
# a few screens.
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

# The few kinds of code that are told apart; what stands below one in Pygments' tree is of its kind.
KINDS = {
    Comment: "code-comment",
    Keyword: "code-keyword",
    Name.Function: "code-name",
    Name.Class: "code-name",
    Name.Tag: "code-name",
    Number: "code-number",
    String: "code-string",
}


def highlight(code: str, language: str, _attributes: str = "") -> str:
    """HTML of a code block in the language that its fence names; "" is plain text, for one that is
    not known.
    """
    if language.lower() not in LANGUAGES or len(code) > LONGEST_CODE:
        return ""
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return "".join(_coloured(kind, text) for kind, text in lexer.get_tokens(code))


def _coloured(kind, text: str) -> str:
    while kind not in KINDS and kind is not Token:
        kind = kind.parent
    return f'<span class="{KINDS[kind]}">{escape(text)}</span>' if kind in KINDS else escape(text)


# Raw HTML is escaped, a picture becomes a link, and there are no link definitions (each use repeats
# their address).
_markdown = (
    MarkdownIt(
        "commonmark", {"html": False, "breaks": True, "maxNesting": NESTING, "highlight": highlight}
    )
    .enable(["table", "strikethrough"])
    .disable(["image", "reference"])
)

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
    },
    attributes={"a": {"href", "title"}, "ol": {"start"}},
    tag_attribute_values={"span": {"class": set(KINDS.values())}},
    # what may scroll sideways can be reached by keyboard
    set_tag_attribute_values={
        "a": {"target": "_blank"},
        "pre": {"tabindex": "0"},
        "table": {"tabindex": "0"},
    },
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="nofollow noopener noreferrer",
)


def render(text: str) -> SafeString:
    """The text as HTML; as plain text where Markdown would be too long or too deeply nested."""
    text = text.encode(
        errors="replace"
    ).decode()  # half a surrogate pair can be neither parsed nor sent
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
    return format_html("<pre>{}{}</pre>", lost_break(text), text)


def lost_break(text: str) -> str:
    """What stands before a text in <pre>: browsers drop a line break there, and would drop the
    text's own.
    """
    return "\n" if text.startswith("\n") else ""
