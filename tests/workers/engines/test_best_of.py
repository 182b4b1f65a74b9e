"""The best of several draws: chosen by a reward model, the same on every run, and a policy of its
own.
"""

import math

import pytest

from labeling.exports import freeze
from labeling.models import Candidate, RankingTask
from modelops import datasets, jobs, registry, rows
from modelops.models import ModelVersion
from tests.factories import make_prompt, register_model
from tests.workers import tiny
from workers import sampling_job
from workers.engines.answers import Sample

pytestmark = pytest.mark.torch
TURN = [{"role": "user", "content": "Why?"}]
SKY = [{"role": "user", "content": "And the sky?"}]


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A reward model that likes the letter e."""
    return tiny.save_reward(tmp_path_factory.mktemp("judge") / "reward")


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("policy") / "model")


class Engine:
    """Answers with what `says` makes of a seed, last first."""

    def __init__(self, says=str):
        self.says, self.closed = says, False

    def stream(self, conversations, seeds, *, tick, **settings):
        for number in reversed(range(len(seeds))):
            tick()
            yield number, Sample(self.says(seeds[number]), 3, "stop", -1.5)

    def close(self):
        self.closed = True


class Last:
    """Prefers what ends in a higher digit."""

    def rewards(self, conversations, answers):
        assert len(conversations) == len(answers)
        return [float(sample.text[-1]) for sample in answers]


@pytest.fixture
def best():
    from workers.engines.best_of import BestOf

    return BestOf


def stream(engine, seeds=(11, 22, 33)):
    return dict(engine.stream([TURN] * len(seeds), list(seeds)))


def test_of_each_conversations_draws_the_best_is_given(best):
    from workers.engines.best_of import seed_of

    found = stream(best(Engine(), Last(), 4))
    for number, seed in enumerate((11, 22, 33)):
        drawn = [str(seed_of(seed, turn)) for turn in range(4)]
        assert found[number].text in drawn
        assert (
            found[number].reward
            == max(float(text[-1]) for text in drawn)
            == float(found[number].text[-1])
        )


@pytest.mark.parametrize("together", [1, 5, 100])
def test_how_many_are_scored_together_changes_nothing(best, monkeypatch, together):
    from workers.engines import best_of

    usual = stream(best(Engine(), Last(), 3), range(20))
    monkeypatch.setattr(best_of, "SCORED_TOGETHER", together)
    assert stream(best(Engine(), Last(), 3), range(20)) == usual


def test_of_equal_ones_the_first_draw_is_kept_which_is_the_one_without(best):
    found = stream(best(Engine(lambda seed: f"{seed} 0"), Last(), 3))
    assert [found[number].text for number in range(3)] == ["11 0", "22 0", "33 0"]


def test_closing_it_closes_the_engine(best):
    engine = Engine()
    best(engine, Last(), 2).close()
    assert engine.closed


def test_a_reward_is_that_of_the_conversation_with_the_answer_shifted(judge):
    from workers.engines.best_of import Scorer
    from workers.modeling import tokens

    scorer = Scorer(judge)
    texts = ["e", "The sea", "No"]
    found = scorer.rewards([TURN, SKY, TURN], [Sample(text, 3, "stop", 0.0) for text in texts])
    for messages, text, reward in zip([TURN, SKY, TURN], texts, found):
        ids = sum(tokens.answered(scorer.tokenizer, messages, text, 64), [])
        share = sum("e" in scorer.tokenizer.decode([token]) for token in ids) / len(ids)
        assert reward == pytest.approx(math.sqrt(512) * share - 1, rel=0.05)


def test_an_answer_that_was_cut_is_scored_without_an_end(tmp_path):
    from workers.engines.best_of import Scorer

    scorer = Scorer(tiny.save_reward(tmp_path / "reward", likes="<|im_end|>"))
    read, answers = (
        scorer.tokenizer,
        [Sample("The sea", 3, reason, 0.0) for reason in ("stop", "length")],
    )
    ended, cut = scorer.rewards([TURN, TURN], answers)

    prompt = tokens_of(
        read.apply_chat_template(TURN, tokenize=False, add_generation_prompt=True), read
    )
    ends = prompt.count(read.eos_token_id)
    whole, part = (tokens_of("The sea" + end, read) for end in ("<|im_end|>\n", ""))
    assert ended == pytest.approx(math.sqrt(512) * (ends + 1) / len(prompt + whole) - 1, rel=0.05)
    assert cut == pytest.approx(math.sqrt(512) * ends / len(prompt + part) - 1, rel=0.05)


def tokens_of(text, tokenizer):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_policy_scores_nothing(policy):
    from workers.engines.best_of import Scorer

    with pytest.raises(ValueError, match="holds no reward model"):
        Scorer(policy)


# As a job


@pytest.fixture
def ask(project, policy, judge, settings):
    """Asks for answers by the tiny model, the best of several by the tiny judge."""
    version = register_model(project, policy, "tiny")
    scored_by = register_model(project, judge, "reward 1", kind="reward")

    def ask(best_of, **more):
        told = {"k": 2, "max_tokens": 8, "batch": 8, "temperature": 1.5, "best_of": best_of}
        links = {"model_version": version, "reward_model": scored_by} | more
        job = jobs.request(None, project, "sample", told, **links)
        sampling_job.run(jobs.claim(job.pk, {"sample"}))
        job.refresh_from_db()
        return job

    return ask


def es(job):
    texts = Candidate.objects.filter(job=job).values_list("text", flat=True)
    return sum(text.count("e") for text in texts) / sum(len(text) + 1 for text in texts)


@pytest.mark.django_db
def test_a_job_keeps_the_best_of_its_draws_and_names_who_wrote_them(project, ask):
    for _ in range(6):
        make_prompt(project)
    plain, chosen = ask(1), ask(8)

    assert (chosen.done, chosen.total, RankingTask.objects.filter(job=chosen).count()) == (
        12,
        12,
        6,
    )
    assert es(chosen) > es(plain)
    assert not Candidate.objects.filter(job=plain).exclude(reward=None).exists()
    assert not Candidate.objects.filter(job=chosen, reward=None).exists()
    writer = ModelVersion.objects.get(
        candidates__job=chosen, candidates__slot=0, candidates__prompt=project.prompts.first()
    )
    assert (writer.name, writer.parent.name, writer.folder) == (
        "tiny, best of 8 by reward 1",
        "tiny",
        "",
    )
    assert writer not in registry.answering(project)

    again = ask(8)
    texts = [
        sorted(job.candidates.values_list("prompt", "slot", "text", "reward"))
        for job in (chosen, again)
    ]
    assert texts[0] == texts[1]


@pytest.mark.django_db
def test_without_a_reward_model_nothing_is_chosen(project, ask):
    make_prompt(project)
    with pytest.raises(jobs.JobFailed, match="takes a reward model"):
        ask(2, reward_model=None)
    with pytest.raises(jobs.JobFailed, match="holds no reward model"):
        ask(2, reward_model=ModelVersion.objects.get(name="tiny"))


@pytest.mark.django_db
def test_what_was_chosen_is_frozen_to_be_imitated(project, ask):
    prompt = make_prompt(project)
    ask(1), ask(4)
    frozen = freeze.freeze_now(None, project, "demonstrations", answers="chosen")

    texts = sorted(row["text"] for row in rows.read(datasets.path(frozen)))
    best = Candidate.objects.filter(prompt=prompt, duplicate=False).exclude(reward=None)
    assert texts == sorted(best.values_list("text", flat=True))
    with pytest.raises(jobs.JobFailed):
        freeze.freeze_now(None, project, "demonstrations")
