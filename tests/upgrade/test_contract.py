"""A later description of the API may add to an earlier one; anything else is seen."""

import copy

import pytest

from tests.upgrade.contract import breaks

REFERENCE = {"$ref": "#/components/schemas/Order"}
JSON = {"content": {"application/json": {"schema": REFERENCE}}}
BEFORE = {
    "paths": {
        "/orders": {
            "get": {
                "parameters": [
                    {"in": "query", "name": "state", "schema": {"enum": ["new"], "type": "string"}}
                ],
                "responses": {"200": {"description": "All.", **JSON}},
            },
            "post": {"requestBody": JSON, "responses": {"201": JSON}},
        },
    },
    "components": {
        "schemas": {
            "Order": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "size": {"type": "integer", "maximum": 9},
                },
                "required": ["id", "size"],
            },
            "Answer": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
            },
        },
    },
}


def later(*path, **values) -> dict:
    """The description with other values at the path; a value None takes the key away."""
    description = copy.deepcopy(BEFORE)
    part = description
    for key in path:
        part = part[key]
    part |= values
    for key in [key for key, value in values.items() if value is None]:
        del part[key]
    return description


GET = ("paths", "/orders", "get")
ORDER = ("components", "schemas", "Order")
ANSWER = ("components", "schemas", "Answer")
FURTHER = {"in": "query", "name": "page", "schema": {"type": "integer"}}


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(BEFORE, id="the same"),
        pytest.param(later("paths", **{"/bills": {"get": {}}}), id="a path"),
        pytest.param(later("paths", "/orders", delete={}), id="a method"),
        pytest.param(
            later(*GET, parameters=[*BEFORE["paths"]["/orders"]["get"]["parameters"], FURTHER]),
            id="an optional parameter",
        ),
        pytest.param(
            later(*GET, "parameters", 0, "schema", enum=["new", "old"]), id="a value of an enum"
        ),
        pytest.param(later(*GET, "responses", "200", description="Most."), id="another sentence"),
        pytest.param(later(*ORDER, "properties", note={"type": "string"}), id="a field"),
        pytest.param(
            later(*ANSWER, required=["text", "at"]), id="another field that answers always have"
        ),
        pytest.param(
            later(*ANSWER, "properties", text={"oneOf": [{"type": "array"}, {"type": "string"}]}),
            id="another type that a value may have",
        ),
        pytest.param(later("components", "schemas", Bill={"type": "object"}), id="a component"),
    ],
)
def test_what_is_added_breaks_nothing(now):
    assert breaks(BEFORE, now) == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (later("paths", **{"/orders": None}), "paths /orders is gone"),
        (later("paths", "/orders", post=None), "paths /orders post is gone"),
        (later(*GET, parameters=[]), "paths /orders get parameters state is gone"),
        (
            later(*GET, "parameters", 0, required=True),
            "paths /orders get parameters state required is new",
        ),
        (
            later(*GET, "parameters", 0, "schema", enum=["old"]),
            "paths /orders get parameters state schema enum lacks ['new']",
        ),
        (later(*GET, "responses", **{"200": None}), "paths /orders get responses 200 is gone"),
        (later(*ORDER, "properties", id=None), "Order properties id is gone"),
        (
            later(*ORDER, "properties", "size", maximum=8),
            "Order properties size maximum was 9, is 8",
        ),
        (
            later(*ORDER, "properties", "id", minimum=1),
            "Order properties id minimum is new",
        ),
        (
            later(*ANSWER, "properties", text={"type": "string", "oneOf": [{"type": "array"}]}),
            "Answer properties text oneOf is new",
        ),
        (later(*ANSWER, required=[]), "Answer required promises no more ['text']"),
        (later("components", "schemas", Answer=None), None),
    ],
)
def test_what_is_taken_away_or_asked_for_is_seen(now, told):
    told = told or f"Answer was {BEFORE['components']['schemas']['Answer']}, is gone"
    assert breaks(BEFORE, now) == [told]


def test_a_request_that_needs_more_than_before_is_seen():
    now = later(*ORDER, required=["id", "size", "note"])
    now["components"]["schemas"]["Order"]["properties"]["note"] = {"type": "string"}
    assert breaks(BEFORE, now) == ["Order required asks for ['note']"]
