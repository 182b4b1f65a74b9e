"""No endpoint ignores what it is told: unknown names and wrong values are problems that name them,
whatever is asked.

The endpoints, their parameters and their bodies are those of the OpenAPI schema: a new one is
tested as it appears.
"""

import json

import pytest
from drf_spectacular.generators import SchemaGenerator

from labeling.imports import files, prompt_templates
from labeling.judging import criteria
from labeling.models import Group
from modelops.models import Dataset
from people.models import Membership, Webhook
from tests.factories import (
    make_imported_ranking,
    make_job,
    make_judge,
    make_person,
    make_prompt,
    make_task,
)

pytestmark = pytest.mark.django_db
BODIES = ("application/json", "multipart/form-data")
IDS = ("{id}", "{pk}", "{number}")
NAMED_NOWHERE = "sinse"  # a name that nothing has


class Raw(str):
    """A body that is sent as it is."""


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


@pytest.fixture
def ask(project, client_for):
    """Send a request to an operation as somebody who may; ids lead to something where it is read
    first.
    """
    boss = make_person(project, "admin", "boss", is_staff=True)
    someone = make_person(project, "labeler", "someone")
    webhook = Webhook.objects.create(
        project=project, url="https://hooks.example/", events=["job.finished"], created_by=boss
    )
    criteria.create(boss, project, key="why", scope="ranking", kind="text", question="Why?")
    judge = make_judge()
    make_imported_ranking(make_task(project), judge)
    ids = {
        "prompts": make_prompt(project).pk,
        "jobs": make_job(project).pk,
        "webhooks": webhook.pk,
        "judges": judge.pk,
        "members": project.memberships.get(user=someone).pk,
        "accounts": someone.pk,
        "datasets": Dataset.objects.create(
            project=project, kind="judgments", digest="0" * 64, folder="datasets/gone"
        ).pk,
        "groups": Group.objects.create(project=project, name="Physicians").pk,
    }
    client = client_for(boss)

    def send(path, method, query=None, body=None, media_type=BODIES[0]):
        address, before = [], ""
        for part in path.replace("{slug}", "demo").replace("{key}", "why").split("/"):
            address.append(str(ids.get(before, 1)) if part in IDS else part)
            before = part
        about = {"headers": {"If-Match": "*"}, "query_params": query}
        if body is None:
            return client.generic(method, "/".join(address), **about)
        if media_type == BODIES[1]:
            return client.post("/".join(address), body, **about)
        text = body if isinstance(body, Raw) else json.dumps(body)
        return client.generic(method, "/".join(address), text, media_type, **about)

    return send


def operations(schema):
    """(path, method, what is described) of all."""
    for path, methods in sorted(schema["paths"].items()):
        for method, described in sorted(methods.items()):
            yield path, method.upper(), described


def body_of(schema, described):
    """(media type, its properties), and those of nothing where an operation takes no body."""
    content = described.get("requestBody", {}).get("content", {})
    for media_type in BODIES:
        if media_type in content:
            return media_type, resolved(schema, content[media_type]["schema"]).get("properties", {})
    return BODIES[0], {}


def resolved(schema, part):
    """What is referred to, without what stands around it."""
    for wrapped in part.get("allOf", part.get("oneOf", ())):
        if "$ref" in wrapped:
            part = wrapped
    return (
        schema["components"]["schemas"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    )


def fields(answer) -> set[str]:
    """The fields that a problem of status 400 names; none of any other answer."""
    if answer.status_code != 400:
        return set()
    assert answer["Content-Type"] == "application/problem+json"
    return {error["field"] for error in answer.json().get("errors", ())}


def names(answer, field) -> bool:
    return any(one == field or one.startswith(f"{field}.") for one in fields(answer))


def test_a_parameter_that_nobody_reads_is_named(schema, ask):
    ignored = [
        (method, path)
        for path, method, _described in operations(schema)
        if fields(ask(path, method, {NAMED_NOWHERE: "1"})) != {NAMED_NOWHERE}
    ]
    assert ignored == []


def test_a_field_that_nobody_reads_is_named(schema, ask):
    ignored, asked = [], 0
    for path, method, described in operations(schema):
        if method != "GET":
            media_type, _properties = body_of(schema, described)
            answer = ask(path, method, body={NAMED_NOWHERE: "1"}, media_type=media_type)
            asked += 1
            if fields(answer) != {NAMED_NOWHERE}:
                ignored.append((method, path, answer.status_code))
    assert (ignored, asked > 60) == ([], True)


def test_a_field_that_nobody_reads_is_named_however_deep_it_lies(schema, ask):
    ignored, asked = [], 0
    for path, method, described in operations(schema):
        for name, part in body_of(schema, described)[1].items():
            inner = resolved(schema, part)
            if inner.get("type") == "object" and "properties" in inner:
                asked += 1
                if fields(ask(path, method, body={name: {NAMED_NOWHERE: 1}})) != {
                    f"{name}.{NAMED_NOWHERE}"
                }:
                    ignored.append((method, path, name))
    assert (ignored, asked > 0) == ([], True)


def test_a_wrong_value_of_a_field_is_named(schema, ask):
    ignored, asked = [], 0
    for path, method, described in operations(schema):
        media_type, properties = body_of(schema, described)
        for name, part in properties.items():
            for value in wrong(resolved(schema, part)):
                asked += 1
                if not names(ask(path, method, body={name: value}, media_type=media_type), name):
                    ignored.append((method, path, name, value))
    assert (ignored, asked > 150) == ([], True)


def test_a_wrong_value_of_a_parameter_is_named(schema, ask):
    ignored, asked = [], 0
    for path, method, described in operations(schema):
        for parameter in described.get("parameters", ()):
            if parameter["in"] == "query":
                for value in wrong(
                    parameter["schema"] | {"name": parameter["name"]}, in_query=True
                ):
                    asked += 1
                    if not names(ask(path, method, {parameter["name"]: value}), parameter["name"]):
                        ignored.append((method, path, parameter["name"], value))
    assert (ignored, asked > 100) == ([], True)


def wrong(part, in_query=False):
    """Values that the described part can't have."""
    if "enum" in part:
        return ["no such thing"]
    if part.get("name") == "cursor":
        return ["made up", "cD1hYmM="]
    match part.get("type"), part.get("format"):
        case "integer", _:
            return [
                "many",
                "1.5",
                str(part.get("maximum", 2**63) + 1),
                str(part.get("minimum", 1) - 1),
            ]
        case "number", _:
            return ["many", "nan", "inf"]
        case "boolean", _:
            return ["maybe"]
        case "string", "date" | "date-time":
            return ["yesterday"]
        case "string", "uri" | "email":
            return ["no such thing"]
        case "string", _ if not in_query:
            return [{"a": "b"}]
        case "array" | "object", _:
            return ["no such thing"]
    return []


# What is refused


@pytest.mark.parametrize("role", Membership.Role.values)
def test_a_filter_that_is_not_for_a_role_is_unknown_to_it(project, client_for, role):
    """What a task is is hidden from who ranks it: a filter that would tell is not ignored, but
    refused.
    """
    person = make_person(project, role, "somebody")
    answer = client_for(person).get("/api/v1/projects/demo/rankings", {"split": "test"})

    assert fields(answer) == (set() if role in ("admin", "researcher") else {"split"})


def test_a_parameter_that_is_given_twice_is_refused(ask):
    assert fields(ask("/api/v1/projects/{slug}/prompts", "GET", {"split": ["test", "train"]})) == {
        "split"
    }


def test_a_misspelt_day_freezes_nothing(ask, project):
    answer = ask("/api/v1/projects/{slug}/datasets", "POST", body={"sinse": "2026-05-01"})

    assert fields(answer) == {"sinse"}
    assert "since" in answer.json()["errors"][0]["detail"], "it says which names are known"
    assert not project.jobs.filter(kind="freeze").exists()


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"prompt": "x", "splt": "test"}, "splt"),
        ({"messages": [{"role": "user", "content": "x", "name": "ann"}]}, "messages.0.name"),
        ({"prompt": "x", "answers": ["a", {"text": "b", "rnk": 1}]}, "answers.1.rnk"),
        (
            {"prompt": "x", "answers": ["a"], "judgments": [{"ranks": [1], "who": "a"}]},
            "judgments.0.who",
        ),
    ],
)
def test_a_misspelt_word_of_a_prompt_brings_nothing_in(ask, project, row, field):
    before = project.prompts.count()
    answer = ask(
        "/api/v1/projects/{slug}/prompts", "POST", body={"prompts": [{"prompt": "fine"}, row]}
    )

    assert fields(answer) == {f"prompts.1.{field}"}
    assert project.prompts.count() == before


def test_what_no_slot_takes_is_refused(ask, project):
    template = prompt_templates.create(None, project, "stories", "Write a story titled {title}.")
    path = f"/api/v1/projects/demo/templates/{template.pk}/fill"

    assert fields(ask(path, "POST", body={"rows": [{"title": "Sea", "titel": "Sky"}]})) == {
        "rows.0.titel"
    }
    assert ask(path, "POST", body={"rows": [{"title": "Sea", "language": "en"}]}).status_code == 201


def test_what_can_only_be_read_is_not_taken_for_a_change(ask, project):
    assert fields(ask("/api/v1/projects/{slug}", "PATCH", body={"slug": "other"})) == {"slug"}
    assert ask("/api/v1/projects/{slug}", "PATCH", body={"name": "Other"}).json()["name"] == "Other"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", 1e999])
def test_a_number_that_is_none_is_refused(ask, value):
    body = Raw(json.dumps({"text": "x", "seconds": value}).replace("Infinity", "1e999"))

    assert fields(ask("/api/v1/projects/{slug}/writings/{id}/save", "POST", body=body)) == {
        "seconds"
    }


def test_a_key_that_came_with_another_request_is_still_a_422(client_for, carol):
    def make(name):
        return client_for(carol).post(
            "/api/v1/tokens",
            {"name": name, "scopes": ["read"]},
            content_type="application/json",
            headers={"Idempotency-Key": "k"},
        )

    assert [make("a").status_code, make("b").status_code] == [201, 422]


# Bodies that nest


@pytest.mark.parametrize("depth", [51, 900, 1_000, 100_000])
@pytest.mark.parametrize(
    "inside", [('{"prompts": [', "]}"), ('{"prompts": [{"prompt": ', "}]}"), ("", "")]
)
def test_a_body_that_nests_without_end_is_refused(client_for, carol, inside, depth):
    before, after = inside
    body = before + "[" * depth + "]" * depth + after
    answer = client_for(carol).post(
        "/api/v1/projects/demo/prompts", body, content_type="application/json"
    )

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert "more than 50 levels" in answer.json()["detail"]


def test_every_verb_refuses_a_body_that_nests_without_end(schema, ask):
    deep = '{"a":' * 1_000 + "1" + "}" * 1_000
    answered = {
        (method, path, ask(path, method, body=Raw(deep)).status_code)
        for path, method, described in operations(schema)
        if method != "GET" and body_of(schema, described)[0] == BODIES[0]
    }
    assert {status for _method, _path, status in answered} == {400}, sorted(answered)


def test_lines_of_an_upload_that_nest_without_end_are_named(tmp_path):
    lines = [
        "{}",
        "[" * 60 + "]" * 60,
        "[" * 100_000,
        '{"a":' * 900 + "1" + "}" * 900,
        '{"b": [1, [2]]}',
    ]
    for name, text in (
        ("lines", "\n".join(lines)),
        ("list", f"[{{}}, {lines[1]}, {lines[3]}]"),
        ("one", lines[2]),
    ):
        (tmp_path / name).write_text(text)

    def errors(name):
        return [(row.place, row.error) for row in files.rows(tmp_path / name)]

    deep = "nested too deeply"
    rest = f"can't be read from here on ({deep})"
    assert errors("lines") == [(1, ""), (2, deep), (3, deep), (4, deep), (5, "")]
    assert errors("list") == [(1, ""), (2, deep), (3, deep)]
    assert errors("one") == [(1, rest)]
