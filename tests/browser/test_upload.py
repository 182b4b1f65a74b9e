"""A file dropped anywhere on the form is chosen, and the page that shows it needs no script."""

import pytest

from modelops.models import Job

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
    page.get_by_text("Why is the sky blue?").wait_for()
    picture(page, "upload-looked-at", full_page=True)
    assert Job.objects.get().recipe["filename"] == "sky.jsonl"
