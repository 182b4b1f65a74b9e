"""Good and bad answers, each by itself, from judgments: what the KTO trainer learns from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from transformers import PreTrainedTokenizerBase

from modelops import rows
from workers.modeling.tokens import Content, Fitted
from workers.trainers.data import truncation
from workers.trainers.run import events
from workers.trainers.run.events import Stop
from workers.trainers.run.runs import Run


@dataclass(frozen=True)
class Labelled:
    """One prompt's distinct answers that people found good (True) or bad."""

    split: str
    messages: list[dict]
    texts: list[str]
    labels: list[bool]
    ended: list[bool]  # False for a text that the sampler cut
    turns: dict[str, list[dict]] = field(default_factory=dict)  # of texts that stand for turns

    @property
    def contents(self) -> list[Content]:
        """What a model reads of each text."""
        return [self.turns.get(text, text) for text in self.texts]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(good, bad) positions: what the accuracy counts."""
        places = range(len(self.labels))
        return [(i, j) for i in places for j in places if self.labels[i] and not self.labels[j]]


def of_row(row: dict, which: str) -> Labelled:
    """A row's answers by the majority of its judgments; those without one are left out, and each
    text counts once.
    """
    labels, ended = rows.labels(row, which), rows.ended(row)
    return Labelled(
        row["split"],
        row["messages"],
        list(labels),
        list(labels.values()),
        [ended[text] for text in labels],
        rows.turns_of(row),
    )


def of_rows(dataset_rows: list[dict], which: str) -> list[Labelled]:
    """Every row that has a good or a bad answer. Raises Stop at a broken row, and where the
    training split lacks either.
    """
    labelled = []
    for number, row in enumerate(dataset_rows, start=1):
        try:
            labelled.append(of_row(row, which))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Stop(
                f"Row {number} of the dataset is not a judgments row: verify it, or freeze it "
                "again."
            ) from None
    labelled = by_the_model_alone(labelled)
    refuse_one_sided(labelled)
    return [of for of in labelled if of.labels]


def by_the_model_alone(labelled: list[Labelled]) -> list[Labelled]:
    """Each prompt without the answers in which a tool or a user speaks: the model would learn their
    words as its own. The log is told how many.
    """
    kept = [
        [place for place, content in enumerate(of.contents) if rows.of_one_speaker(content)]
        for of in labelled
    ]
    if left_out := sum(len(of.texts) - len(places) for of, places in zip(labelled, kept)):
        events.log(
            f"Leaves out {left_out} answers in which a tool or a user speaks, whose words the "
            "model would learn as its own."
        )
    return [only(of, places) for of, places in zip(labelled, kept)]


def refuse_one_sided(labelled: list[Labelled]) -> None:
    """Raises Stop unless the training split has both good and bad answers: of one kind alone there
    is nothing to learn.
    """
    labels = [label for of in labelled if of.split == "train" for label in of.labels]
    good, bad = sum(labels), len(labels) - sum(labels)
    if not (good and bad):
        raise Stop(
            f"The training split has {good} good and {bad} bad answers, and KTO takes both: "
            "collect more, "
            "or tell them apart in another way (labels)."
        )


def only(of: Labelled, places: list[int]) -> Labelled:
    """The answers at these places alone."""
    columns = {name: getattr(of, name) for name in ("texts", "labels", "ended")}
    return replace(
        of, **{name: [column[place] for place in places] for name, column in columns.items()}
    )


def contradicted(labels: list[bool], answers: list[list[int]]) -> set[int]:
    """Places of the answers, token ids, that are good at one place and bad at another: a cut made
    them equal.
    """
    places = range(len(answers))
    return {
        i for i in places for j in places if answers[i] == answers[j] and labels[i] != labels[j]
    }


def fit(
    run: Run, labelled: list[Labelled], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Labelled], list[Fitted], list[dict]]:
    """Each prompt's answers, their token ids in the recipe's longest length, and what was lost to
    it.

    Answers that the cut made both good and bad are left out. Raises Stop where it leaves too little
    of a prompt, or no good or no bad answer to learn from.
    """
    fitted = truncation.fit(
        run, tokenizer, ((of.messages, of.contents, of.ended) for of in labelled)
    )
    out = [contradicted(of.labels, part.answers) for of, part in zip(labelled, fitted)]
    if any(out):
        events.log(
            f"Leaves out {sum(map(len, out))} answers that are the same, good and bad, once they "
            "are cut."
        )
    splits = [of.split for of in labelled]
    lost = truncation.counts(splits, fitted, [len(places) for places in out])
    lost += truncation.cut_by_sampler(splits, [of.ended for of in labelled])
    kept = [
        [place for place in range(len(of.texts)) if place not in places]
        for of, places in zip(labelled, out)
    ]
    labelled = [only(of, at) for of, at in zip(labelled, kept)]
    fitted = [
        replace(part, answers=[part.answers[i] for i in at]) for part, at in zip(fitted, kept)
    ]
    refuse_one_sided(labelled)
    whole = [(of, part) for of, part in zip(labelled, fitted) if of.labels]
    return [of for of, _ in whole], [part for _, part in whole], lost
