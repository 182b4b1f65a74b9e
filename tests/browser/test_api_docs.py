"""The API's own pages, in a browser under the site's strict policy."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_documentation_is_served_whole_from_here(window, live_server):
    page = window(1440)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.goto("/api/v1/docs/")

    page.locator(".opblock-tag").first.wait_for()
    groups = page.locator(".opblock-tag").all_inner_texts()
    assert (groups[0], groups[-1]) == ("accounts", "workers")  # all are there
    page.locator(".opblock-tag", has_text="tokens").click()
    page.get_by_text("/api/v1/tokens/{id}").first.wait_for()
    page.locator(".opblock-summary-control").first.click()
    page.get_by_text("Responses").first.wait_for()
    assert not complaints
    assert {url for url in asked if not url.startswith((live_server.url, "data:"))} == set()
