"""The models of a PPO run: loading them, drawing answers, and what each says of these.

Of the four models two are kept apart where they can be one. With an adapter, the reference is the
policy with its adapter off, and the reward model is the value model with its adapter off. The value
model is a model of its own, no second adapter on the policy: it starts from the reward model, whose
weights need not be the policy's. Where the two read other tokens it starts from the policy under a
new head, and the reward model is a model of its own that reads text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from peft import PeftModel, get_peft_model
from torch.utils.checkpoint import checkpoint as torch_checkpoint
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)
from transformers.modeling_layers import GradientCheckpointingLayer

from modelops.recipes import PPORecipe
from workers.engines.answers import Sample
from workers.engines.batch import BrokenModel
from workers.engines.local import LocalEngine
from workers.modeling import scoring, tokens
from workers.modeling.device import autocast
from workers.modeling.weights import use_float32_head
from workers.trainers import ppo_math
from workers.trainers.run import events, loop, memory_check
from workers.trainers.run.events import Stop
from workers.trainers.run.runs import Run

Answer = tuple[list[int], list[int]]  # token ids of a prompt and of what follows it
DRAWN_AT_ONCE = {"cpu": 64, "cuda": 256}


@dataclasses.dataclass
class Models:
    """`reference` and `scorer` are None where they are what learns, with its adapter off."""

    tokenizer: PreTrainedTokenizerBase
    scorer_tokenizer: PreTrainedTokenizerBase
    policy: PreTrainedModel | PeftModel
    value: PreTrainedModel | PeftModel
    reference: PreTrainedModel | None
    scorer: PreTrainedModel | None
    tokens_at_once: int  # in one forward pass

    def learners(self) -> list[tuple[str, PreTrainedModel | PeftModel]]:
        return [("policy", self.policy), ("value", self.value)]


def load(run: Run) -> Models:
    """All models of the run. Raises Stop where one can't be read, or the reward model is none."""
    set_seed(run.recipe.seed)
    judge = dataclasses.replace(run, model=run.others["reward_model"])
    tokenizer, scorer_tokenizer = tokenizers(run, judge)
    same = tokenizer.get_vocab() == scorer_tokenizer.get_vocab()
    lora, value_from = run.recipe.lora, judge.model if same else run.model
    beside = (() if lora else (run.model,)) + (() if lora and same else (judge.model,))
    memory_check.check(run.recipe, [run.model, value_from], beside)
    value = (
        load_scorer(judge, scorer_tokenizer) if same else load_scorer(run, tokenizer, num_labels=1)
    )
    events.log(
        "The value model starts from the "
        f"{'reward model' if same else 'policy: the reward model reads other tokens'}."
    )
    return Models(
        tokenizer,
        scorer_tokenizer,
        policy=learning(loop.load(AutoModelForCausalLM, run), run.recipe, "CAUSAL_LM"),
        value=learning(value, run.recipe, "SEQ_CLS", modules_to_save=["score"]),
        reference=None if lora else still(loop.load(AutoModelForCausalLM, run)),
        scorer=None if lora and same else still(load_scorer(judge, scorer_tokenizer)),
        tokens_at_once=loop.tokens_at_once(run.recipe),
    )


def load_scorer(run: Run, tokenizer: PreTrainedTokenizerBase, **options) -> PreTrainedModel:
    """The run's model as one that scores, in float32; its config names the padding token."""
    model = loop.load(AutoModelForSequenceClassification, run, dtype=torch.float32, **options)
    use_float32_head(model)
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def tokenizers(run: Run, judge: Run) -> tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase]:
    """The policy's and the reward model's. Raises Stop where the latter's folder holds another kind
    of model.
    """
    try:
        config = AutoConfig.from_pretrained(judge.model, local_files_only=True)
        if any("SequenceClassification" in name for name in config.architectures or []):
            return tokens.load_tokenizer(run.model), tokens.load_tokenizer(judge.model)
    except OSError:
        pass
    raise Stop(
        f"There is no reward model in {judge.model}: choose another version, or restore its files."
    )


def learning(
    model: PreTrainedModel, recipe: PPORecipe, task: str, **options
) -> PreTrainedModel | PeftModel:
    """The model under a new adapter, or with all its weights to be trained.

    In eval mode throughout: dropout would tell the policy that learns from the one that drew.
    """
    adapter = loop.adapter(recipe, task, **options)
    return (get_peft_model(model, adapter) if adapter else model).to(loop.best_device()).eval()


def still(model: PreTrainedModel) -> PreTrainedModel:
    """A model that does not learn."""
    return model.requires_grad_(False).to(loop.best_device()).eval()


def trained(model: PreTrainedModel | PeftModel) -> dict[str, torch.nn.Parameter]:
    """The parameters that learn, by name."""
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


@contextmanager
def as_it_was(model: PreTrainedModel | PeftModel, copy: PreTrainedModel | None) -> Iterator:
    """What `model` was before it learned: `copy`, or itself with its adapter off."""
    if copy is not None:
        yield copy
    else:
        with model.disable_adapter():
            yield model


def inner(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """transformers' own model, which has the adapter's layers in it."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[dict],
    seeds: list[int],
    recipe: PPORecipe,
) -> list[Sample]:
    """An answer to each prompt, drawn from the model's own distribution. Raises Stop where that is
    none any more.
    """
    silence = loop.Silence()
    try:
        engine = LocalEngine.around(inner(model), tokenizer, recipe.max_length)
        return engine.sample(
            [prompt["messages"] for prompt in prompts],
            seeds,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            max_tokens=recipe.max_tokens,
            batch=DRAWN_AT_ONCE[model.device.type],
            tick=lambda: silence.end("Still draws answers."),
        )
    except BrokenModel:
        raise Stop(
            "The policy's weights are no numbers any more: lower the learning rate and start a new "
            "job."
        ) from None


def scores(
    models: Models, prompts: list[dict], samples: list[Sample], recipe: PPORecipe
) -> list[float]:
    """The reward of each sample, read as text: the reward model sees what a reader would."""
    reader = models.scorer_tokenizer
    texts = [
        tokens.answered(
            reader, prompt["messages"], sample.text, recipe.max_length, ended=sample.ended
        )
        for prompt, sample in zip(prompts, samples)
    ]
    rows = [
        tokens.without_end_pads(prompt + answer, reader.pad_token_id) for prompt, answer in texts
    ]
    with as_it_was(models.value, models.scorer) as model:
        shift = getattr(model.config, "reward_shift", 0.0)
        rewards = [
            value - shift
            for part in loop.with_progress(
                parts([len(row) for row in rows], models.tokens_at_once), "Scores the answers, part"
            )
            for value in scoring.score(
                model,
                [rows[place] for place in part],
                reader.pad_token_id,
                partial(loop.with_progress, doing="Scores the answers"),
            )
        ]
    return [penalised(value, sample, recipe) for sample, value in zip(samples, rewards)]


def penalised(reward: float, sample: Sample, recipe: PPORecipe) -> float:
    """A sample's reward, at most the recipe's for those that were cut if it is one of them.

    At most, not exactly: where a reward model scores all answers low, a fixed reward would be a
    prize for not ending.
    """
    cut = recipe.penalise_cut and not sample.ended
    return min(reward, recipe.cut_reward) if cut else reward


def parts(lengths: list[int], at_once: int) -> list[range]:
    """Places of rows of these lengths, in parts of at most `at_once` tokens, or of one row."""
    size = max(1, at_once // max(lengths))
    return [range(start, min(start + size, len(lengths))) for start in range(0, len(lengths), size)]


def parts_of(answers: list[Answer], at_once: int) -> list[range]:
    """The same of prompts with what follows."""
    return parts([len(prompt) + len(ids) for prompt, ids in answers], at_once)


@contextmanager
def recomputing(model: PreTrainedModel | PeftModel, recipe: PPORecipe) -> Iterator[None]:
    """What is read meanwhile keeps no activations of its layers, if the recipe says so: they are
    computed again.

    Raises Stop for a model whose layers transformers does not mark as such. Its own switch is of no
    use here: it works in train mode alone, which has dropout, and refuses the keys and values that
    drawing keeps.
    """
    if not loop.recomputes(recipe):
        yield
        return
    layers = [
        module
        for module in inner(model).modules()
        if isinstance(module, GradientCheckpointingLayer)
    ]
    if not layers:
        raise Stop("This model's layers cannot be recomputed: choose gradient_checkpointing off.")
    for layer in layers:
        layer.forward = partial(torch_checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # which was put before the class's own


def laid_out(
    answers: list[Answer], steps: int, pad: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids and mask (answers, length) of prompts with what follows, and the columns (answers, steps)
    read before each token.

    Beyond an answer's end the columns repeat, as far as there are any: what is read there is to be
    masked.
    """
    ids, mask = tokens.padded([prompt + answer for prompt, answer in answers], pad)
    first = torch.tensor([[len(prompt) - 1] for prompt, _ in answers])
    columns = (first + torch.arange(steps)).clamp(max=ids.shape[1] - 2)
    return tuple(tensor.to(loop.best_device()) for tensor in (ids, mask, columns))


def distributions(
    model: PreTrainedModel, answers: list[Answer], steps: int, pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The policy's scores (answers, steps, vocabulary) of what comes next, and the tokens (answers,
    steps) that came.
    """
    ids, mask, columns = laid_out(answers, steps, pad)
    start, rows = int(columns[:, 0].min()), torch.arange(len(ids), device=ids.device)[:, None]
    with autocast(model.device):  # no scores for what all of them only read
        output = model(
            input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=ids.shape[1] - start
        )
    return output.logits[rows, columns - start].float(), ids[rows, columns + 1]


def logprobs_of(logits: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (answers, steps) of the drawn tokens."""
    return logits.log_softmax(-1).gather(2, drawn[..., None])[..., 0]


def values_of(model: PreTrainedModel, answers: list[Answer], steps: int, pad: int) -> torch.Tensor:
    """The reward that the value model expects (answers, steps) before each token."""
    ids, mask, columns = laid_out(answers, steps, pad)
    whole, rows = inner(model), torch.arange(len(ids), device=ids.device)[:, None]
    with autocast(model.device):
        hidden = getattr(whole, whole.base_model_prefix)(
            input_ids=ids, attention_mask=mask, use_cache=False
        )[0]
    return whole.score(hidden[rows, columns].float()).mean(-1) - getattr(
        whole.config, "reward_shift", 0.0
    )


@torch.no_grad()
def read(models: Models, answers: list[Answer]) -> list[torch.Tensor]:
    """Mask, log-probabilities now and at the start, entropies and values, all (answers, steps) and
    on the CPU.

    The log-probabilities are read anew, not taken from the engine: in bfloat16 it rounds otherwise,
    and the ratio of a policy to itself is to be 1.
    """
    pad, steps = models.tokenizer.pad_token_id, max(len(ids) for _, ids in answers)
    results = []
    for part in loop.with_progress(
        parts_of(answers, models.tokens_at_once), "Reads the answers, part"
    ):
        some = answers[part.start : part.stop]
        logits, drawn = distributions(models.policy, some, steps, pad)
        with as_it_was(models.policy, models.reference) as model:
            before = logprobs_of(*distributions(model, some, steps, pad))
        values = values_of(models.value, some, steps, pad)
        results.append((logprobs_of(logits, drawn), before, ppo_math.entropy(logits), values))
    return [mask_of(answers), *(torch.cat(tensors).cpu() for tensors in zip(*results))]


def mask_of(answers: list[Answer]) -> torch.Tensor:
    """1 at the tokens of an answer (answers, steps)."""
    lengths = torch.tensor([[len(ids)] for _, ids in answers])
    return (torch.arange(int(lengths.max())) < lengths).float()
