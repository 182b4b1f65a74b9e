"""A file dropped anywhere on the form is chosen; what cleaning does to its answers is shown, and
done if asked for.
"""

import json

import pytest
from playwright.sync_api import expect

from modelops.models import Job
from tests.browser.hands import PHONE, press
from tests.labeling.imports.test_forms import work

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
DROP = """() => {
  const carried = new DataTransfer();
  carried.items.add(new File(['{"prompt": "Why is the sky blue?"}'], "sky.jsonl"));
  const about = { dataTransfer: carried, bubbles: true, cancelable: true };
  const place = document.querySelector("form[data-drop] .deeds");
  place.dispatchEvent(new DragEvent("dragover", about));
  place.dispatchEvent(new DragEvent("drop", about));
}"""


def test_a_file_is_dropped_on_the_form_and_looked_at(window, log_in, carol, picture):
    page = window(1440)
    log_in(page, carol)
    page.goto("/p/demo/prompts/upload")
    page.evaluate(DROP)
    assert page.evaluate("document.querySelector('input[type=file]').files[0].name") == "sky.jsonl"

    page.get_by_role("button", name="Look at it").click()
    page.locator(".answers-table").get_by_text("Why is the sky blue?").wait_for()
    picture(page, "upload-looked-at", full_page=True)
    assert Job.objects.get().recipe["filename"] == "sky.jsonl"


AS_WRITTEN = ["    indented = True  # ann@example.org\n", "\n👩\u200d🔬 wo\u2060rd  "]
CLEANED = ["indented = True  # [e-mail]", "👩\u200d🔬 word"]


@pytest.mark.parametrize("how", ["not asked for", "click", "tap", "Space"])
def test_answers_stay_as_written_unless_their_cleaning_is_asked_for_and_shown(
    window, log_in, alice, carol, picture, how
):
    page = window(**(PHONE if how == "tap" else {}))
    log_in(page, carol)
    page.goto("/p/demo/prompts/upload")
    row = {"prompt": " Whose is it? ", "split": "train", "answers": AS_WRITTEN}
    file = {
        "name": "one.jsonl",
        "mimeType": "application/x-ndjson",
        "buffer": json.dumps(row).encode(),
    }
    page.set_input_files("input[type=file]", file)
    page.get_by_role("button", name="Look at it").click()
    steps = look(page)
    expect(steps.filter(has_text="Spaces")).to_contain_text("Whose is it?")
    expect(steps.filter(has_text="Answers too")).to_have_count(0)

    if how != "not asked for":
        open_with = "Enter" if how == "Space" else how
        press(page, "form details summary", open_with)
        expect(page.locator("#id_answers_helptext")).to_contain_text(
            "no longer what the model wrote"
        )
        press(page, "#id_answers", how)
        expect(page.locator("#id_answers")).to_be_checked()
        press(page, "[name=check]", open_with)
        page.wait_for_url(lambda url: not url.endswith(f"/{Job.objects.earliest('pk').pk}/"))
        steps = look(page)
        expect(steps.filter(has_text="Answers too").locator(".num")).to_have_text("2")
        for text in CLEANED:
            expect(steps.filter(has_text="Answers too")).to_contain_text(text)
        picture(page, f"upload-{390 if how == 'tap' else 1440}-light-answers", full_page=True)
    press(page, "[name=import]", "tap" if how == "tap" else "click")
    page.wait_for_url("**/jobs/*/")
    assert work().state == "done"

    ranks = window()
    log_in(ranks, alice)
    ranks.goto("/p/demo/rank/")
    ranks.keyboard.press("o")
    expect(ranks.locator(".written:visible")).to_have_count(2)
    written = ranks.locator(".written").evaluate_all("all => all.map(one => one.textContent)")
    assert sorted(written) == sorted(AS_WRITTEN if how == "not asked for" else CLEANED)


def look(page):
    """The rows of the cleaning table, once a worker has checked the file."""
    page.get_by_role("heading", name="The first rows").wait_for()
    assert work().state == "done"
    page.reload()
    return page.get_by_role("region", name="Changed or left out").locator("tbody tr")
