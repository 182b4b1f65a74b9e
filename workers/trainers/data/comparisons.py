"""A prompt's distinct answers and the pairs its rankings imply: what the reward and DPO trainers
learn from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from transformers import PreTrainedTokenizerBase

from modelops import rows
from workers.modeling import tokens
from workers.modeling.tokens import Content, Fitted
from workers.trainers.data import truncation
from workers.trainers.run import events, metrics
from workers.trainers.run.events import Stop
from workers.trainers.run.runs import Run


@dataclass(frozen=True)
class Verdict:
    """What one judgment says of two answers, positions in a group's `texts`; of a tie either one is
    the winner.
    """

    winner: int
    loser: int
    tied: bool
    weight: float
    strength: int  # 0 to 3, as stated; 0 where nothing was


@dataclass(frozen=True)
class Group:
    """One prompt. `pairs` are (winner, loser) positions in `texts`, repeated where labelers agree.

    `ended` is False for a text that the sampler cut. `turns` are those of texts that stand for an
    answer of several turns, or with tool calls. `lessons` are those of the pairs that a recipe
    wants to learn from; figures count them all. `verdicts` are the pairs with their weights and,
    where asked for, the ties.
    """

    prompt_id: str
    split: str
    messages: list[dict]
    texts: list[str]
    ended: list[bool]
    pairs: list[tuple[int, int]]
    lessons: list[tuple[int, int]]
    verdicts: list[Verdict]
    turns: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def contents(self) -> list[Content]:
        """What a model reads of each text."""
        return [self.turns.get(text, text) for text in self.texts]

    def answers(
        self, tokenizer: PreTrainedTokenizerBase, longest: int
    ) -> list[tuple[list[int], list[int]]]:
        """(prompt, answer) token ids of each text, all after one prompt; see tokens.fitted()."""
        return tokens.fitted(tokenizer, self.messages, self.contents, longest, self.ended).rows

    def lengths(self) -> list[int]:
        """Characters of each text."""
        return [len(text) for text in self.texts]


def of_row(row: dict, which: str = "all", ties: bool = False) -> Group:
    """A row's group, with only the answers that a pair (or a tie) names, each text once; `which` as
    in rows.pairs().

    Two answers of the same text are one, and a ranking of such an answer above itself makes no
    pair.
    """
    texts = [answer["text"] for answer in row["answers"]]
    pairs, lessons = (_text_pairs(row, texts, kind) for kind in ("all", which))
    text_verdicts = [
        pair for judgment in row["judgments"] for pair in _verdicts(judgment, texts, ties)
    ]
    named = {text for pair in pairs for text in pair} | {
        text for w, l, *_ in text_verdicts for text in (w, l)
    }
    distinct = [text for text in dict.fromkeys(texts) if text in named]
    place = {text: i for i, text in enumerate(distinct)}
    pairs, lessons = ([(place[w], place[l]) for w, l in kind] for kind in (pairs, lessons))
    verdicts = [Verdict(place[w], place[l], *how) for w, l, *how in text_verdicts]
    of_text = rows.ended(row)
    ended = [of_text[text] for text in distinct]
    of_prompt = row["prompt_id"], row["split"], row["messages"]
    turns = {text: turns for text, turns in rows.turns_of(row).items() if text in place}
    return Group(*of_prompt, distinct, ended, pairs, lessons, verdicts, turns)


def _verdicts(
    judgment: dict, texts: list[str], ties: bool
) -> list[tuple[str, str, bool, float, int]]:
    """(winner, loser, tied, weight, strength) of the pairs of one judgment, and of its ties where
    asked for.
    """
    how = (
        1.0 if judgment.get("weight") is None else float(judgment["weight"]),
        abs(judgment.get("strength") or 0),
    )
    ranks = judgment["ranks"]
    compared = [(w, l, False) for w, l in rows.pairs(ranks)]
    if ties:
        compared += [
            (i, j, True) for j in range(len(ranks)) for i in range(j) if ranks[i] == ranks[j]
        ]
    return [(texts[w], texts[l], tied, *how) for w, l, tied in compared if texts[w] != texts[l]]


def _text_pairs(row: dict, texts: list[str], which: str) -> list[tuple[str, str]]:
    return [(texts[w], texts[l]) for w, l in rows.row_pairs(row, which) if texts[w] != texts[l]]


def of_rows(dataset_rows: list[dict], which: str = "all", ties: bool = False) -> list[Group]:
    """The group of each prompt that has pairs (with `ties`, or ties), of all rows of that prompt.
    Raises Stop at a broken row, and where none is left to train on.
    """
    by_prompt: dict[tuple[str, str], list[Group]] = {}
    for number, row in enumerate(dataset_rows, start=1):
        try:
            group = of_row(row, which, ties)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            raise Stop(
                f"Row {number} of the dataset is not a judgments row: verify it, or freeze it "
                "again."
            ) from None
        by_prompt.setdefault((group.prompt_id, group.split), []).append(group)
    groups = [of_prompt(rows_of_prompt) for rows_of_prompt in by_prompt.values()]
    if not any(group.split == "train" and group.lessons for group in groups):
        raise Stop(
            "No pair to learn from in the training split: collect rankings without ties, then "
            "freeze again."
        )
    return [group for group in groups if group.pairs or group.verdicts]


def of_prompt(groups: list[Group]) -> Group:
    """One group of all rows of a prompt, with the pairs of all of them and each distinct text once:
    judged pairs are rows of two that share their answers.

    A text came to its own end if it did in any row.
    """
    if len(groups) == 1:
        return groups[0]
    ended: dict[str, bool] = {}
    for group in groups:
        for text, has_ended in zip(group.texts, group.ended):
            ended[text] = ended.get(text, False) or has_ended
    place = {text: position for position, text in enumerate(ended)}
    pairs, lessons, verdicts = [], [], []
    for group in groups:
        moved = [place[text] for text in group.texts]
        pairs += [(moved[w], moved[l]) for w, l in group.pairs]
        lessons += [(moved[w], moved[l]) for w, l in group.lessons]
        verdicts += [
            replace(verdict, winner=moved[verdict.winner], loser=moved[verdict.loser])
            for verdict in group.verdicts
        ]
    return replace(
        groups[0],
        texts=list(ended),
        ended=list(ended.values()),
        pairs=pairs,
        lessons=lessons,
        verdicts=verdicts,
        turns={text: turns for group in reversed(groups) for text, turns in group.turns.items()},
    )


def apart(group: Group, answers: list[list[int]]) -> Group:
    """The group without the pairs whose answers, token ids in the order of its texts, have become
    equal by a cut.
    """
    return only(group, lambda pair: answers[pair[0]] != answers[pair[1]])


def only(group: Group, keeps: Callable[[tuple[int, int]], bool]) -> Group:
    """The group with those of its pairs that are to be kept."""
    return replace(
        group,
        pairs=list(filter(keeps, group.pairs)),
        lessons=list(filter(keeps, group.lessons)),
        verdicts=[verdict for verdict in group.verdicts if keeps((verdict.winner, verdict.loser))],
    )


def by_the_model_alone(groups: list[Group]) -> list[Group]:
    """The groups without the pairs of an answer in which a tool or a user speaks: a policy would
    learn their words as its own. The log is told how many. Raises Stop where none is left.
    """
    result = []
    for group in groups:
        alone = [rows.of_one_speaker(content) for content in group.contents]
        result.append(only(group, lambda pair, alone=alone: alone[pair[0]] and alone[pair[1]]))
    left_out = sum(len(a.pairs) - len(b.pairs) for a, b in zip(groups, result))
    if left_out:
        events.log(
            f"Leaves out {left_out} pairs: in one of their answers a tool or a user speaks, whose "
            "words the model would learn as its own."
        )
    if not any(group.split == "train" and group.lessons for group in result):
        raise Stop(
            "In each pair of the training split a tool or a user speaks in an answer, whose words "
            "the model would learn as its own: train a reward model, or fine-tune with SFT."
        )
    return [group for group in result if group.pairs or group.verdicts]


def fit(
    run: Run, groups: list[Group], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Group], list[Fitted], list[dict]]:
    """The groups whose answers still differ once they fit the recipe's longest length, their token
    ids, and what was lost.

    Raises Stop where the cut leaves too little of a prompt, or nothing to learn from.
    """
    asked = ((group.messages, group.contents, group.ended) for group in groups)
    fitted = truncation.fit(run, tokenizer, asked)
    differing = [apart(group, part.answers) for group, part in zip(groups, fitted)]
    equal = [len(before.pairs) - len(after.pairs) for before, after in zip(groups, differing)]
    if sum(equal):
        events.log(f"Leaves out {sum(equal)} pairs whose answers are the same once they are cut.")
    if not any(group.split == "train" and group.lessons for group in differing):
        raise Stop(
            "No pair of the training split differs once its answers are cut: raise max_length."
        )
    kept = [
        (group, part) for group, part in zip(differing, fitted) if group.pairs or group.verdicts
    ]
    lost = truncation.counts(splits(groups), fitted, equal)
    lost += truncation.cut_by_sampler(splits(groups), [group.ended for group in groups])
    return *map(list, zip(*kept)), lost


def accuracy(groups: list[Group], scores: list[list[float]], name: str = "accuracy") -> list[dict]:
    """How often the higher score is the answer people preferred, for each slice; scores[i] belong
    to groups[i].texts.
    """
    hits = [
        (metrics.picks(values, group.pairs), len(group.pairs))
        for group, values in zip(groups, scores)
    ]
    return [
        metrics.share(name, slice, *zip(*part))
        for slice, part in metrics.sliced(*by_prompt(groups, hits))
    ]


def loss(groups: list[Group], scores: list[list[float]]) -> list[dict]:
    """Mean over prompts of the mean pair loss, for each slice; n is the number of prompts."""
    losses = [(metrics.pair_loss(values, group.pairs), 1) for group, values in zip(groups, scores)]
    return [
        metrics.share("loss", slice, *zip(*part))
        for slice, part in metrics.sliced(*by_prompt(groups, losses))
    ]


def by_prompt(
    groups: list[Group], values: list[tuple[float, int]]
) -> tuple[list[str], list[tuple[float, int]]]:
    """(splits, values) with the (hits, count) of one prompt's groups summed: its rounds are no more
    independent than its pairs.
    """
    summed: dict[str, tuple[float, int]] = {}
    for group, (hits, count) in zip(groups, values):
        before = summed.get(group.prompt_id, (0, 0))
        summed[group.prompt_id] = (before[0] + hits, before[1] + count)
    split = {group.prompt_id: group.split for group in groups}
    return [split[prompt] for prompt in summed], list(summed.values())


def counts(groups: list[Group]) -> list[dict]:
    """How many prompts and pairs each slice has."""
    figures = []
    for slice, part in metrics.sliced(splits(groups), [len(group.pairs) for group in groups]):
        figures += [
            metrics.plain("prompts", slice, len(part)),
            metrics.plain("pairs", slice, sum(part)),
        ]
    return figures


def splits(groups: list[Group]) -> list[str]:
    """Each group's split."""
    return [group.split for group in groups]
