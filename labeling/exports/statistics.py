"""What rows hold, counted as they pass: pairs, ties, who judged, who wrote, and how far judges
agree. No database.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import orjson

from labeling.exports.examples import View, labelled
from labeling.stats.agreement import task_agreement
from modelops import rows


class Portrait:
    """Show it rows of any kind; `figures` is what a dataset keeps beside its counts, and its card
    tells.
    """

    def __init__(self):
        self.good = self.bad = self.truncated = self.cut = 0
        self.verdicts = {which: Counter() for which in rows.VOTES}
        self.rows = self.pairs = self.tied = self.longer = self.agreed = self.compared = 0
        self.labelers, self.models, self.outcomes, self.use_cases, self.languages = (
            Counter() for _ in range(5)
        )
        self.lengths: Counter[int] = Counter()

    def see(self, line: str) -> str:
        self.add(orjson.loads(line))
        return line

    def add(self, row: dict) -> None:
        self.rows += 1
        self.use_cases[row.get("use_case", "")] += 1
        self.languages[row.get("language", "")] += 1
        self.truncated += sum(answer.get("truncated", False) for answer in row.get("answers", ()))
        self.cut += sum(not rows.has_ended(answer) for answer in (row, *row.get("answers", ())))
        self.models.update(answer["model"] for answer in row.get("answers", ()))
        for judgment in row.get("judgments", ()):
            self.labelers[judgment["labeler"]] += 1
            self.outcomes[judgment["outcome"]] += 1
            self._compare(judgment["ranks"], [len(answer["text"]) for answer in row["answers"]])
        for _position, good, _judgment in labelled(row, View()) if "judgments" in row else ():
            self.good, self.bad = self.good + good, self.bad + (not good)
        if "judgments" in row and row["split"] == "train":
            for which, verdicts in self.verdicts.items():
                verdicts.update(rows.labels(row, which).values())
        agreed, compared = task_agreement(
            judgment["ranks"] for judgment in row.get("judgments", ())
        )
        self.agreed, self.compared = self.agreed + agreed, self.compared + compared

    def _compare(self, ranks: list[int], lengths: list[int]) -> None:
        for i, j in combinations(range(len(ranks)), 2):
            if ranks[i] == ranks[j]:
                self.tied += 1
                continue
            self.pairs += 1
            better, worse = (
                (lengths[i], lengths[j]) if ranks[i] < ranks[j] else (lengths[j], lengths[i])
            )
            self.longer += 1.0 if better > worse else 0.5 if better == worse else 0.0

    @property
    def ties(self) -> float | None:
        return share(self.tied, self.tied + self.pairs)

    @property
    def longer_wins(self) -> float | None:
        return share(self.longer, self.pairs)

    @property
    def agreement(self) -> float | None:
        return share(self.agreed, self.compared)

    def figures(self) -> dict:
        """Labelers as their numbers of judgments, most first: whose they are is in the dataset's
        key alone.
        """
        shares = {"ties": self.ties, "longer_wins": self.longer_wins, "agreement": self.agreement}
        found = {name: round(value, 4) for name, value in shares.items() if value is not None}
        counted = {"models": self.models, "outcomes": self.outcomes, "languages": self.languages}
        counted |= {
            "use_cases": self.use_cases,
            "labelers": {str(n): c for n, c in self.labelers.most_common(MOST)},
        }
        found |= {"good": self.good, "bad": self.bad} if self.good or self.bad else {}
        found |= {"truncated": self.truncated} if self.truncated else {}
        found |= {"cut": self.cut} if self.cut else {}
        found |= {"kto": self.kto()} if self.outcomes else {}
        return (
            found
            | {"judges": len(self.labelers)}
            | {name: most(counter) for name, counter in counted.items()}
        )

    def kto(self) -> dict[str, dict[str, int]]:
        """The training split's good and bad answers, by each of KTO's ways to tell them apart."""
        return {
            which: {"good": said[True], "bad": said[False]} for which, said in self.verdicts.items()
        }


MOST = 100


def share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def most(counter: dict) -> dict:
    """The most frequent ones, by falling count and then by name, without the nameless."""
    named = ((name, count) for name, count in counter.items() if name)
    return dict(sorted(named, key=lambda one: (-one[1], one[0]))[:MOST])
