"""A formula is set as MathML, or shown as it is written; a price stays a price."""

import html
import re
import threading

import pytest

from labeling.text import markdown, mathematics
from tests.labeling.text.work import lines_run

# (what a model writes, MathML that it becomes, or that is a part of it)
FORMULAS = {
    "a power": (r"$x^2$", "<msup><mi>x</mi><mn>2</mn></msup>"),
    "round brackets": (r"\(x\)", "<mi>x</mi>"),
    "a single digit": (r"\(5\)", "<mn>5</mn>"),
    "square brackets": (r"\[E = mc^2\]", '<figure tabindex="0"><math'),
    "two dollars": (r"$$\int_0^1 f$$", 'display="block"'),
    "two dollars in a line": (r"so $$a = b$$ holds", 'display="block"'),
    "stars and lines below": (r"\(a_{ij}^*b_{ij}^*\)", "<mo>∗</mo>"),
    "two stars": (r"$a^* + b^*$", "<mo>∗</mo>"),
    "a fraction": (r"$\frac{1}{2}$", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"),
    "a fraction in brackets": (r"\(\left(\frac12\right)\)", "<mfrac>"),
    "the roots": (r"$x=\frac{-b\pm\sqrt{b^2-4ac}}{2a}$", "<msqrt>"),
    "a cube root": (r"$\sqrt[3]{27}=3$", "<mroot><mn>27</mn><mn>3</mn></mroot>"),
    "a sum": (r"\[\sum_{i=1}^n i\]", "<munderover>"),
    "a limit": (r"\[\lim_{x\to 0}\frac{\sin x}{x}=1\]", "<mi>lim</mi>"),
    "a matrix": (r"$\begin{pmatrix}a&b\\c&d\end{pmatrix}$", "<mtd><mi>d</mi></mtd>"),
    "a matrix of small type": (r"$\begin{smallmatrix}a&b\end{smallmatrix}$", "<mtable"),
    "a ruled array": (r"$\begin{array}{c|c}a&b\\\hline c&d\end{array}$", 'data-lines="top right"'),
    "cases": (r"$\begin{cases}1&\text{if }x>0\\0&y\end{cases}$", "<mtext>if&nbsp;</mtext>"),
    "align, bare": ("\\begin{align}\na&=b\\\\\nc&=d\n\\end{align}", 'columnalign="right"'),
    "space between lines": (
        r"\begin{gather}a\\[6pt]b\end{gather}",
        "</mtr><mtr><mtd></mtd><mtd><mi>b",
    ),
    "align without numbers": (r"\begin{align*}a&=b\end{align*}", 'columnalign="left"'),
    "equation": (r"\begin{equation}a=b\label{x}\end{equation}", "<mo>=</mo>"),
    "split": (r"$$\begin{split}a&=b\\&=c\end{split}$$", "<mtable"),
    "gather": (r"\begin{gather}a\\b\end{gather}", "<mtr>"),
    "a number of its own": (r"\[a=b \tag{7}\]", "<mtext>(7)</mtext>"),
    "a number in an environment": (r"\begin{align}a&=b\tag{7}\end{align}", "<mtext>(7)</mtext>"),
    "letters of sets": (r"$\mathbb{R}^n$", "<mi>ℝ</mi>"),
    "accents": (r"$\hat\theta + \widetilde{xy}$", "<mover"),
    "an arrow above": (r"$\overrightarrow{AB}$", "<mover"),
    "a name of a function": (r"$\operatorname{softmax}(z)_i$", "<mi>softmax</mi>"),
    "a binomial": (r"$\binom{n}{k}$", 'linethickness="0"'),
    "a box": (r"$\boxed{42}$", '<menclose notation="box"><mn>42</mn></menclose>'),
    "a struck letter": (r"$\cancel{x}$", 'notation="updiagonalstrike"'),
    "two lines below a sum": (r"$\sum_{\substack{i<n\\j<m}} x$", "<mtable"),
    "angles": (r"$\left<x\right>$", "<mo>⟨</mo>"),
    "an ordinal": (r"the $n$th", "<mi>n</mi></math>th"),
    "a percentage": (r"$50\%$", "<mn>50</mn><mi>%</mi>"),
    "a dollar within": (r"$\$5 + x$", "<mi>$</mi>"),
    "a comma": (r"$1{,}000$", '<mo rspace="0">,</mo>'),
    "without spaces": ("若$x=1$则", "<mo>=</mo>"),
    "colour, left out": (r"$\color{white}{x}$", "<mrow><mi>x</mi></mrow>"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_set(name):
    text, expected = FORMULAS[name]
    shown = markdown.render(text)

    assert expected in shown
    assert "<code>" not in shown
    assert " style" not in shown


UNREADABLE = {
    "an unknown command": r"$\foo{x}$",
    "an open brace": r"$\frac{1}{$",
    "two indices": r"$x_1_2$",
    "chemistry": r"\(\ce{H2O}\)",
    "a command of its own": r"$\def\x{y}\x + 1$",
    "a growing command": r"$\newcommand{\a}{\a\a}\a$",
    "a reference": r"$x = \eqref{y}$",
    "a wide space": r"$a\hspace{900em}b$",
    "a wide space in inches": r"$a\hspace{90in}b$",
    "in braces too deep": "$" + "{" * 31 + "x" + "}" * 31 + "$",
    "with too many commands": "$" + r"\alpha" * 401 + "$",
    "too long": "$x" + "+x" * 2000 + "$",
    "on its line": "\\[\n\\foo\n\\]",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_formula_that_cannot_be_read_shows_its_source(name):
    text = UNREADABLE[name]
    shown = markdown.render(text)

    assert "<math" not in shown
    assert text == html.unescape(re.search("<code>(.*)</code>", shown, re.DOTALL)[1])


STAYS = [
    "$5 or $7",
    "$20-$30",
    "US$5 and US$7",
    "It costs $5.",
    "between $1,000 and $2,000.50",
    "$5/month, $50/year",
    "$5 million, or 3$",
    "from $3k to $4k",
    "$5 (not $6) or 7$.",
    "($5)–($7)",
    "5$ and 7$",
    "(5$) or (7$)",
    "A$AP and Ke$ha",
    "$AAPL and $MSFT",
    "set $HOME and $PATH",
    "$HOME/bin:$PATH",
    "$foo$bar",
    "${a}${b}",
    "$_POST['a'].$_GET['b']",
    "$5, $6 and $7",
    "C$10,€3",
    "$$ and $$$",
    "cheap: $, dear: $$$",
    "about $5 each year and 3$ more",
    "$ x $",
    "$",
    "$$$$",
    "earn $100+ or $200+",
    "$1 = €0.9 = £0.8",
    "$.50 or $.75",
]


@pytest.mark.parametrize("text", STAYS)
def test_prices_and_names_stay(text):
    assert markdown.render(text) == f"<p>{html.escape(text, quote=False)}</p>\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"\[1\] and \[link\]", "[1] and [link]"),
        (r"\(optional\)", "(optional)"),
        (r"\[see the notes\]", "[see the notes]"),
        (r"- \[ \] to do", "[ ] to do"),
        (r"\(x", "(x"),
        (r"1\$ + 2\$", "1$ + 2$"),
    ],
)
def test_what_markdown_escapes_is_no_formula(text, shown):
    assert shown in markdown.render(text)
    assert "<math" not in markdown.render(text)


@pytest.mark.parametrize(
    "text",
    [
        "`$x^2$`",
        "`` \\(x\\) ``",
        "```\n$$x$$\n\\[\ny\n\\]\n```",
        "    $$x$$",
        "~~~latex\n\\begin{align}a\\end{align}\n~~~",
    ],
)
def test_code_holds_no_formula(text):
    assert "<math" not in markdown.render(text)


def test_a_formula_keeps_its_lines_from_becoming_a_list_or_a_heading():
    shown = markdown.render("Then\n$$\na\n- b\n+ c\n= d\n> e\n1. f\n$$\nholds.")

    assert html.unescape(re.sub("<[^>]*>", "", shown)).split() == ["Then", "a−b+c=d>e1.f", "holds."]
    assert "<li>" not in shown


def test_a_formula_stands_in_lists_quotations_and_tables():
    shown = markdown.render(
        "1. a\n   \\[\n   x=1\n   \\]\n2. b\n\n> $$\n> y\n> $$\n\n|$z$|\n|-|\n|1|"
    )

    assert shown.count("<math") == 3
    assert shown.count("<ol>") == 1
    assert "&gt;" not in shown


def test_a_formula_is_heard_in_its_own_words():
    assert 'alttext="a &lt; b"' in markdown.render("$a < b$")


HOSTILE = [
    r"$\href{javascript:alert(1)}{x}$",
    r"$\style{color:red}{x}$",
    r"$\class{go}{x}$",
    r"$\cssId{submit}{x}$",
    r"$\html{<img src=x onerror=alert(1)>}$",
    r"$\includegraphics{https://evil.example/x.png}$",
    r"$\text{<script>alert(1)</script>}$",
    r"$<script>alert(1)</script>$",
    r"$\unicode{x3c}script$",
    r'$x" onclick="alert(1)$',
    r"\[</math><script>alert(1)</script> = 1\]",
    r"$\text{</mtext><mglyph><style><img src=x onerror=alert(1)>}$",
    r"$\begin{array}{c}\text{<table><img src=x>}\end{array}$",
    r"\begin{align}\url{javascript:alert(1)}\end{align}",
    r"$\color{red;position:fixed}{x}$",
    r"$\label{submit}\ref{submit}$",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_formula_runs_and_loads_nothing(text):
    shown = markdown.render(text)
    tags = re.findall("<([^>]*)>", shown)
    quoted = re.compile('="[^"]*"')

    assert {tag.split()[0].strip("/") for tag in tags} <= mathematics.TAGS | {"p", "code", "pre"}
    names = " ".join(quoted.sub("", tag) for tag in tags).split()
    assert not [name for name in names if name in ("style", "class", "href", "id", "src")]
    assert not [name for name in names if name.startswith("on")]


DEEP = {
    "braces": ("{", "}"),
    "fractions": (r"\frac{", "}"),
    "roots": (r"\sqrt{", "}"),
    "roots without braces": (r"\sqrt ", ""),
    "fractions without braces": (r"\frac ", ""),
    "brackets that grow": (r"\left(", r"\right)"),
    "powers": ("x^{", "}"),
    "matrices": (r"\begin{matrix}", r"\end{matrix}"),
    "accents": (r"\hat ", ""),
    "negations": (r"\not ", ""),
    "letters": (r"\bm", ""),
    "colours": (r"\color{red}", ""),
    "two arguments": (r"\overset x", ""),
    "optional arguments": (r"\sqrt[", "]"),
    "primes": ("'", ""),
    "indices": ("x_", ""),
    "styles": (r"\displaystyle ", ""),
}


@pytest.mark.parametrize("name", DEEP)
def test_no_depth_ends_the_process(name):
    """In a thread with half as much room as the threads that answer requests have."""
    opening, closing = DEEP[name]
    shown = []

    def work():
        for count in (*range(1, 41), 100, 199, 399, 100_000):
            formula = opening * count + "x" + closing * count
            shown.append(mathematics.as_mathml(formula, display=True))

    size = threading.stack_size(1024 * 1024)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    threading.stack_size(size)
    assert len(shown) == 44
    assert shown[-1] is None


BOMBS = [
    "$",
    "$a",
    "$a ",
    "$$",
    "$$a",
    "$$\n",
    "$x$ ",
    "$\\foo$ ",
    r"\(",
    r"\(a",
    r"\(a\)",
    r"\)",
    "\\[",
    "\\[\n",
    "\\[\na\n\n",
    "\\begin{align}",
    "\\begin{align}\n",
    "\\begin{align}\n\\begin{gather}\n",
    "\\end{align}\\begin{align}",
    "$a\\$",
    "$`",
    "'$'",
    "> $$\n",
    "- \\[\n",
]


@pytest.mark.parametrize("piece", BOMBS)
@pytest.mark.parametrize("end", ["", "$$", "\\]", "\\end{align}", "\\)"])
def test_twice_as_many_formulas_are_twice_the_work(piece, end):
    once, twice = (
        lines_run(lambda text=piece * count + end: markdown.render(text)) for count in (500, 1000)
    )
    assert twice < 2.3 * once


def test_ten_thousand_formulas_are_each_set_or_shown():
    shown = markdown.render("$x$ " * 10_000)

    assert shown.count("<math") in (0, 10_000)
    assert shown.count("x") >= 10_000
