"""Whatever a model writes is shown harmlessly, and all of it."""

import random
import re

import pytest

from labeling.text import conversations, markdown
from tests.labeling.text.work import lines_run

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<iframe src=https://evil.example></iframe>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    '[x](https://ok.example "onmouseover=alert(1)")',
    '[x](https://ok.example" onclick="alert(1))',
    "![x](https://evil.example/pixel.png)",
    "![x](data:image/svg+xml;base64,AAAA)",
    "![a](b 'c' onerror=alert(1))",
    "<style>*{display:none}</style>",
    '<p style="position:fixed">x</p>',
    "<form action=/logout/><button>x</button></form>",
    "<input name=rank-a value=1>",
    "</textarea></form><script>alert(1)</script>",
    "<base href=https://evil.example>",
    "<meta http-equiv=refresh content=0>",
    "<!-- --><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "```html\n<script>alert(1)</script>\n```",
    "```js onload=alert(1)\nx\n```",
    "`<img src=x onerror=alert(1)>`",
    "| <img src=x onerror=alert(1)> |\n|:-:|\n| x |",
    "[x]: javascript:alert(1)\n\n[x]",
    "# <b onclick=alert(1)>x</b>",
    "> <object data=x></object>",
    "- <embed src=x>",
    "<math><mtext></table><mglyph><style><img src=x onerror=alert(1)>",
    "<div class=go id=submit>x</div>",
    "<a hx-get=/logout/ hx-trigger=load>x</a>",
    "\x00<script>\x00alert(1)</script>",
    "\ud800<script>alert(1)</script>",
    "\u202e<script>alert(1)</script>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs_loads_or_pretends(text):
    html = markdown.render(text)
    html = re.sub(
        '<span class="code-[a-z]+">|</span>', "", html
    )  # the colours of code, and nothing else
    tags = {piece.split(">")[0].split()[0].strip("/") for piece in html.split("<")[1:]}
    inside = " ".join(piece.split(">")[0] for piece in html.split("<")[1:]).lower()

    assert tags <= {
        "p",
        "br",
        "strong",
        "em",
        "code",
        "pre",
        "blockquote",
        "ul",
        "li",
        "a",
        "h3",
    } | {
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert not any(
        word in inside
        for word in ("style", "class", " on", "hx-", "src", "javascript:", "data:", "file:")
    )


def test_ordinary_markdown_looks_as_meant():
    html = markdown.render(
        "# Soup\n\n3. *stir*\n4. **salt**\n\n~~no~~ `x < 1`\nnext\n\n| a |\n|-|\n| 1 |"
    )

    for part in (
        "<h3>Soup",
        '<ol start="3">',
        "<em>stir",
        "<s>no",
        "<code>x &lt; 1</code><br>",
        "<td>1",
    ):
        assert part in html


def test_code_is_coloured_by_the_language_of_its_fence():
    html = markdown.render('```python\nreturn "<b>"  # why\n```')
    assert '<span class="code-keyword">return</span>' in html
    assert '<span class="code-comment"># why</span>' in html
    assert "<b>" not in html


def test_code_of_an_unknown_language_is_plain():
    assert (
        markdown.render("```klingon\nreturn 1\n```")
        == '<pre tabindex="0"><code>return 1\n</code></pre>\n'
    )


def test_every_language_that_is_coloured_has_its_lexer():
    assert all(markdown.highlight("x = 1\n", language) for language in markdown.LANGUAGES)


def test_a_link_tells_its_target_nothing():
    html = markdown.render("[x](https://example.org/a)")

    assert 'href="https://example.org/a"' in html
    assert 'rel="nofollow noopener noreferrer"' in html


def test_a_link_into_this_site_leads_nowhere():
    assert "href" not in markdown.render("[x](/p/demo/people/) [y](//evil.example) [z](?a=b)")


PIXEL = "https://example.org/p.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"![a pixel]({PIXEL})", (PIXEL, "[image: a pixel]")),
        (f"![]({PIXEL})", (PIXEL, "[image]")),
        # links don't nest: the outer one stays, and nothing is lost
        (
            f"[![logo]({PIXEL})](https://example.org/)",
            ("https://example.org/", f"[image: logo] ({PIXEL})"),
        ),
    ],
)
def test_a_picture_is_its_description_and_a_link(text, shown):
    html = markdown.render(text)
    [link] = re.findall('<a href="([^"]*)"[^>]*>([^<]*)</a>', html)

    assert link == shown
    assert "!" not in html


def test_a_picture_without_an_address_is_its_description():
    assert "[image: a cat]" in markdown.render("![a cat](cat.png)")


def test_what_a_change_adds_and_removes_is_coloured():
    html = markdown.render("```diff\n@@ -1 +1 @@\n-run\n+swim\n```")

    assert '<span class="code-deleted">-run' in html
    assert '<span class="code-inserted">+swim' in html
    assert '<span class="code-keyword">@@' in html


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nA *plan*.\n</think>\n\nThe **answer**.",
        "<thinking>A *plan*.</thinking>The **answer**.",
        "A *plan*.\n</think>\n\nThe **answer**.",
    ],
)
def test_what_a_model_thought_is_folded(text):
    html = markdown.render(text)

    assert html.startswith(
        '<details class="thought"><summary>Reasoning</summary><p>A <em>plan</em>'
    )
    assert html.endswith("</details>\n<p>The <strong>answer</strong>.</p>\n")


def test_a_thought_that_has_no_end_is_open():
    html = markdown.render("<think>Let me <script>see</script>")

    assert html.startswith('<details class="thought" open>')
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    "text",
    [
        "Write `<think>` first.",
        "```\n<think>\nplan\n</think>\n```",
        "a </think> b",
        "<think></think>x",
    ],
)
def test_what_is_no_thought_is_not_folded(text):
    assert "<details" not in markdown.render(text)


LIST = "\n".join("  " * n + "* x" for n in range(40)) + " end"


@pytest.mark.parametrize("deep", ["> " * 40 + "end", "* " * 40 + "end", LIST])
def test_what_is_nested_too_deeply_is_shown_as_it_is(deep):
    html = markdown.render(deep)

    assert html.startswith("<pre>")
    assert html.count("x") == deep.count("x")
    assert "end" in html


def test_any_text_that_can_be_stored_is_formatted():
    text = "Some *words*.\n\n" * 10_000

    assert markdown.render(text[: markdown.LONGEST]).count("<em>words</em>") == 6666
    assert markdown.LONGEST == conversations.LONGEST


def test_what_is_too_long_is_shown_as_it_is():
    assert markdown.render("<b>" * markdown.LONGEST).startswith("<pre>&lt;b&gt;")


def test_all_answers_of_a_task_are_formatted_or_none():
    texts = ["*a*", "", "> " * 40 + "deep"]

    assert markdown.render_alike(texts[:2]) == (["<p><em>a</em></p>\n", ""], True)
    assert markdown.render_alike(texts) == (
        [markdown.plain("*a*"), "", markdown.plain(texts[2])],
        False,
    )


def test_a_text_that_would_grow_too_large_is_shown_as_it_is():
    table = "|a" * 1000 + "|\n" + "|-" * 1000 + "|\n" + "|b&amp;\n" * 12_000
    assert markdown.render(table).startswith("<pre>|a|a")


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "![",
        "[a](",
        "*a ",
        "**a",
        "_a",
        "~~a",
        "<",
        "`a``",
        "a\n",
        "|a",
        ">\na\n",
        "[x](<b",
        "&#x41;",
    ],
)
def test_a_bomb_of_twice_the_length_takes_twice_the_work(piece):
    once, twice = (
        lines_run(lambda text=piece * count: markdown.render(text)) for count in (500, 1000)
    )
    assert twice < 2.2 * once
    markdown.render(piece * (markdown.LONGEST // len(piece)))


def test_any_text_gives_html():
    draw = random.Random(1)
    for _ in range(300):
        text = "".join(draw.choices("ab \n\t<>[]()!*_~`#|-+1.\"'&;\\:/=\u202e\u200d\u0627", k=100))
        assert "<script" not in markdown.render(text)
