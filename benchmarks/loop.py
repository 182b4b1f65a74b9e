"""The whole loop with no person at the keyboard: sample, rank by a hidden rule, train, and ask whether the rule was learned.

A scripted labeler ranks over HTTP, blind, as a person would. A control project holds the same answers with the ranks of
each task shuffled among its answers. Both train a reward model and a fine-tuned model; every figure stands beside the
control's. Answers to fresh test prompts decide: how often does the fine-tuned model's answer beat the starting
model's under the rule? All intervals are 95 % and resample prompts.

    python benchmarks/loop.py --model smollm2 --json loop.json
"""

from __future__ import annotations

import argparse
import html
import json
import os
import random
import re
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import hidden_rule  # noqa: E402
from benchmarks.loop_figures import NOISE, agreement, by_prompt, mean, pilot, side_figures, table, verdict, win_share  # noqa: E402
from benchmarks.person import Site, read_page  # noqa: E402
from benchmarks.podium import Podium  # noqa: E402
from labeling.agreement import interval  # noqa: E402

ADMIN = "loop@example.org"


@dataclass
class Plan:
    """How much of everything. The figures are settled before the first answer is drawn."""

    model: str | Path = "smollm2"
    max_tokens: int = 64
    temperature: float = 0.8
    prompts: Path = ROOT / "benchmarks" / "loop_prompts.jsonl"
    judges: int = 1
    reward: dict = field(default_factory=dict)
    dpo: dict = field(default_factory=dict)
    seed: int = hidden_rule.SEED


TINY = Plan(max_tokens=16, reward={"max_length": 96, "batch": 8}, dpo={"max_length": 96, "batch": 8, "max_steps": 10})
SMOLLM2 = Plan(
    reward={"epochs": 3, "learning_rate": 5e-4, "batch": 4, "max_length": 256},
    dpo={"epochs": 1, "learning_rate": 3e-4, "batch": 4, "max_length": 256, "beta": 0.05, "pairs": "best"},
)


class Labeler:
    """Ranks what the page shows by the hidden rule, with noise."""

    def __init__(self, site: Site, seed: int):
        self.site, self.random = site, random.Random(seed)

    def work(self, slug: str) -> int:
        """Rank until there is nothing left; returns how many."""
        ranked = 0
        while (task := self.site.next_task(slug)) is not None:
            letters = sorted(task.answers)
            ranks = hidden_rule.rank([task.answers[letter] for letter in letters], self.random, NOISE)
            self.site.rank(task, dict(zip(letters, ranks, strict=True)))
            ranked += 1
        return ranked


# The steps


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def new_project(admin: Site, slug: str, overlap: int = 1) -> None:
    admin.submit("/projects/new", {"name": slug.title(), "slug": slug, "k": "4", "overlap": str(overlap)})


def upload(admin: Site, slug: str, lines: list[dict]) -> dict:
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    looked = admin.submit(f"/p/{slug}/prompts/upload", {"format": "prompts"}, files={"file": (f"{slug}.jsonl", body)})
    answer = admin.submit(looked.url.path, {"import": "1"})
    number = int(str(answer.url).rstrip("/").split("/")[-1])
    return admin.wait(slug, number)


def base_model(admin: Site, slug: str) -> int:
    """The model that the start form proposes."""
    forms = read_page(admin.get(f"/p/{slug}/jobs/new/sample/").text).forms
    return int(next(form.fields["model_version"] for form in forms if "model_version" in form.fields))


def answers_of(admin: Site, slug: str, job: int) -> list[dict]:
    text = admin.get(f"/p/{slug}/jobs/{job}/answers.jsonl").text
    return [json.loads(line) for line in text.splitlines()]


def run_job(admin: Site, slug: str, kind: str, **settings) -> dict:
    started = time.monotonic()
    number = admin.start(slug, kind, **settings)
    job = admin.wait(slug, number, seconds=3 * 3600)
    job["seconds"] = time.monotonic() - started
    say(f"{slug}: {kind} {number} done in {job['seconds']:.0f} s")
    return job


def shuffled(lines: list[dict], seed: int) -> list[dict]:
    """The same ranked answers with each task's ranks dealt out anew among its answers."""
    deal = random.Random(seed)
    return [line | {"answers": _dealt(line["answers"], deal)} for line in lines]


def _dealt(answers: list[dict], deal: random.Random) -> list[dict]:
    ranks = deal.sample([answer["rank"] for answer in answers], len(answers))
    return [answer | {"rank": rank} for answer, rank in zip(answers, ranks, strict=True)]


def ranked_lines(rows: list[dict]) -> list[dict]:
    """Frozen rows as an import file: the first judgment's ranks beside the answers."""
    return [
        {
            "messages": row["messages"],
            "split": row["split"],
            "answers": [
                {"text": answer["text"], "model": answer["model"], "rank": rank}
                for answer, rank in zip(row["answers"], row["judgments"][0]["ranks"], strict=True)
            ],
        }
        for row in rows
    ]


def one_round(admin: Site, slug: str, base: int, plan: Plan) -> dict:
    """Freeze, train both models, and answer the test prompts with the fine-tuned one."""
    frozen = run_job(admin, slug, "freeze")
    dataset = frozen["dataset_made"]
    reward = run_job(admin, slug, "reward", model_version=base, dataset=dataset, **plan.reward)
    dpo = run_job(admin, slug, "dpo", model_version=base, dataset=dataset, **plan.dpo)
    settings = sampling(plan) | {"split": "test", "rank": None}
    fresh = run_job(admin, slug, "sample", model_version=dpo["model_made"], **settings)
    return {
        "frozen": frozen, "dataset": dataset, "reward": reward, "dpo": dpo,
        "answers": by_prompt(answers_of(admin, slug, fresh["id"])),
    }  # fmt: skip


def sampling(plan: Plan) -> dict:
    return {"k": 4, "max_tokens": plan.max_tokens, "temperature": plan.temperature, "seed": plan.seed}


def loop(base_url: str, email: str, password: str, plan: Plan) -> dict:
    """Run the thread against a Podium that is up; returns a flat object of figures."""
    say(f"hidden rule: {hidden_rule.NAME}; seed {plan.seed}; noise {NOISE}")
    admin = Site(base_url, email, password)
    prompts = [json.loads(line) for line in plan.prompts.read_text(encoding="utf-8").splitlines()]
    labelers = people(admin, base_url, plan)
    upload(admin, "real", prompts)
    base = base_model(admin, "real")
    drawn = run_job(admin, "real", "sample", model_version=base, **sampling(plan))
    started = by_prompt(answers_of(admin, "real", drawn["id"]))
    correlated, ties = pilot(started)
    say(f"pilot: correlation with length {correlated:+.2f}, ties {ties:.0%}")
    clock = time.monotonic()
    rankings = sum(labeler.work("real") for labeler in labelers)
    ranking_seconds = time.monotonic() - clock
    real = one_round(admin, "real", base, plan)
    rows = frozen_rows(admin, "real", real["dataset"])
    new_project(admin, "control")
    upload(admin, "control", shuffled(ranked_lines(rows), plan.seed))
    control = one_round(admin, "control", base, plan)
    figures = {
        "rankings": rankings,
        "rankings_per_second": rankings / ranking_seconds,
        "pilot_correlation_with_length": correlated,
        "pilot_tie_share": ties,
        "sampling_seconds": drawn["seconds"],
    } | agreement(rows)  # fmt: skip
    real_share, control_share = (win_share(side["answers"], started) for side in (real, control))
    for name, side, share in (("real", real, real_share), ("control", control, control_share)):
        figures |= side_figures(name, side, share)
    gained = [real_share[key] - control_share[key] for key in real_share]
    low, high = interval(gained, mean)
    return figures | {
        "real_minus_control": mean(gained),
        "real_minus_control_low": low,
        "real_minus_control_high": high,
    }


def frozen_rows(admin: Site, slug: str, dataset: int) -> list[dict]:
    text = admin.get(f"/p/{slug}/datasets/{dataset}/download?format=rows").text
    return [json.loads(line) for line in text.splitlines()]


def people(admin: Site, base_url: str, plan: Plan) -> list[Labeler]:
    """The project and its scripted labelers, made in the pages."""
    new_project(admin, "real", overlap=plan.judges)
    labelers = []
    for number in range(1, plan.judges + 1):
        email = f"judge{number}@example.org"
        page = admin.submit("/accounts/new", {"email": email, "name": f"Judge {number}", "simulated": "on"}).text
        password = html.unescape(re.search(r'class="secret">([^<]+)<', page).group(1))
        admin.submit("/p/real/people/", {"email": email, "role": "labeler"})
        labelers.append(Labeler(Site(base_url, email, password), plan.seed + number))
    return labelers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="smollm2", help="smollm2, tiny (random weights, a trial), or a folder")
    parser.add_argument("--var", type=Path, help="data folder to keep; without it a new one that is removed at the end")
    parser.add_argument(
        "--quick", action="store_true", help="a quarter of the prompts: a trial, too small for the conditions"
    )
    parser.add_argument("--data", type=Path, help="a folder with a loop_prompts.jsonl of your own")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    plan = TINY if options.model == "tiny" else SMOLLM2
    if options.data:
        plan.prompts = options.data / "loop_prompts.jsonl"
    with tempfile.TemporaryDirectory(prefix="podium-loop-") as scratch:
        if options.quick:
            plan.prompts = quarter(plan.prompts, Path(scratch))
        plan.model = tiny_model(Path(scratch)) if options.model == "tiny" else options.model
        figures = in_own_podium(options.var or Path(scratch) / "var", plan)
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    missed = verdict(figures)
    for condition in missed:
        print(f"NOT SHOWN: {condition}")
    return 1 if missed and not options.quick and options.model != "tiny" else 0


def quarter(file: Path, folder: Path) -> Path:
    short = folder / "loop_prompts.jsonl"
    short.write_text("\n".join(file.read_text(encoding="utf-8").splitlines()[::4]), encoding="utf-8")
    return short


def tiny_model(folder: Path) -> Path:
    """A model that knows nothing: the thread in minutes, without the figures."""
    from tests.workers import tiny

    return tiny.save(folder / "models" / "tiny")


def in_own_podium(var: Path, plan: Plan) -> dict:
    """Start a Podium of its own, with the admin's account, and run the loop in it."""
    password = secrets.token_urlsafe(12)
    podium = Podium(var, plan.model, PODIUM_DEMO="0")
    podium.start(seconds=1200)
    try:
        create_admin(podium, password)
        return loop(podium.url, ADMIN, password, plan)
    finally:
        podium.stop()


def create_admin(podium: Podium, password: str) -> None:
    environment = podium.environment | {"DJANGO_SUPERUSER_PASSWORD": password}
    command = [sys.executable, "manage.py", "createsuperuser", "--noinput", "--email", ADMIN]
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
