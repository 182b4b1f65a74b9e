"""A real nginx with a site of deploy/nginx, for tests."""

import shutil
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.podium import free_port

FOLDER = Path(__file__).resolve().parents[2] / "deploy/nginx"
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


def site_before(upstream, below=False):
    """podium.conf for a Podium at this host and port. `below`: with podium-path.conf in place of
    the whole site.
    """
    text = (FOLDER / "podium.conf").read_text(encoding="utf-8")
    assert "127.0.0.1:8000" in text
    text = text.replace("127.0.0.1:8000", upstream)
    if below:
        head, whole, _tail = text.partition("    location / {")
        assert whole
        text = head + (FOLDER / "podium-path.conf").read_text(encoding="utf-8") + "}\n"
    return text


@contextmanager
def serving(folder, text):
    """nginx with the site `text` and a certificate of its own. Gives its address."""
    nginx, openssl = shutil.which("nginx", path="/usr/sbin:/usr/bin"), shutil.which("openssl")
    if not nginx or not openssl:
        pytest.skip("no nginx here")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=podium.example"]
        + ["-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        check=True,
        capture_output=True,
    )
    port, plain = free_port(), free_port()
    for here, there in [
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("/etc/letsencrypt/live/podium.example", str(folder)),
    ]:
        assert here in text
        text = text.replace(here, there)
    text = "".join(line for line in text.splitlines(True) if "listen [::]" not in line)
    (folder / "podium.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    process = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    try:
        _wait_for(port, process)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_for(port, process):
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx did not start")
