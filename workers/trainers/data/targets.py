"""What supervised fine-tuning imitates: answers chosen from frozen rows, or plain text; cut to
length, and mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from datasets import Dataset, interleave_datasets
from transformers import PreTrainedTokenizerBase

from modelops import rows
from workers.modeling import tokens
from workers.modeling.tokens import Content
from workers.trainers.data import truncation
from workers.trainers.run import events
from workers.trainers.run.events import Stop
from workers.trainers.run.runs import Run

Chosen = tuple[Content, bool]  # an answer, and whether it came to its own end
Pieces = list[tuple[list[int], list[int]]]  # (read, learned) token ids


@dataclass(frozen=True)
class Example:
    """An answer to a conversation; without `messages`, a plain text. `ended`: the sampler did not
    cut it. `turn`: the answer where it is more than a text, such as a tool call.
    """

    messages: list[dict]
    text: str
    split: str
    ended: bool = True
    turn: dict | None = None

    @property
    def content(self) -> Content:
        """What a model learns."""
        return self.text if self.turn is None else [self.turn]


def examples(dataset_rows: list[dict], source: str) -> list[Example]:
    """What `source` finds to imitate in the rows. Raises Stop at a broken row.

    An answer that the sampler cut before its first word has nothing to imitate, neither a word nor
    an end.
    """
    result = []
    for number, row in enumerate(dataset_rows, start=1):
        try:
            messages, chosen = row.get("messages", []), SOURCES[source](row)
            for content, ended in chosen:
                result += _lessons(messages, content, row["split"], ended)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Stop(
                f"Row {number} of the dataset does not fit the source {source!r}: choose the other "
                "source, or freeze again."
            ) from None
    empty = sum(not (example.text or example.ended) for example in result)
    if empty:
        events.log(f"Leaves out {empty} answers that were cut before their first word.")
    return [example for example in result if example.text or example.ended]


def _lessons(messages: list[dict], content: Content, split: str, ended: bool) -> Iterator[Example]:
    """An example; of an answer of several turns one for each of the assistant's, after all that was
    said before it. What tools and users say is read, and not learned.
    """
    if isinstance(content, str):
        yield Example(messages, content, split, ended)
        return
    last = len(content) - 1
    for place, turn in enumerate(content):
        if turn["role"] == "assistant":
            before, whole = [*messages, *content[:place]], None if rows.is_plain([turn]) else turn
            yield Example(before, rows.turn_text(turn), split, ended or place < last, whole)


# Each source yields answers, and whether they came to their own end.


def best(row: dict) -> Iterator[Chosen]:
    """The answer of a judgments row with the best mean rank; none where nothing was ranked."""
    place = rows.best(row)
    if place is not None:
        text = row["answers"][place]["text"]
        yield rows.turns_of(row).get(text, text), rows.ended(row)[text]


def better_half(row: dict) -> Iterator[Chosen]:
    """Each distinct answer of a judgments row ranked in its better half: what comes second is kept
    for its variety.
    """
    means = rows.mean_ranks(row)
    middle = sum(means) / len(means) if means else 0
    ended = rows.ended(row)
    texts = [answer["text"] for answer, mean in zip(row["answers"], means) if mean < middle]
    if not texts:
        yield from best(row)
    turns = rows.turns_of(row)
    for text in dict.fromkeys(texts):
        yield turns.get(text, text), ended[text]


def written(row: dict) -> Iterator[Chosen]:
    """The one text of a demonstrations row."""
    if not row["messages"]:
        raise KeyError("messages")
    yield row["text"], rows.has_ended(row)


def plain(row: dict) -> Iterator[Chosen]:
    """The one text of a text row."""
    if "messages" in row:
        raise KeyError("messages")
    yield row["text"], rows.has_ended(row)


SOURCES: dict[str, Callable[[dict], Iterator[Chosen]]] = {
    "best": best,
    "better-half": better_half,
    "demonstrations": written,
    "text": plain,
}


def fit(
    run: Run, tokenizer: PreTrainedTokenizerBase, parts: list[list[Example]]
) -> tuple[list[list[Pieces]], list[dict]]:
    """Each dataset's examples as pieces that fit the recipe's longest length, and what was lost of
    answers and prompts.

    An example is one (prompt, answer), a plain text as many parts as it takes. Raises Stop, see
    truncation.fit().
    """
    examples = [example for part in parts for example in part]
    answers = [example for example in examples if example.messages]
    fitted = truncation.fit(
        run,
        tokenizer,
        ((example.messages, [example.content], [example.ended]) for example in answers),
    )
    lost = truncation.counts([example.split for example in answers], fitted)
    lost += truncation.cut_by_sampler(
        [example.split for example in examples], [[example.ended] for example in examples]
    )
    conversations = iter(fitted)

    def cut(example: Example) -> Pieces:
        if example.messages:
            return next(conversations).rows
        return pieces(tokenizer, example.text, run.recipe.max_length, example.ended)

    return [[cut(example) for example in part] for part in parts], lost


def pieces(
    tokenizer: PreTrainedTokenizerBase, text: str, longest: int, ended: bool = True
) -> Pieces:
    """A plain text in as many parts of `longest` tokens as it takes, its begin and end tokens
    included.

    One that has not `ended`, because it was cut when it was drawn, has no end token. Each part
    reads the last token of the part before it, so that every token but the first is learned, and
    once.
    """
    end = tokenizer.eos_token if ended else None
    ids = tokens.begun(tokenizer, text + (end or ""))
    parts = [ids[start : start + longest] for start in range(0, len(ids) - 1, longest - 1)]
    return [(part[:1], part[1:]) for part in parts]


def mixed(parts: list[Pieces], weights: list[float], seed: int) -> Pieces:
    """The datasets drawn from by turns, each as often as its weight says, until all of each has
    been seen.

    The same seed gives the same order. A dataset that ends before the others begins again.
    """
    filled = [(part, weight) for part, weight in zip(parts, weights) if part and weight > 0]
    if len(filled) < 2:
        return [piece for part, _ in filled for piece in part]
    total = sum(weight for _, weight in filled)
    places = interleave_datasets(
        [
            Dataset.from_dict({"at": [(i, j) for j in range(len(part))]})
            for i, (part, _) in enumerate(filled)
        ],
        probabilities=[weight / total for _, weight in filled],
        seed=seed,
        stopping_strategy="all_exhausted",
    )
    return [filled[i][0][j] for i, j in places["at"]]
