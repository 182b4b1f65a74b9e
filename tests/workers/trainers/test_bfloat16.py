"""What is promised in bfloat16, on any processor. It has 8 significant bits: no result is equal to
the last digit.

"Equal" means here, on a tiny model with random weights:
- the log-probability of each drawn token lies within LOGPROB nats of what float32 gives the same
  tokens;
- of answers that always take the likeliest token, at least the share SAME of the tokens are
  float32's, counted up to the first other one, after which it is another answer. The same holds
  between batches of different sizes;
- a trainer's loss at each step, and each loss among its final figures, lies within LOSS of
  float32's, and the length of its gradients within the share GRADIENT.
"""

import contextlib
import importlib
import io
import json

import pytest
import torch
from safetensors.torch import load_file

from tests.workers import tiny
from tests.workers.trainers.test_child_process import (
    Child,
    figures,
    losses,
    make_run,
    write_dataset,
)
from workers.engines.local import LocalEngine
from workers.modeling import device
from workers.trainers.run import runs
from workers.trainers.run.events import Stop

pytestmark = [pytest.mark.torch, pytest.mark.bf16]

LOGPROB, SAME, LOSS, GRADIENT = 0.05, 0.8, 0.01, 0.05
WORDS = ["sea", "sky", "the sun", "and a bird", "moon"]
TALKS = [
    [{"role": "user", "content": " ".join(WORDS[: n % 5 + 1] * (n % 3 + 1))}] for n in range(15)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bfloat16")
    tiny.save(folder / "model")
    tiny.save_reward(folder / "reward")
    write_dataset(folder / "dataset", prompts=10)
    return folder


def engine(place, dtype):
    return LocalEngine(place / "model", torch.device("cpu"), dtype)


def likeliest(model, size=15):
    """The likeliest answer to each talk, `size` of them drawn together."""
    return model.sample(TALKS, [0] * len(TALKS), temperature=0, max_tokens=12, batch=size)


def share_alike(samples, others):
    """The share of tokens that come before the first one that differs."""
    alike = [
        next((n for n, (a, b) in enumerate(zip(x.ids, y.ids)) if a != b), len(x.ids))
        for x, y in zip(samples, others)
    ]
    return sum(alike) / sum(len(x.ids) for x in samples)


def test_answers_are_nearly_those_of_float32_in_any_batch(place):
    lower, exact = engine(place, "bfloat16"), engine(place, "float32")
    assert {p.dtype for p in lower.model.parameters()} == {torch.bfloat16}

    together, few = likeliest(lower), likeliest(lower, size=2)
    assert share_alike(together, likeliest(exact)) >= SAME
    assert share_alike(together, few) >= SAME


@torch.inference_mode()
def test_log_probabilities_are_nearly_those_of_float32(place):
    exact = engine(place, "float32").model
    for sample in likeliest(engine(place, "bfloat16")):
        ids = torch.tensor([[*sample.prompt, *sample.ids]])
        logprobs = exact(ids).logits[0, len(sample.prompt) - 1 : -1].log_softmax(-1)
        right = logprobs.gather(1, torch.tensor(sample.ids)[:, None])[:, 0]
        assert torch.tensor(sample.logprobs) == pytest.approx(right, abs=LOGPROB)


def train(place, kind, dtype, monkeypatch, **settings):
    """Two steps of a trainer in this process: its events and the published weights."""
    monkeypatch.setenv("PODIUM_DTYPE", dtype)
    name = f"{kind}-{dtype}-{len(list(place.iterdir()))}"
    folder = make_run(place, name, kind, **settings)
    if kind == "ppo":
        recipe = json.loads((folder / "recipe.json").read_text())
        recipe["others"] = {"reward_model": str(place / "reward")}
        (folder / "recipe.json").write_text(json.dumps(recipe))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        importlib.import_module(f"workers.trainers.{kind}").train(
            runs.read(folder / "recipe.json", kind)
        )
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    return events, load_file(folder / "out" / "model.safetensors")


KINDS = ("sft", "dpo", "kto", "reward")
ADAPTER = pytest.mark.parametrize("lora", [True, False], ids=["adapter", "all-weights"])


@ADAPTER
@pytest.mark.parametrize("kind", KINDS)
def test_two_steps_are_nearly_those_of_float32(place, kind, lora, monkeypatch):
    settings = {"max_steps": 2, "lora": lora, "learning_rate": 1e-3}
    lower, weights = train(place, kind, "bfloat16", monkeypatch, **settings)
    exact, _ = train(place, kind, "float32", monkeypatch, **settings)

    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert losses(lower) == pytest.approx(losses(exact), abs=LOSS)
    assert lengths(lower) == pytest.approx(lengths(exact), rel=GRADIENT)
    final = final_losses(exact)
    assert final_losses(lower) == pytest.approx(final, abs=LOSS)
    assert "Computes in bfloat16 on cpu." in texts(lower)
    assert "Computes in float32 on cpu." in texts(exact)


@ADAPTER
def test_two_rounds_of_ppo_start_from_the_policy_itself(place, lora, monkeypatch):
    """What it draws differs from what float32 draws, so that only what does not depend on the draws
    is compared.
    """
    sizes = {"rollouts": 8, "batch": 4, "max_tokens": 4, "max_length": 64, "penalise_cut": False}
    settings = {"max_steps": 2, "lora": lora, "learning_rate": 1e-3, **sizes}
    lower, weights = train(place, "ppo", "bfloat16", monkeypatch, **settings)
    exact, _ = train(place, "ppo", "float32", monkeypatch, **settings)

    assert all(tensor.isfinite().all() for tensor in weights.values())
    first, other = (steps(events)[1] for events in (lower, exact))
    assert first["kl"] == 0
    assert first["clip_fraction"] == 0
    assert first["entropy"] == pytest.approx(other["entropy"], abs=LOSS)


def steps(events):
    return {event["step"]: event["metrics"] for event in events if event["event"] == "step"}


def lengths(events):
    return {number: metrics["grad_norm"] for number, metrics in steps(events).items()}


def final_losses(events):
    return {key: value for key, value in figures(events).items() if key[0] == "loss"}


def texts(events):
    return [event["text"] for event in events if event["event"] == "log"]


# --- How the number format is chosen ---


@pytest.mark.parametrize("flags", [{"avx2", "avx512_bf16"}, {"amx_bf16"}])
def test_a_processor_with_bfloat16_computes_in_it(flags, monkeypatch):
    monkeypatch.delenv("PODIUM_DTYPE")
    monkeypatch.setattr(device, "cpu_flags", lambda: flags)

    assert device.best_dtype(torch.device("cpu")) == torch.bfloat16


def test_a_processor_that_would_emulate_it_computes_in_float32(monkeypatch):
    monkeypatch.delenv("PODIUM_DTYPE")
    monkeypatch.setattr(device, "cpu_flags", lambda: {"avx2", "avx512f"})

    assert device.best_dtype(torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("name", device.NAMED)
def test_the_setting_decides_where_a_recipe_says_auto_and_the_recipe_where_it_names_one(
    name, monkeypatch
):
    monkeypatch.setenv("PODIUM_DTYPE", name)

    assert device.best_dtype(asked="auto") == device.NAMED[name]
    assert device.best_dtype(asked="bfloat16") == torch.bfloat16


def test_an_unknown_number_format_is_refused(monkeypatch):
    monkeypatch.setenv("PODIUM_DTYPE", "int8")

    with pytest.raises(ValueError, match="int8"):
        device.best_dtype()


def test_a_recipe_names_the_number_format_of_its_trainer(place):
    run = Child(make_run(place, "named", "sft", max_steps=1, dtype="bfloat16")).end()

    assert "Computes in bfloat16 on cpu." in texts(run)


def test_training_in_float16_on_a_processor_is_refused(place, monkeypatch):
    with pytest.raises(Stop, match="float32 or bfloat16"):
        train(place, "sft", "float16", monkeypatch, max_steps=1)
    with pytest.raises(Stop, match="float32 or bfloat16"):
        train(place, "ppo", "float16", monkeypatch, max_steps=1)
