"""Good and bad answers, each by itself, from judgments: what the KTO trainer learns from."""

from __future__ import annotations

from dataclasses import dataclass

from workers.trainers.events import Stop


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


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def of_row(row: dict, which: str) -> Labelled:
    """A row's answers by the majority of its judgments; those without one are left out, and each text counts once."""
    votes: dict[str, int] = {}
    for judgment in row["judgments"]:
        for answer, vote in zip(row["answers"], VOTES[which](judgment)):
            votes[answer["text"]] = votes.get(answer["text"], 0) + vote
    clear = {text: vote > 0 for text, vote in votes.items() if vote}
    return Labelled(row["split"], row["messages"], list(clear), list(clear.values()))


def of_rows(found: list[dict], which: str) -> list[Labelled]:
    """Every row that has a good or a bad answer. Raises Stop at a broken row, and where none is left to train on."""
    labelled = []
    for number, row in enumerate(found, start=1):
        try:
            labelled.append(of_row(row, which))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Stop(f"Row {number} of the dataset is not a judgments row: verify it, or freeze it again.") from None
    if not any(of.split == "train" and of.labels for of in labelled):
        raise Stop("No good or bad answer in the training split: collect more, or tell them apart in another way.")
    return [of for of in labelled if of.labels]
