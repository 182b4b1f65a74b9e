"""`make up`, for real: what it says, what it survives, and what it leaves."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest
import redis

from benchmarks.person import Site
from tests.system.podium import ROOT, wait_for

pytestmark = pytest.mark.system
TABLES = (
    "people_user",
    "people_project",
    "modelops_modelversion",
    "modelops_job",
    "labeling_prompt",
)


def run_up(podium, **environment):
    """A start that is expected to fail; its exit code and its lines."""
    done = subprocess.run(
        [sys.executable, "-m", "config.run.up"],
        cwd=ROOT,
        env=podium.environment | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, (done.stdout + done.stderr).strip().splitlines()


def counts(podium):
    return {table: podium.sql(f"select count(*) from {table}")[0][0] for table in TABLES}


def sampling(podium):
    return podium.sql("select 1 from labeling_candidate limit 1")


def test_the_ready_line_comes_once_and_is_true(running_podium):
    assert running_podium.is_well()
    assert running_podium.lines.count(running_podium.ready_line) == 1


def test_the_demo_accounts_are_printed_with_random_passwords(running_podium):
    accounts = running_podium.accounts()

    assert set(accounts) >= {
        "admin@podium.local",
        "labeler@podium.local",
        "researcher@podium.local",
    }
    assert len(set(accounts.values())) == len(accounts)
    assert all(password in running_podium.output for password in accounts.values())
    assert (running_podium.var / "demo-accounts.txt").stat().st_mode & 0o077 == 0


def test_health_names_every_part(running_podium):
    status, state = running_podium.health()

    assert (status, state["database"], state["broker"]) == (200, "ok", "ok")
    assert set(state["workers"]) == {"default", "sampling", "training"}
    assert all(state["workers"].values())


def test_lines_of_a_program_begin_with_its_name(running_podium):
    assert any(line.startswith("worker-sampling | ") for line in running_podium.lines)


def test_a_killed_broker_shows_in_health_and_comes_back(running_podium):
    os.kill(running_podium.pid("broker"), signal.SIGKILL)

    status, state = wait_for(
        lambda: (seen := running_podium.health())[0] == 503 and seen, 10, "503 is seen"
    )
    assert state["broker"] != "ok"
    wait_for(running_podium.is_well, 60, "it is well again")


@pytest.mark.parametrize("program", ["web", "worker-default", "worker-sampling", "worker-training"])
def test_a_killed_program_comes_back_and_leaves_no_child(running_podium, program):
    before = {pid for pid, command in running_podium.processes() if "prefix.py" not in command}

    running_podium.kill_9(program)

    wait_for(running_podium.is_well, 60, "it is well again")
    assert wait_for(
        lambda: len(before) == len(_programs(running_podium)), 20, "as many processes as before"
    )


def _programs(podium):
    return [pid for pid, command in podium.processes() if "prefix.py" not in command]


def open_to_others(var):
    return [
        path
        for path in (var, *var.rglob("*"))
        if path.lstat().st_mode & 0o077 and not path.is_symlink()
    ]


def test_nothing_in_the_data_folder_is_open_to_other_accounts(running_podium):
    running_podium.manage("backup")

    assert list((running_podium.var / "backups").glob("podium-*.tar"))
    assert open_to_others(running_podium.var) == []


def begin(podium, head, body=b"", token=""):
    """A connection that has sent the head of a POST to the log-in, and as much of its body."""
    connection = socket.create_connection(("127.0.0.1", podium.port), timeout=120)
    lines = ["POST /login/ HTTP/1.1", f"Host: 127.0.0.1:{podium.port}", *head]
    lines += [f"Cookie: csrftoken={token}"] if token else []
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return connection


def test_forty_connections_that_send_nothing_more_stop_nobody(running_podium):
    """Each has the CSRF cookie that anybody gets: without it the body would not be read."""
    token = httpx.get(f"{running_podium.url}/login/").cookies["csrftoken"]
    head = ["Content-Type: application/x-www-form-urlencoded", "Content-Length: 100000"]
    slow = [begin(running_podium, head, b"0123456789", token) for _ in range(40)]

    assert httpx.get(f"{running_podium.url}/login/", timeout=60).status_code == 200

    for connection in slow:
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):  # open still, and not answered
            connection.recv(1)
        connection.close()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("Content-Length: 1500000000", b"m" * 2**20),
        ("Transfer-Encoding: chunked", b"100000\r\n" + b"m" * 2**20 + b"\r\n"),
    ],
    ids=["length", "chunked"],
)
def test_a_huge_body_is_refused_unread(running_podium, head, piece):
    token, sent = httpx.get(f"{running_podium.url}/login/").cookies["csrftoken"], 0
    form = ["Content-Type: multipart/form-data; boundary=x", head]

    with begin(running_podium, form, token=token) as connection:
        try:
            while sent < 1_500_000_000:
                connection.sendall(piece)
                sent += len(piece)
        except ConnectionError:
            pass  # the server has said no, and closed
        answer = connection.recv(100)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 50_000_000, "what the sockets on the way hold, and what any form may have"


def test_both_web_processes_count_requests_together(running_podium):
    """Each request has a connection of its own, so that both processes get some."""
    admin = Site(
        running_podium.url, "admin@podium.local", running_podium.accounts()["admin@podium.local"]
    )
    for _ in range(30):
        assert (
            httpx.get(f"{running_podium.url}/api/v1/me", cookies=admin.http.cookies).status_code
            == 200
        )

    broker = redis.Redis.from_url((running_podium.var / "run" / "broker.url").read_text())
    [(person,)] = running_podium.sql(
        "select id from people_user where email = 'admin@podium.local'"
    )
    keys = broker.keys(f"podium:*:throttle_user_{person}_*")  # two, where a minute ended meanwhile
    assert sum(int(broker.get(key)) for key in keys) == 30


def test_a_worker_sends_what_a_page_wrote(running_podium):
    site = Site(running_podium.url)
    site.submit("/password/", {"email": "labeler@podium.local"})

    wait_for(
        lambda: any(
            line.startswith("worker-default") and "/password/" in line
            for line in running_podium.lines
        ),
        60,
        "the letter is printed, as EMAIL_URL says",
    )
    sent = "select 1 from people_letter where state = 'sent' and body = ''"
    wait_for(lambda: running_podium.sql(sent), 60, "its text is gone")


def test_a_second_start_on_the_same_data_says_so(running_podium):
    code, lines = run_up(running_podium)

    assert code != 0
    assert lines == [
        f"Podium can't start. Podium is already running on {running_podium.var} (process "
        f"{running_podium.process.pid}). Stop it first, or choose another folder with PODIUM_VAR."
    ]


def test_ctrl_c_leaves_nothing_and_a_second_start_does_nothing_twice(own_podium):
    own_podium.start()
    wait_for(lambda: sampling(own_podium), 120, "the first answers are there")
    first, accounts = counts(own_podium), own_podium.accounts()
    own_podium.stop()
    gathered = (own_podium.var / "static" / ".gathered").stat().st_mtime_ns
    own_podium.var.chmod(0o755)
    (own_podium.var / "podium.sqlite3").chmod(0o644)

    own_podium.start()
    assert counts(own_podium) == first
    assert own_podium.accounts() == accounts
    assert own_podium.lines.count(own_podium.ready_line) == 1
    assert open_to_others(own_podium.var) == []
    assert not [
        line
        for line in own_podium.lines
        if line.startswith(("Preparing", "Collecting", "Backing", "Getting"))
    ]
    assert (own_podium.var / "static" / ".gathered").stat().st_mtime_ns == gathered

    own_podium.process.kill()  # the supervisor can say nothing to anyone
    assert own_podium.left_over() == []


def test_a_port_in_use_is_named(own_podium):
    with socket.socket() as other:
        other.bind(("127.0.0.1", own_podium.port))
        other.listen()
        code, lines = run_up(own_podium)

    assert code != 0
    assert len(lines) == 1
    assert f"Port {own_podium.port}" in lines[0]
    assert "PODIUM_PORT" in lines[0]


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("PODIUM_MODEL", "/nowhere", "PODIUM_MODEL"),
        ("PODIUM_PORT", "http", "http"),
        ("PODIUM_PRODUCTION", "1", "PODIUM_SECRET_KEY"),
        ("PODIUM_VAR", "/proc/podium", "PODIUM_VAR"),
    ],
)
def test_a_wrong_setting_is_one_line(own_podium, setting, value, named):
    code, lines = run_up(own_podium, **{setting: value})

    assert code != 0
    assert len(lines) == 1
    assert named in lines[0]
