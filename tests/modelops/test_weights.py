"""Labeler weights of a dataset: what they may hold, their id, and who is told what they lack."""

import hashlib
import json
import math

import pytest

from labeling.exports import downloads, freeze
from modelops import datasets, recipes, rows, weights
from modelops.forms.jobs import JobForm
from modelops.jobs import JobFailed
from modelops.models import Dataset, LabelerWeights
from people.models import AuditEvent
from tests.factories import make_job, make_person, make_ranking, make_task, register_model
from workers import training_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(project, alice, bob) -> Dataset:
    """Two tasks that three labelers ranked, each in another way."""
    dora = make_person(project, name="dora")
    for _number in range(2):
        task = make_task(project, texts=("good", "poor"), overlap=3)
        for person, ranks in ((alice, (1, 2)), (bob, (2, 1)), (dora, (2, 1))):
            make_ranking(task, person, ranks)
            task.refresh_from_db()
    return freeze.freeze_now(None, project)


@pytest.fixture
def job(project, dataset, tmp_path):
    base = register_model(project, tmp_path / "base")
    return make_job(project, "reward", model_version=base, dataset=dataset, recipe={})


def test_their_id_is_the_digest_of_their_line(dataset, carol):
    stored, new = weights.store(carol, dataset, {"1": 0.5, "0": 1}, note="fitted on Monday")

    line = f'{{"dataset":"{dataset.digest}","weights":{{"0":1.0,"1":0.5}}}}'
    assert new
    assert stored.digest == hashlib.sha256(line.encode()).hexdigest()
    stored.refresh_from_db()
    assert weights.file_text(stored) == line
    assert (stored.note, weights.missing(stored)) == ("fitted on Monday", 1)
    event = AuditEvent.objects.get(verb="store labeler weights")
    assert event.data["digest"] == stored.digest


def test_the_same_weights_are_stored_once(dataset, carol):
    first, _new = weights.store(carol, dataset, {"0": 0.5, "1": 1})
    again, new = weights.store(None, dataset, {"1": 1.0, "0": 0.50})

    assert (again, new) == (first, False)
    assert AuditEvent.objects.filter(verb="store labeler weights").count() == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "at least one"),
        ({"3": 1.0}, "no labeler 3: its labelers are 0 to 2"),
        ({"alice": 1.0}, "no labeler alice"),
        ({"00": 1.0}, "no labeler 00"),
        ({"0": -0.01}, "between 0 and 100"),
        ({"0": 100.01}, "between 0 and 100"),
        ({"0": math.nan}, "between 0 and 100"),
        ({"0": 0.123}, "at most 2 decimals"),
        ({"0": 0.0, "1": 0.0, "2": 0.0}, "no judgment would count"),
    ],
)
def test_what_is_no_weight_of_the_dataset_is_refused(dataset, given, why):
    with pytest.raises(weights.BadWeights, match=why):
        weights.store(None, dataset, given)
    assert not LabelerWeights.objects.exists()


def test_only_judgments_have_labelers_to_weigh(project):
    line = rows.canonical({"prompt_id": "p", "messages": [], "text": "t", "split": "train"})
    digest, folder = datasets.write([line], Dataset.Kind.DEMONSTRATIONS)
    written, _new = datasets.register(project, Dataset.Kind.DEMONSTRATIONS, digest, folder)

    with pytest.raises(weights.BadWeights, match="holds demonstrations"):
        weights.store(None, written, {"0": 1.0})


def test_labelers_of_a_dataset_without_that_count_are_counted_in_its_rows(dataset):
    dataset.counts.pop("judges")
    assert weights.labelers(dataset) == 3


def test_they_go_when_the_dataset_is_withdrawn(dataset):
    weights.store(None, dataset, {"0": 0.5})
    datasets.withdraw(None, dataset, "a person was erased")

    assert not LabelerWeights.objects.exists()
    dataset.refresh_from_db()
    with pytest.raises(datasets.Withheld):
        weights.store(None, dataset, {"0": 0.5})


def test_weights_of_another_dataset_are_named(project, dataset, alice):
    stored, _new = weights.store(None, dataset, {"0": 0.5})
    make_ranking(make_task(project), alice)
    larger = freeze.freeze_now(None, project)

    assert weights.find(dataset, stored.digest[:6]) == stored
    why = f"{stored.digest[:6]} are of dataset {dataset.short}, not of {larger.short}"
    with pytest.raises(weights.BadWeights, match=why):
        weights.find(larger, stored.digest[:6])
    with pytest.raises(weights.BadWeights, match="store them first"):
        weights.find(larger, "beef")


def test_a_start_that_several_have_is_not_enough(dataset):
    for weight in (0.5, 0.6):
        weights.store(None, dataset, {"0": weight})
    with pytest.raises(weights.BadWeights, match="Several"):
        weights.find(dataset, "")


# In recipes


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [
        ("reward", {"weighted": False}),
        ("sft", {"source": "demonstrations"}),
        ("sft", {"source": "text"}),
    ],
)
def test_a_recipe_on_which_weights_have_no_effect_takes_none(kind, chosen):
    recipes.read(kind, chosen)
    with pytest.raises(recipes.InvalidRecipe, match="have no effect") as error:
        recipes.read(kind, chosen | {"weights": "3f2a"})
    assert error.value.field == "weights"


def reward_form(project, job, start: str) -> JobForm:
    usual = {bound.name: bound.value() for bound in JobForm(project, "reward")}
    chosen = {"model_version": job.model_version_id, "dataset": job.dataset_id, "weights": start}
    return JobForm(project, "reward", usual | chosen)


def test_the_form_puts_the_whole_id_into_the_recipe(project, job):
    stored, _new = weights.store(None, job.dataset, {"0": 0.5})

    form = reward_form(project, job, stored.digest[:8])
    assert form.is_valid(), form.errors
    assert form.recipe()["weights"] == stored.digest

    wrong = reward_form(project, job, "beef")
    assert list(wrong.errors) == ["weights"]


def test_the_trainer_gets_the_file_beside_its_recipe(job):
    stored, _new = weights.store(None, job.dataset, {"0": 0.5, "2": 2})
    job.recipe = {"weights": stored.digest}

    folder = training_job.prepare(job)

    asked = json.loads((folder / "recipe.json").read_text())
    assert asked["others"] == {"weights": str(folder / "weights.json")}
    text = (folder / "weights.json").read_text()
    assert hashlib.sha256(text.encode()).hexdigest() == stored.digest
    assert json.loads(text) == {"dataset": job.dataset.digest, "weights": {"0": 0.5, "2": 2.0}}


def test_a_job_whose_weights_are_gone_says_so(job):
    job.recipe = {"weights": "3f2a"}
    with pytest.raises(JobFailed, match="has no labeler weights 3f2a"):
        training_job.prepare(job)


# In downloads


def file_rows(dataset: Dataset, format: str, **options) -> list[dict]:
    recipe = downloads.choose(dataset, format, "jsonl", **options)
    return [json.loads(line) for line in downloads.make(dataset, recipe).open()]


def of_labelers(dataset: Dataset) -> dict[tuple[int, ...], set[int]]:
    """The numbers of those who ranked so."""
    by_ranks: dict[tuple[int, ...], set[int]] = {}
    for row in rows.read(datasets.path(dataset)):
        for judgment in row["judgments"]:
            by_ranks.setdefault(tuple(judgment["ranks"]), set()).add(judgment["labeler"])
    return by_ranks


def test_a_download_with_weights_has_them_in_place_of_those_of_the_rows(dataset):
    stored, _new = weights.store(None, dataset, {"0": 0.5, "1": 2})
    by_number = {0: 0.5, 1: 2.0, 2: 1.0}

    plain = file_rows(dataset, "listwise", metadata=True)
    weighted = file_rows(dataset, "listwise", metadata=True, weights=stored.digest[:8])
    pairs = file_rows(dataset, "conversational", weights=stored.digest)
    answers = file_rows(dataset, "unpaired", weights=stored.digest)

    assert {example["weight"] for example in plain} == {1.0}
    assert [example["weight"] for example in weighted] == [
        by_number[example["labeler"]] for example in weighted
    ]
    assert sorted(example["weight"] for example in pairs) == [0.5, 0.5, 1.0, 1.0, 2.0, 2.0]
    assert {example["weight"] for example in answers} == {0.5, 1.0, 2.0}


def test_the_consensus_counts_by_the_weights(dataset):
    """Two labelers against one: the one prevails where he weighs more."""
    by_ranks = of_labelers(dataset)
    (single,) = next(numbers for numbers in by_ranks.values() if len(numbers) == 1)
    stored, _new = weights.store(None, dataset, {str(single): 3})

    ranks = [example["ranks"] for example in file_rows(dataset, "listwise", judged="consensus")]
    weighted = file_rows(dataset, "listwise", judged="consensus", weights=stored.digest)

    assert [example["ranks"] for example in weighted] == [
        [3 - rank for rank in row] for row in ranks
    ]
    assert {example["weight"] for example in weighted} == {5.0}


def test_the_file_is_named_by_its_weights(dataset):
    stored, _new = weights.store(None, dataset, {"0": 0.5})
    recipe = downloads.choose(dataset, "listwise", weights=stored.digest[:8])

    assert recipe.weights == stored.digest
    name = f"demo-{dataset.short}-listwise-weights-{stored.digest[:12]}.jsonl"
    assert downloads.name_of(dataset, recipe) == name
    assert downloads.query(recipe)["weights"] == stored.digest


@pytest.mark.parametrize("format", ["rows", "folder", "label-studio", "prompt-only"])
def test_a_format_that_holds_no_weights_takes_none(dataset, format):
    stored, _new = weights.store(None, dataset, {"0": 0.5})
    with pytest.raises(downloads.NotOffered, match="holds no weights of labelers"):
        downloads.choose(dataset, format, weights=stored.digest)
