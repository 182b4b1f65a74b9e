"""The model card that lies beside every trainer's result: what it was made from, how, and what it
reached.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.trainers.run.runs import Run

TEMPLATE = """---
library_name: transformers
tags: [podium, {kind}]
---
# {title}

Trained by Podium ({kind}) from the model `{model}` on the frozen dataset `{dataset}`{beside}.

## Figures

Measured of the weights in this folder, in float32. Intervals hold 95 % and resample prompts. *held-out* is validation
and test together; `bfloat16_share` is how much of what training changed is left where the weights are used in bfloat16.

| figure | slice | value | interval | n | method |
|---|---|---|---|---|---|
{figures}

## Recipe

| setting | value |
|---|---|
{settings}

The same as numbers: `recipe.json`, `metrics.json`.
"""  # noqa: E501  (Markdown, and the model's digest counts it)
TITLES = {"reward": "A reward model: it scores answers"}


def text(run: Run, figures: list[dict]) -> str:
    """The card of a run's result, in Markdown; folders appear by their names alone."""
    settings = dataclasses.asdict(run.recipe)
    return TEMPLATE.format(
        kind=run.kind,
        title=TITLES.get(run.kind, "A policy: it writes answers"),
        model=run.model.name,
        dataset=run.dataset.name,
        beside=f", shifted to the demonstrations of `{run.beside.name}`" if run.beside else "",
        figures="\n".join(_figure(**figure) for figure in figures),
        settings="\n".join(f"| {name} | {value} |" for name, value in settings.items()),
    )


def _figure(
    name: str,
    value: float,
    low: float | None,
    high: float | None,
    n: int | None,
    slice: str,
    method: str = "",
) -> str:
    """A line of the card's table; a result that waited for an upgrade has no `method`."""
    interval = "" if low is None else f"{low:.4g} to {high:.4g}"
    cells = (name, slice, f"{value:.4g}", interval, "" if n is None else n, method)
    return f"| {' | '.join(map(str, cells))} |"
