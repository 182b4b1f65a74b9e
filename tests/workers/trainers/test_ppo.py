"""PPO on a tiny model, with a handmade reward model that likes tokens with the letter e."""

import contextlib
import dataclasses
import io
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.workers import tiny
from workers.engines.answers import Sample
from workers.engines.local import LocalEngine
from workers.modeling import scoring, tokens
from workers.trainers import ppo, ppo_models
from workers.trainers.run import marks, runs
from workers.trainers.run.events import Stop

pytestmark = pytest.mark.torch

THINGS = [
    "sea",
    "sky",
    "sun",
    "moon",
    "bird",
    "bread",
    "music",
    "flowers",
    "people",
    "clock",
    "poem",
    "mother",
]
# Random weights hardly ever end an answer, so it can't be penalised that none does.
SMALL = {
    "rollouts": 16,
    "batch": 8,
    "max_tokens": 8,
    "max_length": 64,
    "epochs": 100.0,
    "penalise_cut": False,
}
QUICK = SMALL | {
    "max_steps": 4,
    "save_steps": 1,
    "eval_steps": 2,
    "learning_rate": 0.01,
    "kl_target": 1.0,
    "average": 0.5,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a policy, two reward models, prompts, and texts to rehearse."""
    folder = tmp_path_factory.mktemp("ppo")
    tiny.save(folder / "model")
    loud(tiny.save(folder / "loud"))
    tiny.save_reward(folder / "reward")
    tiny.save_reward(folder / "other-reward", vocabulary=400)
    write_rows(
        folder / "prompts",
        [prompt(number, f"{a} and the {b}") for number, (a, b) in enumerate(pairs())],
    )
    write_rows(
        folder / "texts", [{"text": f"The {a} is good, the {b} is bad."} for a, b in pairs()]
    )
    return folder


def loud(folder: Path) -> None:
    """Make ten times as much of what the layers say: an adapter leaves the head alone, which hardly
    hears them.
    """
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    model.lm_head.weight.data.mul_(10)
    model.save_pretrained(folder)


def pairs():
    return [(a, b) for a in THINGS for b in THINGS[:4]]


def prompt(number: int, about: str) -> dict:
    messages = [{"role": "user", "content": f"Tell me about the {about}"}]
    split = {0: "test", 4: "validation"}.get(number % 8, "train")
    return {"prompt_id": str(number), "split": split, "messages": messages}


def write_rows(folder: Path, rows: list[dict]) -> None:
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_run(
    place: Path, folder: Path, others: dict | None = None, model: str = "model", **settings
) -> runs.Run:
    folder.mkdir(exist_ok=True)
    found = {"reward_model": "reward", **(others or {})}
    recipe = {
        "kind": "ppo",
        "settings": settings,
        "model": str(place / model),
        "dataset": str(place / "prompts"),
        "out": str(folder / "out"),
        "others": {name: str(place / where) for name, where in found.items() if where},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return runs.read(folder / "recipe.json", "ppo")


def play(run: runs.Run) -> list[dict]:
    """Train here and now: the events."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        ppo.train(run)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def figures(events) -> dict:
    return {(e["name"], e["slice"]): e["value"] for e in events if e["event"] == "metric"}


def steps(events) -> list[dict]:
    return [e["metrics"] for e in events if e["event"] == "step"]


def log(events) -> str:
    return "\n".join(e["text"] for e in events if e["event"] == "log")


# --- What it learns -------------------------------------------------------------------------------

LEARNS = {
    "value_learning_rate": 0.005,
    "max_length": 96,
    "epochs": 100.0,
    "beta": 0.1,
    "kl_target": 3.0,
    "penalise_cut": False,
}
FULL = LEARNS | {
    "lora": False,
    "learning_rate": 0.006,
    "rollouts": 48,
    "batch": 12,
    "max_tokens": 12,
    "max_steps": 12,
}
LORA = LEARNS | {
    "kl_target": 6.0,
    "learning_rate": 0.01,
    "rollouts": 96,
    "batch": 32,
    "max_tokens": 16,
    "max_steps": 16,
}
BOUND = 2  # times the target


def gain(events) -> float:
    """How far the mean reward has come, in standard deviations of the first round's rewards."""
    found = figures(events)
    return (found["reward", "train"] - found["start_reward", "train"]) / steps(events)[0][
        "reward_spread"
    ]


@pytest.mark.parametrize(("model", "told"), [("model", FULL), ("loud", LORA)], ids=["full", "lora"])
def test_a_planted_reward_rises_by_a_standard_deviation_and_the_divergence_stays_bounded(
    place, tmp_path, model, told
):
    events = play(make_run(place, tmp_path, model=model, **told))

    assert gain(events) > 1
    assert figures(events)["kl", "train"] < BOUND * told["kl_target"]
    assert max(metrics["kl"] for metrics in steps(events)) < BOUND * told["kl_target"]


def test_nothing_is_gained_from_a_shuffled_reward(place, tmp_path, monkeypatch):
    draw = random.Random(0)

    def shuffled(*args):
        found = ppo_models.scores(*args)
        return draw.sample(found, len(found))

    monkeypatch.setattr(ppo, "scores", shuffled)
    events = play(
        make_run(place, tmp_path, **FULL | {"eval_steps": 0})
    )  # 0: the last policy, whatever it is worth

    assert abs(gain(events)) < 0.5
    assert figures(events)["kl", "train"] < BOUND * FULL["kl_target"]


def test_the_curves_start_where_the_policy_is_the_reference(place, tmp_path):
    first = steps(play(make_run(place, tmp_path, **QUICK | {"max_steps": 1})))[0]

    assert first["kl"] == pytest.approx(0, abs=1e-5)
    assert first["entropy"] == pytest.approx(math.log(479), abs=0.1)
    expected = (
        "reward reward_spread kl beta entropy explained_variance answer_tokens cut_share "
        "policy_loss value_loss"
    )
    repeated, lengths = "commonest_share distinct_1 distinct_2", "grad_norm value_grad_norm"
    held_out = "held_out_reward held_out_kl"
    assert set(first) == {"clip_fraction", *f"{expected} {repeated} {lengths} {held_out}".split()}


def test_texts_are_rehearsed(place, tmp_path):
    settings = QUICK | {"max_steps": 4, "lora": False, "inner_epochs": 2, "whiten_rewards": True}
    run = make_run(place, tmp_path, {"rehearsal": "texts"}, **settings)
    told = [metrics["rehearsal_loss"] for metrics in steps(play(run))]
    assert told[0] == pytest.approx(math.log(479), abs=0.2)
    assert told[-1] < told[0] - 0.5


# --- What it leaves -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(place, tmp_path_factory):
    """(run, events) of a run that nothing happens to."""
    run = make_run(place, tmp_path_factory.mktemp("undisturbed"), {"rehearsal": "texts"}, **QUICK)
    return run, play(run)


def test_the_result_is_whole_with_the_adapter_beside(undisturbed):
    from transformers import AutoModelForCausalLM

    run, _ = undisturbed
    model, info = AutoModelForCausalLM.from_pretrained(run.out, output_loading_info=True)

    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.vocab_size == 479
    assert (run.out / "adapter" / "adapter_config.json").exists()
    assert json.loads((run.out / "recipe.json").read_text())["settings"]["rollouts"] == 16


@pytest.mark.parametrize("moment", [1, 3])
def test_a_run_that_dies_while_it_writes_a_checkpoint_ends_as_if_nothing_had_happened(
    place, undisturbed, tmp_path, monkeypatch, moment
):
    run = make_run(place, tmp_path, {"rehearsal": "texts"}, **QUICK)
    written = []

    def dies(folder):
        written.append(folder)
        if len(written) == moment:
            raise KeyboardInterrupt
        mark(folder)

    mark = marks.mark
    monkeypatch.setattr(marks, "mark", dies)
    with pytest.raises(KeyboardInterrupt):
        play(run)
    monkeypatch.undo()
    again = play(run)

    _, whole = undisturbed
    assert figures(again) == figures(whole)
    assert steps(again) == steps(whole)[moment - 1 :]


def test_the_result_is_the_average_of_the_policies_where_one_is_asked_for(place, tmp_path):
    run = make_run(place, tmp_path, **SMALL, average=0.75)
    models = ppo_models.load(run)
    learner, policy = ppo.Learner(models, run.recipe, rounds=4), ppo_models.trained(models.policy)
    start = {name: parameter.detach().clone() for name, parameter in policy.items()}
    for _ in range(2):
        for parameter in policy.values():
            parameter.data += 1
        learner.remember()
    learner.settle()

    moved = [parameter.detach() - start[name] for name, parameter in policy.items()]
    assert all(
        torch.allclose(change, torch.tensor(0.75 * 0.25 + 0.25 * 2), atol=1e-6) for change in moved
    )


# --- What the models say --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(place, tmp_path_factory):
    return ppo_models.load(make_run(place, tmp_path_factory.mktemp("models"), **SMALL))


def sample(text: str, reason: str = "stop") -> Sample:
    return Sample(text, 1, reason, 0.0, ids=(5,), logprobs=(0.0,), prompt=(6,))


TURN = {"prompt_id": "1", "split": "train", "messages": [{"role": "user", "content": "Why?"}]}


def test_the_value_model_starts_as_the_reward_model(models):
    prompt_ids, ids = tokens.answered(models.tokenizer, TURN["messages"], "The sea", 64)
    rows = [(prompt_ids, [*ids, 0])]  # the value before a token is read at the one before it
    values = ppo_models.values_of(models.value, rows, len(ids) + 1, models.tokenizer.pad_token_id)
    with ppo_models.as_it_was(models.value, models.scorer) as scorer:
        score = scoring.score(scorer, [prompt_ids + ids], models.tokenizer.pad_token_id)[0]
    assert values[0, -1].item() == pytest.approx(score - 1.0, abs=1e-5)


@pytest.mark.parametrize("other", ["reward", "other-reward"])
def test_answers_are_scored_as_text_whatever_the_reward_models_tokens(place, tmp_path, other):
    run = make_run(place, tmp_path, {"reward_model": other}, **SMALL)
    models = ppo_models.load(run)
    texts = ["e", "The sea", "Why not?", "No"]
    found = ppo_models.scores(models, [TURN] * 4, [sample(text) for text in texts], run.recipe)

    words = models.scorer_tokenizer
    for text, score in zip(texts, found):
        ids = sum(tokens.answered(words, TURN["messages"], text, 64), [])
        share = sum("e" in words.decode([token]) for token in ids) / len(ids)
        assert score == pytest.approx(math.sqrt(512) * share - 1, rel=0.05)
    assert (models.scorer is None) == (other == "reward")


def test_an_answer_that_was_cut_is_scored_without_an_end(place, tmp_path):
    tiny.save_reward(place / "likes-ends", likes="<|im_end|>")
    run = make_run(place, tmp_path, {"reward_model": "likes-ends"}, **SMALL)
    models = ppo_models.load(run)
    samples = [sample("The sea"), sample("The sea", "length")]
    scores = ppo_models.scores(models, [TURN] * 2, samples, run.recipe)

    for ended, score in zip((True, False), scores):
        ids = sum(tokens.answered(models.tokenizer, TURN["messages"], "The sea", 64, ended), [])
        ends = ids.count(models.tokenizer.eos_token_id)
        assert ends == 1 + ended  # the user's turn has one too
        assert score == pytest.approx(math.sqrt(512) * ends / len(ids) - 1, rel=0.05)


def test_what_scores_and_what_holds_back_do_not_learn_with_what_does(place, tmp_path):
    run = make_run(place, tmp_path, **SMALL)
    models = ppo_models.load(run)
    answers, texts = [([5, 6], [7, 8, 9])], [sample("The sea"), sample("No")]
    before = [
        ppo_models.scores(models, [TURN] * 2, texts, run.recipe),
        *ppo_models.read(models, answers),
    ]
    learning = [set(ppo_models.trained(model)) for _, model in models.learners()]
    with torch.no_grad():
        for _, model in models.learners():
            for parameter in ppo_models.trained(model).values():
                parameter.add_(0.1)
    after = [
        ppo_models.scores(models, [TURN] * 2, texts, run.recipe),
        *ppo_models.read(models, answers),
    ]

    same = [
        torch.equal(torch.tensor(a), torch.tensor(b))
        for a, b in zip(map(tolist, before), map(tolist, after))
    ]
    assert dict(zip(["score", "mask", "policy", "reference", "entropy", "value"], same)) == {
        "score": True,
        "mask": True,
        "policy": False,
        "reference": True,
        "entropy": False,
        "value": False,
    }
    assert [set(ppo_models.trained(model)) for _, model in models.learners()] == learning


def tolist(values) -> list:
    return values if isinstance(values, list) else values.tolist()


def test_a_reward_model_with_other_tokens_is_learned_from(place, tmp_path):
    events = play(make_run(place, tmp_path, {"reward_model": "other-reward"}, **FULL))
    found = steps(events)
    assert "the reward model reads other tokens" in log(events)
    assert gain(events) > 1
    assert figures(events)["kl", "train"] < BOUND * FULL["kl_target"]
    # The value model, under a new head, has learned what the rewards are about: it was off by their
    # mean.
    assert found[-1]["value_loss"] < found[0]["value_loss"] / 2


@pytest.mark.parametrize(("fixed", "expected"), [(-3.0, -3.0), (100.0, "its own")])
def test_an_answer_without_an_end_gets_a_fixed_reward_unless_its_own_is_lower(
    place, tmp_path, models, fixed, expected
):
    both = [sample("The sea"), sample("The sea", "length")]
    recipe = make_run(place, tmp_path, **SMALL | {"penalise_cut": True, "cut_reward": fixed}).recipe
    found = ppo_models.scores(models, [TURN] * 2, both, recipe)
    own = ppo_models.scores(
        models, [TURN] * 2, both, dataclasses.replace(recipe, penalise_cut=False)
    )
    assert found[0] == own[0] > 0
    assert found[1] == (own[1] if expected == "its own" else expected)


def test_a_first_round_in_which_no_answer_ends_is_refused_in_words(place, tmp_path):
    with pytest.raises(
        Stop, match="None of the first round's 16 answers ended within max_tokens \\(2\\)"
    ):
        play(make_run(place, tmp_path, **SMALL | {"penalise_cut": True, "max_tokens": 2}))


def test_the_losses_of_a_step_are_those_of_the_equations(place, tmp_path):
    """NumPy beside the trainer, from the models' raw scores of each answer alone; ppo_math has the
    rest.
    """
    run = make_run(place, tmp_path, **SMALL | {"lora": False})
    models = ppo_models.load(run)
    asked = ppo.prompts_of(run.rows())[:6]
    samples = ppo_models.write(models.policy, models.tokenizer, asked, list(range(6)), run.recipe)
    found = ppo.experience(models, asked, samples, 0.1, run.recipe)
    with torch.no_grad():
        for model in (models.policy, models.value):
            for parameter in model.parameters():
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)),
                    alpha=0.02,
                )

    told = ppo.Learner(models, run.recipe, rounds=4).step(found, [4, 1, 3])

    policy, value = [], []
    for row in (4, 1, 3):
        prompt, ids = found.answers[row]
        with torch.no_grad():
            logits = models.policy(torch.tensor([prompt + ids])).logits[0].double().numpy()
            hidden = models.value.model(torch.tensor([prompt + ids])).last_hidden_state[0]
            values = models.value.score(hidden)[:, 0].numpy() - 1.0
        for t, token in enumerate(ids):
            at = logits[len(prompt) + t - 1]
            logprob = at[token] - np.log(np.exp(at).sum())
            ratio, advantage = (
                math.exp(logprob - found.logprobs[row, t]),
                found.advantages[row, t].item(),
            )
            policy.append(-min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage))
            now, before = values[len(prompt) + t - 1], found.values[row, t].item()
            near, goal = before + min(max(now - before, -0.2), 0.2), found.returns[row, t].item()
            value.append(max((now - goal) ** 2, (near - goal) ** 2) / 2)
    assert told["policy_loss"] == pytest.approx(np.mean(policy), rel=1e-4)
    assert told["value_loss"] == pytest.approx(np.mean(value), rel=1e-4)


def test_an_engine_draws_from_the_weights_of_the_moment(models):
    engine = LocalEngine.around(ppo_models.inner(models.policy), models.tokenizer, context=20)
    ask = {"temperature": 0.0, "max_tokens": 8}
    long = [{"role": "user", "content": "sea " * 50}]
    before = engine.sample([long], [1], **ask)[0]
    bias = torch.zeros(32)
    hook = models.policy.get_base_model().model.norm.register_forward_hook(
        lambda *call: call[2] * 0 + bias
    )
    after = engine.sample([long], [1], **ask)[0]
    hook.remove()

    assert (len(before.prompt), before.truncated) == (12, True)
    assert after.ids == (0,) * 8 != before.ids


# --- Prompts, turns and refusals ------------------------------------------------------------------


def test_each_pass_asks_every_prompt_once_in_an_order_of_its_own():
    turns = ppo.in_turn(list("abcde"), range(10), 1)
    assert sorted(turns[:5]) == sorted(turns[5:]) == list("abcde")
    assert turns[:5] != turns[5:]
    assert ppo.in_turn(list("abcde"), range(3, 8), 1) == turns[3:8]


def test_rounds_are_counted_over_the_prompts():
    from modelops import recipes

    recipe = recipes.read("ppo", {"epochs": 2.0, "rollouts": 16})
    assert ppo.rounds(recipe, 100) == 13


def test_a_text_is_rehearsed_after_its_first_token_and_a_demonstration_after_its_prompt(
    models, place, tmp_path
):
    words, rows = models.tokenizer, tmp_path / "mixed"
    write_rows(
        rows,
        [
            {"text": "Tell me about"},
            {"messages": TURN["messages"], "text": "So!", "split": "train"},
        ],
    )
    run = make_run(place, tmp_path, {"rehearsal": rows})
    [(start, rest), (asked, answer)], cut = ppo.rehearsal(run, words)
    assert cut == []
    assert (words.decode(start + rest), len(start)) == ("Tell me about<|im_end|>", 1)
    assert (words.decode(asked)[-10:], words.decode(answer)) == ("assistant\n", "So!<|im_end|>\n")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reward_model": ""}, "PPO needs a reward model"),
        ({"reward_model": "model"}, "There is no reward model in"),
        ({"reward_model": "nowhere"}, "There is no reward model in"),
        ({"rehearsal": "broken"}, "Row 1 of the rehearsal dataset holds no text"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(place, tmp_path, changes, words):
    if not (place / "broken").exists():
        write_rows(place / "broken", [{"messages": []}])
    with pytest.raises(Stop, match=words):
        play(make_run(place, tmp_path, changes, **SMALL))


def test_an_answer_must_leave_room_for_its_prompt(place, tmp_path):
    with pytest.raises(Stop, match="leaves no room for a prompt"):
        play(make_run(place, tmp_path, **SMALL | {"max_tokens": 64}))


def test_rows_without_prompts_are_refused_in_words():
    with pytest.raises(Stop, match="Row 2 of the dataset holds no prompt"):
        ppo.prompts_of([TURN, {"text": "plain"}])
