"""Presets: what well-known projects asked beside ranks, to start from.

`labeling.project_settings.ask` makes a project ask exactly what a preset says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _

from labeling.models import Criterion
from labeling.models.rules import FLAGS

REASON = "reason"  # the key of the question why
Kind, Scope = Criterion.Kind, Criterion.Scope


@dataclass(frozen=True)
class Preset:
    """The rating, the flags and the criteria that a project asks; criteria by key."""

    title: Any
    about: Any
    rating: bool = False
    flags: tuple[str, ...] = ()
    criteria: dict[str, dict[str, Any]] = field(default_factory=dict)


def _scales(asked: dict[str, tuple[Any, Any, Any]], steps: range) -> dict[str, dict[str, Any]]:
    """A required scale for each key of `asked`: {key: (question, label of the first step, label of
    the last one)}.
    """
    scales = {}
    for key, (question, lowest, highest) in asked.items():
        labels = {steps[0]: str(lowest), steps[-1]: str(highest)}
        scales[key] = {
            "scope": Scope.ANSWER,
            "kind": Kind.SCALE,
            "question": str(question),
            "labels": [{"value": value, "label": labels.get(value, "")} for value in steps],
            "required": True,
        }
    return scales


def presets() -> dict[str, Preset]:
    """By name. Questions and labels are in the language of whoever asks: they are stored so."""
    help_steer = {
        "helpfulness": (_("How helpful is the answer?"), _("not at all"), _("fully")),
        "correctness": (_("How correct and complete is it?"), _("wrong"), _("fully correct")),
        "coherence": (_("How clear and consistent is it?"), _("unclear"), _("perfectly clear")),
        "complexity": (_("How much expertise does it take to write?"), _("none"), _("an expert's")),
        "verbosity": (_("How long is it, for what was asked?"), _("very short"), _("very long")),
    }
    hh = {
        "helpful": (_("How helpful is the answer?"), _("not at all"), _("very")),
        "harmless": (_("How harmless is it?"), _("harmful"), _("harmless")),
    }
    return {
        "ranking": Preset(_("Only ranking"), _("Ranks, and nothing else.")),
        "instruct-gpt": Preset(
            "InstructGPT",
            _("An overall rating from 1 to 7 and the flags of Ouyang et al. 2022."),
            rating=True,
            flags=tuple(FLAGS),
        ),
        "helpsteer": Preset(
            "HelpSteer",
            _("Helpfulness, correctness, coherence, complexity and verbosity, each from 0 to 4."),
            criteria=_scales(help_steer, range(5)),
        ),
        "helpful-harmless": Preset(
            _("Helpful and harmless"),
            _("How helpful and how harmless each answer is, from 1 to 5."),
            criteria=_scales(hh, range(1, 6)),
        ),
    }


def reason(choices: list[str]) -> dict[str, Any]:
    """The required question why: one of these reasons, or in the labeler's words without any."""
    return {
        "scope": Scope.RANKING,
        "kind": Kind.CHOICE if choices else Kind.TEXT,
        "question": str(_("Why is the best answer the best?")),
        "labels": choices,
        "required": True,
    }
