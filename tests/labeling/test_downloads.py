"""Datasets go home as files that load."""

import hashlib
import json

import pytest
from datasets import load_dataset
from django.core.management import CommandError, call_command

from labeling import export
from modelops import datasets
from modelops.models import Dataset
from tests.factories import make_job, make_model, make_person, make_prompt, make_ranking, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(project, alice) -> Dataset:
    """Two tasks: six pairs in the training split, five (a tie) in the test split."""
    make_ranking(make_task(project, prompt=make_prompt(project, "Eins, 二?")), alice)
    make_ranking(make_task(project, prompt=make_prompt(project, split="test")), alice, ranks=[1, 2, 2, 3])
    return export.freeze_now(None, project, note="round 1")


@pytest.fixture
def researcher(client_for, project):
    return client_for(make_person(project, "researcher"))


def download(browser, dataset, query):
    return browser.get(f"/p/demo/datasets/{dataset.pk}/download?{query}")


def saved(response, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"".join(response.streaming_content))
    return str(file)


@pytest.mark.parametrize(("format", "loader"), [("jsonl", "json"), ("parquet", "parquet")])
@pytest.mark.parametrize(("split", "pairs"), [("", 11), ("train", 6), ("test", 5), ("validation", 0)])
def test_pairs_load_with_datasets(researcher, dataset, tmp_path, format, loader, split, pairs):
    file = saved(download(researcher, dataset, f"format={format}&split={split}"), tmp_path)
    if not pairs:
        return
    rows = load_dataset(loader, data_files=file, split="train", cache_dir=str(tmp_path / "cache"))

    assert len(rows) == pairs
    assert set(rows.column_names) == {"prompt", "chosen", "rejected"}
    assert [turn["role"] for turn in rows[0]["prompt"] + rows[0]["chosen"]] == ["user", "assistant"]


def test_the_frozen_rows_are_what_the_id_is_made_of(researcher, dataset):
    content = b"".join(download(researcher, dataset, "format=rows").streaming_content)

    assert hashlib.sha256(content).hexdigest() == dataset.digest


def test_a_file_is_named_after_project_dataset_and_split(researcher, dataset):
    named = download(researcher, dataset, "format=jsonl&split=test")["Content-Disposition"]

    assert named == f'attachment; filename="demo-{dataset.short}-test.jsonl"'


@pytest.mark.parametrize("query", ["format=csv", "format=jsonl&split=some"])
def test_what_is_not_offered_is_not_found(researcher, dataset, query):
    assert download(researcher, dataset, query).status_code == 404


def test_a_dataset_changed_on_disk_is_withheld_with_the_reason(researcher, dataset):
    (datasets.path(dataset) / "rows.jsonl").write_text("{}\n")
    response = download(researcher, dataset, "format=jsonl")

    assert response.status_code == 410
    assert "restore it from a backup" in response.content.decode()


def test_the_page_says_how_much_there_is_and_how_to_load_it(researcher, dataset):
    text = researcher.get(f"/p/demo/datasets/{dataset.pk}/").content.decode()

    assert dataset.digest in text
    assert "load_dataset" in text
    assert "round 1" in text


def test_the_list_takes_a_constant_number_of_queries(researcher, project, dataset, django_assert_max_num_queries):
    for number in range(30):
        Dataset.objects.create(
            project=project, kind="judgments", digest=f"{number:064}", folder="x", counts=dataset.counts
        )
    with django_assert_max_num_queries(7):
        researcher.get("/p/demo/datasets/")


def test_a_sampling_jobs_answers_come_one_a_line(client_for, carol, project):
    job = make_job(project, model_version=make_model(project, "writer"))
    task = make_task(project, texts=["a", "b"], model=job.model_version, job=job)
    content = b"".join(client_for(carol).get(f"/p/demo/jobs/{job.pk}/answers.jsonl").streaming_content)
    lines = [json.loads(line) for line in content.splitlines()]

    assert [(line["slot"], line["text"], line["model"]) for line in lines] == [(0, "a", "writer"), (1, "b", "writer")]
    assert lines[0]["prompt_id"] == task.prompt.digest
    assert set(lines[0]) == {"prompt_id", "messages", "split", "slot", "text", "model", "finish_reason", "tokens"}


def test_the_commands_freeze_and_export_the_same(project, dataset, tmp_path, capsys):
    call_command("freeze", project="demo")
    assert capsys.readouterr().out.strip() == dataset.digest

    call_command("export", dataset.short, format="rows", output=tmp_path / "rows.jsonl")
    assert hashlib.sha256((tmp_path / "rows.jsonl").read_bytes()).hexdigest() == dataset.digest


def test_freezing_nothing_says_so(project):
    with pytest.raises(CommandError, match="No task has been ranked yet"):
        call_command("freeze", project="demo")


def test_exporting_what_is_not_there_says_so(db):
    with pytest.raises(CommandError, match="No dataset begins with ffff"):
        call_command("export", "ffff")
