"""The site of deploy/nginx in a real nginx, in front of the pages."""

import shutil
import socket
import ssl
import subprocess
import time
from http.client import HTTPSConnection
from pathlib import Path

import httpx
import pytest

from people.models import AuditEvent
from tests.factories import PASSWORD, make_person, make_project

pytestmark = pytest.mark.django_db(transaction=True)

SITE = Path(__file__).resolve().parents[2] / "deploy/nginx/podium.conf"
UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname, UNVERIFIED.verify_mode = False, ssl.CERT_NONE
MAIN = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/podium.conf;
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def site(tmp_path, live_server, settings):
    """The address of the site, behind nginx with a certificate of its own."""
    nginx, openssl = shutil.which("nginx", path="/usr/sbin:/usr/bin"), shutil.which("openssl")
    if not nginx or not openssl:
        pytest.skip("no nginx here")
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=podium.example"]
        + ["-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"],
        check=True,
        capture_output=True,
    )
    port, plain = free_port(), free_port()
    text = SITE.read_text(encoding="utf-8")
    for here, there in [
        ("127.0.0.1:8000", live_server.url.removeprefix("http://")),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("/etc/letsencrypt/live/podium.example", str(tmp_path)),
    ]:
        assert here in text
        text = text.replace(here, there)
    text = "".join(line for line in text.splitlines(True) if "listen [::]" not in line)
    (tmp_path / "podium.conf").write_text(text)
    (tmp_path / "nginx.conf").write_text(MAIN.format(folder=tmp_path))
    process = subprocess.Popen([nginx, "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log"])
    try:
        wait_for(port, process)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_for(port, process):
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx did not start")


@pytest.fixture
def browser(site):
    with httpx.Client(base_url=site, verify=UNVERIFIED, headers={"Origin": site}) as client:
        yield client


def log_in(browser, password, **headers):
    browser.get("/login/")
    form = {"username": "ann@example.org", "password": password}
    form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
    return browser.post("/login/", data=form, headers=headers)


def test_a_form_that_came_by_tls_is_accepted(browser):
    make_person(make_project(), name="ann")

    assert log_in(browser, PASSWORD).status_code == 302


def test_the_address_of_a_client_is_not_what_it_says(browser):
    make_person(make_project(), name="ann")

    log_in(browser, "wrong", **{"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"})
    assert AuditEvent.objects.get(verb="fail to log in").data["address"] == "127.0.0.1"


def test_a_body_over_the_limit_is_refused_unread(site):
    connection = HTTPSConnection(site.removeprefix("https://"), context=UNVERIFIED)
    connection.putrequest("POST", "/login/")
    connection.putheader("Content-Length", f"{67 * 2**20}")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
