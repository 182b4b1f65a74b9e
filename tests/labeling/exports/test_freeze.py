"""The same judgments have the same dataset id: whatever the database, the keys and the order of
arrival.
"""

import json
import random
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from pyarrow import parquet

from labeling.exports import dataset_card, freeze, selection
from labeling.exports.external_sort import Sorter
from labeling.judging.judgment import Verdict
from labeling.models import (
    Candidate,
    DatasetLabeler,
    DatasetRanking,
    Demonstration,
    Prompt,
    RankedCandidate,
    Ranking,
    RankingTask,
)
from modelops import datasets, jobs, recipes, rows
from modelops.models import Dataset, Job, ModelVersion
from people.models import Project, User
from tests.factories import make_project, make_prompt, rate

pytestmark = pytest.mark.django_db
# Made once by this very test on SQLite; CI holds PostgreSQL against it too.
DIGEST = "15f252890e03f4983c043921062b66aa12e027565da5bc52e99e93f380425d37"


@pytest.fixture(autouse=True)
def var(settings, tmp_path):
    settings.VAR = tmp_path


def judged_project(shuffle: random.Random):
    """Twelve tasks of three answers, two judges each, written in the order that `shuffle` gives."""
    project = make_project()
    version = ModelVersion.objects.create(project=project, kind="policy", name="writer")
    job = jobs.request(None, project, "sample", {}, model_version=version)
    people = [
        User.objects.create_user(f"{n}@example.org", uuid=uuid.UUID(int=n * 10**37)) for n in (1, 2)
    ]
    for number in shuffle.sample(range(12), 12):
        prompt = Prompt.objects.create(
            project=project,
            messages=[{"role": "user", "content": f"Frage {number}: 你好?"}],
            digest=f"{number:064}",
            split=("train", "validation", "test")[number % 3],
            published=True,
        )
        task = RankingTask.objects.create(project=project, prompt=prompt, job=job)
        slots = shuffle.sample(range(3), 3)
        answers = {
            slot: Candidate.objects.create(
                prompt=prompt,
                job=job,
                slot=slot,
                text=f"answer {slot % 2}",
                model_version=version,
                seed=slot,
                tokens=2,
            )
            for slot in slots
        }
        task.candidates.set(answers.values())
        for person in shuffle.sample(people, 2):
            judge(
                task,
                person,
                answers,
                ranks=[1 + (slot * (person.uuid.int // 10**37)) % 3 for slot in range(3)],
            )
    return project


def judge(task, person, answers, ranks, **fields):
    ranking = Ranking.objects.create(
        task=task, labeler=person, judge=person.uuid, seconds=12.04, **fields
    )
    for slot, candidate in answers.items():
        RankedCandidate.objects.create(
            ranking=ranking,
            candidate=candidate,
            shown=slot,
            rank=rows.dense(ranks)[slot],
        )
    rate(ranking, {answer.pk: Verdict(flags=["b", "a"]) for answer in answers.values()})


def freeze_now(project):
    return freeze.freeze(jobs.request(None, project, "freeze", {}))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_id_depends_on_the_judgments_alone(seed):
    dataset = freeze_now(judged_project(random.Random(seed)))

    assert dataset.digest == DIGEST


def test_a_row_is_listwise_and_tells_no_key_and_no_person():
    project = judged_project(random.Random(1))
    person = User.objects.get(email="1@example.org")
    text = (datasets.path(freeze_now(project)) / "rows.jsonl").read_text()
    row = json.loads(text.splitlines()[0])

    assert set(row) == {
        "prompt_id",
        "messages",
        "split",
        "use_case",
        "language",
        "answers",
        "judgments",
    }
    assert [answer["id"] for answer in row["answers"]] == [0, 1, 2]
    assert [judgment["labeler"] for judgment in row["judgments"]] == [0, 1]
    assert all(len(judgment["ranks"]) == 3 for judgment in row["judgments"])
    assert person.uuid.hex not in text.replace("-", "")
    assert person.email not in text


def test_freezing_twice_gives_the_same_dataset():
    project = judged_project(random.Random(1))

    assert freeze_now(project) == freeze_now(project)
    assert Dataset.objects.count() == 1
    assert DatasetRanking.objects.count() == 24


def test_an_undone_ranking_and_an_unpublished_prompt_stay_out():
    project = judged_project(random.Random(1))
    Ranking.objects.filter(task__prompt__digest=f"{0:064}").update(current=False)
    Prompt.objects.filter(digest=f"{1:064}").update(published=False)

    assert freeze_now(project).counts["rows"] == 10


def test_nothing_to_freeze_says_what_to_do():
    with pytest.raises(freeze.NothingToFreeze, match="rank some"):
        freeze_now(make_project())


def test_a_changed_file_is_noticed():
    dataset = freeze_now(judged_project(random.Random(1)))
    datasets.verify(dataset)
    with open(datasets.path(dataset) / "rows.jsonl", "a") as file:
        file.write(" ")

    with pytest.raises(datasets.Withheld, match="changed"):
        datasets.verify(dataset)


def test_the_numbers_of_labelers_are_kept_apart_from_the_rows():
    project = judged_project(random.Random(1))
    dataset = freeze_now(project)
    key = DatasetLabeler.objects.filter(dataset=dataset)

    first = next(rows.read(datasets.path(dataset)))["judgments"]
    assert {one.number for one in key} == {0, 1}
    assert (
        first[0]["labeler"]
        == key.get(judge=min(User.objects.values_list("uuid", flat=True), key=str)).number
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_sorted_on_disk_is_what_python_sorts(seed, tmp_path):
    shuffle = random.Random(seed)
    keys = [
        "".join(shuffle.choices("aä你😀\x00Z\uffee", k=shuffle.randint(0, 4))) for _ in range(300)
    ]
    with Sorter(tmp_path) as sorter:
        for place, key in enumerate(keys):
            sorter.add(key, place)

        assert list(sorter) == sorted(range(300), key=lambda place: (keys[place], place))
    assert list(tmp_path.iterdir()) == []


def test_freezing_holds_a_batch_in_memory_and_asks_a_constant_number_of_queries(
    monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(freeze, "BATCH", 2)
    project = judged_project(random.Random(1))
    recipe = recipes.FreezeRecipe()

    with django_assert_max_num_queries(11 * 6 + 1):  # of them scores, criteria, spans, judges
        batches = list(freeze.in_batches(selection.rankings(project, recipe)))

    assert [len(batch) for batch in batches] == [2] * 6


def test_the_parquet_files_hold_the_rows_by_split():
    folder = datasets.path(freeze_now(judged_project(random.Random(1))))
    found = [
        row
        for split in ("train", "validation", "test")
        for row in parquet.read_table(folder / f"{split}.parquet").to_pylist()
    ]

    assert sorted(map(rows.canonical, found)) == sorted(map(rows.canonical, rows.read(folder)))


def test_an_answer_whose_model_read_a_part_of_the_prompt_says_so_and_no_other_does():
    project = judged_project(random.Random(1))
    whole = freeze_now(project)
    assert whole.digest == DIGEST
    Candidate.objects.filter(slot=0).update(truncated=True)

    cut = freeze_now(project)

    assert cut.digest != whole.digest
    answers = [answer for row in rows.read(datasets.path(cut)) for answer in row["answers"]]
    assert {answer.get("truncated") for answer in answers} == {True, None}
    assert sum("truncated" in answer for answer in answers) == cut.counts["truncated"] == 12
    table = parquet.read_table(datasets.path(cut) / "train.parquet").to_pylist()
    assert {answer["truncated"] for row in table for answer in row["answers"]} == {True, None}


def frozen_of_chosen(project, kind):
    job = jobs.request(None, project, "freeze", {"kind": kind, "answers": "chosen", "apart": False})
    dataset = freeze.freeze(job)
    return dataset, list(rows.read(datasets.path(dataset)))


@pytest.mark.parametrize("kind", ["demonstrations", "text"])
def test_a_chosen_answer_that_the_sampler_cut_says_so_and_no_other_row_changes(kind):
    project = judged_project(random.Random(1))
    Candidate.objects.update(reward=1.0, finish_reason="stop")
    whole, lines = frozen_of_chosen(project, kind)
    keys = {"demonstrations": {"messages", "use_case", "language"}, "text": set()}[kind]
    assert {frozenset(line) for line in lines} == {frozenset(keys | {"prompt_id", "split", "text"})}
    assert "cut" not in whole.counts

    Candidate.objects.filter(slot=0).update(finish_reason="length")
    cut, found = frozen_of_chosen(project, kind)

    assert cut.digest != whole.digest
    assert {line.get("finish_reason") for line in found} == {"length", None}
    assert sum("finish_reason" in line for line in found) == cut.counts["cut"] == 12
    for line in found:
        line.pop("finish_reason", None)
    assert sorted(map(rows.canonical, found)) == sorted(map(rows.canonical, lines))
    table = parquet.read_table(datasets.path(cut) / "train.parquet").to_pylist()
    assert {line["finish_reason"] for line in table} == {"length", None}


def test_the_folder_for_download_says_which_chosen_answers_were_cut(tmp_path):
    project = judged_project(random.Random(1))
    Candidate.objects.update(reward=1.0, finish_reason="length")
    dataset, lines = frozen_of_chosen(project, "demonstrations")
    with open(tmp_path / "folder.zip", "wb") as out:
        dataset_card.write_folder(dataset, out)
    with (
        zipfile.ZipFile(tmp_path / "folder.zip") as packed,
        packed.open("rows/train.parquet") as file,
    ):
        found = parquet.read_table(file).to_pylist()

    assert sorted(map(rows.canonical, found)) == sorted(
        rows.canonical(line) for line in lines if line["split"] == "train"
    )


def test_a_judgments_row_holds_the_reason_as_it_always_did():
    project = judged_project(random.Random(1))
    assert freeze_now(project).digest == DIGEST
    Candidate.objects.filter(slot=0).update(finish_reason="length")

    assert freeze_now(project).counts["cut"] == 12


@pytest.mark.parametrize("kind", ["judgments", "demonstrations", "prompts", "text"])
def test_rows_are_decoded_once_to_be_written_and_counted(kind, monkeypatch):
    project = judged_project(random.Random(1))
    for prompt in Prompt.objects.all():
        Demonstration.objects.create(prompt=prompt, text="So it is.")
    Prompt.objects.filter(pk=Prompt.objects.first().pk).update(split="test")
    decoded, read = [], Sorter._read

    def listen(self, column):
        for item in read(self, column):
            decoded.append(column)
            yield item

    monkeypatch.setattr(Sorter, "_read", listen)
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "counts", None)  # everything was counted on the way
        dataset = freeze.freeze_now(None, project, kind)

    counts = datasets.counts(datasets.path(dataset))
    assert {name: dataset.counts[name] for name in counts} == counts
    assert counts["rows"] > 1
    assert decoded.count("value") == 1 + counts["rows"]  # one to see whether there are any


def test_a_freeze_beats_also_while_rows_are_written(project, judged, monkeypatch):
    """Three rows: one beat each as a line, and one each as Parquet."""
    monkeypatch.setattr(freeze, "BATCH", 1)
    job = jobs.claim(jobs.request(None, project, Job.Kind.FREEZE).pk, {Job.Kind.FREEZE})
    beats = []
    freeze.run(job, beats.append)

    assert beats[-6:] == [None] * 6
    assert None not in beats[:-6]


def test_a_freeze_is_cancelled_also_while_parquet_is_written(
    project, judged, monkeypatch, tmp_path
):
    monkeypatch.setattr(freeze, "BATCH", 1)
    job = jobs.claim(jobs.request(None, project, Job.Kind.FREEZE).pk, {Job.Kind.FREEZE})
    beats = []

    def cancel_at_the_last(done):
        beats.append(done)
        if beats.count(None) == 6:
            raise jobs.Cancelled

    with pytest.raises(jobs.Cancelled):
        freeze.run(job, cancel_at_the_last)
    assert not Dataset.objects.exists()
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["prompts", "demonstrations", "text"])
def test_a_freeze_of_texts_beats_though_others_write_meanwhile(project, alice, monkeypatch, kind):
    monkeypatch.setattr(freeze, "BATCH", 2)
    for number in range(7):
        prompt = make_prompt(project, f"Question {number}?")
        Demonstration.objects.create(prompt=prompt, labeler=alice, text=f"Answer {number}.")
    requested = jobs.request(None, project, Job.Kind.FREEZE, {"kind": kind})
    job = jobs.claim(requested.pk, {Job.Kind.FREEZE})

    def beat(done):
        with ThreadPoolExecutor(1) as other:
            other.submit(write_elsewhere, project).result()
        jobs.beat(job, done=done)

    assert freeze.run(job, beat).counts["rows"] == 7


def write_elsewhere(project):
    Project.objects.filter(pk=project.pk).update(guidelines="Rank.")
    connection.close()
