"""What each kind of job can be told: one dataclass a kind, one sentence a setting. Standard library only.

The sentence beside a field is the only description of that setting: the start form's help text and the
documentation are made from it. A recipe is stored as JSON beside the result it led to.
"""

from __future__ import annotations

import dataclasses
from typing import Any


def setting(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, choices: tuple = ()
) -> Any:
    """A field of a recipe: its default, its one sentence, and the values it may take (bounds inclusive)."""
    return dataclasses.field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


class InvalidRecipe(ValueError):
    """A setting is missing, unknown or out of its bounds; `field` names it."""

    def __init__(self, field: str, message: str):
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


@dataclasses.dataclass(frozen=True)
class ImportRecipe:
    path: str = setting("", "The uploaded file, below the data folder.")
    format: str = setting(
        "prompts", "What a line of the file holds.", choices=("prompts", "open-assistant", "self-instruct")
    )
    filename: str = setting("", "The file's own name, as it was uploaded.")


@dataclasses.dataclass(frozen=True)
class SampleRecipe:
    k: int = setting(4, "Answers sampled for each prompt.", low=1, high=9)
    temperature: float = setting(
        0.8, "Spread of the draws; 0 always takes the likeliest token. Small models ramble above 0.8.", low=0, high=2
    )
    top_p: float = setting(
        0.95, "Draw only from the likeliest tokens that together hold this much probability.", low=0.01, high=1
    )
    top_k: int = setting(50, "Draw only from this many of the likeliest tokens; 0 takes all of them.", low=0, high=1000)
    max_tokens: int = setting(128, "Longest answer, in tokens.", low=1, high=4096)
    seed: int = setting(
        1, "Start of the random draws: the same seed gives the same answers, in any batch.", low=0, high=2**31 - 1
    )
    batch: int = setting(64, "Answers drawn together in one call of the model.", low=1, high=512)
    split: str = setting("all", "Which prompts to answer.", choices=("all", "train", "validation", "test", "held-out"))
    rank: bool = setting(True, "Make a ranking task from each prompt's answers.")


@dataclasses.dataclass(frozen=True)
class FreezeRecipe:
    kind: str = setting(
        "judgments",
        "What to freeze: ranked answers, or the answers people wrote.",
        choices=("judgments", "demonstrations"),
    )
    note: str = setting("", "A line to remember this dataset by.")


@dataclasses.dataclass(frozen=True)
class TrainRecipe:
    """What every trainer can be told."""

    epochs: float = setting(1.0, "Passes over the training split.", low=0.01, high=100)
    learning_rate: float = setting(
        1e-4,
        "Peak learning rate; it warms up for a tenth of the steps, then falls to a tenth along a cosine.",
        low=0,
        high=1,
    )
    batch: int = setting(4, "Rows in one optimiser step.", low=1, high=1024)
    max_length: int = setting(
        512, "Longest prompt and answer together, in tokens; longer prompts lose their start.", low=16, high=32768
    )
    lora: bool = setting(True, "Train a small adapter and merge it at the end, in place of all weights.")
    lora_rank: int = setting(16, "Rank of the adapter.", low=1, high=256)
    max_steps: int = setting(0, "Stop after this many optimiser steps; 0 goes on to the end.", low=0, high=10**7)
    save_steps: int = setting(20, "Optimiser steps between two checkpoints.", low=1, high=10**6)
    seed: int = setting(1, "Start of every random choice: order, dropout, new weights.", low=0, high=2**31 - 1)


@dataclasses.dataclass(frozen=True)
class RewardRecipe(TrainRecipe):
    pass


@dataclasses.dataclass(frozen=True)
class SFTRecipe(TrainRecipe):
    source: str = setting(
        "best",
        "What to imitate: the best-ranked answers, all in the better half of a ranking, the best-scored (best of n), "
        "the demonstrations people wrote, or plain text.",
        choices=("best", "better-half", "best-of-n", "demonstrations", "text"),
    )
    packing: bool = setting(False, "Fill each row to its longest with examples one after another, cut where it ends.")
    mix: str = setting(
        "",
        "Other datasets to draw from by turns, as id:weight with commas between; the chosen one weighs 1.",
    )


@dataclasses.dataclass(frozen=True)
class DPORecipe(TrainRecipe):
    beta: float = setting(
        0.1, "How strongly the fine-tuned model is held near the one it starts from.", low=0.001, high=10
    )
    alpha: float = setting(
        0.0, "Share of the instruction loss on the winners; the rest is the loss on the comparisons.", low=0, high=1
    )
    pairs: str = setting(
        "all",
        "Which pairs of a ranking to learn from: all of them, neighbours in rank, or the best against each other one.",
        choices=("all", "adjacent", "best"),
    )


@dataclasses.dataclass(frozen=True)
class KTORecipe(TrainRecipe):
    batch: int = setting(8, "Rows in one optimiser step.", low=2, high=1024)
    beta: float = setting(
        0.1, "How strongly the fine-tuned model is held near the one it starts from.", low=0.001, high=10
    )
    labels: str = setting(
        "half",
        "Which answers are good and which bad: the halves of a ranking, the first and the rest, or ratings above and "
        "below 4.",
        choices=("half", "best", "ratings"),
    )


RECIPES = {
    "import": ImportRecipe,
    "sample": SampleRecipe,
    "freeze": FreezeRecipe,
    "reward": RewardRecipe,
    "sft": SFTRecipe,
    "dpo": DPORecipe,
    "kto": KTORecipe,
}


def read(kind: str, values: dict) -> Any:
    """The recipe of `kind` with `values` over its defaults. Raises InvalidRecipe at the first field that is wrong."""
    recipe = RECIPES[kind]
    fields = {field.name: field for field in dataclasses.fields(recipe)}
    for name in values:
        if name not in fields:
            raise InvalidRecipe(name, "is not a setting of this kind of job")
    return recipe(**{name: _checked(fields[name], value) for name, value in values.items()})


def _checked(field: dataclasses.Field, value: Any) -> Any:
    kind = type(field.default)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise InvalidRecipe(field.name, f"must be a {kind.__name__}")
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if low is not None and not low <= value <= high:  # a NaN fails this too
        raise InvalidRecipe(field.name, f"must lie between {low:g} and {high:g}")
    if choices and value not in choices:
        raise InvalidRecipe(field.name, "must be one of " + ", ".join(choices))
    return value
