"""A sampling job: answers are written as they come, again after a kill, and none twice for one
prompt.
"""

from collections import Counter
from uuid import uuid4

import pytest

from labeling.models import Candidate, RankingTask
from labeling.queue import candidates
from modelops import jobs, registry
from modelops.models import Job
from tests.factories import TOOL_TURNS, make_model, make_prompt, register_model
from workers import sampling_job
from workers.engines.answers import Sample, row_seed

pytestmark = pytest.mark.django_db


class Engine:
    """Answers what `says` makes of a seed, last conversation first; `dies` after so many."""

    def __init__(self, says=str, dies=None):
        self.says, self.dies, self.calls, self.closed = says, dies, [], False

    def stream(self, conversations, seeds, *, tick, **settings):
        self.calls.append((len(seeds), settings))
        for number in reversed(range(len(seeds))):
            tick()
            if self.dies is not None:
                self.dies -= 1
                if self.dies < 0:
                    raise KeyboardInterrupt
            yield number, Sample(self.says(seeds[number]), 3, "stop", -1.5)

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(sampling_job, "SECONDS", 0)


@pytest.fixture
def play(monkeypatch):
    """Run the job to its end, or to the engine's, as a worker that has just claimed it."""

    def run(job, engine=None):
        engine = engine or Engine()
        monkeypatch.setattr(sampling_job, "load", lambda job, version: engine)
        monkeypatch.setattr(sampling_job, "refuse_unreadable", lambda job, version: None)
        Job.objects.filter(pk=job.pk).update(state="queued", claim=None)
        mine = jobs.claim(job.pk, {"sample"})
        try:
            sampling_job.run(mine)
        except KeyboardInterrupt:
            pass
        job.refresh_from_db()
        return engine

    return run


def sample(project, prompts=5, **settings):
    for _ in range(prompts):
        make_prompt(project)
    return jobs.request(
        None, project, "sample", settings, model_version=make_model(project, folder="m", sha256="0")
    )


def said(job):
    fields = ("prompt__digest", "slot", "text", "seed", "duplicate", "model_version__name")
    return sorted(Candidate.objects.filter(job=job).values_list(*fields))


def same_work(job):
    """Another job told the same, by the same version."""
    return jobs.request(None, job.project, "sample", job.recipe, model_version=job.model_version)


def test_every_slot_is_answered_once_and_each_prompt_makes_its_task(project, play):
    job = sample(project, prompts=5, k=3, batch=2)
    engine = play(job)

    assert (job.done, job.total, Candidate.objects.filter(job=job).count()) == (15, 15, 15)
    assert RankingTask.objects.filter(job=job, free_places__gt=0).count() == 5
    assert engine.closed
    assert [asked for asked, _ in engine.calls] == [15]  # more than a batch: ended rows make room


def test_a_windows_prompts_are_whole(project, play):
    job = sample(project, prompts=20, k=3, batch=1)

    assert [asked for asked, _ in play(job).calls] == [9, 9, 9, 9, 9, 9, 6]


def test_the_engine_is_told_every_setting(project, play):
    told = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "min_p": 0.1,
        "repetition_penalty": 1.2,
        "max_tokens": 9,
    }
    job = sample(project, prompts=1, stop="User:\n\n\\n\\n \n", batch=3, **told)

    [(_, settings)] = play(job).calls
    assert settings == told | {"stop": ["User:", "\n\n "], "batch": 3}


def test_a_killed_worker_has_written_what_had_ended_and_a_rerun_does_the_rest(project, play):
    undisturbed, job = sample(project, prompts=6, k=3), None
    job = same_work(undisturbed)
    play(undisturbed)

    play(job, Engine(dies=11))
    assert (job.done, Candidate.objects.filter(job=job).count()) == (
        9,
        9,
    )  # three whole prompts of eleven answers
    engine = play(job)

    assert [asked for asked, _ in engine.calls] == [9]
    assert said(job) == said(undisturbed)
    assert job.done == job.total == 18


def test_a_worker_that_lost_its_claim_writes_nothing(project, play):
    job = sample(project, prompts=2, k=2)

    def taken_over(seed):
        Job.objects.filter(pk=job.pk).update(claim=uuid4())
        return str(seed)

    with pytest.raises(jobs.LostClaim):
        play(job, Engine(taken_over))

    assert not Candidate.objects.exists()


def test_a_cancelled_job_writes_no_more(project, play):
    job = sample(project, prompts=3, k=2)

    def cancelled(seed):
        if Candidate.objects.exists():
            Job.objects.filter(pk=job.pk).update(cancel_requested=True)
        return str(seed)

    with pytest.raises(jobs.Cancelled):
        play(job, Engine(cancelled))

    job.refresh_from_db()
    assert job.done == Candidate.objects.count() == 2


# Duplicates


def few_words(seed):
    return "abc"[seed % 3]


def test_a_text_that_its_prompt_has_is_drawn_again_with_a_seed_of_its_own(project, play):
    job = sample(project, prompts=1, k=2, seed=4)
    digest = job.project.prompts.get().digest
    first, second, third = (
        row_seed(4, digest, 0),
        row_seed(4, digest, 1),
        row_seed(4, digest, 1, attempt=1),
    )

    play(job, Engine({first: "same", second: "same", third: "other"}.get))

    assert [row[1:5] for row in said(job)] == [
        (0, "same", first, False),
        (1, "other", third, False),
    ]


def test_after_two_redraws_a_duplicate_is_kept_and_marked(project, play):
    job = sample(project, prompts=2, k=3)
    engine = play(job, Engine(lambda seed: "always"))

    assert [asked for asked, _ in engine.calls] == [6, 4, 4]
    assert [row[4] for row in said(job)] == [False, True, True] * 2
    assert (
        RankingTask.objects.filter(job=job).count() == 2
    )  # equal answers are ranked too: a tie at worst
    assert job.done == 6


def test_the_likeliest_tokens_are_not_drawn_again(project, play):
    job = sample(project, prompts=1, k=3, temperature=0.0)

    assert [asked for asked, _ in play(job, Engine(lambda seed: "always")).calls] == [3]
    assert Candidate.objects.filter(duplicate=True).count() == 2


def test_two_prompts_may_be_answered_alike(project, play):
    job = sample(project, prompts=2, k=1)
    play(job, Engine(lambda seed: "always"))

    assert not Candidate.objects.filter(duplicate=True).exists()


@pytest.mark.parametrize("life", range(1, 60, 4))
def test_the_same_is_drawn_again_and_kept_whenever_a_worker_dies(project, play, life):
    undisturbed = sample(project, prompts=5, k=4)
    job = same_work(undisturbed)
    play(undisturbed, Engine(few_words))

    for _ in range(60):
        play(job, Engine(few_words, dies=life))
        if job.done == job.total:
            break
        life += 4

    assert said(job) == said(undisturbed)
    assert {row[4] for row in said(job)} == {False, True}


# Several versions


def test_the_slots_are_dealt_to_all_versions_in_turn(project, play):
    make_model(project, "older", folder="o", sha256="0")
    make_model(None, "base", folder="b", sha256="0")
    job = sample(project, prompts=30, k=4, others="older\nbase")
    play(job)

    by_prompt = Counter((digest, name) for digest, *_, name in said(job))
    by_version = Counter(name for *_, name in said(job))
    assert set(by_prompt.values()) == {1, 2}
    assert len(by_prompt) == 90
    assert len(by_version) == 3
    assert min(by_version.values()) > 30
    assert RankingTask.objects.filter(job=job).count() == 30


def test_one_model_is_in_memory_at_a_time_and_tasks_wait_for_the_last(project, monkeypatch):
    other = make_model(project, "older", folder="o", sha256="0")
    job = sample(project, prompts=3, k=2, others="older")
    loaded, tasks = [], []

    def load(job, version):
        assert all(engine.closed for engine in loaded)
        tasks.append(RankingTask.objects.count())
        loaded.append(Engine())
        return loaded[-1]

    monkeypatch.setattr(sampling_job, "load", load)
    monkeypatch.setattr(sampling_job, "refuse_unreadable", lambda job, version: None)
    sampling_job.run(jobs.claim(job.pk, {"sample"}))

    assert (len(loaded), tasks, RankingTask.objects.count()) == (2, [0, 0], 3)
    assert Candidate.objects.filter(model_version=other).count() == 3


def test_what_two_versions_say_alike_is_drawn_again_too(project, play):
    make_model(project, "older", folder="o", sha256="0")
    job = sample(project, prompts=1, k=2, others="older")
    engine = play(job, Engine(lambda seed: "always"))

    assert [asked for asked, _ in engine.calls] == [1, 1, 1, 1]
    assert sorted(row[4] for row in said(job)) == [False, True]


def test_a_version_that_is_gone_fails_the_job_with_its_name(project, play):
    job = sample(project, others="lost")

    with pytest.raises(jobs.JobFailed, match="no model version named lost"):
        play(job)


def test_another_projects_version_answers_nothing_here(project, play):
    from tests.factories import make_project

    make_model(make_project(), "theirs", folder="o", sha256="0")

    with pytest.raises(jobs.JobFailed, match="no model version named theirs"):
        play(sample(project, others="theirs"))


def test_a_version_named_twice_counts_once(project):
    version = make_model(project, "mine", folder="o", sha256="0")
    job = jobs.request(None, project, "sample", {"others": "mine\nmine"}, model_version=version)

    assert candidates.versions(job) == [version]
    assert list(registry.policies(project)) == [version]


@pytest.mark.torch
def test_a_real_model_answers_the_same_whoever_is_killed(project, play, tmp_path):
    from tests.workers import tiny
    from workers.engines.local import LocalEngine

    folder = tiny.save(tmp_path / "tiny")
    settings = {"k": 3, "max_tokens": 6, "batch": 4, "temperature": 1.5, "stop": "e"}
    undisturbed = sample(project, prompts=5, **settings)
    job = same_work(undisturbed)
    play(undisturbed, LocalEngine(folder))

    dying, stream = LocalEngine(folder), LocalEngine.stream

    def dies(*args, **kwargs):
        for number, answer in enumerate(stream(dying, *args, **kwargs)):
            if number == 8:
                raise KeyboardInterrupt
            yield answer

    dying.stream = dies
    play(job, dying)
    assert 0 < job.done < job.total
    play(job, LocalEngine(folder))

    assert said(job) == said(undisturbed)
    assert job.done == 15


# What a model can't read


@pytest.fixture
def tiny_job(project, tmp_path):
    """Asks a tiny model, whose context is 512 tokens, for answers to a prompt that it must read in
    part and to a short one.
    """
    from tests.workers import tiny

    version = register_model(project, tiny.save(tmp_path / "tiny"))
    make_prompt(project, "Why?")
    make_prompt(project, "sea " * 600 + "Why?")

    def ask(**settings):
        return jobs.request(None, project, "sample", {"k": 2} | settings, model_version=version)

    return ask


def run(job):
    sampling_job.run(jobs.claim(job.pk, {"sample"}))


@pytest.mark.torch
def test_an_answer_to_a_prompt_that_was_cut_says_so(tiny_job):
    job = tiny_job(max_tokens=4)
    run(job)

    cut = Candidate.objects.filter(job=job).values_list("prompt__messages__0__content", "truncated")
    assert {(content == "Why?", truncated) for content, truncated in cut} == {
        (True, False),
        (False, True),
    }
    [line] = [line.text for line in job.log.all() if "To fit" in line.text]
    assert (
        "To fit 508 tokens, 1 of 2 prompts lost the start of what follows their system turn."
        in line
    )


@pytest.mark.torch
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"max_tokens": 512},
            "an answer of 512 tokens fills the model's context of 512: lower max_tokens",
        ),
        (
            {"max_tokens": 300},
            "1 of 2 prompts would lose more than 50% of their tokens: lower max_tokens",
        ),
        (
            {"max_tokens": 4, "least_prompt": 0.9},
            "1 of 2 prompts would lose more than 10% of their tokens",
        ),
    ],
)
def test_what_leaves_too_little_of_a_prompt_is_refused_before_any_answer_is_drawn(
    tiny_job, asked, words
):
    with pytest.raises(jobs.JobFailed, match=words):
        run(tiny_job(**asked))
    assert not Candidate.objects.exists()


@pytest.mark.torch
def test_a_conversation_that_the_template_does_not_take_is_refused_before_the_model_is_loaded(
    project, tmp_path, monkeypatch
):
    from tests.workers import tiny
    from tests.workers.engines.families import FAMILIES, save_tokenizer

    folder = tiny.save(tmp_path / "gemma")
    save_tokenizer(FAMILIES["Gemma 2"], folder)
    make_prompt(project, messages=[{"role": "user", "content": "Why?"}] * 2)
    make_prompt(
        project,
        messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}],
    )
    version = register_model(project, folder)
    monkeypatch.setattr(
        sampling_job, "load", lambda job, version: pytest.fail("the model is loaded")
    )

    with pytest.raises(
        jobs.JobFailed, match="1 of 2 conversations can't be read by this model.*must alternate"
    ):
        run(jobs.request(None, project, "sample", {"max_tokens": 4}, model_version=version))


@pytest.mark.torch
def test_a_template_that_leaves_tool_calls_out_is_told_before_the_model_is_loaded(
    project, tmp_path, monkeypatch
):
    from tests.workers import tiny

    make_prompt(project, messages=TOOL_TURNS)
    version = register_model(project, tiny.save(tmp_path / "tiny"))
    monkeypatch.setattr(
        sampling_job, "load", lambda job, version: pytest.fail("the model is loaded")
    )

    with pytest.raises(jobs.JobFailed, match="template leaves out its tool calls"):
        run(jobs.request(None, project, "sample", {"max_tokens": 4}, model_version=version))


# A server


def test_a_server_answers_for_a_version_with_the_operators_key(project, settings):
    from tests.workers.model_server import serving

    class Parrot:
        def sample(self, conversations, seeds, **_):
            return [Sample(str(seed), 2, "stop", -1.0, logprobs=(-1.0,)) for seed in seeds]

    for _ in range(3):
        make_prompt(project)
    with serving(Parrot()) as server:
        settings.ENGINE_HOSTS, settings.ENGINE_KEYS = ["127.0.0.1"], {server.host: "s3cret"}
        version = make_model(project, address=server.address, served_as="champion@3")
        job = jobs.request(None, project, "sample", {"k": 4}, model_version=version)
        sampling_job.run(jobs.claim(job.pk, {"sample"}))

    assert Candidate.objects.filter(model_version=version, logprob=-1.0).count() == 12
    assert {(body["model"], body["n"]) for body in server.asked} == {("champion@3", 4)}
    assert set(server.keys) == {"Bearer s3cret"}
    assert RankingTask.objects.count() == 3


def test_a_server_that_refuses_fails_the_job_with_what_it_said(project, settings):
    from tests.workers.model_server import serving

    make_prompt(project)
    with serving(None) as server:
        server.faults, settings.ENGINE_HOSTS = [401], [server.host]
        version = make_model(project, address=server.address, served_as="m")
        job = jobs.request(None, project, "sample", {"k": 2}, model_version=version)
        with pytest.raises(jobs.JobFailed, match="answered 401: not now. Resume the job"):
            sampling_job.run(jobs.claim(job.pk, {"sample"}))


def test_an_address_that_is_allowed_no_more_fails_the_job(project):
    make_prompt(project)
    version = make_model(project, address="http://10.0.0.1/v1", served_as="m")
    job = jobs.request(None, project, "sample", {}, model_version=version)

    with pytest.raises(jobs.JobFailed, match="can't be loaded: http://10.0.0.1/v1 is not https"):
        sampling_job.run(jobs.claim(job.pk, {"sample"}))
