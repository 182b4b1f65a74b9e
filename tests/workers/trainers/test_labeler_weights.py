"""Labeler weights in a side file: trainers learn as if the rows held them."""

import json
import random
from pathlib import Path

import pytest

from modelops import recipes, rows
from tests.workers import tiny
from tests.workers.trainers.test_child_process import Child, figures, losses, make_run
from workers.trainers.data import binary_labels, targets
from workers.trainers.run import events, runs
from workers.trainers.run.events import Stop

WEIGHTS = {"0": 0.25, "2": 3.0}  # of labelers 0 to 3
SETTINGS = {"learning_rate": 0.005, "max_steps": 6}


def judged_rows() -> list[dict]:
    """Labeler 2 orders each row's answers the other way round."""
    draw = random.Random(0)
    result = []
    for number in range(30):
        ranks = draw.sample([1, 2, 3], 3)
        judgments = [
            {
                "labeler": labeler,
                "outcome": "ranked",
                "ranks": [4 - rank for rank in ranks] if labeler == 2 else ranks,
                "strength": None,
                "weight": 1.0,
            }
            for labeler in range(4)
        ]
        result.append(
            {
                "prompt_id": str(number),
                "messages": [{"role": "user", "content": f"Question {number}"}],
                "split": ("validation", "train", "train")[number % 3],
                "answers": [
                    {"id": place, "text": f"{word} {number}"}
                    for place, word in enumerate(("sea", "sky", "sun"))
                ],
                "judgments": judgments,
            }
        )
    return result


def write_rows(folder: Path, judged: list[dict]) -> Path:
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(rows.canonical(row) + "\n" for row in judged))
    return folder


def write_weights(file: Path, dataset: str) -> Path:
    file.write_text(rows.canonical({"dataset": dataset, "weights": WEIGHTS}))
    return file


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A tiny model, the frozen dataset, and one whose rows hold the weights."""
    folder = tmp_path_factory.mktemp("weights")
    tiny.save(folder / "model")
    frozen = judged_rows()
    write_rows(folder / "dataset", frozen)
    held = [
        row
        | {
            "judgments": [
                judgment | {"weight": {0: 0.25, 2: 3.0}.get(judgment["labeler"], 1.0)}
                for judgment in row["judgments"]
            ]
        }
        for row in frozen
    ]
    write_rows(folder / "held", held)
    write_weights(folder / "weights.json", "dataset")
    return folder


def run_of(place: Path, dataset: str = "dataset", weighted: bool = True) -> runs.Run:
    others = {"weights": place / "weights.json"} if weighted else {}
    recipe = recipes.read("reward", {})
    return runs.Run(place, "reward", recipe, place, place / dataset, place / "out", others)


def trained(place: Path, name: str, **changes) -> tuple[dict, dict]:
    """The losses of each step and the final figures of a reward run, its recipe.json changed."""
    file = make_run(place, name, "reward", **SETTINGS) / "recipe.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    told = Child(file.parent).end()
    return losses(told), figures(told)


@pytest.mark.torch
def test_a_reward_training_with_weights_is_one_on_rows_that_hold_them(place):
    weights = {"others": {"weights": str(place / "weights.json")}}

    with_weights = trained(place, "with-weights", **weights)
    on_held_rows = trained(place, "on-held-rows", dataset=str(place / "held"))
    unweighted = trained(place, "unweighted")

    assert with_weights == on_held_rows
    assert with_weights[0].keys() == unweighted[0].keys()
    assert with_weights[0] != unweighted[0]


def test_the_rows_of_a_run_hold_the_weights(place):
    weighted = run_of(place).rows()

    assert weighted == run_of(place, "held", weighted=False).rows()
    assert weighted != run_of(place, weighted=False).rows()


@pytest.mark.parametrize("source", ["best", "better-half"])
def test_supervised_fine_tuning_imitates_by_the_weights(place, source):
    imitated = [
        [example.text for example in targets.examples(run_of(place, **of).rows(), source)]
        for of in ({}, {"dataset": "held", "weighted": False}, {"weighted": False})
    ]
    with_weights, on_held_rows, unweighted = imitated
    assert with_weights == on_held_rows
    assert with_weights != unweighted


@pytest.mark.parametrize("way", ["half", "best"])
def test_kto_tells_good_and_bad_apart_by_the_weights(place, way):
    """Labeler 2 weighs 3, the other three together 2.25: it decides."""
    weighted, unweighted = (
        binary_labels.of_rows(run_of(place, weighted=weighted).rows(), way)
        for weighted in (True, False)
    )
    for ours, theirs in zip(weighted, unweighted, strict=True):
        labels = dict(zip(ours.texts, ours.labels))
        changed = dict(zip(theirs.texts, theirs.labels))
        best_of_all = {text for text, good in changed.items() if good}
        assert not any(labels[text] for text in best_of_all & labels.keys())


def test_the_log_says_how_many_judgments_have_no_weight(place, monkeypatch):
    said = []
    monkeypatch.setattr(events, "log", said.append)
    run_of(place).rows()

    assert said == [
        "Counts 60 judgments by the weights of 2 labelers; 60 judgments of 2 labelers without a "
        "weight count 1."
    ]


def test_weights_of_another_dataset_stop_the_run(place):
    with pytest.raises(Stop, match="are of dataset dataset, not of held"):
        run_of(place, "held").rows()


def test_rows_without_judgments_have_nobody_to_weigh(place, tmp_path):
    written = write_rows(tmp_path / "written", [{"messages": [], "text": "t", "split": "train"}])
    weights = write_weights(tmp_path / "weights.json", "written")
    run = runs.Run(
        tmp_path, "sft", recipes.read("sft", {}), place, written, tmp_path, {"weights": weights}
    )
    with pytest.raises(Stop, match="Only a dataset of judgments"):
        run.rows()
