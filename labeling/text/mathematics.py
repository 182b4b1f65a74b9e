r"""Formulas in LaTeX as MathML: `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and environments such as align.

math-core sets them. It was tried beside latex2mathml on 101 formulas, broken and hostile ones among
them: a formula takes it 2.5 µs, not 130, and it refuses what it does not know. latex2mathml shows
the name of an unknown command as if it were a variable, lets an open brace pass, and puts
`<script>`, `javascript:` and styles into its output.
But math-core calls itself for each level of braces or commands, so a formula that is deep enough
ends the process: length, depth and the number of commands are checked before.

A formula that can't be read is shown as it is written. Colours are left out: white on white would
hide a part of an answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from django.utils.html import escape
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from math_core import LatexError, LatexToMathML

LONGEST = 4_000  # characters of a formula
DEEPEST = 30  # levels of braces, environments, \left and optional arguments
MOST_COMMANDS = 400  # `\sqrt\sqrt\sqrt x` needs no braces to be deep
DEEPEST_ELEMENTS = 120  # browsers show 512 at most
NESTED = 5  # environments of one name within each other
WIDEST = 20  # em of a space that a formula asks for

# Environments that may stand without delimiters; what math-core calls each of them. None of them
# numbers its lines: each formula would begin with (1).
ENVIRONMENTS = {
    "align": "align*",
    "align*": "align*",
    "aligned": "aligned",
    "array": "array",
    "Bmatrix": "Bmatrix",
    "bmatrix": "bmatrix",
    "cases": "cases",
    "dcases": "dcases",
    "eqnarray": "align*",
    "eqnarray*": "align*",
    "equation": "equation*",
    "equation*": "equation*",
    "gather": "gather*",
    "gather*": "gather*",
    "gathered": "gathered",
    "matrix": "matrix",
    "multline": "multline*",
    "multline*": "multline*",
    "pmatrix": "pmatrix",
    "smallmatrix": "matrix",
    "split": "aligned",
    "Vmatrix": "Vmatrix",
    "vmatrix": "vmatrix",
}
NUMBERED = {"align*", "equation*", "gather*", "multline*"}  # where math-core reads \tag

# What nh3 lets through: no style, no class, no address, no event.
_ANYWHERE = {"displaystyle", "scriptlevel"}
TAGS = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mpadded", "mphantom", "menclose"),
    *("mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover", "munderover"),
    *("mmultiscripts", "mprescripts", "mtable", "mtr", "mtd", "figure"),
}
ATTRIBUTES = dict.fromkeys(TAGS, _ANYWHERE) | {
    "math": {"alttext", "display"},
    "mfrac": _ANYWHERE | {"linethickness"},
    "mi": {"mathvariant"},
    "mo": {
        *("accent", "fence", "form", "largeop", "lspace", "maxsize", "minsize", "movablelimits"),
        *("rspace", "separator", "stretchy", "symmetric"),
    },
    "mover": _ANYWHERE | {"accent"},
    "mpadded": {"depth", "height", "lspace", "voffset", "width"},
    "mspace": {"depth", "height", "width"},
    "munder": _ANYWHERE | {"accentunder"},
    "munderover": _ANYWHERE | {"accent", "accentunder"},
}
_SIDES = ("top", "right", "bottom", "left")
_LINES = {" ".join(sides) for n in range(1, 5) for sides in combinations(_SIDES, n)}
VALUES = {
    "mtd": {"columnalign": {"left", "right"}, "columnspacing": {"0"}, "data-lines": _LINES},
    "menclose": {"notation": {"box", "updiagonalstrike", "downdiagonalstrike"}},
}

_converter = LatexToMathML(
    fancy_error=False,
    allow_unreliable_rendering=True,  # wide accents; browsers draw them less wide than LaTeX
    max_expansions=MOST_COMMANDS,
    macros={"substack": r"\begin{subarray}{c}#1\end{subarray}", "pmb": r"\bm{#1}"},
)

_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)", re.DOTALL)
_BRACKET = re.compile(r"\\\\|\\[{}]|(\{|\\begin\b|\\left\b|\[)|(\}|\\end\b|\\right\b|\])")
_REFUSED = re.compile(  # own commands, which can grow without end, and references
    r"\\(?:def|gdef|edef|xdef|let|newcommand|renewcommand|providecommand|ref|eqref)(?![A-Za-z])"
)
_LABEL = re.compile(r"\\label\s*\{[^{}]*\}")
_TAG = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")
_BEGIN = re.compile(r"\\(begin|end)\s*\{([A-Za-z]+\*?)\}")
_ROW_SPACE = re.compile(r"\\\\\s*\[\s*-?[\d.]+\s*[a-z]{2}\s*\]")  # math-core would show it
_ANGLE = re.compile(r"\\(left|right)\s*([<>])")
_STYLE = re.compile(r' style="([^"]*)"')
_ELEMENT = re.compile(r"<(/?)[a-z]+(?:\s[^<>/]*)?>")
_EMS = re.compile(r'="-?(\d+)(?:\.\d+)?r?em"')


def as_mathml(source: str, display: bool) -> str | None:
    """A formula, without its delimiters, as MathML to be cleaned; None if it can't be read."""
    if len(source) > LONGEST or _REFUSED.search(source) or not _is_shallow(source):
        return None
    try:
        html = _converter.convert_with_local_state(_understood(source), displaystyle=display)
    except LatexError:
        return None
    if any(int(ems) > WIDEST for ems in _EMS.findall(html)) or _depth(html) > DEEPEST_ELEMENTS:
        return None
    html = _STYLE.sub(_as_attributes, html)
    return html.replace("<math", f'<math alttext="{escape(source.strip())}"', 1)


def _is_shallow(source: str) -> bool:
    if len(_COMMAND.findall(source)) > MOST_COMMANDS:
        return False
    depth = 0
    for opening, closing in _BRACKET.findall(source):
        depth += bool(opening) - bool(closing)
        if depth > DEEPEST:
            return False
    return True


def _depth(html: str) -> int:
    """How many elements of MathML stand within each other."""
    depth = deepest = 0
    for closing in _ELEMENT.findall(html):
        depth += -1 if closing else 1
        deepest = max(deepest, depth)
    return deepest


def _understood(source: str) -> str:
    """The formula in the words of math-core."""
    source = _LABEL.sub("", source)
    source = _ROW_SPACE.sub(r"\\\\ ", source)
    source = _BEGIN.sub(_environment, source)
    source = _ANGLE.sub(lambda angle: rf"\{angle[1]}" + _ANGLES[angle[2]], source)
    if not any(rf"\begin{{{name}}}" in source for name in NUMBERED):
        source = _TAG.sub(r"\\qquad\\text{(\1)}", source)
    return source


_ANGLES = {"<": r"\langle ", ">": r"\rangle "}


def _environment(found: re.Match[str]) -> str:
    return rf"\{found[1]}{{{ENVIRONMENTS.get(found[2], found[2])}}}"


def _as_attributes(style: re.Match[str]) -> str:
    """What is left of a style: where a cell of a table is aligned, and the lines around it."""
    declared = style[1]
    found = ""
    if align := re.search(r"text-align: (left|right)", declared):
        found += f' columnalign="{align[1]}"'
    if re.search(r"padding-(left|right): 0", declared):
        found += ' columnspacing="0"'
    if sides := [side for side in _SIDES if f"border-{side}:" in declared]:
        found += f' data-lines="{" ".join(sides)}"'
    return found


# Formulas as tokens of the Markdown parser

_DOLLARS = re.compile(r"\$\$((?:[^\\$`]|\\.)++)\$\$(?!\$)", re.DOTALL)
_DOLLAR = re.compile(r"\$(?!\s)((?:[^\\$`]|\\.)++)(?<!\s)\$", re.DOTALL)
_ROUND = re.compile(r"\\\(((?:[^\\`]|\\[^()])++)\\\)")
_SQUARE = re.compile(r"\\\[((?:[^\\`]|\\[^\[\]])++)\\\]")
_ENVIRONMENT = re.compile(r"\\begin\{([A-Za-z]+\*?)\}")

# What follows a formula in dollars: no amount, no name; but "the $n$th" is one.
_GOES_ON = re.compile(r"(?!(?:st|nd|rd|th|s|d)\b)[A-Za-z0-9_{]")
_SAYS_MATHEMATICS = re.compile(r"[\\^_=+<>|{}]")
_WORDS = re.compile(r"[^\W\d_]{2,}['’]?[\s,;:.]+(?:[^\W\d_]{2,}|$)")
_PRICE = re.compile(r"[\d.,]+[^\\^_=]*?[^\W\d_]{2,}")
_WORD = re.compile(r"\s*[^\W\d_]{4,}\s*|\s*[\d,.\s]*\s*|\s*[xX]\s*")


def plugin(markdown: MarkdownIt) -> None:
    """Lets the parser read formulas, and its renderer show them."""
    markdown.inline.ruler.before("escape", "formula", _inline)
    markdown.block.ruler.before(
        "table", "formula", _block, {"alt": ["paragraph", "blockquote", "list"]}
    )
    markdown.add_render_rule("formula", _shown)


def may_hold_formulas(text: str) -> bool:
    return "$" in text or "\\(" in text or "\\[" in text or "\\begin{" in text


def _inline(state: StateInline, silent: bool) -> bool:
    """A rule of the parser: the formula that begins here, within a paragraph."""
    if state.src[state.pos] not in "$\\":
        return False
    found = _formula(state.src, state.pos)
    if found is None or found[1] > state.posMax:
        return False
    content, end, display = found
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.info = content, state.src[state.pos : end]
        token.meta = {"display": display}
    state.pos = end
    return True


def _formula(text: str, start: int) -> tuple[str, int, bool] | None:
    """(LaTeX, where it ends, whether on a line of its own) of the formula that begins here."""
    if text[start] == "$":
        return _in_dollars(text, start)
    if found := _ROUND.match(text, start):
        is_text = _WORD.fullmatch(found[1]) and not re.fullmatch(r"\s*[\dxX]\s*", found[1])
        return None if is_text or is_prose(found[1]) else (found[1], found.end(), False)
    if found := _SQUARE.match(text, start):
        if is_prose(found[1]) or not _SAYS_MATHEMATICS.search(found[1]):
            return None
        return found[1], found.end(), True
    return _in_environment(text, start)


def _in_dollars(text: str, start: int) -> tuple[str, int, bool] | None:
    if start and (
        text[start - 1] == "$" or text[start - 1].isascii() and text[start - 1].isalnum()
    ):
        return None
    if found := _DOLLARS.match(text, start):
        return None if is_prose(found[1]) else (found[1], found.end(), True)
    found = _DOLLAR.match(text, start)
    if found is None or _GOES_ON.match(text, found.end()) or is_prose(found[1]):
        return None
    return found[1], found.end(), False


def _in_environment(text: str, start: int) -> tuple[str, int, bool] | None:
    begin = _ENVIRONMENT.match(text, start)
    if begin is None or begin[1] not in ENVIRONMENTS:
        return None
    closing = rf"\end{{{begin[1]}}}"
    end = start
    for _nested in range(NESTED):  # one may stand within another of its name
        end = text.find(closing, end, start + LONGEST)
        if end < 0:
            return None
        end += len(closing)
        content = text[start:end]
        if content.count(begin[0]) == content.count(closing):
            return content, end, True
    return None


def is_prose(content: str) -> bool:
    """Whether this is no formula: words, or what stands between two prices."""
    if not content.strip() or "\\" in content:
        return not content.strip()
    if _PRICE.match(content):
        return True
    return bool(_WORDS.search(content))


def _block(state: StateBlock, line: int, end_line: int, silent: bool) -> bool:
    """A rule of the parser: a formula that begins and ends with a line. Lines within it that begin
    like a list, a quotation or a heading do not make one.
    """
    start = state.bMarks[line] + state.tShift[line]
    opening = state.src[start : start + 2]
    if opening not in ("$$", "\\[", "\\b") or state.is_code_block(line):
        return False
    ahead = _formula(state.src, start)  # with the marks of the quotation that it may stand in
    if ahead is None or (opening == "$$" and "\n\n" in ahead[0]):
        return False
    lines = _lines(state, line, end_line, ahead[1])
    found = _formula(lines, 0)
    if found is None:
        return False
    content, end, _display = found
    after = lines[end:].strip()
    if after.strip(".,;:。，；"):  # words follow: it belongs to a paragraph
        return False
    if not silent:
        token = state.push("formula", "math", 0)
        token.block = True
        token.content, token.info = content, lines[:end]
        token.meta = {"display": True, "after": after}
        state.line = line + lines.count("\n") + 1
        token.map = [line, state.line]
    return True


def _lines(state: StateBlock, line: int, end_line: int, end: int) -> str:
    """The lines up to this place in the source, as long as they are in the same list or quotation,
    without its marks.
    """
    lines = [_line(state, line)]
    while state.eMarks[line] < end and line + 1 < end_line:
        line += 1
        if state.sCount[line] < state.blkIndent and not state.isEmpty(line):
            break
        lines.append(_line(state, line))
    return "\n".join(lines)


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _shown(_renderer: RendererHTML, tokens: Sequence[Token], index: int, *_others: Any) -> str:
    """A formula as HTML to be cleaned: set, or as it is written if it can't be read."""
    token = tokens[index]
    mathml = as_mathml(token.content, token.meta["display"])
    if not token.block:
        return mathml or f"<code>{escape(token.info)}</code>"
    if mathml is None:
        return f"<pre><code>{escape(token.info)}{escape(token.meta['after'])}</code></pre>\n"
    return f"<figure>{mathml}{escape(token.meta['after'])}</figure>\n"
