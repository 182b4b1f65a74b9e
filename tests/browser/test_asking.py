"""A labeler asks about the task at hand, and a lead answers: by key and by touch."""

import pytest
from playwright.sync_api import expect

from labeling.models import Message, Thread
from tests.browser.hands import PHONE
from tests.factories import make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(("how", "scheme"), [("key", "light"), ("tap", "dark")])
def test_a_question_and_its_answer(desk, window, log_in, project, picture, how, scheme):
    options = PHONE if how == "tap" else {}
    page = desk(color_scheme=scheme, **options)
    page.keyboard.type("ab")
    if how == "key":
        page.keyboard.press("y")
    else:
        page.tap("#ask")
    expect(page.locator("#ask-about textarea")).to_be_focused()
    page.keyboard.type("Is C cut off, or meant to end there?")
    picture(page, f"ask-{how}-{scheme}", caret="initial")
    page.click("#ask-about .go")
    expect(page.locator("#ask-about [role=status]")).to_contain_text("Sent.")
    page.keyboard.press("Escape")
    expect(page.locator(".status")).to_have_text("A > B. 2 to go.")

    lead = window(color_scheme=scheme, **options)
    log_in(lead, make_person(project, "lead", "lena"))
    lead.goto("/p/demo/questions/")
    picture(lead, f"questions-{how}-{scheme}")
    lead.click("td a")
    lead.fill("textarea", "It was cut off: flag it.")
    picture(lead, f"question-{how}-{scheme}", full_page=True, caret="initial")
    lead.click("main .go")
    expect(lead.locator(".thread li")).to_have_count(2)
    assert lead.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0

    page.reload()
    expect(page.locator("#to-read")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.click("#to-read")
    page.click("td a")
    expect(page.locator(".thread")).to_contain_text("It was cut off: flag it.")
    page.click("button[form=close]")
    expect(page.locator(".empty")).to_have_text("There are no open questions.")
    assert (Message.objects.count(), Thread.objects.get().closed_at is None) == (2, False)
