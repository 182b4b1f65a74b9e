"""What the loop's run shows, in figures: shares with 95 % intervals that resample prompts, and the conditions on them."""

from __future__ import annotations

import math
import random

from benchmarks import hidden_rule
from benchmarks.hidden_rule import score
from labeling.agreement import interval, task_agreement

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
    """For each prompt, the share of (new, old) answer pairs that the new one wins under the rule; a tie is half."""
    return {key: _share([score(text) for text in new[key]], [score(text) for text in old[key]]) for key in new}


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
    """(correlation of the rule with length, share of tied pairs) on the sampled answers, before anyone ranks."""
    flat = [text for group in texts.values() for text in group]
    rng = random.Random(hidden_rule.SEED)
    ties = tie_share([hidden_rule.rank(group, rng, NOISE) for group in texts.values()])
    return correlation([score(text) for text in flat], [float(len(text)) for text in flat]), ties


def metric(job: dict, name: str) -> dict:
    """The final figure of this name over all held-out rows."""
    found = [one for one in job["metrics"] if one["name"] == name and one["slice"] in ("held-out", "")]
    return found[0] if found else {"value": math.nan, "low": math.nan, "high": math.nan}


def agreement(rows: list[dict]) -> dict:
    """Agreement between two judges where two judged; otherwise of one judge with the rule without its noise."""
    counts = [task_agreement([judgment["ranks"] for judgment in row["judgments"]]) for row in rows]
    what = "between_judges"
    if not any(compared for _, compared in counts):
        what = "with_the_rule"
        counts = [task_agreement([row["judgments"][0]["ranks"], exact_ranks(row)]) for row in rows]
    low, high = interval(counts)
    agreed, compared = (sum(column) for column in zip(*counts, strict=True))
    return {f"agreement_{what}": agreed / compared, "agreement_low": low, "agreement_high": high}


def exact_ranks(row: dict) -> list[int]:
    scores = [score(answer["text"]) for answer in row["answers"]]
    return [1 + sum(other > mine for other in scores) for mine in scores]


def side_figures(name: str, side: dict, share: dict[str, float]) -> dict:
    low, high = interval(list(share.values()), mean)
    figures = {f"{name}_win_share": mean(share.values()), f"{name}_win_low": low, f"{name}_win_high": high}
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
        "the rule does not follow length: |correlation| <= 0.3": abs(figures["pilot_correlation_with_length"]) <= 0.3,
        "ties <= 30 %": figures["pilot_tie_share"] <= 0.3,
        "the fine-tuned model's interval lies above 50 %": figures["real_win_low"] > 0.5,
        "real minus control, paired by prompt, excludes 0": figures["real_minus_control_low"] > 0,
        "the reward model's interval lies above 50 %": figures["real_reward_accuracy_low"] > 0.5,
        "the reward model's interval lies above the longer-answer baseline": figures["real_reward_accuracy_low"]
        > figures["real_reward_longer_answer_accuracy"],
    }
    return [condition for condition, holds in conditions.items() if not holds]


def table(figures: dict) -> str:
    def share(name, low, high):
        return f"{100 * figures[name]:5.1f} %  ({100 * figures[low]:.1f} to {100 * figures[high]:.1f})"

    agreed = next(name for name in figures if name.startswith("agreement_") and not name.endswith(("low", "high")))
    lines = [
        f"{'rankings':44}{figures['rankings']:5}",
        f"{agreed.replace('_', ' '):44}{share(agreed, 'agreement_low', 'agreement_high')}",
        f"{'rule and length, correlation (pilot)':44}{figures['pilot_correlation_with_length']:+5.2f}",
        f"{'tied pairs (pilot)':44}{100 * figures['pilot_tie_share']:5.1f} %",
    ]
    for side in ("real", "control"):
        for name, text in (
            ("reward_accuracy", "reward model, held out"),
            ("reward_longer_answer_accuracy", "longer answer"),
        ):
            key = f"{side}_{name}"
            lines.append(f"{side + ': ' + text:44}{share(key, key + '_low', key + '_high')}")
        win = f"{side}_win"
        lines.append(
            f"{side + ': fine-tuned beats starting model':44}{share(win + '_share', win + '_low', win + '_high')}"
        )
    gain = "real_minus_control"
    lines.append(f"{'real minus control, paired by prompt':44}{share(gain, gain + '_low', gain + '_high')}")
    return "\n".join(lines)
