"""The page of components, at work: nothing stands outside it, its states come about, and what is
pressed leads nowhere.
"""

import pytest
from playwright.sync_api import expect

from tests.factories import make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def components(window, log_in, db):
    def go(card="", **options):
        page = window(**options)
        log_in(page, make_person())
        page.goto(f"/components/{card}")
        return page

    return go


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_component_has_its_room(components, picture, width, scheme):
    page = components(width=width, color_scheme=scheme)
    picture(page, f"components-{width}-{scheme}", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.click("[data-opens=shortcuts]")
    picture(page, f"components-{width}-{scheme}-keys")


def test_a_card_in_each_of_its_states(components):
    page = components()
    for letter, place in (("a", "1st"), ("c", "2nd, tied"), ("e", "4th")):
        expect(page.locator(f"#answer-{letter} .place")).to_have_text(place)
    expect(page.locator("#answer-b .place")).to_be_hidden()
    expect(page.locator(".answer.chosen")).to_have_count(1)
    expect(page.locator("#answer-e .flags b")).to_have_text("2")
    expect(page.locator("#answer-f .error")).to_have_text("Answer F has no rank yet.")


def test_what_went_wrong_stands_apart_from_the_figures_above_it(components):
    page = components()
    figures, problem = (
        page.locator(f".live {part}").bounding_box() for part in (".figures", ".problem")
    )
    assert problem["y"] - (figures["y"] + figures["height"]) >= 8


def test_undo_where_nothing_is_left_to_rank(components):
    page = components("?card=nothing")
    expect(page.locator("#undo button")).to_be_enabled()
    page.keyboard.press("u")
    expect(page.locator("#card h1")).to_have_text("Nothing to rank right now")


def test_what_is_pressed_leads_nowhere(components):
    page = components()
    page.keyboard.type("bf")
    expect(page.locator(".status")).to_have_text("A > C = D > E > B > F")
    address = page.url
    for button in ("#submit", ".page form [type=submit] >> nth=0", ".station .button >> nth=0"):
        page.click(button)
    assert page.url == address


def test_which_of_two_and_how_much(components, picture):
    page = components("?card=strength")
    page.keyboard.type("bb")
    expect(page.locator(".status")).to_have_text("B is better")
    picture(page, "components-1440-light-strength", full_page=True)
