"""`make reload`: a real Podium goes on with other code, while people work and no request fails."""

import http.client
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from benchmarks.person import Site
from config.run.reload import children
from tests.system.podium import ROOT, QuickPodium, wait_for

pytestmark = [pytest.mark.system, pytest.mark.torch]
MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("people", "{before}")]
    operations = [{operation}]
"""
ADDED = 'migrations.AddField("project", "extra", models.TextField(null=True))'
REMOVED = 'migrations.RemoveField("project", "name")'


@pytest.fixture
def podium(tmp_path, tiny_model):
    """A Podium that runs a copy of the code, which the test may change."""
    code = tmp_path / "code"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, code / name)
    podium = QuickPodium(tmp_path / "var", tiny_model)
    podium.root = code
    try:
        podium.start()
        yield podium
        podium.stop()
    finally:
        podium.kill()


class Visitors:
    """Ask for pages without a pause: half of them on connections that stay open."""

    def __init__(self, podium):
        self.port, self.ended = podium.port, threading.Event()
        self.answers, self.lock = Counter(), threading.Lock()
        self.threads = [threading.Thread(target=self.ask, args=(n % 2 == 0,)) for n in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def ask(self, keeps):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        while not self.ended.is_set():
            for path in ("/login/", "/livez"):
                try:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    body = answer.read()
                    seen = path, answer.status, b"of the new code" in body
                except (OSError, http.client.HTTPException) as error:
                    seen = path, repr(error), False
                    connection.close()
                with self.lock:
                    self.answers[seen] += 1
                if not keeps:
                    connection.close()
            time.sleep(0.02)


class Labeler(threading.Thread):
    """Ranks what there is, and asks for work again, until the end."""

    def __init__(self, podium):
        super().__init__()
        email = "labeler@podium.local"
        self.site = Site(podium.url, email, podium.accounts()[email])
        self.ended, self.ranked, self.error = threading.Event(), 0, None

    def run(self):
        try:
            while not self.ended.is_set():
                if task := self.site.next_task("demo"):
                    ranks = {letter: n + 1 for n, letter in enumerate(task.answers)}
                    self.site.rank(task, ranks)
                    self.ranked += 1
                time.sleep(0.3)
        except Exception as error:
            self.error = error


def reload(podium):
    command = [sys.executable, "-m", "config.run.reload"]
    environment = {k: v for k, v in podium.environment.items() if k != "PODIUM_PORT"}
    return subprocess.run(
        command, cwd=podium.root, env=environment, capture_output=True, text=True, timeout=400
    )


def change(podium, name, old, new):
    file = podium.root / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def add_migration(podium, name, before, operation):
    file = podium.root / "people/migrations" / f"{name}.py"
    file.write_text(MIGRATION.format(before=before, operation=operation))


def latest(podium):
    names = sorted(file.stem for file in (podium.root / "people/migrations").glob("0*.py"))
    return names[-1]


def test_new_code_answers_and_no_request_fails(podium):
    wait_for(lambda: podium.sql("select 1 from labeling_rankingtask"), 120, "the first tasks")
    workers = {name: podium.pid(name) for name in ("worker-default", "worker-training")}
    parent, before = podium.pid("web"), children(podium.pid("web"))
    last = latest(podium)

    # A step that old code would not survive: nothing is changed.
    add_migration(podium, "0098_drop", last, REMOVED)
    refused = reload(podium)
    assert refused.returncode == 1
    assert "people.0098_drop removes a field that old code uses" in refused.stderr
    (podium.root / "people/migrations/0098_drop.py").unlink()
    change(podium, "people/urls.py", "path(", "pth(")
    assert "The new code does not load" in reload(podium).stderr
    change(podium, "people/urls.py", "pth(", "path(")
    assert children(parent) == before

    # New code, with a column and a static file that the old does not know.
    add_migration(podium, "0099_add", last, ADDED)
    change(
        podium, "templates/people/login.html", "{% block main %}", "{% block main %}of the new code"
    )
    change(podium, "config/health.py", '{"ok": True}', '{"ok": True, "is": "of the new code"}')
    labeler = Labeler(podium)
    with Visitors(podium) as visitors:
        labeler.start()
        wait_for(lambda: labeler.ranked or labeler.error, 60, "the first ranking")
        done = reload(podium)
        labeler.ended.set()
        labeler.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert labeler.error is None

    failed = {key: n for key, n in visitors.answers.items() if key[1] != 200}
    assert failed == {}
    for path in ("/login/", "/livez"):
        assert visitors.answers[path, 200, False], "the old code answered"
        assert visitors.answers[path, 200, True], "and then the new one"
    asked = [Site(podium.url).get("/login/").text for _ in range(10)]
    assert all("of the new code" in page for page in asked)
    assert podium.pid("web") == parent
    assert not children(parent) & before
    assert all(podium.pid(name) != pid for name, pid in workers.items())
    assert podium.sql("select extra from people_project") == [(None,)]
    stored = "select count(*) from labeling_ranking where kind = 'labeler'"
    assert podium.sql(stored) == [(labeler.ranked,)]
    wait_for(podium.is_well, 60, "all of it is well")


def test_what_does_not_run_is_not_reloaded(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "config.run.reload"],
        cwd=ROOT,
        env={"PODIUM_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert f"Podium does not run on {tmp_path}: start it with make up." in done.stderr
