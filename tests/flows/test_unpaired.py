"""Good and bad answers, unpaired: KTO's data comes in, is counted and goes out as such."""

import json

import pytest

from labeling import imports
from labeling.exports import freeze
from labeling.exports.examples import View, labelled
from labeling.exports.preview import preview
from modelops import datasets, jobs, recipes, rows

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def var(settings, tmp_path):
    settings.VAR = tmp_path


@pytest.fixture
def imported(project, tmp_path):
    """300 lines of TRL's unpaired format, every other one good."""
    lines = [
        {
            "prompt": f"What is {n} and {n}, in words that nobody else asks for?",
            "completion": f"It is {2 * n}.",
            "label": n % 2 == 0,
        }
        for n in range(300)
    ]
    file = tmp_path / "kto.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    settings = {"format": "trl-unpaired", "filename": "kto.jsonl", "near": False, "prefixes": False}
    imports.run(jobs.request(None, project, "import", settings), file)
    return project


def labels(project, **view):
    dataset = freeze.freeze_now(None, project, apart=False)
    frozen = list(rows.read(datasets.path(dataset)))
    return dataset, [label for row in frozen for _, label, _ in labelled(row, View(**view))]


@pytest.mark.parametrize("judged", ["each", "consensus"])
def test_300_labelled_answers_come_out_as_they_came_in(imported, judged):
    _, found = labels(imported, judged=judged)
    assert (found.count(True), found.count(False)) == (150, 150)


def test_the_dataset_and_the_preview_count_them(imported):
    shown = preview(imported, recipes.read("freeze", {}), names=False)
    assert (shown.good, shown.bad) == (150, 150)
    dataset, _ = labels(imported)
    assert (dataset.counts["good"], dataset.counts["bad"]) == (150, 150)


@pytest.mark.torch
def test_kto_learns_from_all_of_them(imported):
    from workers.trainers.data import binary_labels

    dataset, _ = labels(imported)
    found = binary_labels.of_rows(list(rows.read(datasets.path(dataset))), "half")
    whole = [label for of in found for label in of.labels]
    assert (whole.count(True), whole.count(False)) == (150, 150)


@pytest.mark.torch
@pytest.mark.parametrize("which", ["half", "best", "ratings"])
def test_the_dataset_counts_what_kto_would_learn_from(imported, which):
    from workers.trainers.data import binary_labels

    dataset, _ = labels(imported)
    found = binary_labels.of_rows(list(rows.read(datasets.path(dataset))), which)
    trained = [label for of in found if of.split == "train" for label in of.labels]
    right = {"good": trained.count(True), "bad": trained.count(False)}
    assert dataset.counts["kto"][which] == right
    assert 0 < sum(right.values()) < 300


def judged(*judgments, answers=1):
    made = [{"weight": 1.0, "seconds": 1.0, "strength": None} | judgment for judgment in judgments]
    return {"answers": [{"text": str(n)} for n in range(answers)], "judgments": made}


GOOD, BAD = {"ranks": [1], "outcome": "ranked"}, {"ranks": [], "outcome": "all_bad"}
UNDECIDED = {"ranks": [], "outcome": "cannot_judge"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (judged(GOOD, BAD, BAD), [False]),
        (judged(GOOD, GOOD, BAD), [True]),
        (judged(GOOD, BAD), [True]),
        (judged(UNDECIDED), []),
        (judged(BAD, BAD, {"ranks": [1, 2], "outcome": "ranked"}, answers=2), [False, False]),
        (judged({"ranks": [1, 1], "outcome": "ranked"}, answers=2), []),
    ],
)
def test_the_consensus_is_all_bad_where_more_weight_says_so(row, expected):
    assert [label for _, label, _ in labelled(row, View(judged="consensus"))] == expected
