"""The API does what its description says, whoever asks and whatever they send: requests made up
from the schema itself.

`PODIUM_SCHEMA_EXAMPLES=20` makes up more of them; the seed is fixed.

Not checked, of what schemathesis knows: that everything wrong is refused and everything right
accepted (a rule often lies in the database, not in the schema), and what it infers of resources
that it believes to have deleted (they are the test's own, and put back).
"""

import json
import os
from collections import Counter

import pytest
import schemathesis
from django.core.management import call_command
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy, one_of
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from labeling.exports import freeze
from labeling.judging import criteria, reviews, threads
from labeling.loop import rounds
from labeling.models import Assignment, Ranking
from labeling.queue import groups, reservations
from modelops import weights
from people import tokens
from people.models import Membership, Project, Token, User
from tests.factories import make_job, make_model, make_person, make_ranking, make_task

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("schema")]
EXAMPLES = int(os.environ.get("PODIUM_SCHEMA_EXAMPLES", "2"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ALL = list(HealthCheck)
ROLES = [*Membership.Role.values, "stranger", "administrator", "nobody"]


@pytest.fixture
def world(project, alice, carol):
    """Something of each kind, so that an id of 1 or 2 is somebody's."""
    tuned = make_model(project, folder="m", sha256="0" * 64, job=make_job(project, "sft"))
    for _ in range(3):
        task = make_task(project, model=tuned, overlap=2)
        make_ranking(task, alice)
        task.refresh_from_db()
        make_ranking(task, carol, (4, 3, 2, 1))
    reserved = make_task(project, model=tuned)
    group = groups.create(None, project, "Physicians", [Membership.objects.get(user=alice)])
    reservations.reserve(None, reserved, group=group)
    criteria.create(carol, project, key="why", scope="ranking", kind="text", question="Why?")
    for ranking in Ranking.objects.filter(labeler=alice):
        reviews.review(carol, ranking, "comment", "Why so?")
        place = Assignment.objects.create(
            task=ranking.task,
            labeler=alice,
            project=project,
            state="submitted",
            place=0,
            order=list(ranking.task.candidates.values_list("pk", flat=True)),
        )
        threads.say(carol, threads.open_on(place, "Is B meant?"), "It is.")
    freeze.freeze_now(None, project)
    rounds.start(None, project)
    weights.store(None, freeze.freeze_now(None, project), {"0": 0.5})
    make_job(
        project, "import", recipe={"path": "gone", "format": "prompts", "filename": "prompts.jsonl"}
    )
    return project


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    """Each operation of the schema, with ids that lead somewhere, and what makes requests up for
    it.

    Shared by all roles: to make requests up costs more than to answer them, and half of that is
    done once only.
    """
    file = tmp_path_factory.mktemp("schema") / "openapi.json"
    call_command("spectacular", file=str(file), format="openapi-json")
    told = json.loads(file.read_text())
    for operations in told["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    parameter["schema"] = PATHS.get(parameter["name"], parameter["schema"])
    described = [
        result.ok() for result in schemathesis.openapi.from_dict(told).get_all_operations()
    ]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return [one_of(*(operation.as_strategy(mode) for mode in modes)) for operation in described]


PATHS = {
    "slug": {"type": "string", "enum": ["demo"]},
    "id": {"type": "integer", "minimum": 1, "maximum": 3},
    "pk": {"type": "integer", "minimum": 1, "maximum": 3},
    "key": {"type": "string", "enum": ["why", "rating"]},
    "number": {"type": "integer", "minimum": 1, "maximum": 3},
}


@pytest.mark.parametrize("role", ROLES)
def test_nothing_breaks_and_nothing_is_answered_that_is_not_described(
    world, operations, live_server, role, caplog
):
    caplog.set_level("CRITICAL", "django.request")
    person = someone(role, world)
    answered = Counter()
    for requests in operations:
        headers = enter(person, world, role)
        answered += ask(requests, live_server.url, headers)
    assert sum(answered[status] for status in (200, 201, 204)) >= (0 if role == "nobody" else 3), (
        answered
    )
    if os.environ.get("PODIUM_SCHEMA_EXAMPLES"):
        print(role, dict(answered))


def ask(requests: SearchStrategy, address: str, headers: dict[str, str]) -> Counter:
    """Send an operation what it wants, and what it does not; returns how often each status was
    answered.
    """
    answered = Counter()

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=ALL,
    )
    @given(case=requests)
    def one(case):
        answered[case.call_and_validate(address, headers=headers, checks=CHECKS).status_code] += 1

    one()
    return answered


def someone(role: str, project: Project) -> User | None:
    if role == "nobody":
        return None
    person = make_person(
        project if role in Membership.Role.values else None,
        role if role in Membership.Role.values else "labeler",
        f"the-{role}",
    )
    person.is_staff = role == "administrator"
    person.save()
    return person


def enter(person: User | None, project: Project, role: str) -> dict[str, str]:
    """What an earlier request took from this person is given back; they come with a new token."""
    if person is None:
        return {}
    Project.objects.filter(pk=project.pk).update(state="open", name="Demo")
    if role in Membership.Role.values:
        Membership.objects.update_or_create(
            project=project, user=person, defaults={"role": role, "paused": False}
        )
    User.objects.filter(pk=person.pk).update(state="active", is_staff=role == "administrator")
    Token.objects.filter(user=person).delete()
    return {
        "If-Match": "*",
        "Authorization": f"Bearer {tokens.make(person, 'made up', list(Token.Scope.values), 1)[1]}",
    }
