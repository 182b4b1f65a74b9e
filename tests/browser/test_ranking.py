"""A labeler's day: by mouse, by keyboard, by touch and without JavaScript; drafts, undo and skip."""

import re

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, RankedCandidate, Ranking
from tests.factories import PASSWORD, make_person, make_project, make_prompt, make_task

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ANSWERS = (
    "It is wonderful that she wants to move more. Before she starts, she could ask:\n\n"
    "1. **Is my dose stable enough** to begin something new?\n"
    "2. Which activities have a **risk of falls or knocks** that I should avoid?\n"
    "3. What bruising is normal, and **when should I call you?**\n"
    "4. Do I need a blood test before or after I change my routine?\n\n"
    "Walking, water aerobics and a stationary bicycle are often suggested as gentle beginnings.",
    "She should not exercise while on a blood thinner. Exercise raises blood pressure and this can cause bleeding. "
    "It is better to rest until the treatment is over.",
    "Ask about contact sports, about heart rate limits, and whether a check-up is needed. The doctor may want to know "
    "which medicine it is:\n\n```\nwarfarin      -> INR test, steady vitamin K\napixaban etc. -> fewer tests, same fall "
    "risk\n```\n\nShe should carry a card that says what she takes.",
    "开始锻炼之前，她可以问医生：目前的剂量是否稳定？哪些运动容易摔倒或碰撞，应该避免？出现瘀伤时，什么情况需要马上联系医生？\n\n"
    "散步、水中健身操通常是比较温和的选择。",
)
QUESTION = (
    "My grandmother takes a blood thinner and wants to start a new exercise routine. "
    "What should she ask her doctor before she begins?"
)


@pytest.fixture
def project():
    return make_project(slug="demo", name="Assistant, round 3", guidelines="# Be kind\n\nRank what *helps* first.")


@pytest.fixture
def alice(project):
    return make_person(project, "labeler", "alice")


def make_tasks(project, count, texts=ANSWERS, **fields):
    for number in range(count):
        messages = [
            {"role": "system", "content": "You answer in plain language for someone without a medical background."},
            {"role": "user", "content": f"{QUESTION} ({number + 1})"},
        ]
        make_task(project, texts=texts, prompt=make_prompt(project, messages=messages), **fields)


def ranks():
    """The ranks of the newest ranking, by the letter shown."""
    ranked = RankedCandidate.objects.filter(ranking=Ranking.objects.filter(current=True).latest("pk"))
    return {"abcdefghi"[one.shown]: one.rank for one in ranked}


def drag(page, start, end, share=0.5):
    """Press on `start`, move in steps, let go over `end`, at this share of its width."""
    one, other = page.locator(start).bounding_box(), page.locator(end).bounding_box()
    page.mouse.move(one["x"] + one["width"] / 2, one["y"] + one["height"] / 2)
    page.mouse.down()
    page.mouse.move(other["x"] + other["width"] * share, other["y"] + other["height"] / 2, steps=8)
    page.mouse.up()


def submit(page, by="#submit"):
    """Press Submit (or Enter) and wait for the next card and for the server; the page itself stays."""
    form = page.locator("#task").get_attribute("action")
    page.evaluate("window.kept = true")
    with page.expect_response(f"**{form}"):
        page.click(by) if by else page.keyboard.press("Enter")
    expect(page.locator(f'#task[action="{form}"]')).to_have_count(0)
    assert page.evaluate("window.kept") is True


def letter(name):
    return f"#answer-{name} .letter"


def slot(number):
    return f".tier:nth-child({number})"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_three_tasks_by_mouse(window, log_in, project, alice, picture, scheme):
    make_tasks(project, 3)
    page = window(color_scheme=scheme)
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    picture(page, f"rank-1440-{scheme}-fresh")

    for name, place in zip("bda", (1, 2, 3)):
        drag(page, letter(name), slot(place))
    expect(page.locator(".status")).to_have_text("B > D > A > C")
    page.click("#answer-b .scale label:has([value='6'])")
    page.click("#answer-d .flags summary")
    page.check("#answer-d [value=hallucination]")
    picture(page, f"rank-1440-{scheme}-ranked")
    submit(page)
    assert ranks() == {"b": 1, "d": 2, "a": 3, "c": 4}
    judged = Ranking.objects.get().ranked.get(shown=3)
    assert (judged.flags, Ranking.objects.get().ranked.get(shown=1).rating) == (["hallucination"], 6)

    for name in "abc":
        page.click(letter(name))
    drag(page, ".tiers [data-letter=c]", slot(1))  # onto a tier: a tie
    expect(page.locator(".status")).to_have_text("A = C > B > D")
    drag(page, ".tiers [data-letter=d]", slot(1), share=0.05)  # before the first: a tier of its own
    expect(page.locator(".status")).to_have_text("D > A = C > B")
    picture(page, f"rank-1440-{scheme}-tie")
    submit(page)
    assert ranks() == {"d": 1, "a": 2, "c": 2, "b": 3}

    for name in "abc":
        page.click(letter(name))
    drag(page, ".tiers [data-letter=b]", ".prompt h1")  # off the board: not ranked any more
    expect(page.locator(".status")).to_have_text("A > C > D. 1 to go.")
    expect(page.locator("#submit")).to_be_disabled()
    page.click(".tiers [data-letter=d]")
    page.click(letter("b"))
    submit(page)
    assert ranks() == {"a": 1, "c": 2, "b": 3, "d": 4}
    expect(page.locator("h1")).to_have_text("Nothing to rank just now")
    picture(page, f"rank-1440-{scheme}-empty")


def test_three_tasks_by_keyboard(window, log_in, project, alice):
    make_tasks(project, 3)
    page = window()
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    page.keyboard.press("Enter")  # nothing is ranked: nothing happens
    page.keyboard.type("7512")
    page.keyboard.type("adc")
    expect(page.locator(".status")).to_have_text("A > D > C > B")
    submit(page, by=None)
    assert ranks() == {"a": 1, "d": 2, "c": 3, "b": 4}
    assert list(Ranking.objects.get().ranked.order_by("shown").values_list("rating", flat=True)) == [7, 5, 1, 2]

    page.keyboard.type("ad=cb")
    expect(page.locator(".status")).to_have_text("A > D = C > B")
    submit(page, by=None)
    assert ranks() == {"a": 1, "d": 2, "c": 2, "b": 3}

    page.keyboard.type("cb")
    page.keyboard.press("Backspace")
    page.keyboard.type("d")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.type("n")
    page.keyboard.type("abcd = not a ranking")
    page.keyboard.press("Escape")
    page.keyboard.type("p")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(page.locator(".status")).to_have_text("C > D. 2 to go.")
    page.keyboard.type("b")
    submit(page, by=None)
    last = Ranking.objects.latest("pk")
    assert ranks() == {"c": 1, "d": 2, "b": 3, "a": 4}
    assert (last.note, last.labels) == ("abcd = not a ranking", ["ambiguous"])
    assert last.ranked.get(shown=0).flags == ["fails_instruction"]


def test_taps_on_a_phone(window, log_in, project, alice, picture):
    make_tasks(project, 3)
    page = window(390, 844, has_touch=True, is_mobile=True)
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    expect(page.locator(".status")).to_have_text("Best first: tap a letter.")
    picture(page, "rank-390-light-fresh")
    for name in "cab":
        page.tap(letter(name))
    expect(page.locator(".status")).to_have_text("C > A > B > D")
    picture(page, "rank-390-light-ranked")
    with page.expect_response("**/submit"):
        page.tap("#submit")
    expect(page.locator(".turn.user")).to_contain_text("(2)")
    assert ranks() == {"c": 1, "a": 2, "b": 3, "d": 4}
    assert page.evaluate("scrollX + document.documentElement.scrollWidth - innerWidth") == 0


def test_a_finger_drags_a_letter_onto_a_tier(window, log_in, project, alice):
    make_tasks(project, 1)
    page = window(390, 844, has_touch=True, is_mobile=True)
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    for name in "abc":
        page.tap(letter(name))
    one, other = (page.locator(which).bounding_box() for which in (".tiers [data-letter=d]", slot(2)))
    finger = page.context.new_cdp_session(page)

    def touch(kind, box=None):
        at = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}] if box else []
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    touch("touchStart", one)
    touch("touchMove", {**one, "x": one["x"] - 20})
    touch("touchMove", other)
    touch("touchEnd")
    expect(page.locator(".status")).to_have_text("A > B = D > C")


def test_a_reload_finds_the_draft(window, log_in, project, alice, picture):
    make_tasks(project, 2)
    page = window()
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    page.keyboard.type("65ad=c")
    page.keyboard.type("n")
    page.keyboard.type("half a thought")
    expect(page.locator(".saved")).to_have_text("Draft saved")
    page.reload()
    expect(page.locator(".status")).to_have_text("A > D = C > B")
    expect(page.locator("[name=note]")).to_have_value("half a thought")
    expect(page.locator("#answer-b .scale :checked")).to_have_value("5")
    picture(page, "rank-1440-light-draft")

    page.keyboard.press("Backspace")  # and the last moment before leaving is kept too
    page.reload()
    expect(page.locator(".status")).to_have_text("A > D = C. 1 to go.")

    elsewhere = window()
    log_in(elsewhere, alice)
    elsewhere.goto("/p/demo/rank/")
    expect(elsewhere.locator("[name=note]")).to_have_value("half a thought")


def test_offline_is_said_and_tried_again(window, log_in, project, alice):
    make_tasks(project, 1)
    page = window()
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    page.context.set_offline(True)
    page.keyboard.type("abc")
    expect(page.locator(".saved")).to_have_text("Offline: will be saved again")
    page.keyboard.press("Enter")
    expect(page.locator(".status")).to_have_text("A > B > C > D")
    page.context.set_offline(False)
    expect(page.locator(".saved")).to_have_text("Draft saved")
    submit(page)
    assert ranks() == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_skip_and_undo(window, log_in, project, alice, picture):
    make_tasks(project, 3)
    page = window()
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    page.keyboard.press("s")
    page.keyboard.press("Space")
    picture(page, "rank-1440-light-skip")
    page.click("#skip button")
    expect(page.locator(".turn.user")).to_contain_text("(2)")
    assert Assignment.objects.get(state="skipped").skip_reason == "language"

    page.keyboard.type("dcba")
    submit(page)
    expect(page.locator(".turn.user")).to_contain_text("(3)")
    page.keyboard.type("ab")
    page.keyboard.press("u")
    expect(page.locator(".turn.user")).to_contain_text("(2)")
    expect(page.locator(".status")).to_have_text("D > C > B > A")
    assert not Ranking.objects.filter(current=True).exists()
    submit(page)
    expect(page.locator(".turn.user")).to_contain_text("(3)")
    expect(page.locator(".status")).to_have_text("A > B. 2 to go.")


def test_help_and_guidelines_open_over_the_page(window, log_in, project, alice, picture):
    make_tasks(project, 1)
    page = window()
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    page.keyboard.press("r")
    expect(page.locator("#guidelines h3")).to_have_text("Be kind")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    picture(page, "rank-1440-light-shortcuts")
    page.keyboard.type("a")
    page.keyboard.press("Escape")
    expect(page.locator(".status")).to_have_text(re.compile("^Best first"))


def test_single_keys_can_be_off(window, log_in, project, alice):
    alice.shortcuts = False
    alice.save()
    make_tasks(project, 1)
    page = window()
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    page.keyboard.type("abc7")
    expect(page.locator(".tier.full")).to_have_count(0)
    expect(page.locator(".scale :checked")).to_have_count(0)


def test_a_plain_form_without_javascript(window, log_in, project, alice, picture):
    make_tasks(project, 2)
    page = window(java_script_enabled=False)
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    for name, rank in (("a", "2"), ("b", "1"), ("c", "2")):
        page.select_option(f"[name=rank-{name}]", rank)
    page.click("#submit")
    expect(page.locator("#answer-d .error")).to_have_text("Answer D has no rank yet.")
    expect(page.locator("[name=rank-b]")).to_have_value("1")
    picture(page, "rank-1440-light-no-js")
    page.select_option("[name=rank-d]", "4")
    page.click("#submit")
    expect(page.locator(".turn.user")).to_contain_text("(2)")
    assert ranks() == {"a": 2, "b": 1, "c": 2, "d": 3}


@pytest.mark.parametrize(
    ("width", "scheme", "k"), [(390, "dark", 9), (390, "light", 2), (1440, "light", 9), (2560, "dark", 2)]
)
def test_other_numbers_of_answers(window, log_in, project, alice, picture, width, scheme, k):
    long = "\n\n".join(f"Paragraph {n}. " + "Many words follow one another here. " * 20 for n in range(12))
    rtl = "قبل أن تبدأ، يمكنها أن تسأل الطبيب: هل جرعتي مستقرة؟\n\n- أي الأنشطة يجب تجنبها؟\n- متى أتصل بك؟"
    table = (
        "| medicine | test | food |\n|---|---|---|\n| warfarin | INR | steady vitamin K |\n\n`code` and > not a quote"
    )
    texts = [long, rtl, table, "x" * 3000, *ANSWERS, ""][:k] if k > 2 else [long, rtl]
    make_tasks(project, 1, texts=texts)
    page = window(width, 844 if width == 390 else 900, color_scheme=scheme)
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    page.keyboard.type("abcdefghi"[: k - 1])
    expect(page.locator(".tier.full")).to_have_count(k)
    picture(page, f"rank-{width}-{scheme}-k{k}")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_session_that_ends_takes_nothing_with_it(window, log_in, project, alice):
    make_tasks(project, 2)
    page = window()
    log_in(page, alice)
    page.goto("/p/demo/rank/")
    page.context.clear_cookies(name="sessionid")
    page.keyboard.type("dcba")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_contain_text("You are logged out")
    page.reload()
    page.fill("[name=username]", alice.email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".status")).to_have_text("D > C > B > A")
    submit(page)
    assert ranks() == {"d": 1, "c": 2, "b": 3, "a": 4}
