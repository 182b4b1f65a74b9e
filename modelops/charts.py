"""Figures in words and as drawings: numbers carry their uncertainty, charts their axes. No
database.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from modelops.models import Metric

NAMES = {
    "accuracy": gettext_lazy("accuracy"),
    "longer_answer_accuracy": gettext_lazy("picking the longer answer"),
    "loss": gettext_lazy("loss"),
    "pairs": gettext_lazy("pairs"),
    "prompts": gettext_lazy("prompts"),
    "reward_shift": gettext_lazy("reward shift"),
    "reward_std": gettext_lazy("spread of the heads (their random starts)"),
    "bfloat16_share": gettext_lazy("share of the change that bfloat16 keeps"),
    "learning_rate": gettext_lazy("learning rate"),
    "grad_norm": gettext_lazy("gradient norm"),
    "value_grad_norm": gettext_lazy("gradient norm of the value model"),
    "reward": gettext_lazy("reward"),
    "start_reward": gettext_lazy("reward before"),
    "reward_spread": gettext_lazy("spread of the reward"),
    "kl": gettext_lazy("divergence (KL), nats an answer"),
    "entropy": gettext_lazy("entropy, nats a token"),
    "clip_fraction": gettext_lazy("clip fraction"),
    "value_loss": gettext_lazy("value loss"),
    "explained_variance": gettext_lazy("explained variance"),
    "cut_share": gettext_lazy("answers without an end"),
    "answer_tokens": gettext_lazy("tokens an answer"),
    "prompts_cut": gettext_lazy("prompts cut to fit"),
    "answers_cut": gettext_lazy("answers cut to fit"),
    "sampler_cut": gettext_lazy("answers cut by the sampler: no end taught"),
    "left_out": gettext_lazy("left out: made equal by the cut"),
    "rehearsal_loss": gettext_lazy("loss on the pretraining mix"),
    "held_out_reward": gettext_lazy("reward on held-out prompts"),
    "held_out_kl": gettext_lazy("divergence (KL) on held-out prompts, nats an answer"),
    "published_round": gettext_lazy("published round"),
    "commonest_share": gettext_lazy("share of the commonest answer"),
    "distinct_1": gettext_lazy("distinct tokens, as a share"),
    "distinct_2": gettext_lazy("distinct pairs of tokens, as a share"),
}
COUNTS = ("pairs", "prompts", "rows", "tokens", "good", "bad", "published_round")
COUNTS += ("prompts_cut", "answers_cut", "sampler_cut", "left_out")


def name_of(name: str) -> str:
    """A metric's name in words."""
    return str(NAMES.get(name, name.replace("_", " ")))


def is_share(name: str) -> bool:
    return any(name.endswith(end) for end in ("accuracy", "accuracies", "share", "win_rate"))


def say(name: str, value: float) -> str:
    """One value as it is read: 68.9 %, 0.6931, 1,204."""
    if not math.isfinite(value):
        return "–"
    if is_share(name):
        return f"{100 * value:.1f} %"
    return number_format(int(value), force_grouping=True) if name in COUNTS else f"{value:.4g}"


def with_interval(metric: Metric) -> str:
    """68.9 % (95 % interval 66.1 to 71.4), n = 212."""
    text = say(metric.name, metric.value)
    if metric.low is not None and metric.high is not None:
        low, high = (
            say(metric.name, bound).removesuffix(" %") for bound in (metric.low, metric.high)
        )
        text += " " + _("(95 %% interval %(low)s to %(high)s)") % {"low": low, "high": high}
    if metric.n is not None and metric.name not in COUNTS:
        text += f", n = {number_format(metric.n, force_grouping=True)}"
    return text


def plus_minus(metric: Metric) -> str:
    """68.9 ± 2.4 %: the half-width of the interval, where there is one."""
    if metric.low is None or metric.high is None:
        return say(metric.name, metric.value)
    scale, unit = (100, " %") if is_share(metric.name) else (1, "")
    return f"{scale * metric.value:.1f} ± {scale * (metric.high - metric.low) / 2:.1f}{unit}"


def duration(seconds: float) -> str:
    """40 s, 12 min, 3 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return _("%(n)d s") % {"n": round(seconds)}
    if minutes < 90:
        return _("%(n)d min") % {"n": minutes}
    return _("%(h)d h %(m)d min") % {"h": minutes // 60, "m": minutes % 60}


# Charts: everything is counted in the units of the SVG's viewBox.

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 360, 180, 48, 24, 8, 10


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    title: str
    summary: str
    path: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    last: tuple[float, float]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = HEIGHT - BOTTOM


def chart(name: str, points: Sequence[tuple[int, float]]) -> Chart | None:
    """A line of one metric by step; None without a finite point."""
    points = [(step, value) for step, value in points if math.isfinite(value)]
    if not points:
        return None
    steps, values = [step for step, _value in points], [value for _step, value in points]
    x = scale(min(steps), max(steps), LEFT, WIDTH - RIGHT)
    ticks = nice(min(values), max(values))
    y = scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    title = name_of(name)
    words = {
        "title": title,
        "first": say(name, values[0]),
        "last": say(name, values[-1]),
        "step": steps[-1],
    }
    return Chart(
        title=title,
        summary=_("%(title)s: from %(first)s to %(last)s at step %(step)s") % words,
        path=path([(x(step), y(value)) for step, value in points]),
        x_ticks=[
            Tick(round(x(step), 1), f"{step:,}")
            for step in sorted({steps[0], steps[len(steps) // 2], steps[-1]})
        ],
        y_ticks=[Tick(round(y(value), 1), say(name, value)) for value in ticks],
        last=(round(x(steps[-1]), 1), round(y(values[-1]), 1)),
    )


@dataclass(frozen=True)
class Bar:
    label: str
    text: str
    y: float
    width: float


@dataclass(frozen=True)
class Bars:
    title: str
    summary: str
    bars: list[Bar]
    height: int
    left: int = 110
    width: int = WIDTH


BAR = 22  # from one bar to the next


def bars(title: str, counted: Sequence[tuple[str, int]]) -> Bars | None:
    """A bar for each (label, count), in this order, with its share of all; None without any."""
    total = sum(count for _label, count in counted)
    if not total:
        return None
    x = scale(0, max(count for _label, count in counted), 0, WIDTH - Bars.left - 96)
    shown = [
        Bar(
            label,
            f"{number_format(count, force_grouping=True)} · {100 * count / total:.0f} %",
            BAR * place,
            x(count),
        )
        for place, (label, count) in enumerate(counted)
    ]
    summary = "; ".join(f"{bar.label}: {bar.text}" for bar in shown)
    return Bars(title, f"{title}: {summary}", shown, BAR * len(shown) + 4)


def spark(values: Sequence[float], width: int = 120, height: int = 28) -> str:
    """The path of a line without axes."""
    values = [value for value in values if math.isfinite(value)]
    if len(values) < 2:
        return ""
    x, y = scale(0, len(values) - 1, 1, width - 1), scale(min(values), max(values), height - 2, 2)
    return path([(x(place), y(value)) for place, value in enumerate(values)])


def path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """A function that maps [low, high] onto [start, end]; the middle where low and high are one."""
    span = high - low
    return lambda value: start + (end - start) * ((value - low) / span if span else 0.5)


def nice(low: float, high: float, parts: int = 3) -> list[float]:
    """Round numbers, from at or below `low` to at or above `high`, about `parts` steps apart."""
    span = (high - low) or abs(low) or 1.0
    raw = span / parts
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]
