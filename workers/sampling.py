"""A sampling job: fill the slots that still lack an answer, a batch at a time."""

import time

from labeling import candidates
from labeling.candidates import Answer, Slot
from modelops import jobs, registry
from modelops.jobs import JobFailed
from modelops.models import Job
from modelops.recipes import SampleRecipe


def run(job: Job, lock: int) -> None:
    """Raises JobFailed when there is nothing to answer or the model can't be loaded; goes on where a killed run stopped."""
    recipe = SampleRecipe(**job.recipe)
    total, done = candidates.wanted(job), candidates.filled(job)
    if not total:
        raise JobFailed("No published prompt is in this split: add prompts, then start a new sampling job.")
    jobs.beat(job, done=done, total=total, note="loading the model")
    engine = load(job)
    try:
        jobs.beat(job, note="")
        for slots in candidates.missing(job, recipe.batch):
            answers = sample(engine, slots, recipe, tick=Tick(job))
            jobs.beat(job)  # a worker that lost its claim writes nothing
            candidates.add(job, slots, answers)
            done += len(slots)
            jobs.beat(job, done=done)
    finally:
        engine.close()


def load(job: Job):
    from workers.engines.local import LocalEngine  # torch is imported when there is work for it

    if job.model_version is None or job.model_version.external:
        raise JobFailed("This model version has no weights here: choose another one.")
    try:
        return LocalEngine(registry.path(job.model_version))
    except (OSError, ValueError) as error:
        raise JobFailed(f"{job.model_version.name} can't be loaded: {error}") from error


def sample(engine, slots: list[Slot], recipe: SampleRecipe, tick) -> list[Answer]:
    from workers.engines.local import row_seed

    seeds = [row_seed(recipe.seed, slot.prompt.digest, slot.number) for slot in slots]
    samples = engine.sample(
        [slot.prompt.messages for slot in slots],
        seeds,
        temperature=recipe.temperature,
        top_p=recipe.top_p,
        top_k=recipe.top_k,
        max_tokens=recipe.max_tokens,
        batch=recipe.batch,
        tick=tick,
    )
    return [
        Answer(one.text, one.tokens, one.finish_reason, one.logprob, seed)
        for one, seed in zip(samples, seeds, strict=True)
    ]


class Tick:
    """Called at every step of a batch; looks once a second whether the job must stop, and raises what `beat` raises."""

    def __init__(self, job: Job):
        self.job, self.last = job, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self.last > 1:
            self.last = time.monotonic()
            jobs.beat(self.job)
