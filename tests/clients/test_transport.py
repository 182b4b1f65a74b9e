"""The client's requests against a real HTTP server that fails in the ways servers do."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from podium_client import NotNow, Podium, Problem, Refused

FILE = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Answers with what `plan` holds, one after the other; a plan's last answer is given from then
    on.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.asked = [], []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        plan = self.server.plan
        (plan.pop(0) if len(plan) > 1 else plan[0])(self)

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


def says(status=200, body=None, **headers):
    def send(handler):
        content = b"" if body is None else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(content)

    return send


def hangs_up(handler):
    handler.close_connection = True
    handler.connection.close()


def sends_file(until=None):
    """The file, or what is asked of it; cut off after `until` bytes."""

    def send(handler):
        begin = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(FILE) - begin))
        handler.send_header("ETag", '"v1"')
        handler.end_headers()
        handler.wfile.write(FILE[begin : until or len(FILE)])
        if until:
            handler.wfile.flush()
            hangs_up(handler)

    return send


@contextmanager
def serving():
    server = Server()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def store():
    """Another server, to which downloads are redirected."""
    with serving() as server:
        yield server


@pytest.fixture
def podium(server):
    with Podium(server.address, "podium_secret", attempts=3) as podium:
        yield podium


@pytest.mark.parametrize(
    "failure",
    [says(503, Retry_After=0), says(429, Retry_After=0), says(502, Retry_After=0), hangs_up],
)
def test_a_busy_or_lost_server_is_asked_again_with_the_same_key(server, podium, failure):
    server.plan = [failure, says(201, {"id": 1})]
    assert podium.project("demo").jobs.start("sample") == {"id": 1}

    keys = [headers["Idempotency-Key"] for _method, _path, headers, _body in server.asked]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert server.asked[0][2]["Authorization"] == "Bearer podium_secret"


def test_two_requests_have_two_keys(server, podium):
    server.plan = [says(201, {"id": 1})]
    for _ in range(2):
        podium.project("demo").jobs.start("sample")
    assert len({headers["Idempotency-Key"] for _method, _path, headers, _body in server.asked}) == 2


def test_a_server_that_stays_busy_is_given_up(server, podium):
    server.plan = [
        says(503, {"title": "Service Unavailable", "detail": "Back soon."}, Retry_After=0)
    ]
    with pytest.raises(NotNow, match="Back soon"):
        podium.me()
    assert len(server.asked) == 3


def test_a_refusal_is_told_with_its_fields_and_not_asked_again(server, podium):
    told = {
        "title": "Unprocessable Content",
        "detail": "x",
        "errors": [{"field": "k", "detail": "At most 9."}],
    }
    server.plan = [says(422, told)]
    with pytest.raises(Problem, match="k: At most 9") as caught:
        podium.me()
    assert caught.value.errors[0]["field"] == "k"
    assert len(server.asked) == 1


def test_a_change_that_somebody_else_was_faster_with_is_refused(server, podium):
    server.plan = [
        says(200, {}, ETag='"v1"'),
        says(412, {"title": "Precondition Failed", "detail": "Read it again."}),
    ]
    with pytest.raises(Refused, match="Read it again"):
        podium.project("demo").change(k=3)
    assert server.asked[1][2]["If-Match"] == '"v1"'


def test_a_list_goes_on_from_page_to_page(server, podium):
    there = f"{server.address}/api/v1/projects/demo/rankings?cursor=abc%3D"
    server.plan = [
        says(200, {"next": there, "results": [{"id": 1}]}),
        says(200, {"next": None, "results": [{"id": 2}]}),
    ]
    assert [one["id"] for one in podium.project("demo").rankings(current=True)] == [1, 2]
    assert server.asked[1][1].endswith("rankings?cursor=abc%3D")


def test_a_download_goes_on_where_the_connection_broke(server, podium, tmp_path):
    server.plan = [
        says(202, {}, Retry_After=0),
        sends_file(until=300_000),
        sends_file(until=700_000),
        sends_file(),
    ]
    file = podium.project("demo").datasets.download(1, "rows", tmp_path / "rows.jsonl")

    assert file.read_bytes() == FILE
    assert [headers.get("Range", "") for *_, headers, _body in server.asked][:2] == ["", ""]
    begun = int(server.asked[2][2]["Range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < begun <= 300_000
    assert server.asked[2][2]["If-Range"] == '"v1"'
    assert list(tmp_path.iterdir()) == [file]


def test_a_download_goes_on_in_the_store_and_the_token_stays_here(server, store, podium, tmp_path):
    server.plan = [
        says(200, {"ready": True}),
        says(302, Location=store.address + "/podium/rows.jsonl?signature=1"),
    ]
    store.plan = [sends_file(until=300_000), sends_file()]
    file = podium.project("demo").datasets.download(1, "rows", tmp_path / "rows.jsonl")

    assert file.read_bytes() == FILE
    assert [path for _method, path, *_ in store.asked] == ["/podium/rows.jsonl?signature=1"] * 2
    assert store.asked[1][2]["Range"].startswith("bytes=")
    assert server.asked[-1][2]["If-Range"] == '"v1"', "a new address is asked for"
    assert not any("Authorization" in headers for *_, headers, _body in store.asked)


def test_what_never_gets_ready_is_given_up(server, podium, tmp_path):
    server.plan = [says(202, {}, Retry_After=9)]
    with pytest.raises(TimeoutError, match="not ready"):
        podium.project("demo").datasets.download(1, "rows", tmp_path / "rows.jsonl", patience=1)


def test_a_withdrawn_dataset_leaves_no_file(server, podium, tmp_path):
    server.plan = [says(410, {"title": "Gone", "detail": "Withdrawn: a labeler asked for it."})]
    with pytest.raises(Refused, match="a labeler asked"):
        podium.project("demo").datasets.download(1, "rows", tmp_path / "rows.jsonl")
    assert not list(tmp_path.iterdir())


def test_an_undo_names_the_last_ranking(server, podium):
    server.plan = [says(200, {"undo": 7}), says(200, {"ranking": None})]
    podium.project("demo").work.undo()

    assert [path for _method, path, _headers, _body in server.asked] == [
        "/api/v1/projects/demo/assignments/pace",
        "/api/v1/projects/demo/rankings/undo",
    ]
    assert json.loads(server.asked[-1][3]) == {"ranking": 7}
