"""Rounds of the loop through the API: admins start and end them, researchers read them."""

import pytest

from labeling.models import Round
from tests.factories import make_job, make_person, make_project
from tests.labeling.api.hands import code_of, fields_of

pytestmark = pytest.mark.django_db
GATE = {"figure": "win_rate", "slice": "held-out", "bound": "low", "at_least": 0.5}


@pytest.fixture
def admin(hands_of, carol):
    return hands_of(carol)


@pytest.fixture
def researcher(hands_of, project):
    return hands_of(make_person(project, "researcher", "rita"))


def test_an_admin_starts_a_round_and_a_researcher_reads_it(admin, researcher, project):
    job = make_job(project, "freeze")
    steps = [{"kind": "freeze", "job": job.pk}, {"kind": "promote", "gate": GATE}]
    response = admin.post("rounds", {"steps": steps})

    body = response.json()
    assert (response.status_code, response["Location"]) == (201, "/api/v1/projects/demo/rounds/1")
    assert (body["n"], body["state"], body["started_by"]) == (1, "open", "carol@example.org")
    assert body["steps"] == [
        {"position": 0, "kind": "freeze", "job": job.pk, "job_state": "done", "gate": None},
        {"position": 1, "kind": "promote", "job": None, "job_state": None, "gate": GATE},
    ]
    assert researcher.get("rounds/1").json() == body
    assert researcher.get("rounds").json()["results"] == [body]
    assert researcher.get("rounds/2").status_code == 404


def test_a_gate_is_of_the_held_out_figure_itself_unless_it_says_otherwise(admin):
    gate = {"figure": "accuracy", "at_least": 0.6}
    body = admin.post("rounds", {"steps": [{"kind": "policy", "gate": gate}]}).json()

    assert body["steps"][0]["gate"] == gate | {"slice": "held-out", "bound": "value"}


def test_one_round_is_open_and_ends_once(admin):
    assert len(admin.post("rounds").json()["steps"]) == 6
    second = admin.post("rounds")
    assert (second.status_code, code_of(second)) == (409, "refused")

    ended = admin.post("rounds/1/end", {"state": "done"})
    assert (ended.status_code, ended.json()["state"]) == (200, "done")
    assert ended.json()["ended_at"]
    assert admin.post("rounds/1/end", {"state": "stopped"}).status_code == 409
    assert admin.post("rounds").json()["n"] == 2
    assert [body["n"] for body in admin.get("rounds").json()["results"]] == [2, 1]


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ({"kind": "deploy"}, 400),
        ({"kind": "freeze", "job": 10**6}, 422),
        ({"kind": "promote", "gate": {"figure": "win_rate"}}, 400),
        ({"kind": "promote", "gate": GATE | {"bound": "high"}}, 400),
    ],
)
def test_a_wrong_step_is_refused_at_its_field(admin, step, status):
    response = admin.post("rounds", {"steps": [step]})

    assert response.status_code == status
    assert all(field.startswith("steps") for field in fields_of(response))
    assert not Round.objects.exists()


def test_a_job_of_another_project_is_no_job(admin):
    theirs = make_job(make_project(), "freeze")
    response = admin.post("rounds", {"steps": [{"kind": "freeze", "job": theirs.pk}]})

    assert (response.status_code, fields_of(response)) == (422, {"steps"})


@pytest.mark.parametrize(
    ("role", "read", "change"),
    [
        ("admin", 200, 201),
        ("researcher", 200, 403),
        ("lead", 403, 403),
        ("labeler", 403, 403),
        (None, 404, 404),
    ],
)
def test_who_may_read_and_start_rounds(hands_of, project, role, read, change):
    person = hands_of(make_person(project if role else None, role or "labeler", "someone"))

    assert person.get("rounds").status_code == read
    assert person.post("rounds").status_code == change


def test_a_page_of_rounds_costs_the_same_however_many(
    admin, project, django_assert_max_num_queries
):
    for n in range(1, 21):
        Round.objects.create(project=project, n=n, state="done", ended_at="2026-01-01T00:00Z")
    with django_assert_max_num_queries(8):
        assert len(admin.get("rounds").json()["results"]) == 20
