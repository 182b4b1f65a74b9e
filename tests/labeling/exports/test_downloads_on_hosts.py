"""A file that one host made for a download is there on every host that has the same store, and
nowhere once its dataset is withdrawn. By a setting browsers get it from the bucket itself.
"""

import os
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from django.core.management import call_command
from django.utils.timezone import now

from labeling.exports import difference, downloads, freeze, serving
from modelops import datasets, rendered, store
from modelops.models import Dataset, Job, RenderedFile
from modelops.stores import bucket as buckets
from tests.factories import make_person, make_prompt, make_ranking, make_task
from tests.worker import work
from workers.queues import tidy

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(project, alice) -> Dataset:
    make_ranking(make_task(project, prompt=make_prompt(project, "Eins, 二?")), alice)
    return freeze.freeze_now(None, project, note="round 1")


@pytest.fixture
def researcher(client_for, project):
    return client_for(make_person(project, "researcher", "rita"))


@pytest.fixture
def large(monkeypatch):
    """Every dataset is one that a job has to write."""
    monkeypatch.setattr(downloads, "SMALL", 0)
    monkeypatch.setattr(difference, "SMALL", 0)


def address_of(dataset, query="format=trl"):
    return f"/p/demo/datasets/{dataset.pk}/download?{query}"


def content(response) -> bytes:
    return b"".join(response.streaming_content)


def held() -> set[str]:
    return {digest for digest, _stored_at, _size in store.entries()}


def made_at_the_first(hosts, settings, researcher, dataset) -> None:
    """A download that a worker of the first host has made."""
    settings.VAR = hosts[0]
    researcher.post(address_of(dataset))
    work(Job.objects.get(kind="render"))


def test_a_host_without_workers_sends_what_another_one_has_made(
    hosts, settings, large, researcher, dataset
):
    made_at_the_first(hosts, settings, researcher, dataset)
    answers = []
    for settings.VAR in hosts:
        answer = researcher.get(address_of(dataset))
        answers.append((content(answer), answer["ETag"], answer["Content-Disposition"]))

    assert answers[0] == answers[1]
    assert len(answers[0][0].splitlines()) == 6
    assert not (hosts[1] / "renders" / str(dataset.pk)).exists()


def test_a_host_without_workers_shows_what_differs_as_another_one_has_found(
    hosts, settings, large, researcher, dataset, alice
):
    make_ranking(make_task(dataset.project, prompt=make_prompt(dataset.project, "Zwei?")), alice)
    later = freeze.freeze_now(None, dataset.project)
    settings.VAR = hosts[0]
    work(difference.request(None, dataset, later))
    settings.VAR = hosts[1]

    page = researcher.get(f"/p/demo/datasets/{later.pk}/difference/?before={dataset.pk}")
    assert (page.status_code, page.context["show"]) == (200, "added")


def test_what_the_store_has_lost_or_changed_is_made_again(
    hosts, settings, large, researcher, dataset
):
    made_at_the_first(hosts, settings, researcher, dataset)
    settings.VAR = hosts[1]
    store.delete(RenderedFile.objects.get().stored)
    assert researcher.get(address_of(dataset)).status_code == 409

    researcher.post(address_of(dataset))
    work(Job.objects.order_by("pk").last())
    assert content(researcher.get(address_of(dataset)))
    assert RenderedFile.objects.get().stored in held()


@pytest.mark.parametrize("how", ["withdrawn", "deleted"])
def test_a_withdrawn_or_deleted_dataset_takes_its_files_with_it(
    hosts, settings, large, researcher, dataset, carol, django_capture_on_commit_callbacks, how
):
    made_at_the_first(hosts, settings, researcher, dataset)
    stored, key = RenderedFile.objects.get().stored, dataset.pk
    assert stored in held()
    with django_capture_on_commit_callbacks(execute=True):
        if how == "withdrawn":
            datasets.withdraw(None, dataset, "an erasure")
        else:
            datasets.delete(carol, dataset)

    assert stored not in held()
    assert not RenderedFile.objects.exists()
    settings.VAR = hosts[1]
    answer = researcher.get(f"/p/demo/datasets/{key}/download?format=trl")
    assert answer.status_code == {"withdrawn": 410, "deleted": 404}[how]


def test_what_is_made_while_its_dataset_is_withdrawn_does_not_stay(hosts, settings, dataset):
    recipe = downloads.choose(dataset, "trl")
    downloads.make(dataset, recipe)
    Dataset.objects.update(withdrawn_at=now(), withdrawn_why="an erasure")
    before = held()
    downloads.keep(dataset, recipe)

    assert held() == before
    assert not RenderedFile.objects.exists()


@pytest.fixture
def shared(settings, tmp_path):
    settings.STORE = str(tmp_path / "shared")


def test_it_is_collected_when_it_is_old_and_not_before(
    shared, settings, large, researcher, dataset
):
    made_at_the_first([settings.VAR], settings, researcher, dataset)
    [made] = RenderedFile.objects.all()
    old = now() - timedelta(days=settings.KEEP_DAYS + 1)
    mark = store.get(made.stored).with_name("complete.json")
    os.utime(mark, (old.timestamp(), old.timestamp()))
    call_command("collect")
    tidy()
    assert made.stored in held()

    RenderedFile.objects.update(made_at=old)
    tidy()
    assert made.stored not in held()
    assert not RenderedFile.objects.exists()


def test_one_host_alone_keeps_no_second_copy(settings, large, researcher, dataset):
    before = held()
    made_at_the_first([settings.VAR], settings, researcher, dataset)

    assert held() == before
    assert content(researcher.get(address_of(dataset)))


# Signed addresses


@pytest.fixture
def signed(bucket, settings, s3_server):
    """Browsers reach the bucket's server where this host does."""
    settings.SIGNED_DOWNLOADS = s3_server


def redirected(browser, dataset, query="format=trl", method="get", **headers) -> str:
    answer = getattr(browser, method)(address_of(dataset, query), headers=headers)
    assert (answer.status_code, answer["Cache-Control"]) == (302, "private, no-store")
    return answer["Location"]


def test_a_download_is_redirected_and_the_bucket_sends_the_same_file(
    signed, settings, researcher, dataset, s3_server
):
    address = redirected(researcher, dataset)
    sent = httpx.get(address)
    settings.SIGNED_DOWNLOADS = ""
    streamed = researcher.get(address_of(dataset))

    assert address.startswith(s3_server + "/")
    assert sent.content == content(streamed)
    for header in ("Content-Type", "Content-Disposition", "Content-Length"):
        assert sent.headers[header] == streamed[header]


def test_head_ranges_and_etags_work_at_the_address(signed, researcher, dataset):
    address = redirected(researcher, dataset)
    whole, part = httpx.get(address), httpx.get(address, headers={"Range": "bytes=10-19"})
    head = httpx.head(redirected(researcher, dataset, method="head"))
    tag = whole.headers["ETag"]

    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert (head.status_code, head.headers["ETag"], head.content) == (200, tag, b"")
    assert int(head.headers["Content-Length"]) == len(whole.content)
    assert httpx.get(address, headers={"If-None-Match": tag}).status_code == 304
    beyond = {"Range": f"bytes={len(whole.content)}-"}
    assert httpx.get(address, headers=beyond).status_code == 416


def test_the_rest_of_another_file_is_not_taken_for_the_rest_of_this_one(
    signed, researcher, dataset
):
    """SeaweedFS sends the range even where If-Range names another file."""
    tag = httpx.get(redirected(researcher, dataset)).headers["ETag"]
    rest = {"Range": "bytes=5-"}
    redirected(researcher, dataset, **rest | {"If-Range": tag})
    other = researcher.get(address_of(dataset), headers=rest | {"If-Range": '"another"'})

    assert other.status_code == 200
    assert len(content(other).splitlines()) == 6


def test_an_address_is_good_for_one_file_one_method_and_five_minutes(
    signed, researcher, dataset, monkeypatch
):
    address = redirected(researcher, dataset)
    other = redirected(researcher, dataset, "format=conversational")
    path, query = urlsplit(address).path, urlsplit(address).query
    assert "X-Amz-Expires=300" in query
    refused = [
        httpx.get(address.replace(path, urlsplit(other).path)),
        httpx.get(address.partition("?")[0]),
        httpx.get(address + "&response-content-type=text%2Fhtml"),
        httpx.put(address, content=b"x"),
        httpx.delete(address),
        httpx.head(address),
    ]
    assert {answer.status_code for answer in refused} == {403}

    monkeypatch.setattr(buckets, "LIFETIME", timedelta(seconds=1))
    brief = redirected(researcher, dataset)
    for _attempt in range(200):
        last = httpx.get(brief)
        if last.status_code != 200:
            break
    assert (last.status_code, "expired" in last.text) == (403, True)


@pytest.mark.parametrize("who", ["labeler", "nobody"])
def test_who_may_not_read_it_gets_no_address(
    signed, monkeypatch, client_for, client, dataset, alice, who
):
    monkeypatch.setattr(rendered, "signed", lambda *about: pytest.fail("it was signed"))
    browser = client_for(alice) if who == "labeler" else client
    answer = browser.get(address_of(dataset))

    assert answer.status_code == {"labeler": 403, "nobody": 302}[who]
    assert answer.get("Location", "").startswith("/login/") == (who == "nobody")


def test_a_withdrawn_dataset_has_no_address_and_those_that_are_out_lead_nowhere(
    signed, researcher, dataset, django_capture_on_commit_callbacks
):
    address = redirected(researcher, dataset)
    with django_capture_on_commit_callbacks(execute=True):
        datasets.withdraw(None, dataset, "an erasure")

    assert researcher.get(address_of(dataset)).status_code == 410
    assert httpx.get(address).status_code == 404


def test_a_large_file_goes_past_the_places_of_this_host(
    signed, large, researcher, dataset, monkeypatch
):
    monkeypatch.setattr(serving, "slot", lambda: pytest.fail("it takes a place"))
    monkeypatch.setattr(serving, "LARGE", 0)
    assert researcher.get(address_of(dataset)).status_code == 409
    researcher.post(address_of(dataset))
    work(Job.objects.get(kind="render"))

    assert len(httpx.get(redirected(researcher, dataset)).content.splitlines()) == 6


def test_it_stands_in_the_bucket_once_however_often_it_is_asked_for(
    signed, researcher, dataset, monkeypatch
):
    redirected(researcher, dataset)
    monkeypatch.setattr(store, "put", lambda *about, **settings: pytest.fail("it was sent again"))
    redirected(researcher, dataset)


def test_a_bucket_that_is_away_is_said(signed, settings, researcher, dataset, monkeypatch):
    def away(*about, **options):
        raise buckets.BaseError("connection refused")

    redirected(researcher, dataset)
    monkeypatch.setattr(buckets.obstore, "get", away)
    answer = researcher.get(address_of(dataset))
    assert answer.status_code == 503
    assert "store can&#x27;t be reached" in answer.content.decode()
