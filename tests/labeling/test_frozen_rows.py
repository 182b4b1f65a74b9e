"""The same judgments have the same dataset id: whatever the database, the keys and the order of arrival."""

import json
import random
import uuid

import pytest
from datasets import load_dataset

from labeling import export
from labeling.models import Candidate, DatasetRanking, Prompt, RankedCandidate, Ranking, RankingTask
from modelops import datasets, jobs, rows
from modelops.models import Dataset, ModelVersion
from people.models import User
from tests.factories import make_project

pytestmark = pytest.mark.django_db
# Made once by this very test on SQLite; CI holds PostgreSQL against it too.
DIGEST = "15f252890e03f4983c043921062b66aa12e027565da5bc52e99e93f380425d37"


@pytest.fixture(autouse=True)
def var(settings, tmp_path):
    settings.VAR = tmp_path


def judged_project(shuffle: random.Random):
    """Twelve tasks of three answers, two judges each, written in an order that `shuffle` decides."""
    project = make_project()
    version = ModelVersion.objects.create(project=project, kind="policy", name="writer")
    job = jobs.request(None, project, "sample", {}, model_version=version)
    people = [User.objects.create_user(f"{n}@example.org", uuid=uuid.UUID(int=n * 10**37)) for n in (1, 2)]
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
                prompt=prompt, job=job, slot=slot, text=f"answer {slot % 2}", model_version=version, seed=slot, tokens=2
            )
            for slot in slots
        }
        task.candidates.set(answers.values())
        for person in shuffle.sample(people, 2):
            judge(task, person, answers, ranks=[1 + (slot * (person.uuid.int // 10**37)) % 3 for slot in range(3)])
    return project


def judge(task, person, answers, ranks, **fields):
    ranking = Ranking.objects.create(task=task, labeler=person, judge=person.uuid, seconds=12.04, **fields)
    for slot, candidate in answers.items():
        RankedCandidate.objects.create(
            ranking=ranking, candidate=candidate, shown=slot, rank=rows.dense(ranks)[slot], flags=["b", "a"]
        )


def freeze(project):
    return export.freeze(jobs.request(None, project, "freeze", {}))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_id_depends_on_the_judgments_alone(seed):
    dataset = freeze(judged_project(random.Random(seed)))

    assert dataset.digest == DIGEST


def test_a_row_is_listwise_and_tells_no_key_and_no_person():
    project = judged_project(random.Random(1))
    person = User.objects.get(email="1@example.org")
    text = (datasets.path(freeze(project)) / "rows.jsonl").read_text()
    row = json.loads(text.splitlines()[0])

    assert set(row) == {"prompt_id", "messages", "split", "use_case", "language", "answers", "judgments"}
    assert [answer["id"] for answer in row["answers"]] == [0, 1, 2]
    assert [judgment["labeler"] for judgment in row["judgments"]] == [0, 1]
    assert all(len(judgment["ranks"]) == 3 for judgment in row["judgments"])
    assert person.uuid.hex not in text.replace("-", "")
    assert person.email not in text


def test_freezing_twice_gives_the_same_dataset():
    project = judged_project(random.Random(1))

    assert freeze(project) == freeze(project)
    assert Dataset.objects.count() == 1
    assert DatasetRanking.objects.count() == 24


def test_an_undone_ranking_and_an_unpublished_prompt_stay_out():
    project = judged_project(random.Random(1))
    Ranking.objects.filter(task__prompt__digest=f"{0:064}").update(current=False)
    Prompt.objects.filter(digest=f"{1:064}").update(published=False)

    assert freeze(project).counts["rows"] == 10


def test_nothing_to_freeze_says_what_to_do():
    with pytest.raises(export.NothingToFreeze, match="rank some"):
        freeze(make_project())


def test_a_changed_file_is_noticed():
    dataset = freeze(judged_project(random.Random(1)))
    datasets.verify(dataset)
    with open(datasets.path(dataset) / "rows.jsonl", "a") as file:
        file.write(" ")

    with pytest.raises(datasets.Withheld, match="changed"):
        datasets.verify(dataset)


def test_both_downloads_hold_the_same_preferences(tmp_path):
    folder = datasets.path(freeze(judged_project(random.Random(1))))
    (tmp_path / "p.jsonl").write_bytes(b"".join(export.json_lines(export.preferences(folder))))
    (tmp_path / "p.parquet").write_bytes(b"".join(export.parquet(export.preferences(folder), group=7)))
    cache = {"split": "train", "cache_dir": str(tmp_path / "cache")}

    lines = load_dataset("json", data_files=str(tmp_path / "p.jsonl"), **cache)
    table = load_dataset("parquet", data_files=str(tmp_path / "p.parquet"), **cache)

    assert lines.to_list() == table.to_list()
    assert lines.num_rows == sum(len(rows.row_pairs(row)) for row in rows.read(folder))
    assert lines[0]["chosen"][0]["role"] == "assistant"
    assert lines[0]["prompt"][-1]["role"] == "user"


def test_a_split_can_be_downloaded_alone():
    folder = datasets.path(freeze(judged_project(random.Random(1))))

    by_split = [len(list(export.preferences(folder, split))) for split in ("train", "validation", "test")]

    assert sum(by_split) == len(list(export.preferences(folder)))
    assert all(by_split)
