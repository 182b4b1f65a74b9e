"""Whatever a model wrote is shown harmlessly and inside its card: nothing runs, loads, leaves or
breaks the page.
"""

import pytest
from playwright.sync_api import expect

from labeling.models import Ranking
from tests.browser.hands import make_tasks, submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HACK = "window.hacked = true"
CASES = [
    f"<script>{HACK}</script>",
    f"<img src=x onerror='{HACK}'>",
    f"<svg onload='{HACK}'><circle r=9999></svg>",
    '<iframe srcdoc="<script>parent.hacked = true</script>"></iframe>',
    f"<body onload='{HACK}'>",
    f"<details open ontoggle='{HACK}'>x</details>",
    f"<input autofocus onfocus='{HACK}'>",
    f"[a link](javascript:{HACK.replace(' ', '')})",
    f"[a link](&#x6A;avascript:{HACK.replace(' ', '')})",
    f"<javascript:{HACK.replace(' ', '')}>",
    "[a link](data:text/html,<script>opener.hacked=true</script>)",
    "[a link](vbscript:msgbox)",
    "[a link](//evil.example/x) and [one into the site](/logout/)",
    "![a picture](https://evil.example/pixel.png)",
    "![a picture][ref]\n\n[ref]: https://evil.example/ref.png",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>* { display: none !important }</style>",
    "<div style='position:fixed;inset:0;background:red;z-index:99'>cover</div>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<base href=https://evil.example/>",
    "<form action=https://evil.example/><button id=submit>Submit</button></form>",
    "</textarea></form></article></section></main>",
    "<a hx-get=/logout/ hx-trigger=load>x</a>",
    "<button data-verb=skip data-letter=b class=letter>B</button>",
    "<dialog open>You are logged out</dialog>",
    "<template><script>window.hacked = true</script></template>",
    "<math><mtext></table><mglyph><style><img src=x onerror='window.hacked = true'>",
    "<!-- --!><script>window.hacked = true</script> -->",
    "<![CDATA[<script>window.hacked = true</script>]]>",
    "{{ 7|add:7 }} {% include 'base.html' %} ${7*7} #{7*7}",
    "```html\n<script>window.hacked = true</script>\n```",
    "```" + "x" * 5000 + "\ncode\n```",
    "x" * 1_000_000,
    "https://example.org/" + "path" * 5000,
    "\u202etxet desrever\u202c and \u2066isolated\u2069 \u202e never closed",
    "مرحبا \u202d(abc)\u202c שלום",
    "zero\u200bwidth\u200djoined\ufeff\u2060" * 500,
    "Z" + "\u0301\u0327\u0489" * 3000 + "algo",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 400,
    "ﷺ" * 400,
    "*" * 20_000,
    "[" * 19_000,
    "> " * 5_000 + "deep",
    "- " * 3_000 + "deep",
    "\n".join("#" * (1 + n % 6) + f" heading {n}" for n in range(500)),
    "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n" + ("|" + "b|" * 300 + "\n") * 20,
    "`" * 9_000 + "a" + "`" * 9_001,
    "<" * 10_000,
    "&lt;script&gt;window.hacked = true&lt;/script&gt;",
    "a\tb\x0bc\x00d\u2028e\u2029f\r\ng",
    "\n" * 5_000 + "far down",
    " \u200b \u2060 ",
    "# " + "W" * 5_000,
    "$$\\require{html}\\href{javascript:alert(1)}{x}$$",
]
A_PAGE = 9


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("first", range(0, len(CASES), A_PAGE))
def test_a_hostile_answer_is_only_text(window, log_in, project, alice, picture, width, first):
    make_tasks(project, 1, texts=CASES[first : first + A_PAGE])
    page = window(width)
    strangers = []
    page.on(
        "request",
        lambda request: (
            strangers.append(request.url)
            if "127.0.0.1" not in request.url and "localhost" not in request.url
            else None
        ),
    )
    page.on("dialog", lambda dialog: strangers.append(dialog.message))
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    k = page.locator(".answer").count()

    for seen in ("set", "written"):
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.evaluate(OUTSIDE) == []
        picture(page, f"hostile-{width}-{first}-{seen}")
        page.locator("[data-verb=source]").click()
    page.locator("[data-verb=differences]").click()
    page.keyboard.type("abcdefghi"[: k - 1])
    expect(page.locator(".tier.full")).to_have_count(k)
    submit(page)
    assert Ranking.objects.get().ranked.count() == k
    assert strangers == []


# Cards that stand outside their column, or whose text can't be scrolled to its end.
OUTSIDE = """() => [...document.querySelectorAll(".answer")].filter((card) => {
  const box = card.getBoundingClientRect(), room = card.parentElement.getBoundingClientRect();
  const spills = [...card.querySelectorAll(".text *")].some((part) => {
    const own = part.getBoundingClientRect(), scrolls = part.closest("pre, table, .text");
    return own.right > box.right + 1 && scrolls.scrollWidth <= scrolls.clientWidth;
  });
  return box.left < room.left - 1 || box.right > room.right + 1 || spills;
}).map((card) => card.dataset.letter)"""


def test_there_are_enough_cases():
    assert len(CASES) >= 40
