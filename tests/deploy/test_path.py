"""PODIUM_PATH: a whole Podium below a path, behind nginx. Nothing of it lies beside the path."""

import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.deploy.nginx import UNVERIFIED, serving, site_before
from tests.system.podium import QuickPodium, wait_for

pytestmark = [pytest.mark.system, pytest.mark.torch]
PATH = "/podium"
# whose pages are many of one kind
NUMBERS = re.compile(r"\d+|\?.*")


class Addresses(HTMLParser):
    """Every address in a page: links, forms, files, what htmx asks for, and data of scripts."""

    def __init__(self, html):
        super().__init__()
        self.opened, self.sent = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if not value or value.startswith(("#", "mailto:", "data:")):
                continue
            if name in ("href", "src", "hx-get"):
                self.opened.append(value)
            if name in ("action", "formaction", "hx-post", "hx-put", "hx-delete"):
                self.sent.append(value)
            if name.startswith("data-") and value.startswith("/"):
                self.sent.append(value)


@pytest.fixture(scope="module")
def podium(tmp_path_factory, tiny_model):
    var = tmp_path_factory.mktemp("below")
    podium = QuickPodium(var, tiny_model, PODIUM_PATH=PATH)
    try:
        podium.start()
        wait_for(lambda: podium.sql("select 1 from labeling_rankingtask"), 120, "the first tasks")
        yield podium
        podium.stop()
    finally:
        podium.kill()


@pytest.fixture(scope="module")
def site(podium, tmp_path_factory):
    """The address of the site that has Podium below its path."""
    text = site_before(f"127.0.0.1:{podium.port}", below=True)
    with serving(tmp_path_factory.mktemp("nginx"), text) as address:
        yield address


@pytest.fixture(scope="module")
def admin(podium, site):
    """An admin's session. It follows no redirect."""
    with httpx.Client(base_url=site, verify=UNVERIFIED, headers={"Origin": site}) as client:
        sent = send(client, f"{PATH}/login/", **credentials(podium, "admin"))
        assert (sent.status_code, sent.headers["Location"]) == (302, f"{PATH}/")
        yield client


def credentials(podium, name):
    email = f"{name}@podium.local"
    return {"username": email, "password": podium.accounts()[email]}


def send(client, address, **fields):
    """Open a page and send a form to its address."""
    page = client.get(address).text
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return client.post(address, data=dict(hidden) | fields)


def test_every_page_lies_below_the_path(admin, site):
    """Whatever can be reached by links, files and redirects from the first page."""
    start = [f"{PATH}/", f"{PATH}/back-office/", f"{PATH}/api/v1/docs/", f"{PATH}/no-such-page"]
    waiting, known, pages = list(start), {NUMBERS.sub("0", address) for address in start}, 0
    while waiting:
        address = waiting.pop()
        answer = admin.get(address)
        expected = (404,) if address == start[-1] else (200, 204, 301, 302, 307)
        assert answer.status_code in expected, f"{address}: {answer.status_code}"
        found = [answer.headers["Location"]] if "Location" in answer.headers else []
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            pages += 1
            read = Addresses(answer.text)
            found += read.opened
            outside = [a for a in read.sent if not is_below(site, address, a)]
            assert not outside, address
        for link in found:
            target = urljoin(site + address, link)
            if urlsplit(target).netloc != urlsplit(site).netloc:
                continue  # a page of another site
            assert is_below(site, address, link), f"{address} leads to {link}"
            target = target.removeprefix(site).partition("#")[0]
            kind = NUMBERS.sub("0", target)
            if kind not in known and "/p/-/" not in kind:  # invented, on the page of components
                known.add(kind)
                waiting.append(target)
    assert pages > 60, sorted(known)


def is_below(site, page, link):
    path = urlsplit(urljoin(site + page, link)).path
    return path == PATH or path.startswith(f"{PATH}/")


def test_cookies_are_sent_to_the_path_alone(admin):
    cookies = {(cookie.name, cookie.path) for cookie in admin.cookies.jar}

    assert cookies == {("podium_sessionid", PATH), ("podium_csrftoken", PATH)}


def test_the_api_says_addresses_below_the_path(admin, site):
    schema = admin.get(f"{PATH}/api/v1/openapi.json").json()
    assert schema["servers"] == [{"url": PATH}]
    assert "/api/v1/projects/{slug}/prompts" in schema["paths"]

    prompts = admin.get(f"{PATH}/api/v1/projects/demo/prompts?limit=2").json()
    assert prompts["next"].startswith(f"{site}{PATH}/api/v1/projects/demo/prompts?")
    assert admin.get(prompts["next"]).status_code == 200

    token = admin.cookies["podium_csrftoken"]
    made = admin.post(
        f"{PATH}/api/v1/projects/demo/groups", json={"name": "A"}, headers={"X-CSRFToken": token}
    )
    assert made.status_code == 201
    assert made.headers["Location"].startswith(f"{PATH}/api/v1/projects/demo/groups/")
    assert admin.get(made.headers["Location"]).status_code == 200


def test_a_mailed_link_leads_below_the_path(admin, podium, site):
    send(admin, f"{PATH}/accounts/invite", email="new@example.org")

    link = wait_for(lambda: re.search(r"https://\S+/join/\S+", podium.output), 60, "the e-mail")[0]
    assert link.startswith(f"{site}{PATH}/join/")
    with httpx.Client(verify=UNVERIFIED) as stranger:
        assert stranger.get(link).status_code == 200


def test_what_a_program_of_this_machine_asks_for_has_two_addresses(podium):
    for address in ("/healthz", f"{PATH}/healthz"):
        assert httpx.get(podium.url + address).status_code == 200


def test_a_path_that_the_proxy_cut_off_is_named(podium):
    answer = httpx.get(f"{podium.url}/login/")

    assert answer.status_code == 404
    assert f"at “{PATH}/”" in answer.text
    assert "let the proxy pass the path" in answer.text
    assert httpx.get(f"{podium.url}/static/css/podium.css").status_code == 404


def test_a_labeler_ranks_below_the_path(podium, site, chromium):
    """With everything that scripts fetch on the way: cards, drafts and the next task."""
    asked, errors = [], []
    context = chromium.new_context(base_url=site, ignore_https_errors=True)
    context.on("request", lambda request: asked.append(request.url))
    context.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page = context.new_page()
    page.goto(f"{PATH}/p/demo/rank/")
    for name, value in credentials(podium, "labeler").items():
        page.fill(f"[name={name}]", value)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login/" not in url)  # with the page in its query before
    assert page.url == f"{site}{PATH}/p/demo/rank/"
    page.wait_for_load_state()

    first = page.locator("#task").get_attribute("action")
    with page.expect_response("**/draft"):
        page.keyboard.press("b")
    for letter in "acd":
        page.keyboard.press(letter)
    with page.expect_response(f"**{first}") as answer:
        page.click("#submit")
    assert answer.value.ok
    page.wait_for_function(
        "first => document.querySelector('#task')?.getAttribute('action') !== first", arg=first
    )
    assert podium.sql("select count(*) from labeling_ranking where kind = 'labeler'") == [(1,)]
    page.reload()
    context.close()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((f"{site}{PATH}/", "data:"))] == []
    assert not errors
