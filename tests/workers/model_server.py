"""A server that speaks OpenAI's chat protocol, its answers drawn by the local engine; it fails when
it is told to.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ModelServer(ThreadingHTTPServer):
    """`faults` are used up one a request: a status, a (status, headers) pair, "drop" or a body."""

    daemon_threads = True

    def __init__(self, engine):
        super().__init__(("127.0.0.1", 0), Handler)
        self.engine, self.faults, self.asked, self.keys = engine, [], [], []
        self.one_at_a_time, self.most_choices, self.logprobs = threading.Lock(), 99, True
        self.running = self.most_running = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def address(self) -> str:
        return f"http://{self.host}/v1"

    def choices(self, body: dict) -> list[dict]:
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens")
        settings = {"top_k": 0} | {name: body[name] for name in names if name in body}
        n = min(body["n"], self.most_choices)
        with self.one_at_a_time:
            found = self.engine.sample(
                [body["messages"]] * n,
                [body["seed"] + i for i in range(n)],
                stop=body.get("stop", ()),
                **settings,
            )
        return [self.choice(sample) for sample in found]

    def choice(self, sample) -> dict:
        listed = {"content": [{"token": "", "logprob": one} for one in sample.logprobs]}
        return {
            "message": {"role": "assistant", "content": sample.text},
            "finish_reason": sample.finish_reason,
            "logprobs": listed if self.logprobs else None,
        }


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append(body)
        server.keys.append(self.headers.get("Authorization"))
        fault = server.faults.pop(0) if server.faults else None
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
        elif fault is not None:
            self.fail(fault)
        else:
            self.answer(body)

    def answer(self, body: dict) -> None:
        self.server.running += 1
        self.server.most_running = max(self.server.most_running, self.server.running)
        choices = self.server.choices(body)
        self.server.running -= 1
        self.send(200, json.dumps({"choices": choices, "usage": {"completion_tokens": 7}}))

    def fail(self, fault) -> None:
        if isinstance(fault, str):
            self.send(200, fault)
        else:
            status, headers = fault if isinstance(fault, tuple) else (fault, {})
            self.send(status, json.dumps({"error": {"message": "not now"}}), headers)

    def send(self, status: int, text: str, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(text.encode()))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args) -> None:
        pass


@contextmanager
def serving(engine):
    server = ModelServer(engine)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
