"""Self-Instruct: tasks, and models' answers to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from labeling.imports.formats.base import Format, answer, has, long_text, only, split, text, user
from labeling.text.conversations import BadPrompt, Entry


def read_task(value: object, file: str = "") -> Iterator[Entry]:
    """The instruction with each instance's input is a prompt, the output is a demonstration."""
    for instance in _instruction(value).get("instances") or [{}]:
        yield Entry(
            user(_prompt(value["instruction"], instance.get("input"))),
            split=split(value),
            source="self-instruct",
            demonstration=long_text(instance.get("output") or "", "output"),
        )


def read_prediction(value: object, file: str = "") -> Iterator[Entry]:
    """One model's answer. Answers to the same prompt become one set. The row or its file names the
    model.
    """
    model = (
        text(_instruction(value), "model")
        or Path(file).name.removesuffix(".gz").rsplit(".", 1)[0][:100]
    )
    yield Entry(
        user(_prompt(value["instruction"].rstrip("\n"), value.get("input"))),
        split=split(value),
        source="self-instruct",
        answers=[answer(value["response"], model)],
    )


def _instruction(value: object) -> dict:
    if not isinstance(value, dict) or not isinstance(value.get("instruction"), str):
        raise BadPrompt('each line must be a self-instruct task with an "instruction"')
    return value


def _prompt(instruction: str, context: object) -> str:
    return f"{instruction}\n\n{context}" if context else instruction


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
