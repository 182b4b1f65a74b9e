"""Good and bad answers, each by itself, from judgments: what the KTO trainer learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from workers.trainers import events, fitting
from workers.trainers.events import Stop
from workers.trainers.runs import Run
from workers.trainers.tokens import Fitted


@dataclass(frozen=True)
class Labelled:
    """One prompt's distinct answers that people found good (True) or bad."""

    split: str
    messages: list[dict]
    texts: list[str]
    labels: list[bool]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(good, bad) positions: what the accuracy counts."""
        places = range(len(self.labels))
        return [(i, j) for i in places for j in places if self.labels[i] and not self.labels[j]]


def half(judgment: dict) -> list[int]:
    """+1 for an answer with more below than above it in the order, −1 for the reverse, 0 between."""
    ranks = judgment["ranks"]
    return [sign(sum((other > rank) - (other < rank) for other in ranks)) for rank in ranks]


def first(judgment: dict) -> list[int]:
    """+1 for the first, −1 for all others; nothing where all are equal."""
    ranks = judgment["ranks"]
    return [0 if len(set(ranks)) == 1 else 1 if rank == 1 else -1 for rank in ranks]


def rated(judgment: dict) -> list[int]:
    """+1 for a rating above 4, the middle of the scale, −1 for one below."""
    return [sign(rating - 4) if rating is not None else 0 for rating in judgment.get("ratings") or []]


VOTES = {"half": half, "best": first, "ratings": rated}


def votes(judgment: dict, which: str, answers: int) -> list[int]:
    """What a judgment says of each of so many answers: +1 good, −1 bad, 0 neither.

    Where it compares no answers it says so outright: the only answer, ranked first, is good, and *all bad* are bad. Where
    ratings are asked for, those that were given decide.
    """
    if which == "ratings" and any(rating is not None for rating in judgment.get("ratings") or []):
        return rated(judgment)
    if judgment.get("outcome") == "all_bad":
        return [-1] * answers
    return [1] if judgment["ranks"] == [1] else VOTES[which](judgment)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def of_row(row: dict, which: str) -> Labelled:
    """A row's answers by the majority of its judgments; those without one are left out, and each text counts once."""
    balance: dict[str, int] = {}
    for judgment in row["judgments"]:
        for answer, vote in zip(row["answers"], votes(judgment, which, len(row["answers"]))):
            balance[answer["text"]] = balance.get(answer["text"], 0) + vote
    clear = {text: vote > 0 for text, vote in balance.items() if vote}
    return Labelled(row["split"], row["messages"], list(clear), list(clear.values()))


def of_rows(found: list[dict], which: str) -> list[Labelled]:
    """Every row that has a good or a bad answer. Raises Stop at a broken row, and where the training split lacks either."""
    labelled = []
    for number, row in enumerate(found, start=1):
        try:
            labelled.append(of_row(row, which))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Stop(f"Row {number} of the dataset is not a judgments row: verify it, or freeze it again.") from None
    refuse_one_sided(labelled)
    return [of for of in labelled if of.labels]


def refuse_one_sided(found: list[Labelled]) -> None:
    """Raises Stop unless the training split has both good and bad answers: of one kind alone there is nothing to learn."""
    labels = [label for of in found if of.split == "train" for label in of.labels]
    good, bad = sum(labels), len(labels) - sum(labels)
    if not (good and bad):
        raise Stop(
            f"The training split has {good} good and {bad} bad answers, and KTO takes both: collect more, "
            "or tell them apart in another way (labels)."
        )


def contradicted(labels: list[bool], answers: list[list[int]]) -> set[int]:
    """Places of the answers, token ids, that are good at one place and bad at another: a cut made them equal."""
    places = range(len(answers))
    return {i for i in places for j in places if answers[i] == answers[j] and labels[i] != labels[j]}


def fit(
    run: Run, found: list[Labelled], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Labelled], list[Fitted], list[dict]]:
    """Each prompt's answers, their token ids in the recipe's longest length, and what was lost to it.

    Answers that the cut made both good and bad are left out. Raises Stop where it leaves too little of a prompt, or no
    good or no bad answer to learn from.
    """
    fitted = fitting.fit(run, tokenizer, ((of.messages, of.texts) for of in found))
    out = [contradicted(of.labels, part.answers) for of, part in zip(found, fitted)]
    if any(out):
        events.log(f"Leaves out {sum(map(len, out))} answers that are the same, good and bad, once they are cut.")
    lost = fitting.counts([of.split for of in found], fitted, [len(places) for places in out])
    kept = [[place for place in range(len(of.texts)) if place not in places] for of, places in zip(found, out)]
    found = [
        replace(of, texts=[of.texts[i] for i in at], labels=[of.labels[i] for i in at]) for of, at in zip(found, kept)
    ]
    fitted = [replace(part, answers=[part.answers[i] for i in at]) for part, at in zip(fitted, kept)]
    refuse_one_sided(found)
    whole = [(of, part) for of, part in zip(found, fitted) if of.labels]
    return [of for of, _ in whole], [part for _, part in whole], lost
