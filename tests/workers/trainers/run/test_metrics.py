"""Accuracy, loss and their intervals: pairs of one prompt are not independent, prompts are."""

import pytest

from workers.trainers.data import comparisons
from workers.trainers.run import metrics

pytestmark = pytest.mark.torch


def ranked(prompt, split):
    """A prompt's group of two answers, the first preferred."""
    row = {
        "prompt_id": prompt,
        "split": split,
        "messages": [],
        "answers": [{"text": "a"}, {"text": "b"}],
    }
    return comparisons.of_row(row | {"judgments": [{"ranks": [1, 2]}]})


def test_equal_scores_count_one_half():
    assert metrics.picks([1.0, 1.0, 0.5], [(0, 1), (0, 2), (2, 1)]) == 1.5


def test_an_interval_draws_prompts_not_pairs():
    """A hundred pairs of one prompt are one observation; a hundred prompts are many."""
    assert metrics.interval([70, 30], [100, 100]) == (0.3, 0.7)
    low, high = metrics.interval([1] * 70 + [0] * 30, [1] * 100)
    assert 0.58 < low < 0.64 < 0.76 < high < 0.82


def test_a_figure_with_an_interval_says_what_was_drawn_for_it():
    share = metrics.share("accuracy", "test", [70, 30], [100, 100])
    loss = metrics.share("loss", "test", [1.0, 3.0], [1, 1], unit="texts")

    assert share["method"] == "percentile bootstrap over prompts, 2000 draws"
    assert loss["method"] == "percentile bootstrap over texts, 2000 draws"
    assert metrics.plain("pairs", "test", 12)["method"] == ""


def test_accuracy_counts_each_slice():
    found = [
        ranked(number, split)
        for number, split in enumerate(("train", "validation", "test", "test"))
    ]
    scores = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    values = {
        figure["slice"]: (figure["value"], figure["n"])
        for figure in comparisons.accuracy(found, scores)
    }
    assert values == {
        "held-out": (0.5, 3),
        "validation": (1, 1),
        "test": (0.25, 2),
        "train": (1, 1),
    }


def test_a_prompt_of_two_rounds_is_drawn_as_one():
    found = [ranked("p", "test") for _ in range(2)]

    once, twice = ([[2.0, 1.0]] * 2, [[1.0, 2.0], [2.0, 1.0]])

    assert comparisons.accuracy(found, once)[0]["value"] == 1
    held_out = comparisons.accuracy(found, twice)[0]
    assert (held_out["value"], held_out["n"]) == (0.5, 2)
    assert (held_out["low"], held_out["high"]) == (0.5, 0.5), "there is one prompt to draw"
