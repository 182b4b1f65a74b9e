"""Annotators who take a task and submit it, with no time to think, over HTTP: Podium's, and those
of a peer.

Each has a connection of its own that stays open. What is timed is the whole answer, body included.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from benchmarks.person import Site
from benchmarks.queue_fixture import PASSWORD, SLUG, K, email, paragraph

LETTERS = "abcdefghi"[:K]
CHUNK = 1000  # tasks in one import of the peer


class Wire:
    """One connection to a server. Raises RuntimeError on an answer that is not expected."""

    def __init__(self, base: str, headers: dict[str, str]):
        self.connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=600)
        self.headers = headers | {"Accept-Encoding": "gzip"}

    def ask(
        self, method: str, path: str, body: str | None = None, **headers
    ) -> http.client.HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, self.headers | named)
        answer = self.connection.getresponse()
        answer.content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{answer.status} from {method} {path}: {answer.content[:300]}")
        return answer

    def get(self, path: str, **headers) -> http.client.HTTPResponse:
        return self.ask("GET", path, **headers)


class Labeler:
    """Podium's page, as its script works it: the card after the one at hand is leased and fetched
    before the submit.
    """

    FORM = {"Content_Type": "application/x-www-form-urlencoded", "HX_Request": "true"}

    def __init__(self, base: str, person: int):
        cookies = Site(base, email(person), PASSWORD).http.cookies
        self.token = cookies["csrftoken"]
        pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
        self.wire = Wire(base, {"Cookie": pairs, "X-CSRFToken": self.token, "Referer": base})
        self.wire.headers["Accept-Encoding"] = "identity"  # the card's key is read out of it
        self.card = ""
        self.following = None

    def begin(self) -> None:
        self.card = self.wire.get(f"/p/{SLUG}/rank/", HX_Request="true").content.decode()

    def next(self) -> str | None:
        """Lease the task after this one; this one's name, or None when it is the last."""
        here = re.search(r'action="(\S+/rank/(\d+))/submit"', self.card)
        self.action = here[1]
        answer = self.wire.get(f"{self.action}/ahead", HX_Request="true")
        self.following = answer.getheader("Podium-Task"), answer.content.decode()
        return here[2] if self.following[0] else None

    def submit(self) -> None:
        ranks = random.sample(range(1, K + 1), K)
        typed = {f"rank-{letter}": rank for letter, rank in zip(LETTERS, ranks, strict=True)}
        key = re.search(r'name="key" value="([^"]+)"', self.card)[1]
        body = urlencode({"key": key, "order": "", "seconds": "3.2", "outcome": "ranked"} | typed)
        task, card = self.following
        answer = self.wire.ask("POST", f"{self.action}/submit", body, Podium_Next=task, **self.FORM)
        if b'id="task"' in answer.content:
            raise RuntimeError("the lease ahead was not there any more")
        self.card = card

    def bare(self) -> None:
        """The least that a request of a member can be: session, account, membership, a short page
        without a query.
        """
        self.wire.get(f"/p/{SLUG}/guidelines/", HX_Request="true")


class PeerAnnotator:
    """Label Studio's own endpoints of its ranking page, by token."""

    def __init__(self, base: str, token: str, project: int):
        self.wire = Wire(
            base, {"Authorization": f"Token {token}", "Content-Type": "application/json"}
        )
        self.wire.headers["Accept-Encoding"] = "identity"
        self.project = project
        self.task = None

    def begin(self) -> None:
        """There is nothing to open first."""

    def next(self) -> str | None:
        answer = self.wire.get(f"/api/projects/{self.project}/next")
        self.task = json.loads(answer.content)["id"]
        return str(self.task)

    def submit(self) -> None:
        order = random.sample([f"r{slot}" for slot in range(K)], K)
        result = {
            "from_name": "rank",
            "to_name": "answers",
            "type": "ranker",
            "value": {"ranker": {"rank": order}},
        }
        body = {
            "result": [result | {"id": f"x{random.randrange(10**9)}"}],
            "lead_time": 3.2,
            "project": self.project,
        }
        self.wire.ask(
            "POST", f"/api/tasks/{self.task}/annotations/?project={self.project}", json.dumps(body)
        )


PEER_PAGE = """<View><Text name="prompt" value="$prompt"/>
<List name="answers" value="$items" title="Answers"/><Ranker name="rank" toName="answers"/></View>"""  # noqa: E501  (one line of Label Studio's XML)


def peer_project(base: str, token: str, size: int, overlap: int) -> int:
    """A project of the peer with `size` tasks like ours; its number."""
    wire = Wire(base, {"Authorization": f"Token {token}", "Content-Type": "application/json"})
    made = {
        "title": f"bench {time.time():.0f}",
        "label_config": PEER_PAGE,
        "maximum_annotations": overlap,
    }
    project = json.loads(wire.ask("POST", "/api/projects", json.dumps(made)).content)["id"]
    for start in range(0, size, CHUNK):
        tasks = [{"data": peer_task(number)} for number in range(start, min(size, start + CHUNK))]
        wire.ask("POST", f"/api/projects/{project}/import", json.dumps(tasks))
    return project


def peer_task(number: int) -> dict:
    items = [
        {"id": f"r{slot}", "title": f"Response {slot}", "body": paragraph(number + slot)}
        for slot in range(K)
    ]
    return {"prompt": paragraph(-1, words=40), "items": items}


# The closed loop


@dataclass
class Level:
    """What one number of annotators did at once; times in seconds."""

    next: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    tasks: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)


def closed_loop(annotators: list, seconds: float, most: int) -> Level:
    """Each annotator goes on until the time is over or `most` pairs are done by all of them; an
    error ends its own.
    """
    level = Level()
    for annotator in annotators:
        annotator.begin()
    begun = time.perf_counter()
    threads = [
        threading.Thread(target=work, args=(one, level, begun + seconds, most))
        for one in annotators
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    level.seconds = time.perf_counter() - begun
    return level


def work(annotator, level: Level, until: float, most: int) -> None:
    try:
        while time.perf_counter() < until and len(level.submit) < most:
            asked = time.perf_counter()
            task = annotator.next()
            given = time.perf_counter()
            if task is None:
                break
            annotator.submit()
            level.submit.append(time.perf_counter() - given)
            level.next.append(given - asked)
            level.tasks[task] += 1
    except Exception as error:  # told at the end: one annotator's fault must not stop the others
        level.errors.append(f"{type(error).__name__}: {error}"[:300])
