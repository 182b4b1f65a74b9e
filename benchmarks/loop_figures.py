"""What the loop's run shows, in figures: shares with 95 % intervals that resample prompts, and the
conditions on them.
"""

from __future__ import annotations

import math
import random

from benchmarks import hidden_rule
from benchmarks.hidden_rule import score
from labeling.stats import agreement as stats
from labeling.stats.agreement import task_agreement
from labeling.stats.bootstrap import interval

NOISE = 0.25  # of the scripted labeler, in spreads of the rule within a task


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def by_prompt(answers: list[dict]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for answer in answers:
        texts.setdefault(answer["prompt_id"], []).append(answer["text"])
    return texts


def win_share(new: dict[str, list[str]], old: dict[str, list[str]]) -> dict[str, float]:
    """For each prompt, the share of (new, old) answer pairs that the new one wins under the rule; a
    tie is half.
    """
    return {
        key: _share([score(text) for text in new[key]], [score(text) for text in old[key]])
        for key in new
    }


def _share(new: list[float], old: list[float]) -> float:
    return sum((a > b) + (a == b) / 2 for a in new for b in old) / (len(new) * len(old))


def correlation(xs: list[float], ys: list[float]) -> float:
    """Pearson's r; 0 where either does not vary."""
    mx, my = mean(xs), mean(ys)
    covariance = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    spread = math.sqrt(sum((x - mx) ** 2 for x in xs) * sum((y - my) ** 2 for y in ys))
    return covariance / spread if spread else 0.0


def tie_share(rank_lists: list[list[int]]) -> float:
    pairs = [(a, b) for ranks in rank_lists for i, a in enumerate(ranks) for b in ranks[:i]]
    return sum(a == b for a, b in pairs) / len(pairs)


def pilot(texts: dict[str, list[str]]) -> tuple[float, float]:
    """(correlation of the rule with length, share of tied pairs) on the sampled answers, before
    anyone ranks.
    """
    flat = [text for group in texts.values() for text in group]
    rng = random.Random(hidden_rule.SEED)
    ties = tie_share([hidden_rule.rank(group, rng, NOISE) for group in texts.values()])
    return correlation([score(text) for text in flat], [float(len(text)) for text in flat]), ties


def metric(job: dict, name: str) -> dict:
    """The final figure of this name over all held-out rows."""
    found = [
        one for one in job["metrics"] if one["name"] == name and one["slice"] in ("held-out", "")
    ]
    return found[0] if found else {"value": math.nan, "low": math.nan, "high": math.nan}


def agreement(rows: list[dict]) -> dict:
    """Agreement between two judges where two judged; otherwise of one judge with the rule without
    its noise.
    """
    compared = (
        (row["prompt_id"], task_agreement([judgment["ranks"] for judgment in row["judgments"]]))
        for row in rows
    )
    counts = stats.by_prompt(compared)
    what = "between_judges"
    if not counts:
        what = "with_the_rule"
        with_rule = (
            (row["prompt_id"], task_agreement([row["judgments"][0]["ranks"], exact_ranks(row)]))
            for row in rows
        )
        counts = stats.by_prompt(with_rule)
    low, high = interval(counts)
    agreed, compared = (sum(column) for column in zip(*counts, strict=True))
    return {f"agreement_{what}": agreed / compared, "agreement_low": low, "agreement_high": high}


def exact_ranks(row: dict) -> list[int]:
    scores = [score(answer["text"]) for answer in row["answers"]]
    return [1 + sum(other > mine for other in scores) for mine in scores]


def both_sides(real: dict, control: dict, started: dict) -> dict:
    """The figures of both sides, and how much more often the real one wins, paired by prompt."""
    real_share, control_share = (win_share(side["answers"], started) for side in (real, control))
    figures = side_figures("real", real, real_share) | side_figures(
        "control", control, control_share
    )
    return figures | with_interval("real_minus_control", differences(real_share, control_share))


def differences(new: dict[str, float], old: dict[str, float]) -> list[float]:
    """New minus old of each prompt."""
    return [new[key] - old[key] for key in new]


def with_interval(name: str, values: list[float]) -> dict[str, float]:
    low, high = interval(values, mean)
    return {name: mean(values), f"{name}_low": low, f"{name}_high": high}


STANDS = ("start", "round_1", "round_2")


def round_figures(stands: list[dict[str, list[str]]]) -> dict:
    """The rule's mean score at the start and after each round, on the prompts that the last one
    answered, and each gain.
    """
    scores = {
        name: {key: mean(score(text) for text in texts[key]) for key in stands[-1]}
        for name, texts in zip(STANDS, stands, strict=True)
    }
    figures = {}
    for name, found in scores.items():
        figures |= with_interval(f"{name}_score", list(found.values()))
    for new, old in (("round_1", "start"), ("round_2", "round_1"), ("round_2", "start")):
        figures |= with_interval(f"{new}_minus_{old}", differences(scores[new], scores[old]))
    for new, old in (("round_2", "start"), ("round_2", "round_1")):
        shares = win_share(stands[STANDS.index(new)], stands[STANDS.index(old)])
        figures |= with_interval(f"{new}_beats_{old}", list(shares.values()))
    return figures | {"test_prompts": len(stands[-1])}


def side_figures(name: str, side: dict, share: dict[str, float]) -> dict:
    low, high = interval(list(share.values()), mean)
    figures = {
        f"{name}_win_share": mean(share.values()),
        f"{name}_win_low": low,
        f"{name}_win_high": high,
    }
    return figures | reward_figures(name, side)


def reward_figures(name: str, side: dict) -> dict:
    """The reward model's figures, the pairs that both models learned from, and the time taken."""
    figures = {}
    for label in ("accuracy", "longer_answer_accuracy"):
        found = metric(side["reward"], label)
        figures |= {
            f"{name}_reward_{label}{end}": found[key]
            for key, end in (("value", ""), ("low", "_low"), ("high", "_high"))
        }
    seconds = {f"{name}_{kind}_seconds": side[kind]["seconds"] for kind in ("reward", "dpo")}
    return figures | seconds | {f"{name}_pairs": side["frozen"]["result"]["pairs"]}


def verdict(figures: dict) -> list[str]:
    """What the run was to show, and did not; empty when all of it holds."""
    conditions = {
        "the rule does not follow length: |correlation| <= 0.3": abs(
            figures["pilot_correlation_with_length"]
        )
        <= 0.3,
        "ties <= 30 %": figures["pilot_tie_share"] <= 0.3,
        "the fine-tuned model's interval lies above 50 %": figures["real_win_low"] > 0.5,
        "real minus control, paired by prompt, excludes 0": figures.get("real_minus_control_low", 1)
        > 0,
        "round 2 minus round 1, paired by prompt, excludes 0": figures.get(
            "round_2_minus_round_1_low", 1
        )
        > 0,
        "the reward model's interval lies above 50 %": figures["real_reward_accuracy_low"] > 0.5,
        "the reward model's interval lies above the longer-answer baseline": figures[
            "real_reward_accuracy_low"
        ]
        > figures["real_reward_longer_answer_accuracy"],
    }
    return [condition for condition, holds in conditions.items() if not holds]


def table(figures: dict) -> str:
    agreed = next(
        name
        for name in figures
        if name.startswith("agreement_") and not name.endswith(("low", "high"))
    )
    lines = [
        f"{'rankings':44}{figures['rankings']:5}",
        f"{agreed.replace('_', ' '):44}{share(figures, agreed, 'agreement')}",
        f"{'rule and length, correlation (pilot)':44}"
        f"{figures['pilot_correlation_with_length']:+5.2f}",
        f"{'tied pairs (pilot)':44}{100 * figures['pilot_tie_share']:5.1f} %",
    ]
    for side in (name for name in ("real", "control") if f"{name}_win_share" in figures):
        lines += reward_lines(figures, side)
        won = share(figures, f"{side}_win_share", f"{side}_win")
        lines.append(f"{side + ': fine-tuned beats starting model':44}{won}")
    if "real_minus_control" in figures:
        gained = share(figures, "real_minus_control")
        lines.append(f"{'real minus control, paired by prompt':44}{gained}")
    return "\n".join(lines + (round_lines(figures) if "round_2_score" in figures else []))


def reward_lines(figures: dict, side: str) -> list[str]:
    told = {
        "reward_accuracy": "reward model, held out",
        "reward_longer_answer_accuracy": "longer answer",
    }
    label = side.replace("_", " ")
    return [
        f"{label + ': ' + text:44}{share(figures, f'{side}_{name}')}" for name, text in told.items()
    ]


def round_lines(figures: dict) -> list[str]:
    """Start, round 1 and round 2, and what lies between them."""
    lines = [
        *reward_lines(figures, "round_2"),
        f"the rule's score of answers to {figures['test_prompts']} test prompts",
    ]
    for name in [f"{stand}_score" for stand in STANDS] + [
        "round_1_minus_start",
        "round_2_minus_round_1",
        "round_2_minus_start",
    ]:
        low, high = figures[f"{name}_low"], figures[f"{name}_high"]
        lines.append(
            f"{'  ' + name.removesuffix('_score').replace('_', ' '):44}{figures[name]:7.4f}  "
            f"({low:.4f} to {high:.4f})"
        )
    for name in ("round_2_beats_round_1", "round_2_beats_start"):
        lines.append(f"{name.replace('_', ' '):44}{share(figures, name)}")
    return lines


def share(figures: dict, name: str, ends: str = "") -> str:
    """A share of the figures with its interval, in percent; the interval's name differs from its
    own in places.
    """
    low, high = (figures[f"{ends or name}_{end}"] for end in ("low", "high"))
    return f"{100 * figures[name]:5.1f} %  ({100 * low:.1f} to {100 * high:.1f})"
