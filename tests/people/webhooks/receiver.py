"""A server that webhooks are sent to: it checks signatures as a receiver does, and answers as it is
told to.
"""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from standardwebhooks import Webhook as Verifier


class Receiver(ThreadingHTTPServer):
    """Answers with what `plan` holds, one after the other; a plan's last answer is given from then
    on.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.got = [says(204)], []
        self.url = f"http://127.0.0.1:{self.server_port}/hooks?from=podium"

    def __enter__(self):
        Thread(target=self.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def events(self, secret) -> list[dict]:
        """What came, each with a signature that is right."""
        return [Verifier(secret).verify(body, headers) for headers, body in self.got]

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _body in self.got]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        plan = self.server.plan
        (plan.pop(0) if len(plan) > 1 else plan[0])(self)

    def log_message(self, *_):
        pass


def says(status, body=b"", **headers):
    def send(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def hangs(handler):
    time.sleep(0.6)


def drips(handler):
    """Is never silent for long, and never done."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(30):
        time.sleep(0.05)
        try:
            handler.wfile.write(b".")
        except OSError:
            return
