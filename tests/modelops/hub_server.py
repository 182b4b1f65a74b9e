"""A small Hugging Face Hub: the part of its protocol that Podium uses, over real HTTP.

Large files lie on a second server, as the Hub's do on a CDN: there no token may arrive.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_secret"
COMMIT = "c" * 40
LARGE = (".safetensors", ".parquet", ".jsonl")


class Hub:
    """A running Hub. `repos`: (type, id) to {"private", "gated", "files": {path: content}}."""

    def __init__(self):
        self.repos: dict[tuple[str, str], dict] = {}
        self.objects: dict[str, bytes] = {}  # large files by their sha256
        self.asked: list[tuple[str, str, dict]] = []
        self.commits: list[dict] = []
        self.cut: dict[str, int] = {}  # {path: bytes after which the connection ends, once}
        self.refuses: dict[str, int] = {}  # {start of a path: status}
        self.corrupts: set[str] = set()  # paths whose content arrives changed
        self.servers = [Server(self, role) for role in ("hub", "cdn")]

    def __enter__(self) -> Hub:
        for server in self.servers:
            Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, *error) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()

    @property
    def address(self) -> str:
        return self.servers[0].address

    @property
    def cdn(self) -> str:
        return self.servers[1].address

    def add(self, type: str, repo: str, files: dict[str, bytes], **about) -> None:
        self.repos[type, repo] = {"private": False, "gated": False, "files": dict(files)} | about

    def paths(self, method: str = "GET") -> list[str]:
        return [urlsplit(path).path for done, path, _headers in self.asked if done == method]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub, role: str):
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub, self.role = hub, role

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *about) -> None:
        pass

    def answer(self) -> None:
        hub, self.body = self.server.hub, self.read_body()
        about = {name.lower(): value for name, value in self.headers.items()}
        hub.asked.append((self.command, self.path, about))
        path = unquote(urlsplit(self.path).path)
        for start, status in hub.refuses.items():
            if path.startswith(start):
                return self.say({"error": "Not today."}, status)
        for method, pattern, act in ROUTES[self.server.role]:
            match = re.fullmatch(pattern, path)
            if method == self.command and match:
                return act(self, **match.groupdict())
        return self.say({"error": "No such address."}, 404)

    do_GET = do_POST = do_PUT = answer

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def say(self, body, status: int = 200, **headers: str) -> None:
        self.send(json.dumps(body).encode(), status, **headers)

    def send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    # What there is

    def repo(self, type: str, repo: str) -> dict | None:
        """The repository, or None after a refusal."""
        known = self.server.hub.repos.get((type, repo))
        knows_token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if known is None or (known["private"] and not knows_token):
            self.say({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
            return None
        if known["gated"]:
            self.say({"error": "Gated"}, 403, X_Error_Code="GatedRepo")
            return None
        return known

    def info(self, type: str, repo: str, revision: str | None = None) -> None:
        known = self.repo(type, repo)
        if known is None:
            return
        if revision not in (None, "main", COMMIT):
            self.say({"error": "No such revision"}, 404, X_Error_Code="RevisionNotFound")
            return
        siblings = [sibling(path, content) for path, content in known["files"].items()]
        about = {"id": repo, "sha": COMMIT, "private": known["private"], "siblings": siblings}
        self.say(about)

    def resolve(self, type: str | None, repo: str, revision: str, path: str) -> None:
        known = self.repo("dataset" if type else "model", repo)
        if known is None:
            return
        if path.endswith(LARGE):
            self.send(b"", 302, Location=f"{self.server.hub.cdn}/{repo}/{path}?signature=1")
        else:
            self.file(path, known["files"][path])

    def from_cdn(self, repo: str, path: str) -> None:
        if "Authorization" in self.headers:
            self.say({"error": "A token has come here."}, 400)
            return
        for (_type, name), known in self.server.hub.repos.items():
            if name == repo:
                self.file(path, known["files"][path])

    def file(self, path: str, content: bytes) -> None:
        """The file or its range; the connection may end in the middle of it."""
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        if path in self.server.hub.corrupts:
            content = bytes(len(content))
        part, end = content[start:], self.server.hub.cut.pop(path, None)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(part)))
        if start:
            about = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", about)
        self.end_headers()
        self.wfile.write(part if end is None else part[:end])
        if end is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()

    # What comes

    def create(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.say({"error": "Invalid token"}, 401)
            return
        asked = json.loads(self.body)
        repo = f"{asked['organization']}/{asked['name']}"
        if (asked["type"], repo) in self.server.hub.repos:
            self.say({"error": "It is there.", "url": repo}, 409)
            return
        private = asked.get("visibility") == "private"
        self.server.hub.add(asked["type"], repo, {}, private=private)
        self.say({"url": f"{self.server.hub.address}/datasets/{repo}", "name": repo})

    def validate(self) -> None:
        self.say({"errors": [], "warnings": []})

    def preupload(self, repo: str) -> None:
        known = self.repo("dataset", repo)
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": oid(file["path"], known["files"].get(file["path"])),
            }
            for file in json.loads(self.body)["files"]
        ]
        self.say({"files": files})

    def batch(self, repo: str) -> None:
        objects = []
        for file in json.loads(self.body)["objects"]:
            if file["oid"] not in self.server.hub.objects:
                href = f"{self.server.hub.cdn}/lfs/{file['oid']}"
                file["actions"] = {"upload": {"href": href, "header": {}}}
            objects.append(file)
        self.say({"transfer": "basic", "objects": objects})

    def put(self, sha256: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == sha256
        self.server.hub.objects[sha256] = self.body
        self.send(b"", ETag=sha256)

    def commit(self, repo: str) -> None:
        known = self.repo("dataset", repo)
        items = [json.loads(line) for line in self.body.splitlines()]
        for item in items:
            value = item["value"]
            if item["key"] == "file":
                known["files"][value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                known["files"][value["path"]] = self.server.hub.objects[value["oid"]]
            elif item["key"] == "deletedFile":
                del known["files"][value["path"]]
        self.server.hub.commits.append(items[0]["value"])
        address = f"{self.server.hub.address}/datasets/{repo}/commit/{COMMIT}"
        self.say({"commitUrl": address, "commitOid": COMMIT})


def sibling(path: str, content: bytes) -> dict:
    about = {"rfilename": path, "size": len(content), "blobId": git_hash(content)}
    if path.endswith(LARGE):
        sha256 = hashlib.sha256(content).hexdigest()
        about["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
    return about


def oid(path: str, content: bytes | None) -> str | None:
    """How the Hub names the content that it has at a path."""
    if content is None:
        return None
    return hashlib.sha256(content).hexdigest() if path.endswith(LARGE) else git_hash(content)


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


ROUTES = {
    "hub": [
        ("GET", r"/api/(?P<type>model|dataset)s/(?P<repo>[^/]+/[^/]+)", Handler.info),
        (
            "GET",
            r"/api/(?P<type>model|dataset)s/(?P<repo>[^/]+/[^/]+)/revision/(?P<revision>.+)",
            Handler.info,
        ),
        (
            "GET",
            r"/(?P<type>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>\w+)/(?P<path>.+)",
            Handler.resolve,
        ),
        ("POST", r"/api/repos/create", Handler.create),
        ("POST", r"/api/validate-yaml", Handler.validate),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/preupload/main", Handler.preupload),
        ("POST", r"/datasets/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", Handler.batch),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/commit/main", Handler.commit),
    ],
    "cdn": [
        ("PUT", r"/lfs/(?P<sha256>\w+)", Handler.put),
        ("GET", r"/(?P<repo>[^/]+/[^/]+)/(?P<path>.+)", Handler.from_cdn),
    ],
}


@pytest.fixture
def hub(settings, monkeypatch) -> Iterator[Hub]:
    """A Hub that Podium uses, with a token that it knows."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between two tries
    with Hub() as server:
        settings.HUB_ENDPOINT, settings.HUB_TOKEN = server.address, TOKEN
        yield server
