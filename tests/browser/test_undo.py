"""Undo where the last ranking is in sight no more: nothing to rank, the day's limit, after a
revision.
"""

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, ProjectRules, Ranking
from tests.browser.hands import PHONE, bare_numbers, in_cyrillic, press, ranks, submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WAYS = (
    "click",
    "tap",
    "Enter",
    "u",
    "г",
)  # the mouse, a finger, Tab, the key, and the key on a Cyrillic layout


def undo(page, how):
    if how == "u":
        page.keyboard.press("u")
    elif how == "г":
        in_cyrillic(page, "u")
    else:
        press(page, "#undo button", how)


def left_of(page, what):
    return page.locator(what).bounding_box()["x"]


def open_at(desk, how, **options):
    return desk(**options, **(PHONE if how == "tap" else {}))


@pytest.mark.parametrize("how", WAYS)
def test_undo_where_nothing_is_left_to_rank(desk, picture, how):
    page = open_at(desk, how)
    page.keyboard.type("dab")
    submit(page)
    expect(page.locator("h1")).to_have_text("Nothing to rank right now")
    assert left_of(page, ".row > :first-child") == left_of(page, "h1")
    picture(page, f"undo-{'390' if how == 'tap' else '1440'}-light-nothing")
    undo(page, how)
    expect(page.locator(".status")).to_have_text("D > A > B > C")
    assert not Ranking.objects.filter(current=True).exists()
    submit(page, "Enter")
    assert ranks() == {"d": 1, "a": 2, "b": 3, "c": 4}


@pytest.mark.parametrize("ways", [("click", "Enter", "u", "г"), ("tap",)], ids=["desk", "phone"])
def test_undo_at_the_limit_of_the_day(desk, project, picture, ways):
    ProjectRules.objects.update(daily_limit=1)
    page = open_at(desk, ways[0], count=2, color_scheme="dark")
    page.keyboard.type("dab")
    for how in ways:
        submit(page)
        expect(page.locator("h1")).to_have_text("No new tasks for now")
        assert left_of(page, ".row > :first-child") == left_of(page, "h1")
        undo(page, how)
        expect(page.locator(".status")).to_have_text("D > A > B > C")
        assert not Ranking.objects.filter(current=True).exists()
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.keyboard.type("c")
    submit(page)
    picture(page, f"undo-{'390' if 'tap' in ways else '1440'}-dark-limit")
    assert ranks() == {"d": 1, "a": 2, "c": 3, "b": 4}


@pytest.mark.parametrize("how", WAYS)
def test_undo_after_a_revision(desk, picture, how):
    page = open_at(desk, how)
    page.keyboard.type("dab")
    submit(page)
    revise(page, Assignment.objects.get())
    assert ranks() == {"a": 1, "b": 2, "c": 3, "d": 4}
    expect(page.locator("td.num")).to_have_text("1")
    assert bare_numbers(page) == []
    picture(page, f"undo-{'390' if how == 'tap' else '1440'}-light-revision")

    undo(page, how)
    expect(page.locator(".message")).to_have_text(
        "Your revision is undone: the ranking before it counts."
    )
    expect(page.locator("td.value")).to_have_text("D > A > B > C")
    expect(page.locator("td.num")).to_have_text("")
    assert ranks() == {"d": 1, "a": 2, "b": 3, "c": 4}


def revise(page, assignment):
    page.goto(f"/p/demo/rank/{assignment.pk}/revise")
    for _letter in "abcd":
        page.keyboard.press("Backspace")
    page.keyboard.type("abc")
    expect(page.locator(".saved")).to_have_text("Draft saved")
    page.keyboard.press("Enter")
    page.wait_for_url("**/history/")


def test_an_undo_and_another_submit_are_no_revision(desk):
    page = desk()
    for letters, how in (("dab", "click"), ("abc", "Enter"), ("cab", "г")):
        page.keyboard.type(letters)
        submit(page)
        undo(page, how)
        expect(page.locator("#submit")).to_be_enabled()
        for _letter in "abcd":
            page.keyboard.press("Backspace")
    page.keyboard.type("bac")
    submit(page)
    assert Ranking.objects.get(current=True).revision == 4
    page.goto("/p/demo/rank/history/")
    expect(page.locator("td.value")).to_have_text("B > A > C > D")
    expect(page.locator("td.num")).to_have_text("")


def test_what_is_found_is_no_key_of_the_history(desk):
    page = desk()
    page.keyboard.type("dab")
    submit(page)
    page.goto("/p/demo/rank/history/")
    page.fill("[name=q]", "grandmother")
    page.keyboard.type("u")
    expect(page.locator("[name=q]")).to_have_value("grandmotheru")
    assert Ranking.objects.filter(current=True).count() == 1


def test_undo_without_a_connection_says_that_nothing_was_changed(desk):
    page = desk()
    page.keyboard.type("dab")
    submit(page)
    page.context.set_offline(True)
    page.keyboard.press("u")
    expect(page.locator(".saved")).to_have_text(
        "Offline. Nothing was changed: try again when you are connected."
    )
