"""A headless Chromium against a live server. An error in its console, or a breach of the CSP, fails
the test.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.browser.hands import ANSWERS, identify, make_tasks
from tests.factories import make_project

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Milliseconds. No test that passes waits so long, unless its machine stands still.
PATIENCE = 30_000
EXPECTED = re.compile(
    r"status of (403|409|422)|ERR_INTERNET_DISCONNECTED|htmx:(sendError|afterRequest)"
)


@pytest.fixture(scope="package")
def chromium():
    """One browser for all of these tests, and for no later ones: with playwright's loop nothing
    else can run one.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None and os.environ.get("PODIUM_REQUIRE_BROWSER") == "1":
        pytest.fail("PODIUM_REQUIRE_BROWSER is set, and there is no Chromium")
    if path is None:
        pytest.skip("no Chromium here")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = (
        "true"  # playwright runs a loop of its own in this thread
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def window(chromium, live_server):
    """`window(width=…, color_scheme=…, …)` opens a page in a browser of its own; relative addresses
    lead to the site.
    """
    contexts, errors = [], []

    def watch(message):
        if message.type == "error" and not EXPECTED.search(message.text):
            errors.append(message.text)

    def open_window(width=1440, **options):
        viewport = {"width": width, "height": 900 if width > 760 else 844}
        context = chromium.new_context(base_url=live_server.url, viewport=viewport, **options)
        context.set_default_timeout(PATIENCE)
        context.on("console", watch)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        contexts.append(context)
        return context.new_page()

    yield open_window
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def log_in():
    def fill(page, user):
        page.goto("/login/")
        identify(page, user)
        page.wait_for_url(lambda url: "login" not in url)

    return fill


@pytest.fixture
def project(db):
    return make_project(
        slug="demo", name="Assistant, round 3", guidelines="# Be kind\n\nRank what *helps* first."
    )


@pytest.fixture
def desk(window, log_in, project, alice):
    """Opens the ranking page, with so many tasks before alice."""

    def open_desk(count=1, texts=ANSWERS, **options):
        make_tasks(project, count, texts)
        page = window(**options)
        log_in(page, alice)
        page.goto("/p/demo/rank/")
        return page

    return open_desk


@pytest.fixture
def picture():
    """Keeps a screenshot in the folder that PODIUM_SCREENSHOTS names, if it does."""

    def take(page, name, **options):
        folder = os.environ.get("PODIUM_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{name}.png", **options)

    return take
