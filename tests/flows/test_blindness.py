"""No response tells a labeler which model wrote an answer, or what others judged."""

import re

import pytest

from labeling.models import Assignment, Candidate, Ranking
from modelops.models import Job, ModelVersion
from people.models import User
from tests.factories import make_job, make_model, make_person, make_task

pytestmark = pytest.mark.django_db

RANK = "/p/demo/rank/"
ORDER = {"rank-a": 1, "rank-b": 2, "rank-c": 3, "rank-d": 4}


@pytest.fixture
def telltale(project):
    """A task whose model, candidates and job have names and numbers that are easy to find."""
    model = make_model(project, name="zebra-7b", pk=770_001)
    job = make_job(project, pk=770_002, model_version=model)
    task = make_task(
        project, texts=["one", "two", "three", "four"], model=model, job=job, pk=770_003, overlap=2
    )
    for number, candidate in enumerate(Candidate.objects.order_by("pk")):
        tells = {"logprob": -77.7701, "seed": 7_700_040 + number, "finish_reason": "stop77"}
        Candidate.objects.filter(pk=candidate.pk).update(**tells)
    return task


def responses(client, person):
    """Everything that a labeler is sent in a day's work."""
    yield client.get(RANK)
    assignment = Assignment.objects.get(labeler=person)
    yield client.post(f"{RANK}{assignment.pk}/draft", {"note": "mine"})
    yield client.post(f"{RANK}{assignment.pk}/submit", {})
    yield client.post(f"{RANK}{assignment.pk}/submit", ORDER, headers={"HX-Request": "true"})
    yield client.get(f"{RANK}history/")
    yield client.get(f"{RANK}{assignment.pk}/revise")
    yield client.post(f"{RANK}{assignment.pk}/revise", ORDER | {"rank-b": 1, "note": "again"})
    yield client.get(f"{RANK}keys/")
    yield client.post(
        f"{RANK}undo", {"ranking": Ranking.objects.latest("pk").pk}, headers={"HX-Request": "true"}
    )
    yield client.get("/p/demo/guidelines/")
    yield client.post(f"{RANK}{assignment.pk}/skip", {"reason": "other"})
    yield client.get(RANK)


def test_no_response_tells_who_wrote_an_answer(client_for, alice, telltale):
    for response in responses(client_for(alice), alice):
        html = response.content.decode() + str(response.headers)
        assert not re.search(r"zebra|77\.77|77000|770004|stop77", html), response.request[
            "PATH_INFO"
        ]


def test_no_response_holds_an_id_of_a_candidate(client_for, alice, project):
    """The candidates' ids are pushed far from every other number on the page."""
    task = make_task(project, texts=[])
    prompt, job = task.prompt, Job.objects.get()
    for slot in range(4):
        task.candidates.add(
            Candidate.objects.create(
                pk=880_000 + slot,
                prompt=prompt,
                job=job,
                slot=slot,
                model_version=ModelVersion.objects.get(),
                text="t",
            )
        )
    for response in responses(client_for(alice), alice):
        assert "88000" not in response.content.decode()


def test_no_response_tells_what_another_decided(client_for, alice, bob, telltale):
    other = client_for(bob)
    other.get(RANK)
    secret = ORDER | {"note": "bob thinks so", "rating-a": 7}
    other.post(f"{RANK}{Assignment.objects.get(labeler=bob).pk}/submit", secret)

    for response in responses(client_for(alice), alice):
        html = response.content.decode()
        assert "bob" not in html.lower()
        assert not re.search(r'value="7" checked', html)


def test_each_labeler_has_an_order_of_their_own(client_for, project):
    make_task(project, texts=list("abcdefghi"), overlap=6)
    for person in (make_person(project) for _ in range(6)):
        client_for(person).get(RANK)
    assert len({tuple(order) for order in Assignment.objects.values_list("order", flat=True)}) > 1


def test_an_account_shows_no_uuid(client_for, alice, telltale):
    assert (
        str(User.objects.get(pk=alice.pk).uuid) not in client_for(alice).get(RANK).content.decode()
    )
