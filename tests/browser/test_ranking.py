"""A labeler's day by mouse, keyboard, touch and without JavaScript; drafts, undo and skip."""

import re

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, Ranking
from tests.browser.hands import ANSWERS, PHONE, drag, identify, letter, ranks, slot, submit, swipe
from tests.factories import flags_of, ratings_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_three_tasks_by_mouse(desk, picture, scheme):
    page = desk(count=3, color_scheme=scheme)
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
    assert flags_of(Ranking.objects.get()) == [[], [], [], ["hallucination"]]
    assert ratings_of(Ranking.objects.get()) == [None, 6, None, None]

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
    expect(page.locator("h1")).to_have_text("Nothing to rank right now")
    picture(page, f"rank-1440-{scheme}-empty")


def test_three_tasks_by_keyboard(desk):
    page = desk(count=3)
    page.keyboard.press("Enter")  # nothing is ranked: nothing happens
    page.keyboard.type("7512")
    page.keyboard.type("adc")
    expect(page.locator(".status")).to_have_text("A > D > C > B")
    submit(page, "Enter")
    assert ranks() == {"a": 1, "d": 2, "c": 3, "b": 4}
    assert ratings_of(Ranking.objects.get()) == [7, 5, 1, 2]

    page.keyboard.type("ad=cb")
    expect(page.locator(".status")).to_have_text("A > D = C > B")
    submit(page, "Enter")
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
    submit(page, "Enter")
    last = Ranking.objects.latest("pk")
    assert ranks() == {"c": 1, "d": 2, "b": 3, "a": 4}
    assert (last.note, last.labels) == ("abcd = not a ranking", ["ambiguous"])
    assert flags_of(last) == [["fails_instruction"], [], [], []]


def test_taps_on_a_phone(desk, picture):
    page = desk(count=3, **PHONE)
    expect(page.locator(".status")).to_have_text("Best first: tap a letter.")
    picture(page, "rank-390-light-fresh")
    for name in "cab":
        page.tap(letter(name))
    expect(page.locator(".status")).to_have_text("C > A > B > D")
    picture(page, "rank-390-light-ranked")
    submit(page, "tap")
    expect(page.locator(".turn.user")).to_contain_text("(2)")
    assert ranks() == {"c": 1, "a": 2, "b": 3, "d": 4}
    assert page.evaluate("scrollX + document.documentElement.scrollWidth - innerWidth") == 0


def test_a_finger_drags_a_letter_onto_a_tier(desk):
    page = desk(**PHONE)
    for name in "abc":
        page.tap(letter(name))
    swipe(page, ".tiers [data-letter=d]", slot(2))
    expect(page.locator(".status")).to_have_text("A > B = D > C")


def test_a_reload_finds_the_draft(desk, window, log_in, alice, picture):
    page = desk(count=2)
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


def test_offline_is_said_and_tried_again(desk):
    page = desk()
    page.context.set_offline(True)
    page.keyboard.type("abc")
    expect(page.locator(".saved")).to_have_text(
        "Offline. Changes will be saved when you reconnect."
    )
    page.context.set_offline(False)
    expect(page.locator(".saved")).to_have_text("Draft saved")
    submit(page)
    assert ranks() == {"a": 1, "b": 2, "c": 3, "d": 4}


@pytest.mark.parametrize("key", ["s", "u"])
def test_what_is_not_sent_again_by_itself_says_so(desk, key):
    page = desk(count=2)
    page.context.set_offline(True)
    page.keyboard.press(key)
    if key == "s":
        page.keyboard.press("Space")
        page.click("#skip button")
    expect(page.locator(".saved")).to_have_text(
        "Offline. Nothing was changed: try again when you are connected."
    )


def test_skip_and_undo(desk, picture):
    page = desk(count=3)
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


def test_help_and_guidelines_open_over_the_page(desk, picture):
    page = desk()
    page.keyboard.press("r")
    expect(page.locator("#guidelines h3")).to_have_text("Be kind")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    picture(page, "rank-1440-light-shortcuts")
    page.keyboard.type("a")
    page.keyboard.press("Escape")
    expect(page.locator(".status")).to_have_text(re.compile("^Best first"))


def test_single_keys_can_be_off(desk, alice):
    alice.shortcuts = False
    alice.save()
    page = desk()
    page.keyboard.type("abc7")
    expect(page.locator(".tier.full")).to_have_count(0)
    expect(page.locator(".scale :checked")).to_have_count(0)


def test_a_plain_form_without_javascript(desk, picture):
    page = desk(count=2, java_script_enabled=False)
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
    ("width", "scheme", "k"),
    [(390, "dark", 9), (390, "light", 2), (1440, "light", 9), (2560, "dark", 2)],
)
def test_other_numbers_of_answers(desk, picture, width, scheme, k):
    long = "\n\n".join(
        f"Paragraph {n}. " + "Many words follow one another here. " * 20 for n in range(12)
    )
    rtl = (
        "قبل أن تبدأ، يمكنها أن تسأل الطبيب: هل جرعتي مستقرة؟\n\n- أي الأنشطة يجب تجنبها؟\n- متى "
        "أتصل بك؟"
    )
    table = (
        "| medicine | test | food |\n|---|---|---|\n| warfarin | INR | steady vitamin K "
        "|\n\n`code` and > not a quote"
    )
    texts = [long, rtl, table, "x" * 3000, *ANSWERS, ""][:k] if k > 2 else [long, rtl]
    page = desk(texts=texts, width=width, color_scheme=scheme)
    page.keyboard.type("abcdefghi"[: k - 1])
    expect(page.locator(".tier.full")).to_have_count(k)
    picture(page, f"rank-{width}-{scheme}-k{k}")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_session_that_ends_takes_nothing_with_it(desk, alice):
    page = desk(count=2)
    page.context.clear_cookies(name="sessionid")
    page.keyboard.type("dcba")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_contain_text("You are logged out")
    page.reload()
    identify(page, alice)
    expect(page.locator(".turn.user")).to_contain_text("(2)")  # sent without a second press
    assert ranks() == {"d": 1, "c": 2, "b": 3, "a": 4}
