"""A dataset that one host froze is there on every host that has the same store."""

import hashlib
import os
import shutil
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils.timezone import now

from modelops import datasets, jobs, rows, store
from modelops.models import Dataset
from modelops.stores import bucket as buckets
from modelops.stores import cache
from people.models import Membership
from tests.factories import make_person, make_project
from tests.worker import work
from workers.queues import tidy

pytestmark = pytest.mark.django_db
LINES = [
    rows.canonical({"text": f"Text {number} of the dataset.", "split": "train"})
    for number in range(50)
]


def freeze(project, lines=LINES):
    digest, place = datasets.write(lines, Dataset.Kind.TEXT)
    return datasets.register(project, Dataset.Kind.TEXT, digest, place)[0]


@pytest.fixture
def reader(client_for):
    return lambda project: client_for(
        make_person(project, Membership.Role.RESEARCHER, f"reader-of-{project.slug}")
    )


def address_of(dataset):
    return f"/p/{dataset.project.slug}/datasets/{dataset.pk}/download?format=rows.jsonl"


def download(client, dataset, **headers):
    response = client.get(address_of(dataset), headers=headers)
    return response, b"".join(response.streaming_content)


def test_both_hosts_send_the_same_bytes_with_the_same_etag_and_ranges(hosts, settings, reader):
    settings.VAR = hosts[1]
    dataset = freeze(make_project())
    client, answers = reader(dataset.project), []
    for settings.VAR in hosts:
        whole, content = download(client, dataset)
        part, some = download(client, dataset, range="bytes=10-19")
        assert (whole.status_code, part.status_code) == (200, 206)
        assert some == content[10:20]
        answers.append((content, whole["ETag"], part["Content-Range"]))

    assert answers[0] == answers[1]
    assert hashlib.sha256(answers[0][0]).hexdigest() == dataset.digest
    assert [row["text"] for row in rows.read(datasets.path(dataset))][:1] == [
        "Text 0 of the dataset."
    ]


def test_the_same_rows_have_the_same_id_and_place_on_both_hosts(hosts, settings):
    frozen = []
    for settings.VAR, slug in zip(hosts, ("one", "two")):
        frozen.append(freeze(make_project(slug=slug)))

    assert frozen[0].digest == frozen[1].digest == hashlib.sha256(text_of(LINES)).hexdigest()
    assert frozen[0].folder == frozen[1].folder
    assert len(list(store.entries())) == 1


def text_of(lines) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_a_job_of_the_other_host_reads_it(hosts, settings):
    settings.VAR = hosts[0]
    dataset = freeze(make_project())
    settings.VAR = hosts[1]
    recipe = {"format": "rows", "file": "jsonl"}
    job = work(jobs.request(None, dataset.project, "render", recipe, dataset=dataset))

    assert (job.state, job.result["bytes"]) == ("done", len(text_of(LINES)))


def test_a_withdrawn_dataset_leaves_the_store_and_the_hosts(hosts, settings, reader):
    settings.VAR = hosts[0]
    dataset = freeze(make_project())
    client = reader(dataset.project)
    for settings.VAR in hosts:
        download(client, dataset)
    datasets.withdraw(None, dataset, "somebody asked for it")
    run_on_commit(dataset)
    assert client.get(address_of(dataset)).status_code == 410
    assert list(store.entries()) == []
    for settings.VAR in hosts:
        tidy()
        assert not (cache.root() / store.digest_of(dataset.folder)).exists()


def run_on_commit(dataset):
    """Tests end in no commit."""
    datasets._remove_files(dataset, [])


def test_other_projects_keep_the_rows_until_they_are_withdrawn_too(hosts, settings):
    settings.VAR = hosts[0]
    one, two = (freeze(make_project(slug=slug)) for slug in ("one", "two"))
    datasets.withdraw(None, one, "why")
    run_on_commit(one)
    datasets.verify(two)
    datasets.withdraw(None, two, "why")
    run_on_commit(two)

    assert list(store.entries()) == []


def test_what_the_store_could_not_delete_goes_later(settings, tmp_path, monkeypatch, caplog):
    dataset = freeze(make_project())

    def away(digest):
        raise store.Unreachable("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", away)
        datasets.withdraw(None, dataset, "why")
        run_on_commit(dataset)
    assert "not deleted yet: The store is away." in caplog.text
    tidy()
    assert len(list(store.entries())) == 1, "it may be frozen again just now"

    mark = tmp_path / dataset.folder
    at = (now() - timedelta(days=2)).timestamp()
    os.utime(mark.with_name("complete.json"), (at, at))
    tidy()
    assert list(store.entries()) == []


def test_rows_that_are_frozen_again_after_a_withdrawal_are_there(hosts, settings):
    settings.VAR = hosts[0]
    dataset = freeze(project := make_project())
    datasets.withdraw(None, dataset, "why")
    run_on_commit(dataset)
    settings.VAR = hosts[1]

    datasets.verify(freeze(project))


def test_a_dataset_of_a_version_before_the_store_is_read_where_it_is(settings, reader):
    dataset = freeze(make_project())
    old = f"datasets/{dataset.digest}"
    shutil.copytree(datasets.path(dataset), settings.VAR / old)
    shutil.rmtree(settings.VAR / "store")
    Dataset.objects.filter(pk=dataset.pk).update(folder=old)
    dataset.refresh_from_db()

    _response, content = download(reader(dataset.project), dataset)
    assert content == text_of(LINES)
    datasets.withdraw(None, dataset, "why")
    run_on_commit(dataset)
    assert not (settings.VAR / old).exists()


def test_datasets_of_before_a_store_was_named_are_brought_there(hosts, settings, reader):
    """One in the data folder as versions before the store had it, one in the store of then."""
    named, settings.STORE = settings.STORE, ""
    settings.VAR = hosts[0]
    project = make_project()
    older, newer = freeze(project, LINES[:3]), freeze(project)
    old = settings.VAR / "datasets" / older.digest
    shutil.move(datasets.path(older), old)
    shutil.rmtree(settings.VAR / older.folder.removesuffix("/data"))
    Dataset.objects.filter(pk=older.pk).update(folder=f"datasets/{older.digest}")
    inode = (old / "rows.jsonl").stat().st_ino

    settings.STORE = named
    call_command("fill_store")
    call_command("fill_store")
    if not store.is_bucket():
        older.refresh_from_db()
        assert (datasets.path(older) / "rows.jsonl").stat().st_ino == inode, "nothing is copied"
    assert not old.exists()
    assert not list((settings.VAR / "store").iterdir())
    settings.VAR = hosts[1]
    client = reader(project)
    for dataset, lines in ((older, LINES[:3]), (newer, LINES)):
        dataset.refresh_from_db()
        assert download(client, dataset)[1] == text_of(lines)


def test_the_store_of_the_data_folder_is_left_alone(settings):
    dataset = freeze(make_project())
    settings.STORE = str(settings.VAR / "store")
    call_command("fill_store")

    datasets.verify(dataset)


def test_a_store_that_is_away_is_said_by_page_api_and_job(settings, bucket, reader, monkeypatch):
    dataset = freeze(make_project())
    shutil.rmtree(cache.root(), ignore_errors=True)

    def away(*about, **options):
        raise buckets.BaseError("error sending request for http://10.0.0.7:9000")

    monkeypatch.setattr(buckets.obstore, "get", away)
    client = reader(dataset.project)
    page = client.get(address_of(dataset))
    of_api = address_of(dataset).replace("/p/", "/api/v1/projects/").removesuffix(".jsonl")
    answer = client.get(of_api)
    job = work(jobs.request(None, dataset.project, "render", {"format": "rows"}, dataset=dataset))

    said = "The store can't be reached"
    assert (page.status_code, answer.status_code) == (503, 503)
    assert answer.json()["type"] == "urn:podium:store"
    for text in (page.content.decode().replace("&#x27;", "'"), answer.json()["detail"], job.error):
        assert said in text
        assert "10.0.0.7" not in text


def test_rows_that_were_changed_in_the_cache_are_fetched_again(settings, bucket):
    dataset = freeze(make_project())
    (datasets.path(dataset) / "rows.jsonl").write_text("{}\n")
    store.release()

    datasets.verify(dataset)
    assert (datasets.path(dataset) / "rows.jsonl").read_bytes() == text_of(LINES)
