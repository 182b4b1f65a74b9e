"""The ranking page between a phone and a desktop, and letters at hand for a finger."""

import pytest
from playwright.sync_api import expect

from labeling.models import ProjectRules
from tests.browser.hands import PHONE, ranks, submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
TABLET = {"has_touch": True, "is_mobile": True}
SENTENCES = ["Some words follow one another here. " * 30] * 9


def place_of_submit(page):
    """Where Submit stands in the window: left, top, right and bottom edges."""
    box = page.locator("#submit").bounding_box()
    return [
        round(edge)
        for edge in (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
    ]


@pytest.mark.parametrize("k", [2, 4, 9])
@pytest.mark.parametrize("width", [768, 800, 834, 1024, 1180, 1440])
def test_submit_is_in_sight_and_stays_where_it_is(desk, picture, width, k):
    ProjectRules.objects.update(strength=True)
    touch = TABLET if width < 1200 else {}
    page = desk(texts=SENTENCES[:k], width=width, **touch)
    size = page.evaluate("[document.documentElement.scrollWidth, innerWidth, innerHeight]")
    left, top, right, bottom = before = place_of_submit(page)
    picture(page, f"rank-{width}-k{k}-fresh")

    assert size[0] <= width == size[1]
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= size[2]

    for letter in "abcdefghi"[:k]:
        page.keyboard.press(letter)
        assert place_of_submit(page) == before
    picture(page, f"rank-{width}-k{k}-ranked")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_nine_answers_are_ranked_at_one_place_of_a_phone(desk, picture):
    page = desk(count=2, texts=SENTENCES, **PHONE)
    page.evaluate("window.moved = 0; addEventListener('scroll', () => (window.moved += 1))")
    picture(page, "rank-390-k9-palette")
    for letter in "cab":
        page.tap(f".tiers [data-letter={letter}]")
    page.tap(".tie")
    for letter in "idefg":
        page.tap(f".tiers [data-letter={letter}]")
    expect(page.locator(".status")).to_have_text("C > A > B = I > D > E > F > G > H")
    picture(page, "rank-390-k9-ranked")
    assert page.evaluate("window.moved") == 0
    submit(page, "tap")
    assert ranks() == dict(zip("cabidefgh", (1, 2, 3, 3, 4, 5, 6, 7, 8)))


def test_a_letter_of_the_palette_is_taken_back_and_a_tie_unsaid(desk):
    page = desk(**PHONE)
    page.tap(".tiers [data-letter=d]")
    page.tap(".tie")
    expect(page.locator(".tie")).to_have_attribute("aria-pressed", "true")
    page.tap(".tie")
    expect(page.locator(".tie")).to_have_attribute("aria-pressed", "false")
    page.tap(".tiers [data-letter=d]")
    expect(page.locator(".tier.full")).to_have_count(0)
    expect(page.locator(".tier")).to_have_count(4)


def test_a_tie_is_unsaid_and_a_rating_stays(desk):
    page = desk(**PHONE)
    page.tap(".tiers [data-letter=d]")
    page.tap("#answer-a .scale label:has([value='6'])")
    page.tap(".tie")
    page.focus("#answer-a .text")
    page.evaluate("document.querySelector('.tie').click()")  # the focus stays on the answer
    expect(page.locator(".tie")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#answer-a .scale :checked")).to_have_value("6")


@pytest.mark.parametrize("width", [390, 768, 1024])
def test_long_words_about_a_lost_connection_move_nothing(desk, picture, width):
    page = desk(width=width, **TABLET)
    before = place_of_submit(page)
    page.context.set_offline(True)
    page.tap(".tiers [data-letter=d]")
    expect(page.locator(".saved")).to_contain_text("Offline")
    picture(page, f"rank-{width}-offline")
    assert place_of_submit(page) == before
    page.context.set_offline(False)
