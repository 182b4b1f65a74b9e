"""Three hosts, and each kind of job while its host loses power, its network or its disk's space.

The hosts have networks, disks and names of their own (cluster.py), and share PostgreSQL, Valkey and
an S3-compatible server. Each job runs once undisturbed, then once with each fault in its middle:

- killed: all processes of its host end at once; the host starts again after five seconds
- cut off: its network cable is pulled for 43 seconds
- gone: the same, and it stays off for so long that another host takes the job (trainings alone: the
  other kinds of job have workers on one host)
- full: not a byte of its disk is free until the job has ended, or for 30 seconds

A job that a fault has ended is resumed once, as an admin would. What it gives must equal what the
undisturbed one gave: nothing lost, nothing doubled.

    python benchmarks/hosts.py --quick --json figures.json
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import cluster  # noqa: E402
from benchmarks.cluster import Cluster, Host  # noqa: E402
from benchmarks.loop import base_model, new_project  # noqa: E402
from benchmarks.person import Site  # noqa: E402
from benchmarks.podium import wait_for  # noqa: E402

CUT, FULL, DARK = 43, 30, 5  # seconds
SILENT = 60  # after which another worker takes a job, unless --silent says something else
LONGEST = 400  # seconds that a disturbed job may take
ENDED = ("done", "failed", "cancelled")
FAULTS = ("killed", "cut off", "full", "gone")
TRAINING = {"epochs": 40, "batch": 2, "max_length": 64, "save_steps": 10}
Rows = Counter[Hashable]  # of what a job has made


@dataclass
class Kind:
    """A kind of job: how to start one, when it is in its middle, and what it has made."""

    name: str
    start: Callable[[str], int]  # for a fault; returns the job's number
    middle: float  # the share of it that is done
    made: Callable[[int], Rows]
    hosts: int = 1  # that have workers for it


@dataclass
class Outcome:
    kind: str
    fault: str
    host: str
    seconds: float
    ended_on: str
    went_on: str  # the last word of its log on where it went on
    resumed: str  # the error that ended it, if one did
    lost: int
    doubled: int

    @property
    def is_elsewhere(self) -> bool:
        """Did another host go on from the checkpoint in the store?"""
        return self.ended_on != self.host and "Fetched the checkpoint" in self.went_on


class Trial:
    """The projects and jobs of a run."""

    def __init__(self, hosts: Cluster, silent: float, prompts: int, answered: int):
        self.hosts, self.silent, self.prompts = hosts, silent, prompts
        address = f"http://{hosts.web.address}:{hosts.web.port}"
        accounts = next(h for h in hosts.hosts.values() if "sampling" in h.roles).accounts()
        self.site = Site(address, "admin@podium.local", accounts["admin@podium.local"])
        self._wait_until_quiet()
        for worker in hosts.sql("select name, devices, torch from modelops_worker order by name"):
            say(f"{worker[0]}: devices {worker[1]}, torch {worker[2] or 'not needed'}")
        self.model = self._prepare("answers", bare(answered))
        self._prepare("training", [ranked(number) for number in range(40)])
        self.frozen = self.finished("training", self.site.start("training", "freeze"))

    def kinds(self) -> list[Kind]:
        return [
            Kind("import", self._start_import, 0.2, self._imported),
            Kind("freeze", self._start_freeze, 0, self._datasets),
            Kind("sample", self._start_sample, 0.2, self._answers),
            Kind("reward", lambda fault: self._start_training("reward"), 0.2, self._learned, 2),
            Kind("dpo", lambda fault: self._start_training("dpo"), 0.2, self._learned, 2),
        ]

    # Starting

    def _prepare(self, slug: str, lines: list[dict]) -> int:
        new_project(self.site, slug)
        self.finished(slug, self._upload(slug, lines))
        return base_model(self.site, slug)

    def _upload(self, slug: str, lines: list[dict]) -> int:
        """Check a file and begin its import; returns the job."""
        body = "\n".join(map(json.dumps, lines)).encode()
        address = f"/p/{slug}/prompts/upload"
        file = {"file": (f"{slug}.jsonl", body)}
        looked = self.site.submit(address, {"format": "prompts"}, files=file)
        self.finished(slug, number_in(str(looked.url)))
        return number_in(str(self.site.submit(looked.url.path, {"import": "1"}).url))

    def _start_import(self, fault: str) -> int:
        slug = f"import-{fault.replace(' ', '-')}"
        new_project(self.site, slug)
        return self._upload(slug, [ranked(number) for number in range(self.prompts)])

    def _start_freeze(self, fault: str) -> int:
        return self.site.start("import-undisturbed", "freeze")

    def _start_sample(self, fault: str) -> int:
        settings = {"k": 4, "max_tokens": 48, "batch": 4, "seed": 7}
        return self.site.start("answers", "sample", model_version=self.model, **settings)

    def _start_training(self, kind: str) -> int:
        return self.site.start(
            "training", kind, model_version=self.model, dataset=self.frozen, **TRAINING
        )

    # What a job has made

    def _imported(self, job: int) -> Rows:
        [(project,)] = self.hosts.sql("select project_id from modelops_job where id = %s", job)
        prompts = self.hosts.sql(
            "select digest, published from labeling_prompt where project_id = %s", project
        )
        answers = self.hosts.sql(
            "select p.digest, c.text, count(r.id) from labeling_candidate c "
            "join labeling_prompt p on p.id = c.prompt_id "
            "left join labeling_rankedcandidate r on r.candidate_id = c.id "
            "where p.project_id = %s group by p.digest, c.id, c.text",
            project,
        )
        return Counter([*prompts, *answers])

    def _datasets(self, job: int) -> Rows:
        return Counter(
            self.hosts.sql(
                "select d.digest from modelops_dataset d join modelops_job j "
                "on (j.result->>'dataset')::int = d.id or d.job_id = j.id where j.id = %s",
                job,
            )
        )

    def _answers(self, job: int) -> Rows:
        return Counter(
            self.hosts.sql(
                "select prompt_id, slot, text from labeling_candidate where job_id = %s", job
            )
        )

    def _learned(self, job: int) -> Rows:
        steps = self.hosts.sql(
            "select name, slice, step, round(value::numeric, 4) from modelops_metric "
            "where job_id = %s and name not in ('step_time', 'num_tokens')",
            job,
        )
        models = self.hosts.sql(
            "select 'a model' from modelops_modelversion where job_id = %s", job
        )
        return Counter([*steps, *models])

    # Watching

    def job(self, number: int) -> tuple[str, int, int, str, str]:
        """State, done, total, host and error."""
        [row] = self.hosts.sql(
            "select state, done, total, machine, error from modelops_job where id = %s", number
        )
        return row

    def finished(self, slug: str, number: int) -> int | None:
        """Wait for a job that nothing disturbs; returns the dataset that it made, if any."""
        return self.site.wait(slug, number, LONGEST).get("dataset_made")

    def _wait_until_quiet(self) -> None:
        """The demo project's own first jobs are done."""
        unfinished = "select 1 from modelops_job where state in ('queued', 'running')"
        wait_for(lambda: not self.hosts.sql(unfinished), LONGEST, "the first run's jobs")

    def disturbed(self, kind: Kind, fault: str, expected: Rows) -> Outcome:
        """A job of the kind, with the fault in its middle."""
        number = kind.start(fault)
        wait_for(lambda: self._may_strike(number, kind, fault), LONGEST, f"middle of {kind.name}")
        began, host = time.monotonic(), self.hosts.hosts[self.job(number)[3]]
        self._apply(fault, host, lambda: self.job(number)[0] in ENDED)
        wait_for(lambda: self.job(number)[0] in ENDED, LONGEST, f"{kind.name}, {fault}")
        error = self.job(number)[4] if self.job(number)[0] != "done" else ""
        if error:
            self._resume(number)
        seconds = time.monotonic() - began
        wait_for(self.hosts.web.is_well, LONGEST, "all workers are back")
        made = kind.made(number)
        return Outcome(
            kind.name,
            fault,
            host.name,
            seconds,
            self.job(number)[3],
            self._went_on(number),
            error,
            (expected - made).total(),
            (made - expected).total(),
        )

    def _apply(self, fault: str, host: Host, ended: Callable[[], bool]) -> None:
        match fault:
            case "killed":
                kill(host, DARK)
            case "gone":  # until a sweep has found the job silent, and some seconds more
                kill(host, 1.5 * self.silent + 10)
            case "cut off":
                cut_off(host)
            case "full":
                fill(host, ended)

    def _went_on(self, number: int) -> str:
        lines = self.hosts.sql(
            "select text from modelops_logline where job_id = %s "
            "and (text like 'Fetched the checkpoint%%' or text like 'Goes on from%%') "
            "order by id desc limit 2",
            number,
        )
        return " ".join(text for (text,) in reversed(lines))

    def _may_strike(self, number: int, kind: Kind, fault: str) -> bool:
        """Is the job in its middle and, where its host is to stay away, a checkpoint stored?"""
        state, done, total, *_rest = self.job(number)
        if state in ENDED:
            return True
        known = total > 0 or kind.middle == 0  # what there is to do
        is_in_middle = state == "running" and known and done >= kind.middle * total
        return is_in_middle and (fault != "gone" or self._is_mirrored(number))

    def _is_mirrored(self, number: int) -> bool:
        query = "select result->'checkpoint' is not null from modelops_job where id = %s"
        [(is_mirrored,)] = self.hosts.sql(query, number)
        return is_mirrored

    def _resume(self, number: int) -> None:
        slug = self.hosts.sql(
            "select p.slug from people_project p join modelops_job j on j.project_id = p.id "
            "where j.id = %s",
            number,
        )[0][0]
        wait_for(self.hosts.web.is_well, LONGEST, "all workers are back")
        self.site.post(f"/p/{slug}/jobs/{number}/resume", {})
        self.site.wait(slug, number, LONGEST)


# Faults


def kill(host: Host, dark: float) -> None:
    host.power_off()
    time.sleep(dark)
    host.launch()


def cut_off(host: Host) -> None:
    host.unplug()
    time.sleep(CUT)
    host.plug_in()


def fill(host: Host, ended: Callable[[], bool]) -> None:
    host.fill()
    until = time.monotonic() + FULL
    while time.monotonic() < until and not ended():
        time.sleep(0.2)
    host.empty()


# Rows


def ranked(number: int) -> dict:
    draw = random.Random(number)
    words = " ".join(draw.choices(WORDS, k=20))
    answers = [
        {"text": f"{draw.choice(WORDS)} {'!' * place} {number}", "model": "m", "rank": place + 1}
        for place in range(3)
    ]
    split = "test" if number % 5 == 0 else "train"
    return {"prompt": f"{words} {number}", "split": split, "answers": answers}


def bare(count: int) -> list[dict]:
    return [{"prompt": ranked(number)["prompt"], "split": "train"} for number in range(count)]


WORDS = ["sea", "sky", "sun", "moon", "bird", "bread", "music", "flowers", "people", "clock"]


def number_in(address: str) -> int:
    return int(address.rstrip("/").split("/")[-1])


# The run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller jobs")
    parser.add_argument("--only", help="one kind of job: import, freeze, sample, reward or dpo")
    parser.add_argument("--fault", choices=FAULTS, action="append", help="this one alone, or these")
    parser.add_argument(
        "--silent", type=float, metavar="SECONDS", help="after which another worker takes a job"
    )
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    try:
        cluster.enter_network()
        with tempfile.TemporaryDirectory(prefix="hosts-") as folder:
            outcomes = run(Path(folder), options)
    except cluster.CannotSeparate as error:
        raise SystemExit(f"Not run: {error}.") from None
    print(table(outcomes))
    figures = {
        "lost": sum(outcome.lost for outcome in outcomes),
        "doubled": sum(outcome.doubled for outcome in outcomes),
        "same_dataset_id": int(
            not any(o.lost or o.doubled for o in outcomes if o.kind == "freeze")
        ),
        "resumed": sum(bool(outcome.resumed) for outcome in outcomes),
        "elsewhere": sum(outcome.is_elsewhere for outcome in outcomes),
        "slowest_seconds": max(outcome.seconds for outcome in outcomes),
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def run(folder: Path, options: argparse.Namespace) -> list[Outcome]:
    from tests.workers import tiny

    folder.chmod(0o755)
    model = tiny.save(folder / "models" / "tiny")
    with cluster.servers(folder) as environment:
        if options.silent:
            environment |= quick_clocks(options.silent)
        hosts = Cluster(folder, model, environment)
        try:
            hosts.start()
            sizes = (8_000, 200) if options.quick else (40_000, 600)
            trial = Trial(hosts, options.silent or SILENT, *sizes)
            return list(outcomes_of(trial, options.only, options.fault or FAULTS))
        except BaseException:
            for host in hosts.hosts.values():
                print(f"--- {host.name}\n" + "\n".join(host.lines[-60:]), file=sys.stderr)
            raise
        finally:
            hosts.remove()


def quick_clocks(silent: float) -> dict[str, str]:
    names = {"PODIUM_SILENT_SECONDS": 1, "PODIUM_BEAT_SECONDS": 4, "PODIUM_SWEEP_SECONDS": 2}
    return {name: str(silent / part) for name, part in names.items()}


def outcomes_of(trial: Trial, only: str | None, faults: Iterable[str]) -> Iterator[Outcome]:
    for kind in trial.kinds():
        if only not in (None, kind.name) and (kind.name, only) != ("import", "freeze"):
            continue
        began = time.monotonic()
        job = kind.start("undisturbed")
        wait_for(lambda job=job: trial.job(job)[0] in ENDED, LONGEST, f"{kind.name} undisturbed")
        state, *_rest, error = trial.job(job)
        if state != "done":
            raise AssertionError(f"{kind.name} undisturbed: {state}: {error}")
        expected = kind.made(job)
        say(f"{kind.name}, undisturbed: {time.monotonic() - began:.0f} s, {expected.total()} rows")
        if only not in (None, kind.name):
            continue
        for fault in faults:
            if fault == "gone" and kind.hosts == 1:
                continue
            outcome = trial.disturbed(kind, fault, expected)
            say(str(outcome))
            yield outcome


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def table(outcomes: list[Outcome]) -> str:
    lines = [
        "| job | its host | was | s | ended on | lost | doubled | its log | ended by |",
        "|---" * 9 + "|",
    ]
    for o in outcomes:
        lines.append(
            f"| {o.kind} | {o.host} | {o.fault} | {o.seconds:.0f} | {o.ended_on} | {o.lost} "
            f"| {o.doubled} | {o.went_on} | {o.resumed[:80]} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
