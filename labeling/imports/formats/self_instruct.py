"""Self-Instruct: tasks, and models' answers to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import (
    Format,
    answer,
    has,
    held,
    long_text,
    only,
    require,
    split,
    text,
    user,
)
from labeling.text.conversations import BadPrompt, Entry
from labeling.text.reasons import kind_of

PACKED = re.compile(r"\.(gz|zst|zip)$")


def read_task(value: object, file: str = "") -> Iterator[Entry]:
    """The instruction with each instance's input is a prompt, the output is a demonstration."""
    instances = held(_instruction(value), "instances", [{}])
    if not isinstance(instances, list):
        raise BadPrompt(f"instances must be a list, not {kind_of(instances)}")
    for instance in map(require, instances):
        yield Entry(
            user(_prompt(value["instruction"], held(instance, "input"))),
            split=split(value),
            source="self-instruct",
            demonstration=long_text(held(instance, "output", ""), "output"),
        )


def read_prediction(value: object, file: str = "") -> Iterator[Entry]:
    """One model's answer. Answers to the same prompt become one set. The row or its file names the
    model.
    """
    model = (
        text(_instruction(value), "model")
        or PACKED.sub("", Path(file).name).rsplit(".", 1)[0][:100]
    )
    yield Entry(
        user(_prompt(value["instruction"].rstrip("\n"), held(value, "input"))),
        split=split(value),
        source="self-instruct",
        answers=[answer(require(value, "response")["response"], model)],
    )


def _instruction(value: object) -> dict:
    long_text(require(value, "instruction")["instruction"], "instruction")
    return value


def _prompt(instruction: str, context: object) -> str:
    if context is None:
        return instruction
    return f"{instruction}\n\n{long_text(context, 'input')}"


FORMATS = [
    Format(
        "self-instruct-predictions",
        _("Self-instruct predictions: one model's answers, to be ranked with others'"),
        lambda value: has(value, "instruction", "response"),
        read_prediction,
        reads=only("instruction", "input", "response", "model", "split"),
        leaves=only("id"),
    ),
    Format(
        "self-instruct",
        _("Self-instruct tasks, with their answers as demonstrations"),
        lambda value: has(value, "instruction", "instances"),
        read_task,
        reads=only("instruction", "instances[*].input", "instances[*].output", "split"),
        leaves=only("id", "name"),
    ),
]
