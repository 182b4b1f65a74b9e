"""The benchmark that learns one dataset three ways, on a planted rule and a tiny model."""

import pytest

from tests.workers import tiny
from tests.workers.trainers.test_child_process import write_dataset

pytestmark = pytest.mark.torch


@pytest.mark.slow
def test_three_ways_to_learn_a_planted_rule_stand_side_by_side(tmp_path):
    from benchmarks import baselines

    model = tiny.save(tmp_path / "model")
    (tmp_path / "scratch").mkdir()
    found = baselines.compare(
        tmp_path / "scratch", write_dataset(tmp_path / "dataset"), model, quick=True
    )

    assert found["bag_of_words_accuracy"] > 0.9
    assert found["recurrent_accuracy"] > 0.8
    assert found["bag_of_words_f1_low"] <= found["bag_of_words_f1"] <= found["bag_of_words_f1_high"]
    assert found["bag_of_words_log_loss"] < 0.69
    assert len(baselines.table(found).splitlines()) == 6


def test_no_fold_asks_the_model_of_another_and_a_stopped_run_finds_its_scores(
    tmp_path, monkeypatch
):
    """Each fold's trainer begins in an empty folder: a result that lies there already would be
    taken for its own.
    """
    from benchmarks import baselines

    begun = []

    def learned(own, dataset, found, model, quick):
        assert not list(own.iterdir())
        (own / "out").mkdir()
        begun.append(dataset.name)
        return {
            name: [[float(place) for place, _ in enumerate(group.texts)] for group in found]
            for name in baselines.MODELS
        }

    monkeypatch.setattr(baselines, "learned", learned)
    for _again in range(2):
        scratch = tmp_path / f"scratch-{_again}"
        scratch.mkdir()
        dataset = write_dataset(scratch / "dataset")
        baselines.compare(scratch, dataset, tmp_path, quick=False, folds=3, keep=tmp_path / "keep")
    assert begun == ["fold-0", "fold-1", "fold-2"]


def test_f1_counts_the_pairs_that_the_earlier_answer_wins():
    from benchmarks import baselines
    from workers.trainers.data.comparisons import of_row

    turn = [{"role": "user", "content": "Why?"}]
    answers = [{"id": i, "text": text} for i, text in enumerate("abc")]
    group = of_row(
        {
            "prompt_id": "p",
            "split": "test",
            "messages": turn,
            "answers": answers,
            "judgments": [{"ranks": [2, 1, 3]}],
        }
    )
    # pairs (b, a), (a, c), (b, c); scored so that a beats b, and both beat c: one wrong, two right
    # of the earlier
    assert baselines.tally(group, [3.0, 2.0, 1.0])["f1"] == (4, 5)


def test_each_conversation_is_held_out_once_with_all_its_branches(tmp_path):
    from benchmarks import baselines
    from modelops import rows

    dataset = write_dataset(tmp_path / "dataset")
    parts = [list(rows.read(baselines.fold_of(dataset, 3, fold, tmp_path))) for fold in range(3)]

    whole = list(rows.read(dataset))
    held_out = [row["prompt_id"] for part in parts for row in part if row["split"] == "test"]
    assert sorted(held_out) == sorted(row["prompt_id"] for row in whole)
    for part in parts:
        sides = {
            split: {baselines.root(row["messages"]) for row in part if row["split"] == split}
            for split in ("test", "train")
        }
        assert len(part) == len(whole)
        assert not sides["test"] & sides["train"]
