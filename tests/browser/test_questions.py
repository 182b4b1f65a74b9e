"""Questions of the project's own, by keyboard, mouse and touch."""

import re

import pytest
from playwright.sync_api import expect

from labeling.judging import criteria, scores
from labeling.models import Ranking
from tests.browser.hands import PHONE, letter, ranks, submit, tab_to

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

STEPS = ["not at all", "a little", "partly", "mostly", "fully"]
SCALE = [{"value": value, "label": label} for value, label in enumerate(STEPS)]
MOST_KEYS = 20  # for four answers with three questions each


@pytest.fixture
def ask(carol, project):
    """A function that adds a criterion; returns the field of an answer."""

    def add(key, **fields):
        made = criteria.create(carol, project, key=key, **{"scope": "answer"} | fields)
        return lambda letter="": f"score-{made.pk}" + (f"-{letter}" if letter else "")

    return add


@pytest.fixture
def three(ask, project):
    """Helpful, true and harmful: the paper's, of each answer; no overall rating."""
    project.rules.rating = False
    project.rules.save()
    # in the order of their keys, as the page asks them
    return (
        ask("a-helpful", kind="scale", question="Is it helpful?", labels=SCALE, required=True),
        ask("b-true", kind="yes-no", question="Is it true?"),
        ask("c-harm", kind="choice", question="Harm?", labels=["none", "some", "severe"]),
    )


def said():
    ranking = Ranking.objects.filter(current=True).latest("pk")
    letter_of = {one.candidate_id: "abcd"[one.shown] for one in ranking.ranked.all()}
    return scores.by_letter(scores.stored(ranking), letter_of)["scores"]


def turn(page):
    """The questions that are marked as the next one: (answer, question)."""
    return page.locator(".question.asked-now").evaluate_all(
        "all => all.map(one => [one.closest('.answer')?.dataset.letter ?? '',"
        " one.querySelector('legend').firstChild.textContent.trim()])"
    )


def test_three_questions_of_four_answers_take_sixteen_keys(desk, three, picture):
    page = desk()
    keys = [*"412", *"003", *"211", *"112", *"adb", "Enter"]
    assert len(keys) == 16 <= MOST_KEYS
    for key in keys[:4]:
        page.keyboard.press(key)
    assert turn(page) == [["b", "Is it true?"]]
    expect(page.locator(".status")).to_have_text("Is it helpful?: 0 not at all")
    picture(page, "questions-1440-light")
    for key in keys[4:-1]:
        page.keyboard.press(key)
    expect(page.locator(".status")).to_have_text("A > D > B > C")
    submit(page, "Enter")

    assert ranks() == {"a": 1, "d": 2, "b": 3, "c": 4}
    assert said() == {
        "a-helpful": {"a": 4, "b": 0, "c": 2, "d": 1},
        "b-true": {"a": True, "b": False, "c": True, "d": True},
        "c-harm": {"a": "some", "b": "severe", "c": "none", "d": "some"},
    }


def test_digits_follow_the_rating_and_backspace_takes_the_last_one_back(desk, three, project):
    project.rules.rating = True
    project.rules.save()
    page = desk()
    page.keyboard.type("7")
    assert turn(page) == [["a", "Is it helpful?"]]
    page.keyboard.type("7")  # no step of it
    assert turn(page) == [["a", "Is it helpful?"]]
    page.keyboard.type("31")
    page.keyboard.press("Backspace")
    assert turn(page) == [["a", "Is it true?"]]
    page.keyboard.press("Backspace")
    assert turn(page) == [["a", "Is it helpful?"]]
    checked = page.locator("#answer-a .scale :checked")
    expect(checked).to_have_count(1)
    page.keyboard.type("402")  # and on to B
    assert turn(page) == []  # its first question is its rating
    expect(page.locator("#answer-b .scale.asked-now legend")).to_have_text("Overall quality")
    page.keyboard.press("ArrowLeft")
    page.keyboard.type("7")  # the same again clears it
    expect(checked).to_have_count(3)
    page.keyboard.type("5")
    expect(page.locator("#answer-a .scale :checked").first).to_have_value("5")


def test_a_required_question_is_asked_for_at_its_place_before_anything_is_sent(
    desk, three, picture
):
    helpful, _true, _harm = three
    page = desk(count=2)
    page.keyboard.type("4123")  # A whole, and B's first
    page.keyboard.type("abc")
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    page.keyboard.press("Enter")
    error = page.locator("#answer-c .question.wrong [role=alert]")
    expect(error).to_have_text("“Is it helpful?” has no answer yet.")
    assert not [url for url in sent if url.endswith("/submit")]
    assert page.evaluate("document.activeElement.name") == helpful("c")
    picture(page, "questions-1440-light-missing")
    page.keyboard.type("2")
    expect(error).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#answer-d .question.wrong")).to_have_count(1)
    page.keyboard.type("0")
    submit(page, "Enter")
    assert said()["a-helpful"] == {"a": 4, "b": 3, "c": 2, "d": 0}


def test_nothing_is_required_of_somebody_who_cannot_judge(desk, three):
    page = desk()
    page.select_option(".outcome select", "cannot_judge")
    submit(page)
    assert Ranking.objects.get().outcome == "cannot_judge"


def test_questions_about_all_answers_have_a_key(desk, ask, three):
    best = ask(
        "d-all", scope="ranking", kind="yes-no", question="Could any be sent?", required=True
    )
    why = ask("e-why", scope="ranking", kind="text", question="Why?", required=True)
    page = desk()
    page.keyboard.type("q")
    assert page.evaluate("document.activeElement.name") == best()
    page.keyboard.type("1")
    page.keyboard.type("4444444")  # no step of it: nothing happens
    expect(page.locator(".of-all :checked")).to_have_value("true")
    page.keyboard.type("q")
    assert page.evaluate("document.activeElement.name") == why()
    page.keyboard.type("abc: it helps.")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.type("q")
    assert page.evaluate("document.activeElement.closest('.answer').dataset.letter") == "a"
    page.keyboard.type("4124124124")
    page.keyboard.press("Escape")
    page.keyboard.type("abc")
    submit(page, "Enter")
    assert (said()["d-all"], said()["e-why"]) == (True, "abc: it helps.")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        pytest.param({}, "1440-light", id="wide"),
        pytest.param({"color_scheme": "dark"}, "1440-dark", id="wide-dark"),
        pytest.param(PHONE, "390-light", id="phone"),
        pytest.param(PHONE | {"color_scheme": "dark"}, "390-dark", id="phone-dark"),
        pytest.param(PHONE | {"width": 768}, "768-light", id="tablet"),
    ],
)
def test_steps_are_pressed(desk, three, picture, options, name):
    page = desk(**options)
    press = "tap" if options.get("has_touch") else "click"
    helpful, true, harm = three
    for answer, value in zip("abcd", "0123", strict=True):
        getattr(page, press)(f"label:has([name={helpful(answer)}][value='{value}'])")
    getattr(page, press)(f"label:has([name={true('b')}][value=false])")
    getattr(page, press)(f"label:has([name={harm('b')}][value=severe])")
    getattr(page, press)(f"label:has([name={harm('b')}][value=severe])")  # again: none
    for one in "dcb":
        getattr(page, press)(letter(one))
    picture(page, f"questions-{name}-filled", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    submit(page, press)
    assert said() == {
        "a-helpful": {"a": 0, "b": 1, "c": 2, "d": 3},
        "b-true": {"b": False},
    }


def test_a_draft_of_questions_is_there_after_a_reload(desk, three):
    page = desk()
    page.keyboard.type("412")
    expect(page.locator(".saved")).to_have_text("Draft saved")
    page.reload()
    expect(page.locator("#answer-a .question :checked")).to_have_count(3)
    page.keyboard.type("3")  # the first answer that has an open question
    expect(page.locator("#answer-b .question :checked")).to_have_value("3")


def test_tab_reaches_each_question(desk, three):
    page = desk()
    helpful, _true, _harm = three
    tab_to(page, f"[name={helpful('a')}]")
    page.keyboard.press("Space")
    expect(page.locator(f"[name={helpful('a')}]:checked")).to_have_value("0")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"[name={helpful('a')}]:checked")).to_have_value("1")


def test_the_list_of_keys_names_those_of_questions(desk, three):
    page = desk()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_contain_text(re.compile(r"answer its other questions"))
    expect(page.locator("#shortcuts dt:has-text('q') + dd")).to_contain_text("questions about")


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        pytest.param(1440, "light", id="wide"),
        pytest.param(390, "dark", id="phone"),
    ],
)
def test_an_admin_asks_questions_on_a_page(window, log_in, project, carol, picture, width, scheme):
    page = window(width=width, color_scheme=scheme)
    log_in(page, carol)
    page.goto("/p/demo/settings/")
    page.click("main a:has-text('Questions')")
    page.check("[value=helpsteer]")
    page.click("button:has-text('Ask these')")
    expect(page.locator("main td code")).to_have_count(5)
    page.fill("[name=question]", "Is it safe?")
    page.select_option("[name=kind]", "yes-no")
    page.click("button:has-text('Add the question')")
    expect(page.locator("main td code")).to_have_count(6)
    picture(page, f"criteria-{width}-{scheme}", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.click("[aria-label='Retire “Is it safe?”']")
    expect(page.locator("main td code")).to_have_count(5)
