"""The lists of judgments, of frozen rows and of what differs: at work with keys alone, on a desk
and on a phone.
"""

import pytest
from playwright.sync_api import expect

from labeling.exports import freeze
from labeling.models import RankingTask
from tests.browser.hands import ANSWERS, PHONE, QUESTION
from tests.factories import make_model, make_person, make_prompt, make_ranking, make_task

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ARABIC = "الرياضة الخفيفة مفيدة، ولكن يجب استشارة الطبيب أولاً: ما الجرعة المناسبة (INR 2–3)؟"
CODE = (
    "Here is a script:\n\n```python\ndef dose(weight: float) -> float:\n"
    '    """Milligrams."""\n    return 0.1 * weight  # ' + "a very long comment " * 12 + "\n```"
)
NINE = (*ANSWERS, ARABIC, CODE, "word " * 900, "<script>alert(1)</script> <b>bold</b>", "")


@pytest.fixture
def judged(project, alice, bob):
    """Three judged tasks, one of nine answers, and two datasets of them."""
    model = make_model(project, "assistant 1, a model with a rather long name")
    messages = [
        {"role": "system", "content": "You answer in plain language."},
        {"role": "user", "content": QUESTION + " " + "And why? " * 90},
    ]
    prompt = make_prompt(project, messages=messages, use_case="chat", language="en", source="web")
    nine = make_task(project, texts=NINE, prompt=prompt, model=model, overlap=3)
    make_ranking(nine, alice, (1, 5, 3, 3, 2, 4, 6, 7, 7))
    arabic = make_prompt(project, "ما هي الأسئلة التي يجب طرحها؟", language="ar")
    other = make_task(project, texts=(ARABIC, CODE), prompt=arabic, overlap=2)
    make_ranking(other, alice, (1, 2))
    make_ranking(make_task(project), alice)
    before = freeze.freeze_now(None, project)
    make_ranking(RankingTask.objects.get(pk=nine.pk), bob, (2, 5, 3, 1, 2, 4, 6, 7, 7))
    make_ranking(RankingTask.objects.get(pk=other.pk), bob, (2, 1))
    return nine, before, freeze.freeze_now(None, project)


@pytest.fixture
def researcher(project):
    return make_person(project, "researcher", "rita")


def focused(page) -> int:
    """Which row has the focus, from 0; -1: none."""
    return page.evaluate(
        "[...document.querySelectorAll('.browsed article')].findIndex("
        "row => row.contains(document.activeElement))"
    )


def test_a_list_is_read_with_keys_alone(window, log_in, researcher, judged):
    page = window()
    log_in(page, researcher)
    page.goto("/p/demo/judgments/")
    page.keyboard.press("j")
    assert focused(page) == 0
    for key, row in (("j", 1), ("j", 2), ("j", 2), ("k", 1), ("j", 2)):
        page.keyboard.press(key)
        assert focused(page) == row

    nine = page.locator(f"#task-{judged[0].pk}")
    expect(nine).not_to_contain_text("You answer in plain language.")
    expect(nine.get_by_role("button", name="Read in whole")).to_be_visible()
    page.keyboard.press("o")
    expect(nine).to_contain_text("You answer in plain language.")
    expect(nine.locator("strong")).not_to_have_count(0)
    assert focused(page) == 2
    expect(page.locator(".htmx-added")).to_have_count(0)  # its button does nothing before
    page.keyboard.press("o")
    expect(nine).not_to_contain_text("You answer in plain language.")
    page.keyboard.press("/")
    page.keyboard.type("grandmother")
    assert page.locator("#filter-q").input_value() == "grandmother"
    page.keyboard.press("Enter")
    page.wait_for_url("**q=grandmother**")
    expect(page.locator(".browsed article")).to_have_count(1)


def test_keys_are_off_for_who_switched_them_off(window, log_in, researcher, judged):
    researcher.shortcuts = False
    researcher.save()
    page = window()
    log_in(page, researcher)
    page.goto("/p/demo/judgments/")
    page.keyboard.press("j")

    assert focused(page) == -1


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_long_texts_stay_in_their_boxes(window, log_in, researcher, judged, picture, width, scheme):
    """Nine long answers, Arabic and code: nothing is wider than the window."""
    nine, before, after = judged
    page = window(color_scheme=scheme, **(PHONE if width == 390 else {"width": width}))
    log_in(page, researcher)
    for name, address in (
        ("judgments", "judgments/"),
        ("judgment", f"judgments/{nine.pk}/"),
        ("rows", f"datasets/{after.pk}/rows/"),
        ("row", f"datasets/{after.pk}/rows/0/"),
        ("difference", f"datasets/{after.pk}/difference/?before={before.pk}"),
        ("dataset", f"datasets/{after.pk}/"),
        ("prompt", f"prompts/{nine.prompt_id}/"),
    ):
        page.goto(f"/p/demo/{address}")
        picture(page, f"look-{name}-{width}-{scheme}", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
