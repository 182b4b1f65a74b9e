"""A sampling job: fill the slots that still lack an answer, version by version, and write answers
down as they come.
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F

from labeling.queue import candidates
from labeling.queue.candidates import Answer, Slot
from modelops import jobs, registry, store
from modelops.jobs import JobFailed
from modelops.models import Job, ModelVersion
from modelops.recipes import SampleRecipe
from workers import machine_lock, model_files
from workers.engines.answers import Engine, row_seed
from workers.engines.openai import OpenAIEngine, Unanswered

# batches of slots that an engine is handed at once: its batch runs dry only at the end of each
# window
WINDOW = 8
ROWS, SECONDS = (
    100,
    1.0,
)  # answers that are written together at most, and how long a finished one waits for others
REDRAWS = 2  # of an answer that its prompt has already


def run(job: Job) -> None:
    """Raises JobFailed when there is nothing to answer or a model can't be loaded; goes on where a
    killed run stopped.
    """
    recipe = SampleRecipe(**job.recipe)
    total = candidates.wanted(job)
    if not total:
        raise JobFailed(
            "No published prompt is in this split: add prompts, then start a new sampling job."
        )
    jobs.beat(job, done=candidates.filled(job), total=total)
    try:
        versions = candidates.versions(job)
    except ModelVersion.DoesNotExist as error:
        raise JobFailed(
            f"{error}: start a new sampling job with versions that are here."
        ) from error
    judge = [job.reward_model] if recipe.best_of > 1 else []
    for version in [*versions, *judge]:  # all of them before the first answers
        refuse_unreadable(job, version)
    for version in versions:
        answer_all(job, version, recipe)


def answer_all(job: Job, version: ModelVersion, recipe: SampleRecipe) -> None:
    """Fill the slots that are this version's. Its model is loaded only if any is empty, and gone
    before the next's.
    """
    engine = None
    try:
        for slots in candidates.missing(job, WINDOW * recipe.batch, version):
            engine = engine or load(job, version)
            fill(job, engine, slots, recipe)
    except Unanswered as error:
        raise JobFailed(f"{error}. Resume the job when that is mended.") from error
    finally:
        if engine:
            engine.close()


def load(job: Job, version: ModelVersion) -> Engine:
    """The engine that answers for this version."""
    if version is None or (version.external and not version.address):
        raise JobFailed("This model version has no weights here: choose another one.")
    jobs.beat(job, note="loading the model")
    choose_device(job)
    try:
        engine = (
            served(version) if version.address else local(version, job.recipe.get("dtype", "auto"))
        )
    except (store.StoreFault, OSError, ValueError) as error:
        raise JobFailed(f"{version.name} can't be loaded: {error}") from error
    if job.recipe.get("best_of", 1) > 1:
        engine = best_of(job, engine)
    jobs.beat(job, note="")
    return engine


def choose_device(job: Job) -> None:
    """Let models be loaded on the job's device: this process sees all that Podium may use, and may
    have used others.
    """
    names = machine_lock.devices()
    if job.devices not in names:
        return  # claimed by hand
    os.environ.update(machine_lock.environment(names))  # read once, when torch is imported
    if job.devices != machine_lock.CPU:
        from workers.modeling import device

        device.use(names.index(job.devices))


def refuse_unreadable(job: Job, version: ModelVersion) -> None:
    """Raises JobFailed where a model here could not read the job's prompts; the log is told what it
    will read in part.

    A model's absence is its loader's business, and what a server can read is the server's.
    """
    if version is None or version.external:
        return
    folder = model_files.verified(job, version)
    choose_device(job)  # before torch is imported
    from workers.engines.local import examine

    recipe = SampleRecipe(**job.recipe)
    conversations = (
        candidates.prompts_of(job).values_list("messages", flat=True).iterator(chunk_size=500)
    )
    try:
        sentences = examine(folder, conversations, recipe.max_tokens, recipe.least_prompt)
    except OSError as error:
        raise JobFailed(f"{version.name} can't be loaded: {error}") from error
    except ValueError as error:
        raise JobFailed(f"{version.name}: {error}") from error
    jobs.write_log(job, [f"{version.name}: {sentence}" for sentence in sentences])


def best_of(job: Job, engine: Engine) -> Engine:
    """The engine, held to the best of several answers by the job's reward model."""
    from workers.engines.best_of import BestOf, Scorer

    if job.reward_model is None:
        raise JobFailed(
            "To keep the best of several draws takes a reward model: start a new job with one."
        )
    try:
        return BestOf(engine, Scorer(registry.path(job.reward_model)), job.recipe["best_of"])
    except (store.StoreFault, OSError, ValueError) as error:
        raise JobFailed(f"{job.reward_model.name} can't be loaded: {error}") from error


def local(version: ModelVersion, dtype: str) -> Engine:
    from workers.engines import memory  # torch is imported when there is work for it
    from workers.engines.local import LocalEngine
    from workers.modeling.device import best_device, best_dtype

    folder, device = registry.path(version), best_device()
    memory.refuse_to_sample(folder, best_dtype(device, dtype), device)
    return LocalEngine(folder, device, dtype=dtype)


def served(version: ModelVersion) -> OpenAIEngine:
    reached = urlsplit(version.address)
    key = settings.ENGINE_KEYS.get(reached.netloc) or settings.ENGINE_KEYS.get(reached.hostname, "")
    about = {"key": key, "allowed": settings.ENGINE_HOSTS, "requests": settings.ENGINE_REQUESTS}
    return OpenAIEngine(version.address, version.served_as, **about)


def fill(job: Job, engine: Engine, slots: list[Slot], recipe: SampleRecipe) -> None:
    """Answer these slots. What its prompt has word for word is drawn again, and at last kept and
    marked.
    """
    redraws = (
        REDRAWS if recipe.temperature else 0
    )  # the likeliest token would be the likeliest again
    for attempt in range(redraws + 1):
        drawn = whole_prompts(draw(job, engine, slots, recipe, attempt), slots)
        slots = [slot for some in drawn for slot in keep(job, some, last=attempt == redraws)]
        if not slots:
            return


def draw(
    job: Job, engine: Engine, slots: list[Slot], recipe: SampleRecipe, attempt: int
) -> Iterator[tuple[Slot, Answer]]:
    """Each slot's answer, as soon as it is there."""
    seeds = [row_seed(recipe.seed, slot.prompt.digest, slot.number, attempt) for slot in slots]
    stream = engine.stream(
        [slot.prompt.messages for slot in slots],
        seeds,
        temperature=recipe.temperature,
        top_p=recipe.top_p,
        top_k=recipe.top_k,
        min_p=recipe.min_p,
        repetition_penalty=recipe.repetition_penalty,
        stop=recipe.stops,
        max_tokens=recipe.max_tokens,
        batch=recipe.batch,
        tick=Tick(job),
    )
    for number, sample in stream:
        drawn = (
            sample.text,
            sample.tokens,
            sample.finish_reason,
            sample.logprob,
            seeds[number],
            sample.reward,
        )
        yield slots[number], Answer(*drawn, truncated=sample.truncated)


def whole_prompts(
    drawn: Iterable[tuple[Slot, Answer]], slots: list[Slot]
) -> Iterator[list[tuple[Slot, Answer]]]:
    """What was drawn, in portions to write: a prompt's answers together, as which of them is drawn
    again depends on all.
    """
    asked = Counter(slot.prompt.pk for slot in slots)
    waiting, ready, written = defaultdict(list), [], time.monotonic()
    for slot, answer in drawn:
        mine = waiting[slot.prompt.pk]
        mine.append((slot, answer))
        if len(mine) == asked[slot.prompt.pk]:
            ready += waiting.pop(slot.prompt.pk)
        if ready and (len(ready) >= ROWS or time.monotonic() - written >= SECONDS):
            yield ready
            ready, written = [], time.monotonic()
    if ready:
        yield ready


def keep(job: Job, drawn: list[tuple[Slot, Answer]], last: bool) -> list[Slot]:
    """Write the answers down, all or none, with the job's progress; the slots of those to draw
    again come back.

    Raises what `beat` raises, and then nothing is written: the claim is held until the answers are
    there.
    """
    drawn = candidates.marked(job, drawn)
    kept = [(slot, answer) for slot, answer in drawn if last or not answer.duplicate]
    with transaction.atomic():
        jobs.beat(job, done=F("done") + len(kept))
        candidates.add(job, [slot for slot, _ in kept], [answer for _, answer in kept])
    return [] if last else [slot for slot, answer in drawn if answer.duplicate]


class Tick:
    """Called at every step of a batch; looks once a second whether the job must stop, and raises
    what `beat` raises.
    """

    def __init__(self, job: Job):
        self.job, self.last = job, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self.last > 1:
            self.last = time.monotonic()
            jobs.beat(self.job)
