"""Statistics of frozen rows, counted one row at a time: pairs, ties, judges, models, agreement of
people.

It reads no database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from labeling.exports.examples import View, labelled
from labeling.stats.agreement import task_agreement
from modelops import rows


class RowStatistics:
    """Counts rows of any kind. `figures` are what a dataset stores and its card shows."""

    def __init__(self) -> None:
        self.good = self.bad = self.truncated = self.cut = 0
        self.structured = self.of_turns = self.prompted = 0
        self.kto_labels: dict[str, Counter[bool]] = {way: Counter() for way in rows.VOTES}
        self.rows = self.pairs = self.tied = self.agreed = self.compared = self.spans = 0
        self.longer: float = 0
        self.scores: Counter[str] = Counter()
        self.labelers: Counter[int] = Counter()
        self.models: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.use_cases: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.judge_kinds: Counter[str] = Counter()
        self.other_judges = 0

    def add(self, row: dict[str, Any], judge_kinds: Sequence[str] = ()) -> None:
        """Count one row, whatever its kind; a row of judgments with the kind of each judge.

        Agreement is that of people.
        """
        answers, judgments = row.get("answers", ()), row.get("judgments", ())
        self.rows += 1
        self.splits[row["split"]] += 1
        self.use_cases[row.get("use_case", "")] += 1
        self.languages[row.get("language", "")] += 1
        self.truncated += sum(answer.get("truncated", False) for answer in answers)
        self.cut += sum(not rows.has_ended(text) for text in (row, *answers))
        self.structured += not rows.is_plain(row.get("messages", ()))
        self.of_turns += sum("messages" in answer for answer in answers)
        self.models.update(answer["model"] for answer in answers)
        lengths = [len(answer["text"]) for answer in answers]
        for judgment in judgments:
            self.labelers[judgment["labeler"]] += 1
            self.prompted += judgment.get("prompted", False)
            self.outcomes[judgment["outcome"]] += 1
            self._add_pairs(judgment["ranks"], lengths)
            self.spans += len(judgment.get("spans", ()))
            for name, value in judgment.get("scores", {}).items():
                values = value if isinstance(value, list) else [value]
                self.scores[name] += sum(score is not None for score in values)
        if "judgments" in row:
            self._add_labels(row)
        self.judge_kinds.update(judge_kinds)
        self.other_judges += sum("judge_kind" in judgment for judgment in judgments)
        by_people = [
            judgment["ranks"]
            for judgment, kind in zip(judgments, judge_kinds, strict=True)
            if kind == "person" and rows.is_independent(judgment)
        ]
        agreed, compared = task_agreement(by_people)
        self.agreed, self.compared = self.agreed + agreed, self.compared + compared

    def _add_labels(self, row: dict[str, Any]) -> None:
        """Count good and bad answers: by each judgment, and by each of KTO's ways for training."""
        for _position, good, _judgment in labelled(row, View()):
            self.good, self.bad = self.good + good, self.bad + (not good)
        if row["split"] == "train":
            for way, labels in self.kto_labels.items():
                labels.update(rows.labels(row, way).values())

    def _add_pairs(self, ranks: list[int], lengths: list[int]) -> None:
        """Count pairs, ties, and how often the longer answer wins; equal lengths count one half."""
        for i, j in combinations(range(len(ranks)), 2):
            if ranks[i] == ranks[j]:
                self.tied += 1
                continue
            self.pairs += 1
            winner, loser = (i, j) if ranks[i] < ranks[j] else (j, i)
            if lengths[winner] > lengths[loser]:
                self.longer += 1.0
            elif lengths[winner] == lengths[loser]:
                self.longer += 0.5

    @property
    def ties(self) -> float | None:
        return share(self.tied, self.tied + self.pairs)

    @property
    def longer_wins(self) -> float | None:
        return share(self.longer, self.pairs)

    @property
    def agreement(self) -> float | None:
        return share(self.agreed, self.compared)

    def counts(self) -> dict[str, Any]:
        """What datasets.counts() would count of the rows on disk, then the figures."""
        return {
            "rows": self.rows,
            "splits": dict(self.splits),
            "judgments": self.labelers.total(),
            "pairs": self.pairs,
        } | self.figures()

    def figures(self) -> dict[str, Any]:
        """Shares, counts and the most frequent models, outcomes, languages, use cases and labelers.

        Labelers are numbers: who they are is in the dataset's labeler key alone.
        """
        shares = {"ties": self.ties, "longer_wins": self.longer_wins, "agreement": self.agreement}
        figures: dict[str, Any] = {
            name: round(value, 4) for name, value in shares.items() if value is not None
        }
        if self.good or self.bad:
            figures |= {"good": self.good, "bad": self.bad}
        if self.truncated:
            figures["truncated"] = self.truncated
        if self.cut:
            figures["cut"] = self.cut
        if self.structured:
            figures["structured"] = self.structured
        if self.scores:
            figures["scores"] = dict(sorted(self.scores.items()))
        if self.spans:
            figures["spans"] = self.spans
        if self.prompted:
            figures["prompted"] = self.prompted
        if self.of_turns:
            figures["answers_of_turns"] = self.of_turns
        if self.outcomes:
            figures["kto"] = self.kto()
        if self.judge_kinds:
            figures["judge_kinds"] = dict(self.judge_kinds)
        if self.other_judges:
            figures["other_judges"] = self.other_judges
        figures["judges"] = len(self.labelers)
        labelers = {str(number): count for number, count in self.labelers.most_common(MOST)}
        counters: dict[str, Mapping[str, int]] = {
            "models": self.models,
            "outcomes": self.outcomes,
            "languages": self.languages,
            "use_cases": self.use_cases,
            "labelers": labelers,
        }
        return figures | {name: most(counter) for name, counter in counters.items()}

    def kto(self) -> dict[str, dict[str, int]]:
        """Good and bad answers of the training split, by each of KTO's ways to label them."""
        return {
            way: {"good": labels[True], "bad": labels[False]}
            for way, labels in self.kto_labels.items()
        }


MOST = 100


def share(part: float, whole: int) -> float | None:
    """None where there is nothing to count."""
    return part / whole if whole else None


def most(counter: Mapping[str, int]) -> dict[str, int]:
    """The MOST most frequent names, by falling count, then by name, without the empty name."""
    named = ((name, count) for name, count in counter.items() if name)
    by_count = sorted(named, key=lambda item: (-item[1], item[0]))
    return dict(by_count[:MOST])
