"""Datasets go home as files that load, made once and served in ranges."""

import fcntl
import gzip
import hashlib
import html
import io
import json
import re
import zipfile
from xml.etree import ElementTree

import pytest
import yaml
from datasets import load_dataset
from django.core.management import CommandError, call_command
from huggingface_hub import DatasetCardData
from pyarrow import parquet

from labeling.exports import dataset_card, downloads, freeze, serving
from labeling.models import Judge, Ranking, imported_judge
from modelops import datasets, jobs
from modelops.models import Dataset, Job
from people.models import AuditEvent
from tests.factories import (
    make_job,
    make_model,
    make_person,
    make_project,
    make_prompt,
    make_ranking,
    make_task,
)
from tests.pages import one_line
from tests.worker import work as worked
from workers import dataset_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(project, alice) -> Dataset:
    """Two tasks: six pairs in the training split, five (a tie) in the test split."""
    make_ranking(make_task(project, prompt=make_prompt(project, "Eins, 二?")), alice)
    make_ranking(
        make_task(project, prompt=make_prompt(project, split="test")), alice, ranks=[1, 2, 2, 3]
    )
    return freeze.freeze_now(None, project, note="round 1", licence="cc-by-4.0")


@pytest.fixture
def rita(project):
    return make_person(project, "researcher")


@pytest.fixture
def researcher(client_for, rita):
    return client_for(rita)


@pytest.fixture
def large(monkeypatch):
    """Every dataset is one that a job has to write, and every file a large one."""
    monkeypatch.setattr(downloads, "SMALL", 0)
    monkeypatch.setattr(serving, "LARGE", 0)


def download(browser, dataset, query, **headers):
    return browser.get(f"/p/demo/datasets/{dataset.pk}/download?{query}", headers=headers)


def content(response) -> bytes:
    return b"".join(response.streaming_content)


def work(job: Job) -> None:
    """What the worker does."""
    claimed = jobs.claim(job.pk, {job.kind})
    with jobs.running(claimed):
        dataset_jobs.run(claimed)


@pytest.mark.parametrize(
    ("ending", "loader"), [("jsonl", "json"), ("parquet", "parquet"), ("jsonl.gz", "json")]
)
@pytest.mark.parametrize(("split", "pairs"), [("", 11), ("train", 6), ("test", 5)])
def test_pairs_load_with_datasets(researcher, dataset, tmp_path, ending, loader, split, pairs):
    file = tmp_path / f"pairs.{ending}"
    file.write_bytes(
        content(download(researcher, dataset, f"format=conversational.{ending}&split={split}"))
    )
    rows = load_dataset(
        loader, data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
    )

    assert len(rows) == pairs
    assert set(rows.column_names) == {"prompt", "chosen", "rejected"}
    assert [turn["role"] for turn in rows[0]["prompt"] + rows[0]["chosen"]] == ["user", "assistant"]


def test_a_split_without_rows_is_an_empty_file(researcher, dataset):
    assert content(download(researcher, dataset, "format=trl&split=validation")) == b""


def test_the_frozen_rows_are_what_the_id_is_made_of(researcher, dataset):
    found = content(download(researcher, dataset, "format=rows"))

    assert hashlib.sha256(found).hexdigest() == dataset.digest


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("format=trl&split=test", "trl-test.jsonl"),
        (
            "format=listwise.parquet&judged=consensus&metadata=1",
            "listwise-consensus-metadata.parquet",
        ),
        ("format=csv&bom=1&formulas=1", "csv-bom-formulas.csv"),
        ("format=trl&bom=1", "trl.jsonl"),
        ("format=rows&pairs=best", "rows.jsonl"),
    ],
)
def test_a_file_is_named_after_project_dataset_and_what_was_chosen(
    researcher, dataset, query, name
):
    named = download(researcher, dataset, query)["Content-Disposition"]

    assert named == f'attachment; filename="demo-{dataset.short}-{name}"'


@pytest.mark.parametrize(
    "query", ["format=xml", "format=trl.csv", "format=trl&split=some", "format=trl&pairs=some"]
)
def test_what_is_not_offered_is_not_found(researcher, dataset, query):
    assert download(researcher, dataset, query).status_code == 404


def test_a_dataset_changed_on_disk_is_withheld_with_the_reason(researcher, dataset):
    (datasets.path(dataset) / "rows.jsonl").write_text("{}\n")
    response = download(researcher, dataset, "format=trl")

    assert response.status_code == 410
    assert "restore it from a backup" in response.content.decode()


# Ranges and ETags


def test_a_broken_download_goes_on_where_it_was(researcher, dataset):
    whole = download(researcher, dataset, "format=trl")
    etag, text = whole["ETag"], content(whole)
    part = download(researcher, dataset, "format=trl", **{"Range": "bytes=100-", "If-Range": etag})

    assert (part.status_code, part["Content-Range"]) == (
        206,
        f"bytes 100-{len(text) - 1}/{len(text)}",
    )
    assert text[:100] + content(part) == text
    assert whole["Content-Length"] == str(len(text))


def test_a_range_of_another_file_is_answered_with_the_whole(researcher, dataset):
    again = download(
        researcher, dataset, "format=trl", **{"Range": "bytes=100-", "If-Range": '"another"'}
    )

    assert again.status_code == 200


def test_who_has_the_file_is_told_so(researcher, dataset):
    etag = download(researcher, dataset, "format=trl")["ETag"]

    assert download(researcher, dataset, "format=trl", **{"If-None-Match": etag}).status_code == 304


def test_a_file_is_not_packed_again_on_the_way(researcher, dataset):
    response = download(researcher, dataset, "format=trl", **{"Accept-Encoding": "gzip"})

    assert content(response).startswith(b'{"prompt":')


def test_two_downloads_are_the_same_bytes_whatever_happened_between(
    researcher, dataset, project, alice, bob, carol
):
    queries = [
        f"format={name}.{file}&metadata=1"
        for name, one in downloads.offered(dataset).items()
        for file in one.files
    ]
    before = {query: content(download(researcher, dataset, query)) for query in queries}

    for task in [make_task(project) for _ in range(3)]:
        make_ranking(task, bob)
    make_ranking(make_task(project), alice, ranks=[4, 3, 2, 1])
    make_model(project, "learned", dataset=dataset, folder="m", sha256="0" * 64)
    freeze.freeze_now(carol, project, note="round 2")
    project.name, alice.name = "Another name", "Another name"
    project.save()
    alice.save()
    for file in datasets.renders(dataset).iterdir():
        file.unlink()

    assert {query: content(download(researcher, dataset, query)) for query in queries} == before


# The folder


def test_the_folder_loads_without_a_script(researcher, dataset, tmp_path):
    packed = zipfile.ZipFile(io.BytesIO(content(download(researcher, dataset, "format=folder"))))
    packed.extractall(tmp_path / "folder")
    cache = {"cache_dir": str(tmp_path / "cache")}
    examples = load_dataset(str(tmp_path / "folder"), **cache)
    rows = load_dataset(str(tmp_path / "folder"), "rows", split="train", **cache)

    assert {split: len(part) for split, part in examples.items()} == {"train": 6, "test": 5}
    assert examples["train"].column_names == ["prompt", "chosen", "rejected"]
    assert rows[0]["judgments"][0]["ranks"] == [1, 2, 3, 4] or len(rows[0]["answers"]) == 4


def test_the_card_tells_where_the_rows_come_from(researcher, dataset):
    packed = zipfile.ZipFile(io.BytesIO(content(download(researcher, dataset, "format=folder"))))
    card = packed.read("README.md").decode()

    assert card.startswith('---\nlicense: "cc-by-4.0"\n')
    assert "\nconfigs:\n- config_name: examples\n  default: true\n" in card
    assert "round 1" in card
    assert dataset.digest in card
    assert "| pairs | 11 |" in card
    assert "| pairs that are tied | 8.3 % |" in card


def test_the_card_says_what_it_is_in_the_hubs_words(project, alice, dataset):
    prompt = make_prompt(project, "Was?", language="de-AT")
    make_ranking(make_task(project, prompt=prompt), alice)
    german = freeze.freeze_now(None, project, licence="Our own terms")
    card = DatasetCardData(**header(dataset_card.card(german, {})))

    assert (card.license, card.license_name) == ("other", "Our own terms")
    assert (card.language, card.size_categories) == (["de"], ["n<1K"])
    assert card.task_categories == ["text-generation"]
    assert card.tags == ["preference", "rlhf", "trl", "human-feedback"]
    assert header(dataset_card.card(dataset, {}))["license"] == "cc-by-4.0"


def header(card: str) -> dict:
    return yaml.safe_load(card.split("---")[1])


def test_a_note_and_a_licence_can_be_changed_and_removed(researcher, dataset, rita):
    at = f"/p/demo/datasets/{dataset.pk}"
    researcher.post(f"{at}/about", {"note": " final ", "licence": "mit"})
    dataset.refresh_from_db()

    assert (dataset.note, dataset.licence) == ("final", "mit")
    event = AuditEvent.objects.get(verb="relabel dataset")
    assert event.actor == rita
    assert event.data["licence"] == {"from": "cc-by-4.0", "to": "mit"}
    packed = zipfile.ZipFile(io.BytesIO(content(download(researcher, dataset, "format=folder"))))
    assert "Licence: mit." in packed.read("README.md").decode()

    researcher.post(f"{at}/about", {"note": "", "licence": ""})
    dataset.refresh_from_db()
    assert (dataset.note, dataset.licence) == ("", "")
    assert (
        dataset.digest
        == hashlib.sha256(content(download(researcher, dataset, "format=rows"))).hexdigest()
    )


def test_a_licence_that_is_too_long_is_said_at_its_field(researcher, dataset):
    response = researcher.post(
        f"/p/demo/datasets/{dataset.pk}/about", {"note": "x", "licence": "a" * 61}
    )

    assert (response.status_code, set(response.context["form"].errors)) == (422, {"licence"})
    assert Dataset.objects.get().note == "round 1"


def test_what_was_withdrawn_names_what_replaces_it(researcher, dataset, project, alice):
    make_ranking(make_task(project), alice)
    successor = freeze.freeze_now(None, project)
    datasets.withdraw(None, dataset, "Somebody's judgments were erased")
    Dataset.objects.filter(pk=dataset.pk).update(successor=successor)
    response = download(researcher, dataset, "format=rows")

    assert response.status_code == 410
    text = response.content.decode()
    assert f"judgments were erased. Dataset {successor.digest} replaces it." in html.unescape(text)
    assert f'href="/p/demo/datasets/{successor.pk}/"' in text


def test_frozen_rows_in_parquet_have_the_types_of_their_columns(researcher, dataset, tmp_path):
    file = tmp_path / "rows.parquet"
    file.write_bytes(content(download(researcher, dataset, "format=rows.parquet&split=test")))
    rows = load_dataset("parquet", data_files=str(file), cache_dir=str(tmp_path / "cache"))

    assert sorted(rows["train"][0]["judgments"][0]["ranks"]) == [1, 2, 2, 3]
    assert str(rows["train"].features["answers"].feature["tokens"].dtype) == "int64"


def test_the_cards_plots_lie_beside_it(researcher, dataset):
    packed = zipfile.ZipFile(io.BytesIO(content(download(researcher, dataset, "format=folder"))))
    named = re.findall(r"\]\((plots/\w+\.svg)\)", packed.read("README.md").decode())

    assert named == ["plots/labelers.svg", "plots/models.svg"]
    for name in named:
        plot = ElementTree.fromstring(packed.read(name))
        assert "100 %" in "".join(plot.itertext()) or "50 %" in "".join(plot.itertext())


# Large ones


def test_the_card_begins_with_the_most_frequent_however_the_counts_are_stored(dataset):
    counts = {name: number for number, name in enumerate("abcdefghij", start=1)}
    dataset.counts |= {"languages": counts}  # as jsonb keeps it: by the names' length and letters
    bars = dataset_card.plots(dataset)["languages"].bars

    assert [bar.label for bar in bars] == [*"jihgfedc", "others"]
    assert dataset_card.most_frequent(dataset, "languages")[0] == ("j", 10)


def test_rows_without_a_language_are_counted_in_its_bars(dataset):
    dataset.counts |= {"languages": {"en": 38, "fr": 1}, "rows": 46}
    bars = dataset_card.plots(dataset, whole=True)["languages"].bars

    assert len(dataset_card.plots(dataset)["languages"].bars) == 2  # of downloads, as before
    assert [(bar.label, bar.text) for bar in bars] == [
        ("en", "38 · 83 %"),
        ("fr", "1 · 2 %"),
        ("none", "7 · 15 %"),
    ]


def test_a_large_file_is_made_by_a_job_that_is_asked_for(
    large, researcher, dataset, client_for, carol
):
    address = f"/p/demo/datasets/{dataset.pk}/download?format=trl"
    assert researcher.get(address).status_code == 409

    assert researcher.post(address).url == address
    client_for(carol).post(address)
    job = Job.objects.get(kind="render")
    assert researcher.get(address).status_code == 202

    work(job)
    assert len(content(researcher.get(address)).splitlines()) == 11
    assert (
        client_for(carol).get(f"/p/demo/jobs/{job.pk}/").context["job"].result["query"]
        == "format=trl.jsonl"
    )


def test_who_waits_with_htmx_is_led_to_the_file(large, researcher, dataset):
    address = f"/p/demo/datasets/{dataset.pk}/download?format=trl"
    researcher.post(address)
    waiting = researcher.get(address, headers={"HX-Request": "true"})
    assert (waiting.status_code, "waiting" in one_line(waiting)) == (202, True)

    downloads.make(dataset, downloads.choose(dataset, "trl"))
    there = researcher.get(address, headers={"HX-Request": "true"})
    assert there.status_code == 286, "it asks no more"
    assert f'href="{address}"' in there.content.decode()


def test_two_large_downloads_go_on_at_once(large, researcher, dataset, settings):
    downloads.make(dataset, downloads.choose(dataset, "trl"))
    with open(settings.VAR / "renders" / ".large-0", "a") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = download(researcher, dataset, "format=trl")
        third = download(researcher, dataset, "format=trl")
        assert (second.status_code, third.status_code, third["Retry-After"]) == (200, 503, "60")

        assert content(second)  # to its end, where its place is free again
        assert download(researcher, dataset, "format=trl").status_code == 200


MADE = [
    ("folder", "zip"),
    ("rows", "parquet"),
    ("rows", "jsonl"),
    ("conversational", "parquet"),
    ("listwise", "jsonl.gz"),
    ("metadata", "jsonl"),
    ("csv", "csv"),
]


@pytest.mark.parametrize(("format", "file"), MADE)
def test_a_job_shows_how_far_a_file_is_and_can_be_cancelled_to_the_end(
    dataset, passing, format, file
):
    recipe = downloads.choose(dataset, format, file)
    done = worked(downloads.request(None, dataset, recipe))
    beats, read = len(passing.counts), sum(passing.counts)
    assert (done.state, done.done, done.total) == ("done", read, read)
    assert beats > 2

    downloads.path(dataset, recipe).unlink()
    for passing.cancel_at in (1, beats):
        passing.counts.clear()
        assert worked(downloads.request(None, dataset, recipe)).state == "cancelled"
        assert list(datasets.renders(dataset).iterdir()) == []


def test_a_file_appears_whole_or_not_at_all(dataset, monkeypatch):
    monkeypatch.setattr(downloads, "write", lambda *_: 1 / 0)
    recipe = downloads.choose(dataset, "trl")
    with pytest.raises(ZeroDivisionError):
        downloads.make(dataset, recipe)

    assert list(datasets.renders(dataset).iterdir()) == []


# The pages


def test_the_page_says_how_much_there_is_how_to_load_it_and_what_is_lost(researcher, dataset):
    text = researcher.get(f"/p/demo/datasets/{dataset.pk}/").content.decode()

    assert dataset.digest in text
    assert f"load_dataset(&quot;demo-{dataset.short}-folder&quot;" in text
    assert "round 1" in text
    assert "8.3\u00a0% of the pairs of answers are tied" in text


def test_the_list_takes_a_constant_number_of_queries(
    researcher, project, dataset, django_assert_max_num_queries
):
    for number in range(30):
        Dataset.objects.create(
            project=project,
            kind="judgments",
            digest=f"{number:064}",
            folder="x",
            counts=dataset.counts,
        )
    with django_assert_max_num_queries(7):
        researcher.get("/p/demo/datasets/")


def test_only_an_admin_takes_the_key_of_the_labelers_and_it_is_recorded(
    client_for, carol, dataset, alice
):
    response = client_for(carol).post(f"/p/demo/datasets/{dataset.pk}/labelers")

    assert response.content.decode().splitlines() == [
        "labeler,name,e-mail",
        f"0,{alice.name},{alice.email}",
    ]
    assert AuditEvent.objects.get(verb="export labeler key").actor == carol


def test_the_key_names_imported_judges_as_their_file_did(client_for, carol, project):
    judge = imported_judge("gpt-4")
    Judge.objects.create(uuid=judge, name="gpt-4", kind="model", stated=True)
    ranking = make_ranking(make_task(project), make_person(project), ranks=[1, 2, 2, 3])
    Ranking.objects.filter(pk=ranking.pk).update(
        kind="imported", labeler=None, assignment=None, judge=judge
    )
    dataset = freeze.freeze_now(None, project)
    response = client_for(carol).post(f"/p/demo/datasets/{dataset.pk}/labelers")

    assert response.content.decode().splitlines() == ["labeler,name,e-mail", "0,gpt-4,"]


def test_a_sampling_jobs_answers_come_one_a_line(client_for, carol, project):
    job = make_job(project, model_version=make_model(project, "writer"))
    task = make_task(project, texts=["a", "b"], model=job.model_version, job=job)
    found = content(client_for(carol).get(f"/p/demo/jobs/{job.pk}/answers.jsonl"))
    lines = [json.loads(line) for line in found.splitlines()]

    assert [(line["slot"], line["text"], line["model"]) for line in lines] == [
        (0, "a", "writer"),
        (1, "b", "writer"),
    ]
    assert lines[0]["prompt_id"] == task.prompt.digest
    told = {"prompt_id", "messages", "split", "slot", "text", "model", "finish_reason", "tokens"}
    told |= {"duplicate", "truncated"}
    assert set(lines[0]) == told


# Commands


def test_the_commands_freeze_and_export_the_same(project, dataset, tmp_path, capsys):
    call_command("freeze", project="demo")
    assert capsys.readouterr().out.strip() == dataset.digest

    call_command("export", dataset.short, format="rows", output=tmp_path / "rows.jsonl")
    assert hashlib.sha256((tmp_path / "rows.jsonl").read_bytes()).hexdigest() == dataset.digest


def test_the_files_ending_says_what_is_written(dataset, tmp_path, capsys):
    call_command("export", dataset.short, format="trl", output=tmp_path / "a.jsonl.gz")
    call_command("export", dataset.short, format="trl", output=tmp_path / "a.parquet")

    lines = gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).splitlines()
    assert [json.loads(line) for line in lines] == parquet.read_table(
        tmp_path / "a.parquet"
    ).to_pylist()
    assert "says nothing" in capsys.readouterr().err


def test_the_command_says_what_is_lost_and_writes_the_table_that_is_asked_for(
    dataset, tmp_path, capsys
):
    table = tmp_path / "a.csv"
    call_command("export", dataset.short, format="csv", bom=True, formulas=True, output=table)

    assert table.read_bytes().startswith(b"\xef\xbb\xbfprompt,chosen,rejected\r\n")
    lost = capsys.readouterr().err.partition("Lost when imported again: ")[2]
    assert "; ties; " in lost
    assert "which model wrote an answer" in lost

    call_command("export", dataset.short, format="csv", metadata=True, output=table)
    assert "which model wrote" not in capsys.readouterr().err


def test_an_ending_that_the_format_has_not_is_refused(dataset, tmp_path):
    with pytest.raises(CommandError, match=r"comes as jsonl or jsonl\.gz"):
        call_command("export", dataset.short, format="trl", output=tmp_path / "a.csv")


def test_a_freeze_command_takes_what_the_page_takes(project, dataset, alice, capsys):
    call_command("freeze", "--project", "demo", "--no-ties", "--licence", "mit")
    one = Dataset.objects.get(digest=capsys.readouterr().out.strip())

    assert (one.counts["rows"], one.licence, one.query) == (
        1,
        "mit",
        {"ties": False, "licence": "mit"},
    )
    with pytest.raises(CommandError, match="Nothing matches what was chosen"):
        call_command("freeze", "--project", "demo", "--without", alice.email)


def test_freezing_nothing_says_so(project):
    with pytest.raises(CommandError, match="No task has been ranked yet"):
        call_command("freeze", project="demo")


def test_exporting_what_is_not_there_says_so(db):
    with pytest.raises(CommandError, match="No dataset begins with ffff"):
        call_command("export", "ffff")


def test_a_dataset_that_two_projects_hold_is_named_with_one_of_them(dataset, tmp_path):
    twin = Dataset.objects.get(pk=dataset.pk)
    twin.pk, twin.project = None, make_project(slug="twin")
    twin.save()
    with pytest.raises(CommandError, match="add --project, one of demo, twin"):
        call_command("export", dataset.digest)

    call_command("export", dataset.digest, project="demo", format="rows", output=tmp_path / "rows")
    assert hashlib.sha256((tmp_path / "rows").read_bytes()).hexdigest() == dataset.digest


def test_the_page_counts_the_answers_that_the_sampler_cut(project, alice, researcher, dataset):
    shown = ">Answers cut</dt><dd>1</dd>"
    assert shown not in one_line(researcher.get(f"/p/demo/datasets/{dataset.pk}/"))

    task = make_task(project)
    task.candidates.filter(slot=0).update(finish_reason="length")
    make_ranking(task, alice)
    cut = freeze.freeze_now(None, project)

    assert shown in one_line(researcher.get(f"/p/demo/datasets/{cut.pk}/"))
