"""What the trainers share around transformers' Trainer: arguments, adapter, progress, resuming, the
saved result.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from modelops.recipes import TrainRecipe
from workers.engines.local import auto_class
from workers.modeling import tokens, weights
from workers.modeling.device import autocast, best_device, best_dtype, computing_in
from workers.modeling.processes import is_first, processes
from workers.trainers.run import checkpoints, events, marks, memory_check, metrics
from workers.trainers.run.events import Stop
from workers.trainers.run.runs import Run

TOKENS_AT_ONCE = {
    "cpu": 1024,
    "cuda": 16384,
}  # in one forward pass: more is no faster, and needs the memory
SILENT_SECONDS = 30


class Progress(TrainerCallback):
    """Tells the parent what transformers logs."""

    def __init__(self):
        self.silence = Silence()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_
    ) -> None:
        events.emit("start", total=state.max_steps)
        logged = [entry for entry in state.log_history if "loss" in entry]
        events.tell_past([(int(entry["step"]), numbers_of(entry)) for entry in logged])

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_,
    ) -> None:
        if logs and "loss" in logs:
            numbers = numbers_of(logs)
            events.emit("step", step=state.global_step, total=state.max_steps, metrics=numbers)
            # With float16 a step of infinite gradients is left out and the scale of the loss
            # halved: no fault.
            watched = ("loss",) if args.fp16 else ("loss", "grad_norm")
            refuse_nan(
                state.global_step,
                {name: numbers.get(name, 0.0) for name in watched},
                Path(args.output_dir),
            )
            self.silence = Silence()

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_
    ) -> None:
        self.silence.end(f"Still in step {state.global_step + 1}.")


def numbers_of(logs: dict[str, Any]) -> dict[str, float]:
    """The figures of a step, without its number, which transformers keeps beside them."""
    return {
        name: value
        for name, value in logs.items()
        if name != "step" and isinstance(value, int | float)
    }


def refuse_nan(step: int, values: dict[str, float], folder: Path) -> None:
    """Raises Stop where one of the values of a step is NaN or infinite: the weights are lost, or
    will be. `folder` is that of the run's checkpoints.

    Call it before a checkpoint of the step is written, so that the newest one is from before.
    """
    bad = [
        name.replace("grad_norm", "gradient norm")
        for name, value in values.items()
        if not math.isfinite(value)
    ]
    if not bad:
        return
    last = marks.newest(folder)
    kept = (
        f"the checkpoint of step {last.name.split('-')[1]} is kept"
        if last
        else "there is no checkpoint yet"
    )
    raise Stop(
        f"The {bad[0].replace('_', ' ')} of step {step} is not a finite number: lower the learning "
        "rate, or choose "
        f"float32 as the number format, and start a new job; {kept}."
    )


class AlreadyTrained(Exception):
    """A run was stopped after its last step: what it trained lies in its last checkpoint."""


class StopBeforeStep(TrainerCallback):
    """Ends a training that has all its steps behind it: transformers would take one more before it
    looks.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_
    ) -> None:
        if state.global_step >= state.max_steps:
            raise AlreadyTrained


class Silence:
    """Says something at most once in SILENT_SECONDS: a trainer that says nothing for long is taken
    for dead.
    """

    def __init__(self):
        self.since = time.monotonic()

    def end(self, text: str) -> None:
        if time.monotonic() - self.since > SILENT_SECONDS:
            events.log(text)
            self.since = time.monotonic()


def with_progress(items: list, doing: str) -> Iterator:
    """The items one by one, with a line in the log now and then."""
    silence = Silence()
    for number, item in enumerate(items):
        silence.end(f"{doing}: {number} of {len(items)}.")
        yield item


def load(auto: type, run: Run, dtype: torch.dtype | None = None, **options) -> PreTrainedModel:
    """The run's model. Raises Stop where its folder does not hold one that can be read, or it
    clearly can't fit.

    All weights are trained in float32: steps as small as these would be rounded away in bfloat16.
    Frozen ones under an adapter may be in bfloat16, unless `dtype` says otherwise.
    """
    dtype = dtype or (best_dtype() if run.recipe.lora else torch.float32)
    options |= attention(run.recipe)
    memory_check.check(
        run.recipe, [run.model], scores=auto is not AutoModelForSequenceClassification
    )
    try:
        return weights.load(auto, run.model, dtype, **options)
    except ImportError as error:
        raise Stop(f"The recipe's attention can't be computed here, choose auto: {error}") from None
    except OSError as error:
        events.log(str(error))
        raise Stop(
            f"The model in {run.model} cannot be loaded: choose another version, or restore its "
            "files."
        ) from None


def attention(recipe: TrainRecipe) -> dict[str, str]:
    """How attention is computed, for from_pretrained. Raises Stop where it can't be so here."""
    if recipe.attention == "auto":
        return {}
    if recipe.attention == "flash_attention_2" and (
        best_device().type == "cpu" or best_dtype() == torch.float32
    ):
        raise Stop(
            "The recipe's attention flash_attention_2 takes a GPU and bfloat16 or float16: choose "
            "auto."
        )
    return {"attn_implementation": recipe.attention}


def adapter(recipe: TrainRecipe, task: str, **options) -> LoraConfig | None:
    """The adapter a recipe asks for (Hu et al. 2021) on every linear layer but the head; None to
    train all weights.
    """
    if not recipe.lora:
        return None
    return LoraConfig(
        task_type=task,
        r=recipe.lora_rank,
        lora_alpha=2 * recipe.lora_rank,
        target_modules="all-linear",
        **options,
    )


def total_steps(recipe: TrainRecipe, rows: int) -> int:
    """Optimiser steps that a recipe takes over `rows` rows."""
    steps = math.ceil(recipe.epochs * math.ceil(rows / recipe.batch))
    return min(steps, recipe.max_steps) if recipe.max_steps else steps


def share(rows: int) -> int:
    """How many of `rows` rows each of the processes that train together takes; all of them where
    there is one.
    """
    return math.ceil(rows / processes())


def tokens_at_once(recipe: TrainRecipe, usual: dict[str, int] = TOKENS_AT_ONCE) -> int:
    """The most tokens of one forward pass: what the recipe says, or else what is `usual` on this
    device.
    """
    return recipe.tokens_at_once or usual[best_device().type]


def recomputes(recipe: TrainRecipe) -> bool:
    """Whether activations are computed again in the backward pass, in place of being kept in
    memory.
    """
    on_gpu = best_device().type == "cuda"  # a CPU has memory to spare and no time
    return recipe.gradient_checkpointing == "on" or (
        recipe.gradient_checkpointing == "auto" and on_gpu
    )


def rows_at_once(batch: int, tokens: int, at_once: int = 0) -> int:
    """The most rows of at most `tokens` tokens for one forward pass that divide `batch` evenly; at
    least one.

    One forward pass reads `at_once` tokens, or what is usual on this device.
    """
    room = max(1, (at_once or TOKENS_AT_ONCE[best_device().type]) // tokens)
    return max(
        size for size in range(1, batch + 1) if batch % size == 0 and (size <= room or size == 1)
    )


def arguments(
    kind: type[TrainingArguments], run: Run, rows: int, at_once: int, **options
) -> TrainingArguments:
    """transformers' arguments for a recipe over `rows` rows, `at_once` of them in one forward pass.

    Several processes share the rows, and each takes `recipe.batch` of them for a step.
    """
    recipe, dtype, on_gpu = run.recipe, best_dtype(), best_device().type == "cuda"
    if dtype == torch.float16 and not on_gpu:
        raise Stop("Training in float16 needs a GPU: choose float32 or bfloat16.")
    events.log(f"Computes in {str(dtype).removeprefix('torch.')} on {best_device()}.")
    return kind(
        output_dir=str(run.checkpoints),
        seed=recipe.seed,
        max_steps=total_steps(recipe, share(rows)),
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=recipe.batch // at_once,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        warmup_steps=0.1,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=recipe.save_steps
        or 10**9,  # 0: as checkpoints.SaveOnSchedule says; the last step's comes anyway
        save_total_limit=2,
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        gradient_checkpointing=recomputes(recipe),
        use_cpu=not on_gpu,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        **options,
    )


def bare(model: torch.nn.Module) -> torch.nn.Module:
    """The model itself, without the wrapper that it has where several processes train together."""
    return getattr(model, "module", model)


def average_gradients(model: torch.nn.Module) -> None:
    """Each gradient becomes its mean over the processes that train together; nothing happens where
    there is one.
    """
    if processes() == 1:
        return
    for parameter in model.parameters():
        if parameter.grad is not None:
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= processes()


def train(trainer: Trainer, run: Run) -> None:
    """Train to the end, from the newest complete checkpoint if there is one. Raises Stop where it
    can't be as asked.
    """
    sharded = trainer.accelerator.distributed_type == DistributedType.FSDP
    if os.environ.get("ACCELERATE_USE_FSDP", "false") == "true" and not sharded:
        raise Stop(
            "Weights in shards (FSDP) take GPUs: launch it with processes.yaml on a processor."
        )
    if processes() > 1:
        together = processes() * run.recipe.batch
        events.log(f"{processes()} processes train together: a step takes {together} rows.")
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Progress)
    trainer.add_callback(checkpoints.MarkComplete)
    schedule = checkpoints.Schedule(run.recipe.save_steps, run.recipe.save_minutes)
    trainer.add_callback(checkpoints.SaveOnSchedule(schedule))
    trainer.add_callback(StopBeforeStep)
    with trainer.args.main_process_first(local=False):  # it deletes the incomplete ones
        last = marks.newest(run.checkpoints)
    if last:
        events.log(f"Goes on from step {last.name.split('-')[1]}.")
    with contextlib.suppress(AlreadyTrained):  # by then the checkpoint's weights are loaded
        trainer.train(resume_from_checkpoint=str(last) if last else None)


def whole(trainer: Trainer, run: Run) -> PreTrainedModel | PeftModel | None:
    """The trained model, on the first of the processes that train together; None on the others.

    All of them must ask: where the weights are in shards over the processes (FSDP), each gives its
    own.
    """
    if trainer.accelerator.distributed_type != DistributedType.FSDP:
        return bare(trainer.model) if is_first() else None
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not is_first():
        return None
    model = load(auto_class(run.model), run)
    if adapters := getattr(trainer.model, "peft_config", None):
        model = get_peft_model(model, adapters["default"])
    model.load_state_dict(state)
    return model.to(best_device())


@torch.inference_mode()
def logprobs(
    model: PreTrainedModel | PeftModel,
    answers: list[tuple[list[int], list[int]]],
    pad: int,
    at_once: int = 0,
) -> list[float]:
    """The log-probability (natural, summed over tokens) of each answer after its prompt, both as
    token ids.

    One forward pass reads `at_once` tokens, or what is usual on the model's device.
    """
    model.eval()
    longest = max(len(prompt) + len(answer) for prompt, answer in answers)
    size = max(1, (at_once or TOKENS_AT_ONCE[model.device.type]) // longest)
    parts = [answers[i : i + size] for i in range(0, len(answers), size)]
    with autocast(model.device):
        return [value for part in parts for value in _logprobs(model, part, pad)]


def _logprobs(model: PreTrainedModel, answers: list, pad: int) -> list[float]:
    ids, mask = (
        tensor.to(model.device) for tensor in tokens.padded([p + a for p, a in answers], pad)
    )
    start = min(len(prompt) for prompt, _ in answers)  # no logits for what all of them only read
    output = model(
        input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=ids.shape[1] - start + 1
    )
    each = output.logits[:, :-1].float().log_softmax(-1).gather(2, ids[:, start:, None])[..., 0]
    place = torch.arange(start, ids.shape[1], device=ids.device)
    first = torch.tensor([len(prompt) for prompt, _ in answers], device=ids.device)
    return (each * ((place >= first[:, None]) & mask[:, start:].bool())).sum(1).tolist()


def publish(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    run: Run,
    measure: Callable[[PreTrainedModel], list[dict]],
) -> None:
    """Write the trained model, read what was written, and publish it with the figures that
    `measure` takes of that.

    What `measure` gets is in_float32(), and it computes in float32: no figure depends on the format
    of the training, or on an adapter that was not merged yet. What it sets in that model's config
    is written too. Of several processes that train together the first alone measures and publishes.
    """
    if not is_first():
        return
    kind = type(model.get_base_model() if isinstance(model, PeftModel) else model)

    def write(folder: Path) -> list[dict]:
        save(model, tokenizer, run, folder)
        model.to("cpu")  # the device has to hold the result now
        silence = Silence()
        share = weights.share_kept(
            run.model, folder, lambda: silence.end("Still compares the weights.")
        )
        events.log(f"Stored in float32; bfloat16 would keep {share:.0%} of what training changed.")
        published = in_float32(kind, folder)
        with computing_in("float32"):
            figures = [*measure(published), metrics.plain("bfloat16_share", "weights", share)]
        published.config.save_pretrained(folder)
        return figures

    run.publish(write)


def in_float32(kind: type, folder: Path, **options) -> PreTrainedModel:
    """The model in `folder`, of class `kind` of transformers, as figures are measured of it.

    On the processor where the device does not hold it in float32: that is slow, and right.
    """
    model = weights.load(kind, folder, torch.float32, **options).eval()
    try:
        return model.to(best_device())
    except torch.OutOfMemoryError:
        events.log(
            "The GPU does not hold the model in float32: its figures are measured on the processor."
        )
        return model.to("cpu")


def save(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, run: Run, folder: Path
) -> None:
    """Write the whole model as safetensors in float32, with its tokenizer; an adapter is kept
    beside in adapter/.

    In float32 whatever the run's model is stored in: steps as small as these would mostly be
    rounded away in bfloat16, once more in each round. An adapter is merged with the weights as they
    are stored, which training may have rounded.
    """
    if isinstance(model, PeftModel):
        model.save_pretrained(folder / "adapter")
        name_base(folder / "adapter" / "adapter_config.json", run.model.name)
        (folder / "adapter" / "README.md").unlink(
            missing_ok=True
        )  # a form to fill in, with this machine's paths
        model = merged(model.get_base_model(), run.model, folder / "adapter")
    if model.can_generate():
        model.generation_config.eos_token_id = tokens.all_end_ids(
            model, tokenizer
        )  # so that every server knows them
    model.float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def name_base(config: Path, name: str) -> None:
    """Let an adapter's config name its base, where PEFT writes the path that it has on this
    machine.
    """
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"base_model_name_or_path": name}, indent=2))


def merged(like: PreTrainedModel, base: Path, adapter: Path) -> PreTrainedModel:
    """The model in `base`, loaded in float32 `like` that one, with the adapter merged."""
    known = {"config": like.config, "ignore_mismatched_sizes": True}  # new heads lie in the adapter
    whole = weights.load(type(like), base, torch.float32, **known)
    return PeftModel.from_pretrained(whole, adapter).merge_and_unload()
