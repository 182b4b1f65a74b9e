"""What the keys do, and to what: after a pointer, on a control that Tab reached, in an open sheet,
on any layout.
"""

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, ProjectRules, Ranking
from tests.browser.hands import (
    LAYOUTS,
    PHONE,
    drag,
    in_cyrillic,
    key,
    letter,
    press,
    ranks,
    slot,
    submit,
    swipe,
    tab_to,
)
from tests.factories import ratings_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
POINTERS = {"click": {}, "tap": PHONE}
DRAGS = {"click": drag, "tap": swipe}


def status(page):
    return page.locator(".status")


def ratings():
    """The ratings of the newest ranking, by the letter shown."""
    rated = zip("abcdefghi", ratings_of(Ranking.objects.latest("pk")))
    return {letter: rating for letter, rating in rated if rating}


# Enter and Space after a pointer


@pytest.mark.parametrize(
    ("how", "layout"), [("click", "Latin"), ("click", "Cyrillic"), ("tap", "Latin")]
)
def test_enter_submits_what_was_typed_and_then_dragged(desk, how, layout):
    page = desk(count=2, **POINTERS[how])
    LAYOUTS[layout](page, "abc")
    DRAGS[how](page, ".tiers [data-letter=d]", slot(1), share=0.05)
    expect(status(page)).to_have_text("D > A > B > C")
    submit(page, "Enter")
    assert ranks() == {"d": 1, "a": 2, "b": 3, "c": 4}


@pytest.mark.parametrize("how", POINTERS)
def test_enter_submits_what_letters_were_pressed_for(desk, how):
    page = desk(count=2, **POINTERS[how])
    for name in "bca":
        getattr(page, how)(letter(name))
    expect(status(page)).to_have_text("B > C > A > D")
    submit(page, "Enter")
    assert ranks() == {"b": 1, "c": 2, "a": 3, "d": 4}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_letters_are_pressed_and_typed_by_turns(desk, layout):
    page = desk(count=2)
    page.click(letter("b"))
    LAYOUTS[layout](page, "c")
    page.click(letter("d"))
    expect(status(page)).to_have_text("B > C > D > A")
    submit(page, "Enter")
    assert ranks() == {"b": 1, "c": 2, "d": 3, "a": 4}


@pytest.mark.parametrize("how", [*POINTERS, *LAYOUTS])
def test_enter_says_nothing_stronger_than_what_was_pressed(desk, project, how):
    ProjectRules.objects.update(strength=True)
    page = desk(count=2, texts=["A fine answer.", "Another answer."], **POINTERS.get(how, {}))
    if how in POINTERS:
        getattr(page, how)(letter("b"))
    else:
        LAYOUTS[how](page, "b")
    expect(status(page)).to_have_text("B is slightly better")
    submit(page, "Enter")
    assert Ranking.objects.get().strength == -1


def test_enter_on_a_letter_that_tab_reached_says_it_is_better_still(desk, project):
    ProjectRules.objects.update(strength=True)
    page = desk(count=2, texts=["A fine answer.", "Another answer."])
    press(page, letter("b"), "Enter")
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("B is better")
    with page.expect_response("**/submit"):
        press(page, "#submit", "Space")
    expect(page.locator(".turn.user")).to_contain_text("(2)")
    assert Ranking.objects.get().strength == -2


PRESSED = {
    "[data-verb=differences]": "[data-verb=differences][aria-pressed=true]",
    "[data-verb=source]": "#task[data-source=on]",
    "#answer-b [data-verb=compare]": "#answer-b.compared",
    "#answer-b .flags summary": "#answer-b .flags[open]",
    letter("c"): "#answer-c[data-place='1']",
}
CHOSEN = {
    "#labels [value=ambiguous]": "#labels [value=ambiguous]:checked",
    "#answer-b .scale [value='5']": "#answer-b .scale [value='5']:checked",
}


@pytest.mark.parametrize("how", POINTERS)
def test_after_a_pointer_no_key_presses_the_same_again(desk, how):
    page = desk(**POINTERS[how])
    page.evaluate("document.querySelector('#labels').open = true")
    for target, state in (CHOSEN | PRESSED).items():
        for key_name in ("Enter", "Space"):
            if page.locator(state).count() == 0:
                getattr(page, how)(target)
            else:
                page.locator(target).focus()
                page.mouse.click(2, 2) if how == "click" else page.touchscreen.tap(2, 2)
                page.locator(target).focus()  # where the pointer leaves it
            page.keyboard.press(key_name)
            expect(page.locator(state)).to_have_count(1)
    expect(status(page)).to_have_text("C. 3 to go.")
    assert not Ranking.objects.exists()


def test_enter_submits_after_any_press_of_the_mouse_even_where_tab_was_before(desk):
    page = desk(count=2)
    tab_to(page, "[data-verb=differences]")
    page.keyboard.type("dcb")
    page.click("[data-verb=source]", button="right")
    page.mouse.move(700, 300)
    submit(page, "Enter")
    assert ranks() == {"d": 1, "c": 2, "b": 3, "a": 4}


def test_a_verdict_that_the_mouse_chose_is_submitted_by_enter(desk):
    page = desk(count=2)
    page.mouse.click(2, 2)
    page.focus("[name=outcome]")
    page.select_option("[name=outcome]", "all_bad")
    submit(page, "Enter")
    assert Ranking.objects.get().outcome == "all_bad"


def test_arrows_after_a_press_move_on_and_leave_the_rating(desk):
    page = desk()
    page.click("#answer-a .scale label:has([value='5'])")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#answer-a .scale :checked")).to_have_value("5")
    assert page.evaluate("document.activeElement.closest('.answer').dataset.letter") == "b"


# A control that Tab reached


def test_on_a_control_that_tab_reached_a_key_presses_it(desk):
    page = desk()
    page.mouse.click(700, 300)
    for target, state in PRESSED.items():
        press(page, target, "Enter")
        expect(page.locator(state)).to_have_count(1)
        if target != letter("c"):
            press(page, target, "Space")
            expect(page.locator(state)).to_have_count(0)
    press(page, letter("a"), "Space")
    expect(status(page)).to_have_text("C > A. 2 to go.")


def test_tab_goes_on_from_where_the_mouse_was(desk):
    page = desk()
    page.click(letter("b"))
    page.keyboard.press("Tab")
    expect(page.locator("#answer-b [data-verb=compare]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#answer-b.compared")).to_have_count(1)
    expect(status(page)).to_have_text("Choose the other answer to compare with B.")


def test_a_whole_ranking_by_tab(desk):
    page = desk(count=2)
    for name in "dab":
        press(page, letter(name), "Space")
    expect(status(page)).to_have_text("D > A > B > C")
    with page.expect_response("**/submit"):
        press(page, "#submit", "Enter")
    expect(page.locator(".turn.user")).to_contain_text("(2)")
    assert ranks() == {"d": 1, "a": 2, "b": 3, "c": 4}


# An open sheet


@pytest.mark.parametrize("pointer", POINTERS)
def test_an_open_sheet_owns_the_keyboard(desk, pointer):
    page = desk(**POINTERS[pointer])
    page.keyboard.type("ab")
    ways = {
        pointer: lambda: press(page, "#skip summary", pointer),
        "key": lambda: page.keyboard.press("s"),
        "Cyrillic": lambda: in_cyrillic(page, "s"),
        "Enter": lambda: press(page, "#skip summary", "Enter"),
        "Space": lambda: press(page, "#skip summary", "Space"),
    }
    for opens in ways.values():
        opens()
        expect(page.locator("#skip [name=reason]").first).to_be_focused()
        page.keyboard.type("1c=x")
        in_cyrillic(page, "cn")
        page.keyboard.press("Backspace")
        page.keyboard.press("Enter")
        expect(status(page)).to_have_text("A > B. 2 to go.")
        expect(page.locator(".scale :checked, .flags[open], #note[open]")).to_have_count(0)
        expect(page.locator("#skip[open]")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.locator("#skip[open]")).to_have_count(0)
    page.keyboard.type("c")
    expect(status(page)).to_have_text("A > B > C > D")
    assert not Ranking.objects.exists()


DIALOGS = {
    "guidelines": {
        "click": lambda page: page.click("#read"),
        "key": lambda page: page.keyboard.press("r"),
        "Cyrillic": lambda page: in_cyrillic(page, "r"),
        "Enter": lambda page: press(page, "#read", "Enter"),
    },
    "shortcuts": {
        "click": lambda page: page.click("[data-opens=shortcuts]"),
        "key": lambda page: page.keyboard.press("?"),
        "Cyrillic": lambda page: key(page, "?", "Digit7", shift=True),
        "Enter": lambda page: press(page, "[data-opens=shortcuts]", "Enter"),
        "Space": lambda page: press(page, "[data-opens=shortcuts]", "Space"),
    },
}


@pytest.mark.parametrize("dialog", DIALOGS)
def test_an_open_dialog_owns_the_keyboard(desk, dialog):
    page = desk()
    page.keyboard.type("ab")
    for opens in DIALOGS[dialog].values():
        opens(page)
        expect(page.locator(f"#{dialog}[open]")).to_have_count(1)
        page.keyboard.type("1c=xu")
        in_cyrillic(page, "cnu")
        page.keyboard.press("Backspace")
        page.keyboard.press("Escape")
        expect(
            page.locator("dialog[open], .scale :checked, .flags[open], #note[open]")
        ).to_have_count(0)
        expect(status(page)).to_have_text("A > B. 2 to go.")
    page.keyboard.type("c")
    expect(status(page)).to_have_text("A > B > C > D")


def test_a_sheet_that_tab_leaves_is_closed_and_the_keys_are_the_pages_again(desk):
    page = desk()
    page.keyboard.press("s")
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#skip summary")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#skip[open]")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.type("a")
    expect(status(page)).to_have_text("A. 3 to go.")


def test_a_skip_without_a_reason_is_refused_by_enter_and_takes_none_of_the_ranking(desk):
    page = desk(count=2)
    page.keyboard.type("abc")
    page.click("#skip summary")
    expect(page.locator("#skip form :focus")).to_have_count(1)
    page.keyboard.press("Enter")
    assert not Ranking.objects.exists()
    assert not Assignment.objects.filter(state="skipped").exists()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.user")).to_contain_text("(2)")
    assert Assignment.objects.get(state="skipped").skip_reason == "language"


# Layouts

ABC = ("KeyA", "KeyB", "KeyC")
WRITTEN = {
    "Cyrillic": "фис",
    "Cyrillic capitals": "ФИС",
    "Greek": "αβψ",
    "Arabic": "شﻻؤ",
    "Hebrew": "שנב",
    "Korean": "ㅁㅠㅊ",
    "full width": "ａｂｃ",
    "input method": ["Process"] * 3,
}


def test_letters_rank_on_a_layout_that_writes_others(desk):
    page = desk(count=2)
    for writes in WRITTEN.values():
        for written, code in zip(writes, ABC, strict=True):
            key(page, written, code)
        expect(status(page)).to_have_text("A > B > C > D")
        for _letter in "abcd":
            page.keyboard.press("Backspace")
        expect(status(page)).to_have_text("Best first: type a letter, or drag one here.")
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'لا', code: 'KeyB', "
        "bubbles: true}))"
    )
    in_cyrillic(page, "ac")
    submit(page, "Enter")
    assert ranks() == {"b": 1, "a": 2, "c": 3, "d": 4}


TOP_ROWS = {
    "AZERTY": "é\"'(-è_",
    "Arabic": "٢٣٤٥٦",
    "full width": "２３４５６",
    "input method": ["Process"] * 5,
}


def test_the_top_row_rates_whatever_it_writes(desk):
    page = desk()
    for begins, writes in enumerate(TOP_ROWS.values()):
        page.locator("#answer-a .text:visible").focus()
        for digit in (2 + begins, 3 + begins):
            key(page, writes[digit - 2], f"Digit{digit}")
        expect(page.locator("#answer-a .scale :checked")).to_have_value(str(2 + begins))
        expect(page.locator("#answer-b .scale :checked")).to_have_value(str(3 + begins))


def test_all_of_a_task_on_a_cyrillic_layout(desk):
    page = desk(count=2)
    in_cyrillic(page, "x")
    page.keyboard.press("Space")
    in_cyrillic(page, "m")
    expect(page.locator("[data-verb=differences]")).to_have_attribute("aria-pressed", "true")
    in_cyrillic(page, "d")
    page.keyboard.press("=")
    in_cyrillic(page, "ab")
    expect(status(page)).to_have_text("D = A > B > C")
    submit(page, "Enter")
    assert ranks() == {"d": 1, "a": 1, "b": 2, "c": 3}
    in_cyrillic(page, "u")
    expect(page.locator(".turn.user")).to_contain_text("(1)")
    expect(status(page)).to_have_text("D = A > B > C")
    key(page, "?", "Digit7", shift=True)  # where it is on the Russian layout
    expect(page.locator("#shortcuts")).to_be_visible()
    expect(page.locator(".scale :checked")).to_have_count(0)


def test_a_latin_layout_is_taken_at_its_word(desk):
    page = desk()
    key(page, "q", "KeyA")  # AZERTY, where Q and A change places
    key(page, ",", "KeyM")
    key(page, "!", "Digit1", shift=True)
    key(page, "№", "Digit3", shift=True)
    expect(status(page)).to_have_text("Best first: type a letter, or drag one here.")
    expect(page.locator("[data-verb=differences]")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".scale :checked")).to_have_count(0)
    key(page, "a", "KeyQ")
    expect(status(page)).to_have_text("A. 3 to go.")


def test_nothing_is_ranked_by_what_is_composed(desk):
    page = desk()
    page.keyboard.press("n")
    typing = page.context.new_cdp_session(page)
    typing.send("Input.imeSetComposition", {"text": "か", "selectionStart": 1, "selectionEnd": 1})
    key(page, "Process", "KeyA")
    typing.send("Input.insertText", {"text": "蚊"})
    expect(page.locator("[name=note]")).to_have_value("蚊")
    page.keyboard.press("Escape")
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', "
        "{key: 'Process', code: 'KeyA', isComposing: true, bubbles: true}))"
    )
    expect(status(page)).to_have_text("Best first: type a letter, or drag one here.")
    in_cyrillic(page, "a")
    expect(status(page)).to_have_text("A. 3 to go.")


# A rating that is taken back


@pytest.mark.parametrize("pointer", POINTERS)
def test_a_rating_can_be_cleared(desk, pointer):
    page = desk(count=2, **POINTERS[pointer])
    target, given = "#answer-b .scale [value='5']", page.locator("#answer-b .scale :checked")
    ways = {
        "the same digit": lambda: (page.keyboard.press("ArrowLeft"), page.keyboard.press("5")),
        "on AZERTY": lambda: (page.keyboard.press("ArrowLeft"), key(page, "(", "Digit5")),
        "on a Cyrillic layout": lambda: (
            in_cyrillic(page, "b"),
            page.keyboard.press("ArrowLeft"),
            key(page, "5", "Digit5"),
        ),
        "Backspace": lambda: (page.keyboard.press("ArrowLeft"), page.keyboard.press("Backspace")),
        "Tab and Backspace": lambda: (
            page.keyboard.type("a"),
            tab_to(page, target),
            page.keyboard.press("Backspace"),
        ),
    }
    for clear in ways.values():
        page.locator("#answer-b .text:visible").focus()
        page.keyboard.press("5")
        expect(given).to_have_value("5")
        clear()
        expect(given).to_have_count(0)

    getattr(page, pointer)(target)
    expect(given).to_have_value("5")
    with page.expect_response("**/draft"):
        getattr(page, pointer)(target)
    expect(given).to_have_count(0)
    page.reload()
    expect(given).to_have_count(0)
    page.keyboard.type("bc")
    submit(page)
    assert ratings() == {}


def test_backspace_takes_back_what_was_typed_last(desk):
    page = desk()
    page.keyboard.type("3512")
    page.keyboard.press("Backspace")  # the last rating
    expect(page.locator("#answer-d .scale :checked")).to_have_count(0)
    page.keyboard.type("2ab")
    page.keyboard.press("Backspace")  # the last letter
    expect(status(page)).to_have_text("A. 3 to go.")
    expect(page.locator("#answer-d .scale :checked")).to_have_value("2")
    page.keyboard.press("ArrowLeft")  # moved to another answer: its rating
    page.keyboard.press("Backspace")
    expect(page.locator("#answer-c .scale :checked")).to_have_count(0)
    page.keyboard.press("Backspace")  # it has none any more: the last letter
    expect(status(page)).to_have_text("Best first: type a letter, or drag one here.")
    expect(page.locator(".scale :checked")).to_have_count(3)


def test_another_digit_and_another_click_change_a_rating(desk):
    page = desk()
    page.click("#answer-a .scale [value='5']")
    page.click("#answer-a .scale [value='6']")
    expect(page.locator("#answer-a .scale :checked")).to_have_value("6")
    page.keyboard.type("2")
    expect(page.locator("#answer-a .scale :checked")).to_have_value("2")


# Verdicts, and what a key closes again


@pytest.mark.parametrize(("key", "outcome"), [("w", "all_bad"), ("j", "cannot_judge")])
def test_a_key_gives_a_verdict_and_takes_it_back(desk, key, outcome):
    page = desk(count=2)
    page.keyboard.type("abc")
    page.keyboard.press(key)
    expect(page.locator("[name=outcome]")).to_have_value(outcome)
    expect(status(page)).to_have_text("Will be submitted without a ranking.")
    page.keyboard.press(key)
    expect(status(page)).to_have_text("A > B > C > D")
    page.keyboard.press(key)
    submit(page, "Enter")
    assert Ranking.objects.get().outcome == outcome


def test_enter_submits_from_the_list_of_verdicts(desk):
    page = desk(count=2)
    page.focus("[name=outcome]")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[name=outcome]")).to_have_value("all_bad")
    submit(page, "Enter")
    assert Ranking.objects.get().outcome == "all_bad"


@pytest.mark.parametrize(
    ("key", "over"),
    [("x", "#answer-a .flags"), ("p", "#labels"), ("s", "#skip"), ("r", "#guidelines")],
)
def test_the_key_that_opened_something_closes_it(desk, key, over):
    page = desk()
    page.keyboard.press(key)
    expect(page.locator(f"{over}[open]")).to_have_count(1)
    page.keyboard.press(key)
    expect(page.locator(f"{over}[open]")).to_have_count(0)
    page.keyboard.type("ab")
    expect(status(page)).to_have_text("A > B. 2 to go.")


def test_the_help_closes_with_its_key(desk):
    page = desk()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_hidden()


def test_a_letter_typed_as_the_reason_of_a_skip_does_not_close_it(desk):
    page = desk()
    page.keyboard.press("s")
    page.focus("#skip [name=detail]")
    page.keyboard.type("answers miss it")
    expect(page.locator("#skip [name=detail]")).to_have_value("answers miss it")


# Of two answers


@pytest.fixture
def pair(desk):
    """Opens a task of two answers, in a project that asks how much better one is."""

    def open_pair(**options):
        ProjectRules.objects.update(**{"strength": True} | options)
        return desk(count=2, texts=["This one.", "Or that one."])

    return open_pair


def test_three_presses_lead_from_one_side_to_the_far_end_of_the_other(pair):
    page = pair()
    says = []
    for name in "aaabbbb":
        page.keyboard.press(name)
        says.append(status(page).inner_text())
    assert says == [
        "A is slightly better",
        "A is better",
        "A is much better",
        "B is slightly better",
        "B is better",
        "B is much better",
        "B is much better",
    ]


@pytest.mark.parametrize(
    ("digit", "strength"), [(1, 3), (2, 2), (3, 1), (4, 0), (5, -1), (6, -2), (7, -3)]
)
def test_shift_and_a_digit_choose_a_step(pair, digit, strength):
    page = pair()
    page.keyboard.press(f"Shift+Digit{digit}")
    submit(page, "Enter")
    assert Ranking.objects.get().strength == strength
    assert ratings() == {}


def test_digits_choose_steps_where_answers_are_not_rated(pair):
    page = pair(rating=False, ties=False)  # six steps: no tie
    page.keyboard.press("4")
    expect(status(page)).to_have_text("B is slightly better")
    page.keyboard.press("7")  # there is none
    expect(status(page)).to_have_text("B is slightly better")


def test_steps_have_words_before_one_is_chosen(pair, picture):
    page = pair()
    words = page.locator(".strength label").all_inner_texts()
    assert words == ["much", "better", "slightly", "equal", "slightly", "better", "much"]
    picture(page, "strength-1440-light-fresh")
