"""Which answers the KTO trainer takes for good and which for bad, and how it pairs them up for its
divergence.
"""

import pytest

from workers.trainers.data import binary_labels
from workers.trainers.run.events import Stop

pytestmark = pytest.mark.torch


def judged(*judgments, texts="abc", split="train"):
    return {
        "messages": [{"role": "user", "content": "Why?"}],
        "split": split,
        "answers": [{"id": i, "text": text} for i, text in enumerate(texts)],
        "judgments": list(judgments),
    }


def labels(row, which):
    found = binary_labels.of_row(row, which)
    return dict(zip(found.texts, found.labels, strict=True))


def test_the_halves_of_a_ranking_are_good_and_bad_and_its_middle_neither():
    assert labels(judged({"ranks": [1, 2, 3]}), "half") == {"a": True, "c": False}


def test_the_first_is_good_and_the_rest_are_bad():
    assert labels(judged({"ranks": [1, 2, 3]}), "best") == {"a": True, "b": False, "c": False}
    assert labels(judged({"ranks": [1, 1, 1]}), "best") == {}


def test_a_rating_above_the_middle_is_good_and_one_that_was_not_given_says_nothing():
    assert labels(judged({"ranks": [], "ratings": [6, None, 2]}), "ratings") == {
        "a": True,
        "c": False,
    }


def test_the_majority_of_the_judgments_decides():
    row = judged({"ranks": [1, 2, 3]}, {"ranks": [3, 2, 1]}, {"ranks": [1, 3, 2]})
    assert labels(row, "half") == {"a": True, "b": False}, (
        "for c there are as many voices as against it"
    )


def test_two_answers_of_one_text_are_one():
    assert labels(judged({"ranks": [1, 2, 3]}, texts="aab"), "half") == {"a": True, "b": False}


def test_good_and_bad_answers_of_a_prompt_are_its_pairs():
    assert binary_labels.of_row(judged({"ranks": [1, 2, 2]}), "best").pairs == [(0, 1), (0, 2)]


def test_without_a_verdict_in_the_training_split_the_trainer_says_so():
    with pytest.raises(Stop, match="The training split has 0 good and 0 bad answers"):
        binary_labels.of_rows(
            [judged({"ranks": [1, 1, 1]}), judged({"ranks": [1, 2, 3]}, split="test")], "half"
        )


GOOD, BAD = {"ranks": [1], "outcome": "ranked"}, {"ranks": [], "outcome": "all_bad"}


@pytest.mark.parametrize("which", ["half", "best", "ratings"])
def test_the_only_answer_ranked_first_is_good_and_all_bad_are_bad(which):
    assert labels(judged(GOOD, texts="a"), which) == {"a": True}
    assert labels(judged(BAD, texts="a"), which) == {"a": False}
    assert labels(judged(BAD), which) == {"a": False, "b": False, "c": False}
    assert labels(judged(GOOD, BAD, BAD, texts="a"), which) == {"a": False}


def test_a_rating_that_was_given_decides_where_ratings_are_asked_for():
    assert labels(judged(GOOD | {"ratings": [2]}, texts="a"), "ratings") == {"a": False}
    assert labels(judged(GOOD | {"ratings": [4]}, texts="a"), "ratings") == {}


@pytest.mark.parametrize(
    ("judgment", "words"), [(GOOD, "3 good and 0 bad"), (BAD, "0 good and 3 bad")]
)
def test_good_answers_without_bad_ones_are_refused_and_the_other_way_round(judgment, words):
    lines = [judged(judgment, texts=text) for text in "abc"]
    lines += [judged(BAD if judgment is GOOD else GOOD, texts="d", split="test")]
    with pytest.raises(Stop, match=words):
        binary_labels.of_rows(lines, "half")


def test_an_answer_that_a_cut_made_good_and_bad_is_neither():
    assert binary_labels.contradicted([True, False, True, True], [[1, 2], [1, 2], [3], [3]]) == {
        0,
        1,
    }


def test_a_row_of_another_kind_is_named():
    with pytest.raises(Stop, match="Row 1 "):
        binary_labels.of_rows([{"text": "Sea.", "split": "train"}], "half")


def lesson(n, prompt=None, answer=None):
    return {"prompt_ids": prompt or [n], "completion_ids": answer or [n]}


def mismatched(lessons, at_once, longest=100):
    from workers.trainers import kto

    return [one["KL_completion_ids"] for one in kto.mismatched(lessons, at_once, longest)]


def test_an_answer_is_mismatched_with_the_one_before_it_in_its_batch():
    assert mismatched([lesson(n) for n in range(5)], 3) == [[2], [0], [1], [4], [3]]


def test_a_last_batch_of_one_is_mismatched_with_the_one_before_it():
    assert mismatched([lesson(n) for n in range(4)], 3) == [[2], [0], [1], [2]]


def test_an_answer_is_mismatched_with_one_to_another_prompt_wherever_there_is_one():
    assert mismatched([lesson(0), lesson(1, prompt=[0]), lesson(2)], 3) == [[2], [2], [1]]
    assert mismatched([lesson(0), lesson(1, prompt=[0])], 2) == [[1], [0]]


def test_a_mismatched_answer_is_cut_to_the_longest_length_and_counted(capsys):
    lessons = [lesson(0, prompt=[7] * 6), lesson(1, answer=[1] * 9)]
    assert mismatched(lessons, 2, longest=10) == [[1] * 4, [0]]
    assert "1 mismatched answers lost their end to fit 10 tokens." in capsys.readouterr().out


def test_at_least_two_answers_are_read_at_once():
    from workers.trainers import kto

    assert [kto.several_at_once(batch, 10**9) for batch in (2, 4, 9)] == [2, 2, 3]
