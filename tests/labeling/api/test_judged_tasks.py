"""Judged tasks, rows of datasets and differences, through the API."""

from urllib.parse import parse_qs, urlsplit

import pytest

from labeling.exports import difference, freeze
from labeling.models import RankingTask, Seen
from modelops import datasets, jobs, rows
from modelops.models import Job
from people import pseudonyms
from tests.factories import (
    make_imported_ranking,
    make_judge,
    make_model,
    make_person,
    make_prompt,
    make_ranking,
    make_task,
    rate,
)
from tests.labeling.api.hands import code_of, fields_of
from workers import dataset_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def researcher(hands_of, project):
    return hands_of(make_person(project, "researcher", "rita"))


@pytest.fixture
def task(project, alice):
    prompt = make_prompt(
        project, "Name three rivers.", use_case="chat", language="en", source="web"
    )
    task = make_task(project, prompt=prompt, model=make_model(project, "writer"), overlap=3)
    make_ranking(task, alice, (2, 1, 2, 3))
    return RankingTask.objects.get(pk=task.pk)


def following(client, body, name="next"):
    """The page that a link leads to."""
    return client.client.get(body[name]).json()


def ids(response) -> list[int]:
    return [body["task"] for body in response.json()["results"]]


def test_a_judged_task_says_what_a_frozen_row_would(researcher, project, alice, task):
    make_imported_ranking(task, make_judge("model", "gpt"), (1, 2, 3, 4))
    [body] = researcher.get("judged-tasks").json()["results"]
    [row] = rows.read(datasets.path(freeze.freeze_now(None, project)))

    for name in ("prompt_id", "messages", "split", "use_case", "language", "answers"):
        assert body[name] == row[name]
    by_kind = {judgment["kind"]: judgment for judgment in row["judgments"]}
    for judgment in body["judgments"]:
        frozen = by_kind[judgment["kind"]]
        for name in ("outcome", "ranks", "ratings", "flags", "strength", "seconds"):
            assert judgment[name] == frozen[name]
    assert [judgment["judge_kind"] for judgment in body["judgments"]] == ["person", "model"]
    assert body["judgments"][0]["judge"] == pseudonyms.of(project, alice.uuid)
    assert (body["task"], body["prompt"], body["source"]) == (task.pk, task.prompt_id, "web")
    assert body["agreement"] == pytest.approx(4 / 5)  # of the five pairs that both put in an order


def test_judges_are_pseudonyms_to_admins_too_and_keys_are_nobody_s(admin, task, bob):
    make_ranking(task, bob)
    task.rankings.filter(labeler=bob).update(kind="gold")
    body = admin.get(f"judged-tasks/{task.pk}")

    assert [judgment["kind"] for judgment in body.json()["judgments"]] == ["labeler", "gold"]
    assert body.json()["judgments"][1]["judge"] == ""
    for name in ("Alice", "Bob", "alice@"):
        assert name not in body.content.decode()


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ({"search": "RIVERS"}, {"search": "hills"}),
        ({"source": "web"}, {"source": "book"}),
        ({"use_case": "chat"}, {"use_case": "code"}),
        ({"language": "en"}, {"language": "de"}),
        ({"split": "train"}, {"split": "test"}),
        ({"ties": "true"}, {"ties": "false"}),
        ({"agreement_min": "0.5"}, {"agreement_max": "0.5"}),
        ({"since": "2020-01-01T00:00:00Z"}, {"until": "2020-01-01T00:00:00Z"}),
        ({"model_version": "writer"}, {"model_version": "other"}),
        ({"judge": "alice"}, {"judge": "carol"}),
    ],
    ids=lambda asked: next(iter(asked.items()))[0] + str(next(iter(asked.values()))),
)
def test_filters_find_it_and_leave_it_out(
    researcher, project, alice, bob, carol, task, asked, other
):
    make_ranking(task, bob, (2, 1, 2, 3))
    known = {
        "writer": task.candidates.first().model_version_id,
        "other": make_model(project).pk,
        "alice": pseudonyms.of(project, alice.uuid),
        "carol": pseudonyms.of(project, carol.uuid),
    }
    asked, other = (
        {name: known.get(value, value) for name, value in one.items()} for one in (asked, other)
    )

    assert ids(researcher.get("judged-tasks", **asked)) == [task.pk]
    assert ids(researcher.get("judged-tasks", **other)) == []


def test_links_keep_the_filters_and_lead_there_and_back(researcher, project, alice):
    tasks = []
    for _ in range(3):
        task = make_task(project, prompt=make_prompt(project, use_case="chat"))
        make_ranking(task, alice)
        tasks.insert(0, task.pk)
    first = researcher.get("judged-tasks", use_case="chat", limit=2).json()
    second = following(researcher, first)

    assert parse_qs(urlsplit(first["next"]).query).keys() == {"use_case", "limit", "before"}
    assert first["previous"] is None
    assert [body["task"] for body in first["results"] + second["results"]] == tasks
    assert second["next"] is None
    assert following(researcher, second, "previous")["results"] == first["results"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"judge": "0123456789ab"}, "judge"),
        ({"limit": 101}, "limit"),
        ({"ties": "maybe"}, "ties"),
        ({"agreement_min": "nan"}, "agreement_min"),
        ({"agreement_min": 2}, "agreement_min"),
        ({"since": "yesterday"}, "since"),
        ({"before": "x"}, "before"),
        ({"splits": "train"}, "splits"),
    ],
)
def test_a_wrong_value_is_said_at_its_parameter(researcher, task, asked, field):
    response = researcher.get("judged-tasks", **asked)

    assert (response.status_code, fields_of(response)) == (400, {field})


@pytest.mark.parametrize("path", ["judged-tasks", "judged-tasks/1"])
def test_labelers_and_leads_see_none(hands_of, project, alice, task, path):
    lead = make_person(project, "lead")
    for person in (alice, lead):
        assert hands_of(person).get(path.replace("1", str(task.pk))).status_code == 403


def test_who_reads_them_gets_no_place_on_them(admin, carol, task):
    for path in ("judged-tasks", f"judged-tasks/{task.pk}"):
        Seen.objects.all().delete()
        admin.get(path)
        assert list(Seen.objects.values_list("person", "task")) == [(carol.pk, task.pk)]


def test_a_task_that_nobody_judged_is_not_there(researcher, project):
    task = make_task(project)

    assert researcher.get(f"judged-tasks/{task.pk}").status_code == 404


# Rows


def test_rows_come_page_by_page_as_they_were_frozen(researcher, project, alice, task):
    ranking = task.rankings.get()
    rate(ranking, {})
    for _ in range(4):
        make_ranking(make_task(project), alice)
    dataset = freeze.freeze_now(None, project)
    first = researcher.get(f"datasets/{dataset.pk}/rows", limit=2).json()
    second = following(researcher, first)
    third = following(researcher, second)

    got = [one["row"] for page in (first, second, third) for one in page["results"]]
    assert got == list(rows.read(datasets.path(dataset)))
    assert (first["previous"], third["next"]) == (None, None)
    assert following(researcher, second, "previous")["results"] == first["results"]
    [found] = researcher.get(f"datasets/{dataset.pk}/rows", search="RIVERS").json()["results"]
    assert found["row"]["prompt_id"] == task.prompt.digest
    assert researcher.get(f"datasets/{dataset.pk}/rows", split="test").json()["results"] == []
    at = researcher.get(f"datasets/{dataset.pk}/rows", start=found["start"], limit=1)
    assert at.json()["results"] == [found]


def test_a_wrong_place_is_said_at_its_parameter(researcher, project, task):
    dataset = freeze.freeze_now(None, project)

    for asked in ({"start": 1}, {"end": 1}, {"start": "x"}, {"limit": 0}, {"page": 2}):
        response = researcher.get(f"datasets/{dataset.pk}/rows", **asked)
        assert (response.status_code, fields_of(response)) == (400, set(asked))


def test_rows_of_a_withdrawn_dataset_are_gone(researcher, project, task):
    dataset = freeze.freeze_now(None, project)
    datasets.withdraw(None, dataset, "erased")
    response = researcher.get(f"datasets/{dataset.pk}/rows")

    assert (response.status_code, code_of(response)) == (410, "withheld")


# What differs


@pytest.fixture
def pair(project, task, bob):
    before = freeze.freeze_now(None, project)
    make_ranking(task, bob, (1, 2, 3, 4))
    make_ranking(make_task(project), bob)
    return before, freeze.freeze_now(None, project)


def test_what_differs_comes_as_counts_and_rows(researcher, task, pair):
    before, after = pair
    body = researcher.get(f"datasets/{after.pk}/difference", before=before.pk).json()
    [changed] = body["results"]

    assert body["rows"] == {"same": 0, "changed": 1, "added": 1, "gone": 0}
    assert body["judgments"] == {"same": 1, "changed": 0, "added": 2, "gone": 0}
    assert changed["state"] == "changed"
    assert changed["before"]["row"]["prompt_id"] == task.prompt.digest
    assert "judgments" not in changed["after"]["row"]
    assert [one["state"] for one in changed["judgments"]] == ["same", "added"]
    assert changed["judgments"][1]["before"] is None
    assert changed["judgments"][1]["after"]["ranks"] == [4, 2, 1, 3]
    assert (changed["fields_changed"], body["next"]) == ([], None)
    at = f"datasets/{after.pk}/rows"
    [row] = researcher.get(at, start=changed["after"]["start"], limit=1).json()["results"]
    assert row["row"]["prompt_id"] == task.prompt.digest
    added = researcher.get(f"datasets/{after.pk}/difference", before=before.pk, state="added")
    assert [one["before"] for one in added.json()["results"]] == [None]


def test_rows_that_differ_come_page_by_page(researcher, project, bob, pair):
    before, _after = pair
    for _ in range(4):
        make_ranking(make_task(project), bob)
    after = freeze.freeze_now(None, project)
    asked = {"before": before.pk, "state": "added"}
    path = f"datasets/{after.pk}/difference"
    first = researcher.get(path, limit=2, **asked).json()
    second = following(researcher, first)
    third = following(researcher, second)

    pages = [first, second, third]
    assert [len(page["results"]) for page in pages] == [2, 2, 1]
    assert third["next"] is None
    whole = researcher.get(path, **asked).json()["results"]
    assert sum((page["results"] for page in pages), []) == whole


def test_large_datasets_are_compared_by_a_job(researcher, pair, monkeypatch):
    monkeypatch.setattr(difference, "SMALL", 0)
    before, after = pair
    path, asked = f"datasets/{after.pk}", {"before": before.pk}
    assert researcher.get(f"{path}/difference", **asked).status_code == 409

    response = researcher.post(f"{path}/compare", asked)
    job = Job.objects.get(kind="compare")
    assert (response.status_code, response.json()["ready"]) == (202, False)
    assert response.json()["job"]["id"] == job.pk
    assert response["Location"].endswith(f"/jobs/{job.pk}")
    assert researcher.get(f"jobs/{job.pk}").status_code == 200
    assert researcher.post(f"{path}/compare", asked).json()["job"]["id"] == job.pk

    claimed = jobs.claim(job.pk, {job.kind})
    with jobs.running(claimed):
        dataset_jobs.run(claimed)
    assert researcher.post(f"{path}/compare", asked).json() == {"ready": True, "job": None}
    assert researcher.get(f"{path}/difference", **asked).json()["rows"]["changed"] == 1


@pytest.mark.parametrize("method", ["get", "post"])
def test_what_can_t_be_compared_is_said_at_its_field(researcher, pair, method):
    _before, after = pair
    path = {"get": "difference", "post": "compare"}[method]
    for other in (after.pk, 10**6):
        asked = {"before": other}
        if method == "get":
            response = researcher.get(f"datasets/{after.pk}/{path}", **asked)
        else:
            response = researcher.post(f"datasets/{after.pk}/{path}", asked)
        assert (response.status_code, fields_of(response)) == (400, {"before"})


def test_labelers_and_leads_compare_nothing(hands_of, project, alice, pair):
    before, after = pair
    for person in (alice, make_person(project, "lead")):
        hands = hands_of(person)
        for path in ("rows", f"difference?before={before.pk}"):
            assert hands.get(f"datasets/{after.pk}/{path}").status_code == 403
        answer = hands.post(f"datasets/{after.pk}/compare", {"before": before.pk})
        assert answer.status_code == 403
