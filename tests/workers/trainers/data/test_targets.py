"""What supervised fine-tuning imitates, how it is cut, and how several datasets are mixed."""

from collections import Counter

import pytest

from tests.workers import tiny
from workers.trainers.data import targets
from workers.trainers.run.events import Stop

pytestmark = pytest.mark.torch

TURN = [{"role": "user", "content": "Why?"}]


def judged(*rankings, texts="abcd"):
    answers = [{"id": i, "text": text} for i, text in enumerate(texts)]
    return {
        "messages": TURN,
        "split": "train",
        "answers": answers,
        "judgments": [{"ranks": list(ranks)} for ranks in rankings],
    }


def texts(row, source):
    found = targets.examples([row], source)
    assert all(example.ended for example in found), "no finish_reason says that it was cut"
    return [example.text for example in found]


def test_the_best_answer_is_imitated_or_the_better_half_of_them():
    row = judged([1, 2, 3, 4], [2, 1, 4, 3], [1, 2, 3, 4])
    assert texts(row, "best") == ["a"]
    assert texts(row, "better-half") == ["a", "b"]


def test_of_answers_that_are_all_equal_one_is_imitated():
    assert texts(judged([1, 1, 1, 1]), "better-half") == ["a"]


def test_a_text_that_was_drawn_twice_is_imitated_once():
    assert texts(judged([1, 1, 2, 2], texts="aabb"), "better-half") == ["a"]


@pytest.mark.parametrize(
    ("row", "source"),
    [
        ({"text": "Sea.", "split": "train"}, "best"),
        ({"text": "Sea.", "split": "train"}, "demonstrations"),
        ({"text": "Sea.", "split": "train", "messages": TURN}, "text"),
        (judged([1, 2, 3, 4]), "text"),
    ],
)
def test_a_row_that_does_not_fit_its_source_is_named(row, source):
    with pytest.raises(Stop, match="Row 1 "):
        targets.examples([row], source)


def test_a_long_text_is_cut_into_parts_and_every_token_but_the_first_is_learned_once():
    words = tiny.tokenizer()
    text = "Tell me about the sea and the sky. " * 20
    parts = targets.pieces(words, text, 16)

    assert (
        words.decode(parts[0][0] + [token for _, learned in parts for token in learned])
        == text + words.eos_token
    )
    assert [read for read, _ in parts[1:]] == [learned[-1:] for _, learned in parts[:-1]]
    assert max(len(read) + len(learned) for read, learned in parts) == 16


def test_datasets_are_mixed_by_their_weights_until_all_is_seen():
    few, many = [([0], [n]) for n in range(10)], [([1], [n]) for n in range(200)]
    found = targets.mixed([few, many], [1.0, 3.0], seed=5)

    counts = Counter(read[0] for read, _ in found)
    assert {learned[0] for read, learned in found if read == [1]} == set(range(200))
    assert counts[1] / counts[0] == pytest.approx(3, rel=0.4)
    assert found == targets.mixed([few, many], [1.0, 3.0], seed=5)
    assert found != targets.mixed([few, many], [1.0, 3.0], seed=6)


def test_one_dataset_alone_stays_as_it_is():
    few = [([0], [n]) for n in range(4)]
    assert targets.mixed([few, []], [1.0, 2.0], seed=1) == few
