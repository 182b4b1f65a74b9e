"""The labeler's desk: layout, comparing, differences, source, own keys, strength of preference, and
second thoughts.
"""

import pytest
from playwright.sync_api import expect

from labeling.models import ProjectRules, Ranking
from tests.browser.hands import PHONE, in_cyrillic, press, ranks, submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CODE = (
    "Use a list:\n\n```python\ndef sort(values):  # quickly\n    return sorted(values, "
    'key="name")\n```'
)


def columns(page):
    return len(
        {
            round(box["x"])
            for box in [one.bounding_box() for one in page.locator(".answer:visible").all()]
        }
    )


def test_a_stack_is_remembered(desk, picture):
    page = desk(count=2)
    assert columns(page) == 2
    with page.expect_response("**/rank/desk"):
        page.keyboard.press("l")
    assert columns(page) == 1
    picture(page, "desk-1440-light-stack")
    page.keyboard.type("abc")
    submit(page)
    assert columns(page) == 1
    page.reload()
    assert columns(page) == 1
    expect(page.locator("[data-verb=layout]")).to_have_attribute("aria-pressed", "true")


def test_two_answers_side_by_side(desk, picture):
    page = desk()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("v")
    expect(page.locator(".status")).to_have_text("Choose the other answer to compare with A.")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("v")
    expect(page.locator(".answer:visible")).to_have_count(2)
    expect(page.locator(".status")).to_have_text("Best first: type a letter, or drag one here.")
    assert page.locator(".answer:visible").evaluate_all(
        "all => all.map(one => one.dataset.letter)"
    ) == ["a", "c"]
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.closest('.answer').dataset.letter") == "c"
    page.keyboard.press("m")
    picture(page, "desk-1440-light-compare")
    page.keyboard.type("ca")
    page.keyboard.press("Escape")
    expect(page.locator(".answer:visible")).to_have_count(4)
    expect(page.locator(".status")).to_have_text("C > A. 2 to go.")


def marked(page):
    return page.evaluate(
        "[...(CSS.highlights.get('differs') ?? [])].map(range => "
        "range.startContainer.data.slice(range.startOffset, range.endOffset))"
    )


def test_differences_from_the_answer_at_hand(desk):
    page = desk(texts=["The cat sat on the mat.", "The old cat sat on the mat, **purring**."])
    page.keyboard.press("m")
    page.locator("#answer-a .text:visible").focus()
    beside_a = set(marked(page))
    page.keyboard.press("ArrowRight")
    beside_b = set(marked(page))
    longer_is_a = "purring" in page.locator("#answer-a").inner_text()
    assert (beside_b if longer_is_a else beside_a) == {"purring", "old"}
    assert (beside_a if longer_is_a else beside_b) == set()
    page.keyboard.press("m")
    assert marked(page) == []


def test_differences_of_chinese_are_words(desk):
    page = desk(texts=["我喜欢喝茶", "我喜欢喝热茶"])
    page.keyboard.press("m")
    page.locator("#answer-a .text:visible").focus()
    one = marked(page)
    page.locator("#answer-b .text:visible").focus()
    assert {"热" in "".join(words) for words in (one, marked(page))} == {True, False}


def test_an_answer_as_it_was_written(desk, picture):
    page = desk(texts=[CODE, "plain"])
    coloured = page.locator(".code-keyword").first
    expect(coloured).to_be_visible()
    picture(page, "desk-1440-light-code")
    with page.expect_response("**/rank/desk"):
        page.click("[data-verb=source]")
    expect(coloured).to_be_hidden()
    expect(page.locator(".written:visible", has_text="```python")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    page.keyboard.type("7a")
    expect(page.locator(".scale :checked")).to_have_count(1)
    page.reload()
    expect(page.locator(".written:visible", has_text="```python")).to_have_count(1)


def test_a_key_of_ones_own(desk):
    page = desk(count=2)
    page.keyboard.press("?")
    page.click("text=Choose other keys")
    page.fill("[name=skip]", "k")
    page.fill("[name=undo]", "k")
    page.click("main [type=submit]")
    expect(page.locator("#problem-skip")).to_have_text("Two actions can't share a shortcut.")
    page.fill("[name=undo]", "z")
    page.click("main [type=submit]")
    expect(page.locator("#skip summary")).to_contain_text("k")
    page.keyboard.press("s")
    expect(page.locator("#skip")).not_to_have_attribute("open", "")
    page.keyboard.press("k")
    expect(page.locator("#skip")).to_have_attribute("open", "")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_how_much_better_one_of_two_is(desk, project, picture, width, scheme):
    ProjectRules.objects.update(strength=True)
    page = desk(
        texts=["A fine answer.", "Another answer."], count=3, width=width, color_scheme=scheme
    )
    expect(page.locator("#submit")).to_be_disabled()
    page.keyboard.type("aaa")
    expect(page.locator(".status")).to_have_text("A is much better")
    page.keyboard.type("b")
    expect(page.locator(".status")).to_have_text("B is slightly better")
    picture(page, f"desk-{width}-{scheme}-strength")
    submit(page)
    assert Ranking.objects.latest("pk").strength == -1
    assert ranks() == {"a": 2, "b": 1}
    page.keyboard.type("b=")
    expect(page.locator(".status")).to_have_text("Equally good")
    submit(page)
    assert Ranking.objects.latest("pk").strength == 0
    page.click("[name=strength][value='2']")
    submit(page)
    assert Ranking.objects.latest("pk").strength == 2


def test_a_second_thought(desk, picture):
    page = desk(count=2)
    page.keyboard.type("abc")
    submit(page)
    page.click("text=My history")
    picture(page, "history-1440-light")
    page.click("td a")
    expect(page.locator(".status")).to_have_text("A > B > C > D")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.keyboard.type("d")
    expect(page.locator(".saved")).to_have_text("Draft saved")
    page.reload()
    expect(page.locator(".status")).to_have_text("A > B > D > C")
    picture(page, "revise-1440-light")
    page.keyboard.press("Enter")
    expect(page.locator(".message")).to_have_text(
        "Your revision is saved; the earlier ranking is kept."
    )
    assert ranks() == {"a": 1, "b": 2, "d": 3, "c": 4}
    assert Ranking.objects.count() == 2


def test_a_long_answer_on_a_phone_is_read_on(desk, picture):
    page = desk(texts=["Many words follow one another here. " * 300, "A few words."], **PHONE)
    card = page.locator(".answer.long")
    text, own_letter = card.locator(".text:visible"), card.locator(".letter")
    expect(card).to_have_count(1)
    picture(page, "desk-390-light-folded")
    card.locator(".unfold").tap()
    assert text.evaluate("text => text.scrollHeight - text.clientHeight") <= 0
    page.evaluate("scrollBy(0, 2000)")
    picture(page, "desk-390-light-read-on")
    expect(own_letter).to_be_in_viewport()
    own_letter.tap()
    expect(page.locator(".tier.full")).to_have_count(2)
    card.locator(".fold").tap()
    expect(card.locator(".unfold")).to_be_visible()
    expect(own_letter).to_be_in_viewport()


def test_a_note_left_half_written_waits_in_another_browser(desk, window, log_in, alice):
    page = desk(count=2)
    page.keyboard.press("n")
    page.keyboard.type("The second one forgets the blood test, and")
    expect(page.locator(".saved")).to_have_text("Draft saved")
    page.context.close()  # the laptop is closed

    elsewhere = window(390)
    log_in(elsewhere, alice)
    elsewhere.goto("/p/demo/rank/")
    expect(elsewhere.locator("[name=note]")).to_have_value(
        "The second one forgets the blood test, and"
    )


SOURCE = "[data-verb=source]"


@pytest.mark.parametrize(
    "ways",
    [("click", "o", "щ", "Enter", "Space"), ("tap",)],
    ids=["desk", "phone"],
)
def test_the_source_is_the_answer_to_the_last_space(desk, picture, ways):
    """What is indented, invisible or on a first empty line is there, however it is asked for."""
    texts = ["    indented = True\n", "\n\n  👩\u200d🔬 ann@example.org  "]
    phone = "tap" in ways
    page = desk(texts=texts, **(PHONE if phone else {}))
    written = page.locator(".written:visible")
    for how in ways:
        ask_for_source(page, how)
        expect(written).to_have_count(2)
        assert sorted(written.evaluate_all("all => all.map(one => one.textContent)")) == sorted(
            texts
        )
        picture(page, f"desk-{390 if phone else 1440}-light-source")
        ask_for_source(page, how)
        expect(written).to_have_count(0)
    assert "model wrote" not in page.locator(SOURCE).get_attribute("title")


def ask_for_source(page, how):
    if how == "o":
        page.keyboard.press("o")
    elif how == "щ":
        in_cyrillic(page, "o")
    else:
        press(page, SOURCE, how)
