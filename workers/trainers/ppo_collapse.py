"""Signs that a policy collapses: it repeats itself, or hardly draws at random any more."""

from __future__ import annotations

from collections import Counter

from workers.engines.answers import Sample
from workers.trainers.run import events

MOST_ALIKE = 0.5  # share of a round's answers that are the same one
FEWEST_PAIRS = 1 / 3  # distinct pairs of tokens, over those of the first round
LEAST_ENTROPY = 1 / 4  # over that of the first round
MOST_CUT = 0.5  # share of the answers that are all given the same reward


def repetition(samples: list[Sample]) -> dict[str, float]:
    """How far a round's answers repeat each other and themselves, each a share.

    `commonest_share` is that of the commonest text among the answers. `distinct_1` and `distinct_2`
    are the distinct tokens, and pairs of neighbouring tokens, over all there are (distinct-n of Li
    et al. 2016): they fall with the number of tokens, so only rounds of one size compare.
    """
    texts = Counter(sample.text for sample in samples)
    return {
        "commonest_share": texts.most_common(1)[0][1] / len(samples),
        "distinct_1": distinct([sample.ids for sample in samples], 1),
        "distinct_2": distinct([sample.ids for sample in samples], 2),
    }


def distinct(rows: list[tuple[int, ...]], n: int) -> float:
    """The distinct runs of n tokens over all of them; 0 where no row has n."""
    runs = [row[start : start + n] for row in rows for start in range(len(row) - n + 1)]
    return len(set(runs)) / len(runs) if runs else 0.0


class Watch:
    """Compares each round with the first one, and says once of each sign that it has come."""

    def __init__(self):
        self.first: dict[str, float] = {}
        self.raised: list[str] = []

    def look(self, number: int, figures: dict[str, float], penalised: bool) -> None:
        """Log an alarm for each sign that round `number` shows for the first time."""
        self.first = self.first or dict(figures)
        for name, text in signs(figures, self.first, penalised).items():
            if name not in self.raised:
                events.log(f"Alarm in round {number}: {text}")
                self.raised.append(name)

    def state(self) -> dict:
        """What a checkpoint keeps."""
        return {"first": self.first, "raised": self.raised}

    def restore(self, state: dict) -> None:
        self.first, self.raised = state["first"], state["raised"]


def signs(now: dict[str, float], first: dict[str, float], penalised: bool) -> dict[str, str]:
    """The signs that a round shows beside the first one, by the figure that shows them."""
    shown = {}
    if now["commonest_share"] >= MOST_ALIKE and now["commonest_share"] > first["commonest_share"]:
        shown["commonest_share"] = f"{now['commonest_share']:.0%} of the answers are the same text."
    if now["distinct_2"] < FEWEST_PAIRS * first["distinct_2"]:
        shown["distinct_2"] = (
            f"of the pairs of tokens {now['distinct_2']:.1%} are distinct, "
            f"and {first['distinct_2']:.1%} were in the first round."
        )
    if now["entropy"] < LEAST_ENTROPY * first["entropy"]:
        shown["entropy"] = (
            f"the entropy of a token is {now['entropy']:.3g} nats, and was {first['entropy']:.3g} "
            "in the first round."
        )
    if penalised and now["cut_share"] > MOST_CUT:
        shown["cut_share"] = (
            f"{now['cut_share']:.0%} of the answers were cut at max_tokens and get at most "
            "cut_reward, "
            "whatever they say: more max_tokens would let them end."
        )
    return shown
