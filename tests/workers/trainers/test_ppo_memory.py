"""What a step of PPO keeps in memory; its gradients are the same however little that is."""

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.workers import tiny
from tests.workers.trainers.test_ppo import SMALL, make_run, prompt, write_rows
from workers.engines.local import LocalEngine
from workers.trainers import ppo, ppo_models
from workers.trainers.run import loop

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ppo-memory")
    tiny.save(folder / "model")
    tiny.save_other(folder / "gpt2", "gpt2")
    tiny.save_reward(folder / "reward")
    write_rows(folder / "prompts", [prompt(number, f"clock {number}") for number in range(8)])
    return folder


@pytest.fixture
def drawn(place, tmp_path):
    """A learner and the experience of a round, of a run with these settings."""

    def draw(model: str = "model", **settings):
        run = make_run(place, tmp_path, model=model, **SMALL | {"lora": False} | settings)
        models = ppo_models.load(run)
        asked = ppo.prompts_of(run.rows())
        samples = ppo_models.write(
            models.policy, models.tokenizer, asked, list(range(8)), run.recipe
        )
        found = ppo.experience(models, asked, samples, 0.1, run.recipe)
        with torch.no_grad():  # away from what drew them, so that ratios differ from 1
            for parameter in [*models.policy.parameters(), *models.value.parameters()]:
                noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
                parameter.add_(noise, alpha=0.02)
        return ppo.Learner(models, run.recipe, rounds=4), found

    return draw


def gradients(learner) -> dict[str, torch.Tensor]:
    """The gradients of policy and value model, which are forgotten."""
    found = {
        f"{name}.{key}": parameter.grad.clone()
        for name, model in learner.models.learners()
        for key, parameter in ppo_models.trained(model).items()
        if parameter.grad is not None
    }
    learner.optimizer.zero_grad()
    return found


def equal(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(
        torch.allclose(left[name], right[name], rtol=1e-4, atol=1e-6) for name in left
    )


def length(gradients: list[torch.Tensor]) -> float:
    return torch.stack([gradient.norm() for gradient in gradients]).norm().item()


def test_the_policys_activations_are_gone_before_the_value_model_is_read(drawn):
    learner, found = drawn()
    order = []
    for name, model in learner.models.learners():
        body = model.model.layers[0]
        body.register_forward_hook(lambda *_, name=name: order.append(f"{name} forward"))
        body.register_full_backward_hook(lambda *_, name=name: order.append(f"{name} backward"))
    learner.step(found, [0, 1])
    assert order == ["policy forward", "policy backward", "value forward", "value backward"]


def test_fewer_tokens_at_once_make_more_passes_and_the_same_gradients(drawn):
    whole, found = drawn(tokens_at_once=10_000)
    passes = []
    whole.models.policy.model.layers[0].register_forward_hook(lambda *_: passes.append("policy"))
    told = whole.step(found, list(range(8)))
    together = gradients(whole)
    assert len(passes) == 1

    whole.models.tokens_at_once = 100
    passes.clear()
    apart = whole.step(found, list(range(8)))
    assert len(passes) > 2
    assert equal(gradients(whole), together)
    assert apart == pytest.approx(told, rel=1e-4)


def test_a_recipes_tokens_at_once_are_those_of_every_pass():
    recipe = dataclasses.replace(ppo.PPORecipe(), tokens_at_once=300)
    assert loop.tokens_at_once(recipe) == 300
    assert loop.tokens_at_once(ppo.PPORecipe()) == loop.TOKENS_AT_ONCE[loop.best_device().type]
    assert loop.rows_at_once(12, 100, at_once=300) == 3


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("model", ["model", "gpt2"])
def test_recomputed_activations_give_the_same_gradients(drawn, model, lora):
    learner, found = drawn(model, lora=lora, gradient_checkpointing="off")
    told = learner.step(found, [0, 1, 2])
    kept = gradients(learner)
    passes = []
    layer = next(
        module
        for module in ppo_models.inner(learner.models.policy).modules()
        if isinstance(module, ppo_models.GradientCheckpointingLayer)
    )
    next(layer.children()).register_forward_hook(lambda *_: passes.append("read"))

    learner.recipe = dataclasses.replace(learner.recipe, gradient_checkpointing="on")
    again = learner.step(found, [0, 1, 2])

    assert len(passes) == 2  # once forward, once more in the backward pass
    assert equal(gradients(learner), kept)
    assert again == pytest.approx(told, rel=1e-4)


def test_a_model_draws_as_before_once_it_has_recomputed(drawn):
    learner, found = drawn(gradient_checkpointing="on")
    engine = LocalEngine.around(learner.models.policy, learner.models.tokenizer, context=64)
    ask = [[{"role": "user", "content": "Why?"}]], [1]
    before = engine.sample(*ask, max_tokens=8)
    learner.step(found, [0, 1])
    assert engine.sample(*ask, max_tokens=8) == before
    assert "forward" not in vars(learner.models.policy.model.layers[0])


def test_the_pretraining_mix_is_clipped_by_itself(drawn):
    learner, found = drawn(gamma=1000.0)
    texts = [([5, 6], [7, 8, 9]), ([5], [9, 8])]
    learner.step(found, [0, 1, 2])
    reward = gradients(learner)
    learner.rehearse(texts)
    mix = gradients(learner)
    policy = [name for name in reward if name.startswith("policy.")]
    lengths = [length([part[name] for name in policy if name in part]) for part in (reward, mix)]
    assert lengths[1] > 100 * lengths[0]  # together, the mix would leave nothing of the reward

    moved = {}
    learner.move = lambda: moved.update(gradients(learner))
    learner.batches = lambda *_: iter([[0, 1, 2]])
    learner.recipe = dataclasses.replace(learner.recipe, batch=2)
    learner.rehearse = lambda _, rehearse=learner.rehearse: rehearse(texts)
    learner.learn(found, texts, 1)

    expected = {
        name: reward[name] / max(1.0, lengths[0])
        + mix.get(name, torch.tensor(0.0)) / max(1.0, lengths[1])
        for name in policy
    }
    assert equal({name: moved[name] for name in policy}, expected)
    value = [name for name in reward if name.startswith("value.")]
    size = length([reward[name] for name in value])
    assert equal(
        {name: moved[name] for name in value},
        {name: reward[name] / max(1.0, size) for name in value},
    )
