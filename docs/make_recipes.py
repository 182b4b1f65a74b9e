"""Write docs/recipes.md from modelops/recipes.py: `python docs/make_recipes.py`. A test fails when
it was forgotten.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEAD = """\
# Recipes

What each kind of job can be told. A job's form starts from these defaults; the recipe that was used
stands on the job's page, on its model's page, and as `recipe.json` beside a trained model.

This file is made from `modelops/recipes.py` by `python docs/make_recipes.py`: change the sentence
there.
"""
KINDS = {
    "import": (
        "Bring prompts in, with what the file says of them. Started by an upload or `manage.py "
        "import`, not by a form."
    ),
    "undo": (
        "Take back what an import brought, while nothing of it was judged or frozen. Started from "
        "the import's page, not by a form."
    ),
    "pull_data": "A file of a dataset of the Hugging Face Hub becomes an upload.",
    "pull_model": "A model of the Hugging Face Hub becomes a model version.",
    "push": "A frozen dataset goes to the Hugging Face Hub, with its card.",
    "sample": "A model answers every prompt K times.",
    "freeze": "What has been judged becomes a dataset.",
    "render": (
        "A file of a dataset is made for those who download it. Started by a download, not by a "
        "form."
    ),
    "compare": (
        "What differs between two datasets is found for those who look at it. Started on the page "
        "of a dataset, not by a form."
    ),
    "reward": "Train a reward model on rankings.",
    "sft": "Fine-tune on good answers, with TRL's SFTTrainer.",
    "dpo": "Fine-tune on comparisons, with TRL's DPOTrainer.",
    "kto": "Fine-tune on answers that are good or bad by themselves, with TRL's KTOTrainer.",
    "ppo": (
        "Fine-tune on what a reward model says of the model's own answers: PPO, with a pretraining "
        "mix if wanted (PPO-ptx)."
    ),
}

OTHERS = {"bool": "yes or no", "list": "a list of texts", "dict": "an object"}


def text() -> str:
    sys.path.insert(0, str(HERE.parent))
    from modelops import recipes

    return HEAD + "".join(section(kind, recipe) for kind, recipe in recipes.RECIPES.items())


def section(kind: str, recipe: type) -> str:
    lines = [
        f"\n## {kind}\n",
        KINDS.get(kind, ""),
        "",
        "| setting | default | may be | what it does |",
        "|---|---|---|---|",
    ]
    return "\n".join(lines + [row(field) for field in dataclasses.fields(recipe)]) + "\n"


def row(field: dataclasses.Field) -> str:
    return f"| `{field.name}` | {default(field)} | {allowed(field)} | {field.metadata['help']} |"


def default(field: dataclasses.Field) -> str:
    from modelops import recipes

    value = recipes.default_of(field)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`" if value not in ("", [], {}) else ""


def allowed(field: dataclasses.Field) -> str:
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if pattern := field.metadata["pattern"]:
        return pattern[1]
    if low is not None:
        return f"{number(low)} to {number(high)}"
    return OTHERS.get(str(field.type).partition("[")[0], "text")


def number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


if __name__ == "__main__":
    (HERE / "recipes.md").write_text(text(), encoding="utf-8")
