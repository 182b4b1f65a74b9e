"""A training job: a trainer runs as a child process and reports in JSON lines; its result becomes a
model version.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from django.conf import settings
from django.db.models import Max

from modelops import datasets, jobs, mixtures, registry, store, weights
from modelops.jobs import Crashed, JobFailed
from modelops.kinds import KEPT_CHECKPOINT, KINDS
from modelops.models import Dataset, Job, Metric, ModelVersion
from workers import machine_lock, mirror, model_files
from workers.machine_lock import Held
from workers.trainers.run import runs

FLUSH_SECONDS = 1.0
LAUNCH = Path(__file__).parent / "trainers" / "run" / "launch"


def run(job: Job, held: Held) -> None:
    """Raises JobFailed with the trainer's own sentence, or Crashed when it died; what is finished
    is not done again.
    """
    version = ModelVersion.objects.filter(job=job).first()
    if version is None:
        version = make(job, held)
    checkpoint = job.result.pop(KEPT_CHECKPOINT, None)
    job.result = {"model": version.pk, "name": version.name}
    if jobs.owned(job).update(result=job.result):
        mirror.forget(checkpoint)
    shutil.rmtree(run_folder(job), ignore_errors=True)  # the recipe lies beside the result
    shutil.rmtree(home(job), ignore_errors=True)  # its files are in the store


def make(job: Job, held: Held) -> ModelVersion:
    if not home(job).exists():
        folder = prepare(job)
        take(job, folder)
        train(job, folder, held)
        home(job).parent.mkdir(parents=True, exist_ok=True)
        (folder / "out").rename(home(job))
    return register(job)


def take(job: Job, folder: Path) -> None:
    """The run is this claim's: a trainer of an earlier one ends. Raises what a beat raises, so that
    a worker that was frozen until now takes nothing.
    """
    jobs.beat(job)
    (folder / runs.CLAIM).write_text(str(job.claim))


def train(job: Job, folder: Path, held: Held) -> None:
    child = start(job, folder, held)
    try:
        Report(job, child).follow()
    finally:
        stop(child)


def label(job: Job) -> str:
    """Never used twice: after a restore from a backup the numbers of jobs are given out again."""
    return f"{job.pk}-{job.created_at:%Y%m%d%H%M%S}"


def home(job: Job) -> Path:
    return settings.VAR / "models" / f"job-{label(job)}"


def run_folder(job: Job) -> Path:
    return settings.VAR / "runs" / label(job)


def prepare(job: Job) -> Path:
    """The run's folder, with what the trainer needs to know in recipe.json."""
    if job.dataset is None or job.model_version is None or job.model_version.external:
        raise JobFailed("A training job needs a dataset and a model with weights.")
    try:
        datasets.verify(job.dataset)
        other_paths = others(job)
    except (datasets.Withheld, store.StoreFault) as error:
        raise JobFailed(str(error)) from error
    folder = run_folder(job)
    folder.mkdir(parents=True, exist_ok=True)
    if job.recipe.get("weights"):
        other_paths["weights"] = str(labeler_weights(job, folder))
    recipe = {
        "kind": job.kind,
        "settings": job.recipe,
        "model": str(model_files.verified(job, job.model_version)),
        "dataset": str(datasets.path(job.dataset)),
        "out": str(folder / "out"),
        "others": other_paths,
    }
    if job.recipe.get("mix"):
        recipe["mix"] = mix(job)
    job.further.set(further(job))
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1))
    if line := mirror.bring(job, folder):
        jobs.write_log(job, [line])
    return folder


def others(job: Job) -> dict[str, str]:
    """The folders of what a job uses beside its model and its dataset. Raises JobFailed or
    datasets.Withheld.
    """
    folders = {}
    needs_scores = "reward_model" in KINDS[job.kind].links
    if needs_scores and (job.reward_model is None or job.reward_model.external):
        raise JobFailed("This kind of job needs a reward model: train one, then start a new job.")
    if job.reward_model:
        folders["reward_model"] = str(model_files.verified(job, job.reward_model))
    if job.rehearsal:
        datasets.verify(job.rehearsal)
        folders["rehearsal"] = str(datasets.path(job.rehearsal))
    if beside := job.recipe.get("demonstrations"):
        folders["demonstrations"] = str(datasets.path(demonstrations(job, beside)))
    return folders


def labeler_weights(job: Job, folder: Path) -> Path:
    """The file of the labeler weights that the recipe names, in the run's folder. Raises
    JobFailed.
    """
    try:
        stored = weights.find(job.dataset, job.recipe["weights"])
    except weights.BadWeights as error:
        raise JobFailed(str(error)) from error
    file = folder / "weights.json"
    file.write_text(weights.file_text(stored))
    return file


def further(job: Job) -> list[Dataset]:
    """The datasets that it reads beside its own: what it makes has learned from them too."""
    linked = [job.rehearsal] if job.rehearsal else []
    if beside := job.recipe.get("demonstrations"):
        linked.append(demonstrations(job, beside))
    return linked + [
        dataset for dataset, _weight in mixtures.read(job.project, job.recipe.get("mix", ""))
    ]


def demonstrations(job: Job, digest: str) -> Dataset:
    """The project's dataset of demonstrations whose id begins so. Raises JobFailed where there is
    none.
    """
    kind = Dataset.Kind.DEMONSTRATIONS
    dataset = Dataset.objects.filter(
        project=job.project, kind=kind, digest__startswith=digest
    ).first()
    if dataset is None:
        raise JobFailed(
            f"This project has no dataset of demonstrations {digest}: look its id up on its page."
        )
    try:
        datasets.verify(dataset)
    except (datasets.Withheld, store.StoreFault) as error:
        raise JobFailed(str(error)) from error
    return dataset


def mix(job: Job) -> list[dict]:
    """The further datasets of a mixture, for the trainer. Raises JobFailed where one of them is
    gone.
    """
    try:
        mixture = mixtures.read(job.project, job.recipe["mix"])
        for dataset, _weight in mixture:
            datasets.verify(dataset)
    except (mixtures.BadMix, datasets.Withheld, store.StoreFault) as error:
        raise JobFailed(str(error)) from error
    return [
        {"dataset": str(datasets.path(dataset)), "source": source(job, dataset), "weight": weight}
        for dataset, weight in mixture
    ]


def source(job: Job, dataset: Dataset) -> str:
    """What to imitate in a further dataset: the recipe's own source where that fits its kind."""
    fitting = mixtures.SOURCES[dataset.kind]
    return job.recipe["source"] if job.recipe["source"] in fitting else fitting[0]


def start(job: Job, folder: Path, held: Held) -> subprocess.Popen:
    """The trainer, which sees its devices and no others; on several of them one process a device.

    It ends itself when this process dies: it watches the pipe that is its standard input.
    """
    recipe = str(folder / "recipe.json")
    command = [
        sys.executable,
        *launcher(held, job.recipe),
        f"workers.trainers.{job.kind}",
        recipe,
        "--watch-stdin",
        *("--claim", str(job.claim)),
    ]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=settings.BASE_DIR,
        env=os.environ | machine_lock.environment(list(held.devices)),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        bufsize=1,
        errors="replace",
        pass_fds=held.locks,
    )


def launcher(held: Held, recipe: dict) -> list[str]:
    """What stands between the interpreter and the trainer's module."""
    if len(held.devices) == 1:
        return ["-m"]
    file = "fsdp.yaml" if recipe.get("spread") == "shards" else "processes.yaml"
    return [
        *("-m", "accelerate.commands.launch"),
        *("--config_file", str(LAUNCH / file)),
        *("--num_processes", str(len(held.devices))),
        *("--main_process_port", "0"),  # any free one
        "-m",
    ]


def stop(child: subprocess.Popen) -> None:
    """Kill it, and what a launcher has started; what it had finished lies in its last complete
    checkpoint.
    """
    if child.poll() is None:
        # each of several processes asks the kernel to die with its launcher: parent_death.py
        child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        pipe.close()


class Report:
    """Follows a trainer's events and writes them to its job in batches."""

    def __init__(self, job: Job, child: subprocess.Popen):
        self.job, self.child = job, child
        self.mirror = mirror.Mirror(job, run_folder(job))
        self.lines: queue.Queue = queue.Queue()
        self.log: list[str] = []
        self.metrics: list[Metric] = []
        self.progress: dict[str, int] = {}
        self.error = ""
        for name in ("stdout", "stderr"):
            threading.Thread(target=self._read, args=(name,), daemon=True).start()

    def _read(self, name: str) -> None:
        for line in getattr(self.child, name):
            self.lines.put((name, line.rstrip("\n")))
        self.lines.put((name, None))

    def follow(self) -> None:
        """Until both of the trainer's pipes are closed. Raises what jobs.beat raises, JobFailed or
        Crashed.
        """
        self.heard = written = time.monotonic()
        open_pipes = 2
        while open_pipes:
            try:
                name, line = self.lines.get(timeout=FLUSH_SECONDS)
                open_pipes -= line is None
                self.take(name, line or "")
            except queue.Empty:
                pass
            if time.monotonic() - written >= FLUSH_SECONDS:
                self.flush()
                written = time.monotonic()
            if time.monotonic() - self.heard > settings.CHILD_SILENT_SECONDS:
                raise Crashed(
                    f"The trainer gave no sign of life for {settings.CHILD_SILENT_SECONDS:.0f} s."
                )
        self.flush()
        self.conclude(self.child.wait())

    def take(self, name: str, line: str) -> None:
        if name == "stderr" or not line:
            self.log += [line] if line.strip() else []
            return
        self.heard = time.monotonic()
        event = json.loads(line)
        getattr(self, f"on_{event['event']}")(event)

    def on_start(self, event: dict) -> None:
        self.progress = {"total": event["total"]}

    def on_step(self, event: dict) -> None:
        self.progress = {"done": event["step"], "total": event["total"]}
        self._add_step(event)

    def on_past(self, event: dict) -> None:
        """Steps of an earlier attempt: what that one has not written is written now."""
        of_steps = Metric.objects.filter(job=self.job).exclude(step=None)
        written = of_steps.aggregate(last=Max("step"))["last"] or 0
        for step in event["steps"]:
            if step["step"] > written:
                self._add_step(step)

    def _add_step(self, step: dict) -> None:
        self.metrics += [
            Metric(job=self.job, name=name, step=step["step"], value=value)
            for name, value in step["metrics"].items()
            if value is not None
        ]

    def on_metric(self, event: dict) -> None:
        names = ("name", "value", "low", "high", "n", "slice", "method")
        fields = {name: event[name] for name in names if event.get(name) is not None}
        if "value" not in fields:  # nothing was held out to measure on
            return
        self.metrics.append(Metric(job=self.job, **fields))

    def on_log(self, event: dict) -> None:
        self.log.append(event["text"])

    def on_error(self, event: dict) -> None:
        self.error = (
            self.error or event["text"]
        )  # of several processes, what the first one says is the cause

    def on_done(self, event: dict) -> None:
        self.log.append("The trainer has finished.")

    def flush(self) -> None:
        """Write what has gathered, if the job is still ours."""
        jobs.beat(self.job, **self.progress)
        self.log += self.mirror.look()
        if self.log:
            jobs.write_log(self.job, self.log)
        if self.metrics:
            jobs.write_metrics(self.job, self.metrics)
        self.log, self.metrics = [], []

    def conclude(self, code: int) -> None:
        if self.error:
            raise JobFailed(self.error)
        if code < 0:
            raise Crashed(
                f"The trainer was killed by signal {-code}; if that was not you, the machine ran "
                "out of memory."
            )
        if code > 0:
            raise JobFailed(f"The trainer ended with code {code}. The end of its log says why.")


def register(job: Job) -> ModelVersion:
    """The result becomes a version with its parent, dataset and job."""
    description = KINDS[job.kind]
    watch = model_files.watch(job)
    links = {"parent": job.model_version, "dataset": job.dataset, "job": job}
    while True:
        name = registry.next_name(job.project, description.stem)
        try:
            return registry.register(
                job.project, description.makes, name, home(job), watch=watch, **links
            )
        except registry.NameTaken:
            continue  # another host finished at the same moment
        except store.StoreFault as error:
            raise JobFailed(str(error)) from error
