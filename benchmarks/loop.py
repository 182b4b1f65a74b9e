"""The whole loop with no person at the keyboard: sample, rank by a hidden rule, train, and ask
whether the rule was learned.

A scripted labeler ranks over HTTP, blind, as a person would. All intervals are 95 % and resample
prompts.

    python benchmarks/loop.py --model smollm2 --json loop.json    # one round, beside its control
    python benchmarks/loop.py --model smollm2 --rounds 2 --json loop.json         # two rounds

**One round.** A control project holds the same answers with the ranks of each task shuffled among
its answers (left out with --no-control). Both train a reward model and a fine-tuned model; every
figure stands beside the control's. Answers to the test prompts decide: how often does the
fine-tuned model's answer beat the starting model's under the rule?

**Two rounds**, as planned before the first of them was run. Seed 20261122, K = 4, at most 64
tokens, temperature 0.8.

- Round 1: the 160 prompts of loop_prompts.jsonl (96 train, 64 test) are answered by the starting
  model and ranked; a reward model (3 epochs) and a policy (DPO, the best against each other one,
  36 steps of 4 pairs, half of what the one round takes, so that the second has something left to
  learn) start from it. The policy answers the 64 test prompts and becomes champion.
- Round 2: the champion answers the 64 train prompts of loop_prompts_2.jsonl, which nothing has
  seen. These answers, and those that it gave to the test prompts (held out: they measure the
  reward model), are ranked, and they alone are frozen. The reward model goes on from round 1's
  (1 epoch), the policy from round 1's (36 steps). It answers the 64 test prompts.
- The table: the rule's mean score of the answers to the same 64 test prompts, of the starting model
  and after each round, and each difference paired by prompt. Round 2 minus round 1 must exclude 0.

What it takes on paper, from one round on two cores with the older engine (sampling 400 s, reward
1,567 s, DPO 1,235 s for 72 steps, answers 155 s) and sampling twice, reward three times as quick:
200 + 520 + 620 + 80 s, then 80 + 200 + 620 + 80 s: 40 minutes, and some for the start, the ranking,
and a machine that does other things besides.

A run that was killed goes on where it was: its data lie below var/loop until its table is printed
(--var FOLDER keeps them).
"""

from __future__ import annotations

import argparse
import fcntl
import html
import json
import os
import random
import re
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import hidden_rule, loop_figures  # noqa: E402
from benchmarks.ledger import Ledger  # noqa: E402
from benchmarks.loop_figures import NOISE, by_prompt, pilot, table, verdict, win_share  # noqa: E402
from benchmarks.loop_files import prompts, quarter, ranked_lines, shuffled  # noqa: E402
from benchmarks.person import Site, read_page  # noqa: E402
from benchmarks.podium import Podium  # noqa: E402

ADMIN = "loop@example.org"


@dataclass
class Plan:
    """How much of everything. The figures are settled before the first answer is drawn."""

    model: str | Path = "smollm2"
    max_tokens: int = 64
    temperature: float = 0.8
    prompts: Path = ROOT / "benchmarks" / "loop_prompts.jsonl"
    fresh_prompts: Path = ROOT / "benchmarks" / "loop_prompts_2.jsonl"  # of the second round
    judges: int = 1
    rounds: int = 1
    control: bool = True
    reward: dict = field(default_factory=dict)
    dpo: dict = field(default_factory=dict)
    later_reward: dict = field(default_factory=dict)  # what of `reward` the second round changes
    seed: int = hidden_rule.SEED


TINY = Plan(
    max_tokens=16,
    reward={"max_length": 96, "batch": 8},
    dpo={"max_length": 96, "batch": 8, "max_steps": 10},
)
SMOLLM2 = Plan(
    reward={"epochs": 3, "learning_rate": 5e-4, "batch": 4, "max_length": 256},
    dpo={
        "epochs": 1,
        "learning_rate": 3e-4,
        "batch": 4,
        "max_length": 256,
        "beta": 0.05,
        "pairs": "best",
    },
)

TWO_ROUNDS = replace(
    SMOLLM2,
    rounds=2,
    control=False,
    dpo=SMOLLM2.dpo | {"max_steps": 36},
    later_reward={"epochs": 1},
)


@dataclass
class Go:
    """A run, or what is left of a killed one: who acts, by which plan, and what is finished."""

    admin: Site
    plan: Plan
    ledger: Ledger

    def job(self, slug: str, stage: str, kind: str, **settings) -> dict:
        """A job's data once it is done: started once, waited for, resumed if it had ended
        otherwise.
        """
        return self.ledger.once(f"{slug}: {stage}", lambda: self._run(slug, stage, kind, settings))

    def _run(self, slug: str, stage: str, kind: str, settings: dict) -> dict:
        began = time.monotonic()
        number = self.ledger.once(
            f"{slug}: {stage}, started", lambda: self.admin.start(slug, kind, **settings)
        )
        if self.admin.job(slug, number)["state"] in ("failed", "cancelled"):
            self.admin.post(f"/p/{slug}/jobs/{number}/resume", {})
        job = self.admin.wait(slug, number, seconds=3 * 3600)
        job["seconds"] = time.monotonic() - began  # of this go alone
        say(f"{slug}: {stage} done in {job['seconds']:.0f} s")
        return job


class Labeler:
    """Ranks what the page shows by the hidden rule, with noise."""

    def __init__(self, site: Site, seed: int):
        self.site, self.random = site, random.Random(seed)

    def work(self, slug: str) -> int:
        """Rank until there is nothing left; returns how many."""
        ranked = 0
        while (task := self.site.next_task(slug)) is not None:
            letters = sorted(task.answers)
            ranks = hidden_rule.rank(
                [task.answers[letter] for letter in letters], self.random, NOISE
            )
            self.site.rank(task, dict(zip(letters, ranks, strict=True)))
            ranked += 1
        return ranked


# The steps


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def new_project(admin: Site, slug: str, overlap: int = 1) -> None:
    admin.submit(
        "/projects/new", {"name": slug.title(), "slug": slug, "k": "4", "overlap": str(overlap)}
    )


def upload(admin: Site, slug: str, lines: list[dict]) -> dict:
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    looked = admin.submit(
        f"/p/{slug}/prompts/upload", {"format": "prompts"}, files={"file": (f"{slug}.jsonl", body)}
    )
    answer = admin.submit(looked.url.path, {"import": "1"})
    number = int(str(answer.url).rstrip("/").split("/")[-1])
    return admin.wait(slug, number)


def base_model(admin: Site, slug: str) -> int:
    """The model that the start form proposes."""
    forms = read_page(admin.get(f"/p/{slug}/jobs/new/sample/").text).forms
    return int(
        next(form.fields["model_version"] for form in forms if "model_version" in form.fields)
    )


def answers_of(admin: Site, slug: str, job: int) -> list[dict]:
    text = admin.get(f"/p/{slug}/jobs/{job}/answers.jsonl").text
    return [json.loads(line) for line in text.splitlines()]


def one_round(go: Go, slug: str, number: int, start: dict, **chosen) -> dict:
    """Freeze, train both models from `start`, and answer the test prompts with the policy."""
    frozen = go.job(slug, f"freeze {number}", "freeze", **chosen)
    dataset, plan = frozen["dataset_made"], go.plan
    epochs = plan.later_reward if number > 1 else {}
    reward = go.job(
        slug,
        f"reward model {number}",
        "reward",
        model_version=start["reward"],
        dataset=dataset,
        **plan.reward | epochs,
    )
    dpo = go.job(
        slug, f"policy {number}", "dpo", model_version=start["policy"], dataset=dataset, **plan.dpo
    )
    settings = sampling(plan) | {"split": "test", "rank": "on" if number < plan.rounds else None}
    fresh = go.job(
        slug, f"test answers {number}", "sample", model_version=dpo["model_made"], **settings
    )
    return {
        "frozen": frozen,
        "dataset": dataset,
        "reward": reward,
        "dpo": dpo,
        "made": {"reward": reward["model_made"], "policy": dpo["model_made"]},
        "answers": by_prompt(answers_of(go.admin, slug, fresh["id"])),
    }


def sampling(plan: Plan) -> dict:
    return {
        "k": 4,
        "max_tokens": plan.max_tokens,
        "temperature": plan.temperature,
        "seed": plan.seed,
    }


def loop(
    base_url: str, email: str, password: str, plan: Plan, ledger: Ledger | None = None
) -> dict:
    """Run the thread against a Podium that is up; returns a flat object of figures."""
    say(f"hidden rule: {hidden_rule.NAME}; seed {plan.seed}; noise {NOISE}")
    go = Go(Site(base_url, email, password), plan, ledger or Ledger())
    labelers = people(go, base_url)
    started, real, figures = first_round(go, labelers)
    rounds = [started, real["answers"]]
    if plan.control:
        figures |= beside_control(go, started, real)
    else:
        figures |= loop_figures.side_figures("real", real, win_share(real["answers"], started))
    if plan.rounds == 2:
        second = second_round(go, labelers, real)
        figures |= loop_figures.reward_figures("round_2", second)
        figures |= loop_figures.round_figures([*rounds, second["answers"]])
    return figures


def first_round(go: Go, labelers: list[Labeler]) -> tuple[dict, dict, dict]:
    """The starting model's answers by prompt, how they were ranked, and the figures of that."""
    base = go.ledger.once("base", lambda: base_model(go.admin, "real"))
    go.ledger.once("prompts 1", lambda: upload(go.admin, "real", prompts(go.plan.prompts)))
    drawn = go.job("real", "answers 1", "sample", model_version=base, **sampling(go.plan))
    started = by_prompt(answers_of(go.admin, "real", drawn["id"]))
    correlated, ties = pilot(started)
    say(f"pilot: correlation with length {correlated:+.2f}, ties {ties:.0%}")
    ranked = go.ledger.once("ranked 1", lambda: rank_all(labelers))
    real = one_round(go, "real", 1, {"reward": base, "policy": base})
    return (
        started,
        real,
        {
            "rankings": ranked["rankings"],
            "rankings_per_second": ranked["rankings"] / ranked["seconds"],
            "pilot_correlation_with_length": correlated,
            "pilot_tie_share": ties,
            "sampling_seconds": drawn["seconds"],
        }
        | loop_figures.agreement(frozen_rows(go.admin, "real", real["dataset"])),
    )


def second_round(go: Go, labelers: list[Labeler], first: dict) -> dict:
    """The first round's policy is promoted and answers prompts that nothing has seen; both models
    go on from there.
    """
    policy = first["made"]["policy"]
    go.ledger.once("promoted", lambda: promote(go.admin, "real", policy))
    go.ledger.once("prompts 2", lambda: upload(go.admin, "real", prompts(go.plan.fresh_prompts)))
    settings = sampling(go.plan) | {"split": "train", "unanswered": "on"}
    go.job("real", "answers 2", "sample", model_version=policy, **settings)
    go.ledger.once("ranked 2", lambda: rank_all(labelers))
    return one_round(go, "real", 2, first["made"], models=first["dpo"]["model_name"])


def promote(admin: Site, slug: str, version: int) -> int:
    """Its id; the next round's form proposes this version from now on."""
    admin.post(f"/p/{slug}/models/{version}/promote", {})
    if base_model(admin, slug) != version:
        raise AssertionError("the promoted model is not proposed for the next round")
    return version


def rank_all(labelers: list[Labeler]) -> dict:
    began = time.monotonic()
    rankings = sum(labeler.work("real") for labeler in labelers)
    say(f"{rankings} rankings")
    return {"rankings": rankings, "seconds": time.monotonic() - began}


def beside_control(go: Go, started: dict, real: dict) -> dict:
    """The same answers with shuffled ranks, learned from in a project of their own."""
    go.ledger.once("control", lambda: new_project(go.admin, "control"))
    rows = frozen_rows(go.admin, "real", real["dataset"])
    go.ledger.once(
        "control prompts",
        lambda: upload(go.admin, "control", shuffled(ranked_lines(rows), go.plan.seed)),
    )
    base = go.ledger.kept["base"]
    return loop_figures.both_sides(
        real, one_round(go, "control", 1, {"reward": base, "policy": base}), started
    )


def frozen_rows(admin: Site, slug: str, dataset: int) -> list[dict]:
    text = admin.get(f"/p/{slug}/datasets/{dataset}/download?format=rows").text
    return [json.loads(line) for line in text.splitlines()]


def people(go: Go, base_url: str) -> list[Labeler]:
    """The project and its scripted labelers, made in the pages."""
    go.ledger.once("project", lambda: new_project(go.admin, "real", overlap=go.plan.judges))
    return [labeler(go, base_url, number) for number in range(1, go.plan.judges + 1)]


def labeler(go: Go, base_url: str, number: int) -> Labeler:
    email = f"judge{number}@example.org"
    password = go.ledger.once(email, lambda: new_account(go.admin, email, f"Judge {number}"))
    go.ledger.once(f"{email} joins", lambda: join(go.admin, email))
    return Labeler(Site(base_url, email, password), go.plan.seed + number)


def new_account(admin: Site, email: str, name: str) -> str:
    """The account's password, as its page shows it once."""
    page = admin.submit("/accounts/new", {"email": email, "name": name, "simulated": "on"}).text
    return html.unescape(re.search(r'class="secret">([^<]+)<', page).group(1))


def join(admin: Site, email: str) -> None:
    admin.submit("/p/real/people/", {"email": email, "role": "labeler"})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--model", default="smollm2", help="smollm2, tiny (random weights, a trial), or a folder"
    )
    parser.add_argument("--rounds", type=int, default=1, choices=(1, 2), help="how often round")
    parser.add_argument(
        "--control",
        action=argparse.BooleanOptionalAction,
        help="beside shuffled labels: one round's default",
    )
    parser.add_argument(
        "--var", type=Path, help="folder for data, kept; without it one that is removed at the end"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a quarter of the prompts: a trial, too small for the conditions",
    )
    parser.add_argument(
        "--data", type=Path, help="a folder with loop_prompts.jsonl (and _2) of your own"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.control and options.rounds > 1:
        parser.error("--control goes with one round")
    name = f"{Path(options.model).name}-{options.rounds}" + ("-quick" if options.quick else "")
    folder = (options.var or ROOT / "var" / "loop" / name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    held = own(folder)
    figures = in_own_podium(folder, plan_of(options, folder))
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    if not options.var:
        shutil.rmtree(folder)
    held.close()
    missed = verdict(figures)
    for condition in missed:
        print(f"NOT SHOWN: {condition}")
    return 1 if missed and not options.quick and options.model != "tiny" else 0


def own(folder: Path) -> IO:
    """Hold the folder until this is closed: a second run in it would end the first's processes."""
    held = (folder / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another run is at work in {folder}: name another folder with --var.")
    return held


def plan_of(options: argparse.Namespace, folder: Path) -> Plan:
    """The plan that these options ask for, with what it needs laid into the folder."""
    plan = replace(
        TINY if options.model == "tiny" else TWO_ROUNDS if options.rounds == 2 else SMOLLM2
    )
    plan.rounds = options.rounds
    plan.control = options.rounds == 1 if options.control is None else options.control
    plan.model = tiny_model(folder) if options.model == "tiny" else options.model
    if options.data:
        plan.prompts, plan.fresh_prompts = (
            options.data / file.name for file in (plan.prompts, plan.fresh_prompts)
        )
    if options.quick:
        plan.prompts, plan.fresh_prompts = (
            quarter(file, folder) for file in (plan.prompts, plan.fresh_prompts)
        )
    return plan


def tiny_model(folder: Path) -> Path:
    """A model that knows nothing: the thread in minutes, without the figures."""
    from tests.workers import tiny

    return tiny.save(folder / "models" / "tiny")


def in_own_podium(folder: Path, plan: Plan) -> dict:
    """Start a Podium of its own, with the admin's account, and run the loop in it, or what is left
    of it.
    """
    ledger = Ledger(folder / "finished.json")
    if ledger.kept:
        say(f"goes on in {folder}, where {len(ledger.kept)} stages are finished")
    if ledger.once("plan", lambda: repr(plan)) != repr(plan):
        sys.exit(
            f"What lies in {folder} was begun by another plan: remove it, or name another folder "
            "with --var."
        )
    password = ledger.once("password", lambda: secrets.token_urlsafe(12))
    podium = Podium(folder / "var", plan.model, PODIUM_DEMO="0")
    podium.clear()  # what a run that was killed left behind
    podium.start(seconds=1200)
    try:
        ledger.once("admin", lambda: create_admin(podium, password))
        return loop(podium.url, ADMIN, password, plan, ledger)
    finally:
        podium.stop()


def create_admin(podium: Podium, password: str) -> None:
    environment = podium.environment | {"DJANGO_SUPERUSER_PASSWORD": password}
    command = [sys.executable, "manage.py", "createsuperuser", "--noinput", "--email", ADMIN]
    subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    sys.exit(main())
