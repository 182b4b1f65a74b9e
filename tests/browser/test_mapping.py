"""A file of no known layout comes in: with the keyboard, on a phone, and with sixty fields."""

import json

import pytest
from playwright.sync_api import expect

from labeling.models import ImportMapping, RankedCandidate
from tests.browser.hands import PHONE
from tests.labeling.imports.test_forms import upload, work

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WINNERS = ("left", "right", "draw", "left")
QUESTION = "Which of two rivers is longer, the Rhine or the Rhône, and by how much"
ROWS = [
    {"question": f"{QUESTION} ({n})?", "response_a": f"The Rhine. {n}", "response_b": "Neither."}
    | {"won": won, "annotator": f"person {n % 2}", "score": n * 0.5}
    | {"meta": {"topic": "geography", "difficulty": n}, "tags": ["water", "Europe"]}
    | {f"feature_{k}": k * n for k in range(52)}
    for n, won in enumerate(WINNERS)
]
ROLES = {"question": "prompt", "response_a": "answer A", "response_b": "answer B"}
ROLES |= {"won": "winner", "annotator": "judge"}
CODES = {"left": "A", "right": "B", "draw": "tie"}


def address_of(client_for, carol):
    """The page of an upload whose check is done."""
    content = "".join(json.dumps(row) + "\n" for row in ROWS)
    address = upload(client_for(carol), content, name="annotations.jsonl").url
    work()
    return address


def test_a_mapping_is_made_kept_and_used_with_the_keyboard(
    window, log_in, client_for, carol, picture
):
    address = address_of(client_for, carol)
    page = window(1440)
    log_in(page, carol)
    page.goto(address)
    picture(page, "mapping-1440-light-begin", full_page=True)

    for field, role in ROLES.items():
        page.get_by_label(field, exact=True).select_option(label=role)
    page.get_by_role("button", name="Show", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="say who judged")).to_be_visible()
    for code, meaning in CODES.items():
        page.get_by_role("group", name="What each code means").get_by_label(code).select_option(
            label=meaning
        )
    page.get_by_label("Who judged").select_option(value="person")
    page.get_by_role("button", name="Show the first rows so").press("Enter")
    first = page.locator(".answers-table tbody tr").first
    expect(first).to_contain_text("The Rhine. 0")
    expect(first.locator("td.behind")).to_contain_text("topic")
    picture(page, "mapping-1440-light-roles", full_page=True)

    page.get_by_role("button", name="Import").press("Enter")
    expect(page.locator("tr.undecided .errorlist").first).to_contain_text("leave it out")
    page.get_by_label("All fields that are not decided").select_option(label="keep as metadata")
    page.locator("summary", has_text="The mapping as text").press("Enter")
    page.get_by_label("Keep this mapping in the project as").fill("Two answers")
    page.get_by_role("button", name="Keep the mapping").press("Enter")
    expect(page.get_by_text("kept as “Two answers”")).to_be_visible()
    assert len(ImportMapping.objects.get().mapping["keep"]) == 55

    page.get_by_role("button", name="Import").press("Enter")
    page.wait_for_url("**/jobs/*/")
    assert work().state == "done"
    assert RankedCandidate.objects.count() == 2 * len(ROWS)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_sixty_fields_fit_a_phone_and_a_desk(
    window, log_in, client_for, carol, picture, width, theme
):
    address = address_of(client_for, carol)
    page = window(**(PHONE if width == 390 else {"width": width}), color_scheme=theme)
    log_in(page, carol)
    page.goto(address)

    assert page.locator(".fields-table select").count() == 63, "those inside of others too"
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    boxes = [choice.bounding_box() for choice in page.locator(".fields-table select").all()[:5]]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    least = 44 if width == 390 else 32
    assert all(box["height"] >= least for box in boxes), "a target to touch"
    picture(page, f"mapping-{width}-{theme}", full_page=True)


def test_a_mapping_is_made_without_scripts(window, log_in, client_for, carol):
    address = address_of(client_for, carol)
    page = window(java_script_enabled=False)
    log_in(page, carol)
    page.goto(address)
    for field, role in ROLES.items():
        page.get_by_label(field, exact=True).select_option(label=role)
    page.get_by_role("button", name="Show", exact=True).click()

    expect(page.get_by_role("group", name="What each code means")).to_contain_text("draw")
