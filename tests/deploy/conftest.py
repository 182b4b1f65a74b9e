"""The browser of tests/browser, for the sites of deploy/."""

from tests.browser.conftest import chromium  # noqa: F401
