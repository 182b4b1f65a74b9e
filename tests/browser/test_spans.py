"""Passages of answers are marked by mouse, touch and keyboard, in code points of the source."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from labeling.judging import criteria
from labeling.models import Ranking
from tests.browser.hands import PHONE, submit
from tests.browser.test_accessibility import RULES

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FAMILY = "👩‍👩‍👧"  # five code points, eight UTF-16 units, one character
ACCENTED = "e\u0301"  # a letter and a combining accent
TEXT = f"One 💥 two.\nThe {FAMILY} caf{ACCENTED} is **bold**.\n\nAnd <b>more</b> &amp; so on."
LABELS = ["hallucinated", "wrong", "unsafe"]


@pytest.fixture
def marks(desk, project):
    """Opens the ranking page of a project with labels; all answers have the same text."""

    def open_page(texts=(TEXT, TEXT), count=1, **options):
        project.rules.span_labels = LABELS
        project.rules.save()
        return desk(count=count, texts=texts, **options)

    return open_page


def held(page):
    return json.loads(page.locator("[name=spans]").input_value() or "[]")


def select(page, passage, letter="a"):
    """Select a passage of the source as a pointer does, once it is there."""
    page.evaluate(
        """([letter, passage]) => {
        const pre = document.querySelector(`#answer-${letter} .written`), node = pre.firstChild;
        const at = pre.textContent.indexOf(passage);
        getSelection().setBaseAndExtent(node, at, node, at + passage.length);
        }""",
        [letter, passage],
    )


def span(passage, label, answer="a", text=TEXT):
    start = text.index(passage)
    return {"answer": answer, "label": label, "start": start, "end": start + len(passage)}


def stored():
    ranking = Ranking.objects.filter(current=True).latest("pk")
    return sorted(
        (one.label, one.candidate.text[one.start : one.end]) for one in ranking.spans.all()
    )


def painted(page, number):
    """The passages that have the colour of a label."""
    return page.evaluate("number => [...CSS.highlights.get(`mark-${number}`)].map(String)", number)


def test_a_passage_is_dragged_over_and_given_a_label(marks, picture):
    page = marks()
    page.click("[data-verb=source]")
    box = page.locator("#answer-a .written").bounding_box()
    page.mouse.dblclick(box["x"] + 20, box["y"] + 12)  # a word
    expect(page.locator("#palette")).to_be_visible()
    page.click("#palette [data-label=wrong]")
    expect(page.locator("#palette")).to_be_hidden()
    assert held(page) == [span("One", "wrong")]
    expect(page.locator("#answer-a .marks li")).to_have_text("wrong One×")
    assert painted(page, 2) == ["One"]
    picture(page, "spans-1440-light")


@pytest.mark.parametrize(
    "passage", ["💥", "two.\nThe", FAMILY, f"caf{ACCENTED}", "**bold**", "<b>more</b> &amp;"]
)
def test_places_are_code_points_of_the_source(marks, passage):
    page = marks()
    page.click("[data-verb=source]")
    select(page, passage)
    page.keyboard.press("1")
    assert held(page) == [span(passage, "hallucinated")]
    page.keyboard.press("a")
    submit(page, "Enter")
    assert stored() == [("hallucinated", passage)]


@pytest.mark.parametrize(
    ("part", "character"),
    [
        pytest.param("\u0301", ACCENTED, id="an accent"),
        pytest.param("‍👩", FAMILY, id="a member of a family"),
        pytest.param(" 💥 ", "💥", id="space around it"),
    ],
)
def test_whole_characters_are_marked(marks, part, character):
    page = marks()
    page.click("[data-verb=source]")
    select(page, part)
    page.keyboard.press("2")
    assert held(page) == [span(character, "wrong")]


def test_passages_overlap_and_are_removed(marks):
    page = marks()
    page.click("[data-verb=source]")
    for passage, digit in (("One 💥 two", "1"), ("💥 two.", "2"), ("One 💥 two", "3")):
        select(page, passage)
        page.keyboard.press(digit)
    select(page, "One 💥 two")
    page.keyboard.press("3")
    expect(page.locator(".status")).to_have_text("It is marked so already.")
    assert [one["label"] for one in held(page)] == ["hallucinated", "unsafe", "wrong"]
    page.focus("#answer-a .marks li:has-text('unsafe') .off")
    for key in ("Tab", "Tab", "Enter"):  # on to the one that is wrong
        page.keyboard.press(key)
    expect(page.locator("#answer-a .marks li")).to_have_count(2)
    assert painted(page, 2) == []
    page.keyboard.press("Enter")  # the next one has the focus
    expect(page.locator("#answer-a .marks li")).to_have_count(1)
    assert page.evaluate("document.activeElement.className") == "quiet off"


def test_passages_are_marked_with_the_keys_alone(marks, picture):
    page = marks()
    page.keyboard.press("ArrowRight")  # to answer A
    page.keyboard.press("t")
    expect(page.locator("#answer-a .written")).to_be_visible()
    expect(page.locator(".status")).to_contain_text("Marking in A")
    page.keyboard.press("1")  # the word at the caret
    assert held(page) == [span("One", "hallucinated")]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")  # over the emoji as one character
    page.keyboard.press("2")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")  # the family
    picture(page, "spans-1440-light-keys")
    page.keyboard.press("3")
    page.keyboard.press("Control+Shift+ArrowRight")
    expect(page.locator("#palette")).to_be_visible()
    page.keyboard.press("2")
    page.keyboard.press("b")  # ranks nothing meanwhile
    expect(page.locator(".tier.full")).to_have_count(0)
    assert held(page) == [
        span("One", "hallucinated"),
        span("💥", "wrong"),
        span(FAMILY, "unsafe"),
        span(f"caf{ACCENTED}", "wrong"),
    ]
    page.keyboard.press("Backspace")  # the one at the caret
    assert len(held(page)) == 3
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    submit(page, "Enter")
    assert stored() == sorted([("hallucinated", "One"), ("wrong", "💥"), ("unsafe", FAMILY)])


def test_a_finger_marks_what_is_selected(marks, picture):
    page = marks(**PHONE)
    page.tap("#answer-a [data-mark]")
    expect(page.locator("#answer-a .written")).to_be_visible()
    select(page, "bold")
    expect(page.locator("#palette")).to_be_visible()
    picture(page, "spans-390-light-palette")
    page.tap("#palette [data-label=unsafe]")
    assert held(page) == [span("bold", "unsafe")]
    expect(page.locator("#answer-a .marks li")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.tap("#answer-a .marks .off")
    assert held(page) == []


def test_marks_are_kept_in_the_draft_and_a_revision_changes_them(marks):
    page = marks()
    page.click("[data-verb=source]")
    select(page, "One")
    page.keyboard.press("1")
    expect(page.locator(".saved")).to_have_text("Draft saved")
    page.reload()
    expect(page.locator("#answer-a .marks li")).to_have_text("hallucinated One×")
    assert painted(page, 1) == ["One"]
    page.keyboard.press("a")
    submit(page, "Enter")
    page.goto("/p/demo/rank/history/")
    page.click("main a[href$='/revise']")
    expect(page.locator("#answer-a .marks li")).to_have_text("hallucinated One×")
    select(page, "two")
    page.keyboard.press("2")
    page.click("#submit")
    page.wait_for_url("**/history/")
    assert stored() == [("hallucinated", "One"), ("wrong", "two")]


def test_a_label_that_was_removed_still_shows(marks, project):
    page = marks()
    page.click("[data-verb=source]")
    select(page, "One")
    page.keyboard.press("3")
    expect(page.locator(".saved")).to_have_text("Draft saved")
    project.rules.span_labels = ["wrong"]
    project.rules.save()
    page.reload()
    expect(page.locator("#answer-a .marks li")).to_have_text("unsafe One×")
    assert painted(page, 0) == ["One"]


def test_five_hundred_are_the_most(marks):
    page = marks()
    page.click("[data-verb=source]")
    spans = [span("One", f"label {number}") for number in range(499)]
    page.evaluate(
        """spans => { const field = document.querySelector("[name=spans]");
        field.value = JSON.stringify(spans);
        field.dispatchEvent(new Event("change", {bubbles: true})); }""",
        spans,
    )
    expect(page.locator("#answer-a .marks li")).to_have_count(499)
    for digit in "12":
        select(page, "two")
        page.keyboard.press(digit)
    assert len(held(page)) == 500
    expect(page.locator(".status")).to_have_text("No more than 500 passages can be marked.")


@pytest.mark.parametrize("text", ["\n\nstarts\r\nand\rends", " \t\n", "\ufeffbom 💥", "<!--"])
def test_the_source_on_the_page_is_the_answer_s(marks, text):
    page = marks(texts=(text, "other"))
    shown = page.locator("#answer-a .written, #answer-b .written").evaluate_all(
        "all => all.map(one => one.textContent)"
    )
    assert text in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_marks_are_seen(marks, picture, width, scheme):
    options = PHONE if width == 390 else {}
    page = marks(color_scheme=scheme, **options)
    page.click("[data-verb=source]")
    for passage, digit in (("One 💥", "1"), ("💥 two", "2"), ("bold", "3")):
        select(page, passage)
        page.keyboard.press(digit)
    select(page, "so on")
    expect(page.locator("#palette")).to_be_visible()
    picture(page, f"spans-{width}-{scheme}-marks")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_project_without_labels_has_none_of_it(desk):
    page = desk()
    assert "spans.js" not in page.content()
    page.keyboard.press("t")
    expect(page.locator("#palette, [data-mark]")).to_have_count(0)


def test_a_lead_sees_what_was_marked(marks, project, window, log_in, carol, picture):
    page = marks()
    page.click("[data-verb=source]")
    for passage, digit in (("One 💥", "1"), ("💥 two", "2")):
        select(page, passage)
        page.keyboard.press(digit)
    page.keyboard.press("a")
    submit(page, "Enter")
    lead = window()
    log_in(lead, carol)
    lead.goto(f"/p/demo/judgments/{Ranking.objects.get().task_id}/")
    expect(lead.locator(".said")).to_contain_text("hallucinated")
    lead.click(".marked summary")
    seen = lead.locator(".marked mark").evaluate_all(
        "all => all.map(one => [one.title, one.textContent])"
    )
    assert seen == [["hallucinated", "One "], ["hallucinated, wrong", "💥"], ["wrong", " two"]]
    picture(lead, "spans-1440-light-review")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_in_marks_and_questions(marks, project, carol, width, scheme):
    fields = {"kind": "yes-no", "question": "Is it true?", "scope": "answer", "required": True}
    criteria.create(carol, project, key="true", **fields)
    page = marks(color_scheme=scheme, **(PHONE if width == 390 else {}))
    page.click("[data-verb=source]")
    select(page, "One")
    page.keyboard.press("1")
    page.keyboard.type("ab")
    page.keyboard.press("Enter")  # an answer is missing
    expect(page.locator(".question.wrong")).to_have_count(1)
    select(page, "two")
    expect(page.locator("#palette")).to_be_visible()
    found = Axe().run(page, options=RULES).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
