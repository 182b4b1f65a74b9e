"""Which answers the KTO trainer takes for good and which for bad, and how it pairs them up for its divergence."""

import pytest

from workers.trainers import verdicts
from workers.trainers.events import Stop

pytestmark = pytest.mark.torch


def judged(*judgments, texts="abc", split="train"):
    return {
        "messages": [{"role": "user", "content": "Why?"}],
        "split": split,
        "answers": [{"id": i, "text": text} for i, text in enumerate(texts)],
        "judgments": list(judgments),
    }


def labels(row, which):
    found = verdicts.of_row(row, which)
    return dict(zip(found.texts, found.labels, strict=True))


def test_the_halves_of_a_ranking_are_good_and_bad_and_its_middle_neither():
    assert labels(judged({"ranks": [1, 2, 3]}), "half") == {"a": True, "c": False}


def test_the_first_is_good_and_the_rest_are_bad():
    assert labels(judged({"ranks": [1, 2, 3]}), "best") == {"a": True, "b": False, "c": False}
    assert labels(judged({"ranks": [1, 1, 1]}), "best") == {}


def test_a_rating_above_the_middle_is_good_and_one_that_was_not_given_says_nothing():
    assert labels(judged({"ranks": [], "ratings": [6, None, 2]}), "ratings") == {"a": True, "c": False}


def test_the_majority_of_the_judgments_decides():
    row = judged({"ranks": [1, 2, 3]}, {"ranks": [3, 2, 1]}, {"ranks": [1, 3, 2]})
    assert labels(row, "half") == {"a": True, "b": False}, "for c there are as many voices as against it"


def test_two_answers_of_one_text_are_one():
    assert labels(judged({"ranks": [1, 2, 3]}, texts="aab"), "half") == {"a": True, "b": False}


def test_good_and_bad_answers_of_a_prompt_are_its_pairs():
    assert verdicts.of_row(judged({"ranks": [1, 2, 2]}), "best").pairs == [(0, 1), (0, 2)]


def test_without_a_verdict_in_the_training_split_the_trainer_says_so():
    with pytest.raises(Stop, match="No good or bad answer"):
        verdicts.of_rows([judged({"ranks": [1, 1, 1]}), judged({"ranks": [1, 2, 3]}, split="test")], "half")


def test_a_row_of_another_kind_is_named():
    with pytest.raises(Stop, match="Row 1 "):
        verdicts.of_rows([{"text": "Sea.", "split": "train"}], "half")


def test_an_answer_is_mismatched_with_the_one_before_it_in_its_batch():
    from workers.trainers import kto

    lessons = [{"completion_ids": [n]} for n in range(5)]
    assert [one["KL_completion_ids"] for one in kto.mismatched(lessons, 3)] == [[2], [0], [1], [4], [3]]


def test_at_least_two_answers_are_read_at_once():
    from workers.trainers import kto

    assert [kto.several_at_once(batch, 10**9) for batch in (2, 4, 9)] == [2, 2, 3]
