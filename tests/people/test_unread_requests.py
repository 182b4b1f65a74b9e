"""A request that Django does not read is refused with a page or with problem details."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from people import json_depth, tokens
from people.forms import JSONField

pytestmark = pytest.mark.django_db
FIVE_MB = "m" * 5 * 2**20
MANY = {f"field{number}": "1" for number in range(1001)}
PROBLEM = "application/problem+json"


@pytest.fixture
def script(carol):
    text = tokens.make(carol, "script", ["admin", "launch"], days=1)[1]
    return Client(headers={"Authorization": f"Bearer {text}"})


def upload(**fields):
    return fields | {"file": SimpleUploadedFile("prompts.jsonl", b'{"prompt": "Why?"}')}


def test_a_field_that_is_too_large_is_a_413_problem(script):
    answer = script.post("/api/v1/projects/demo/imports", upload(format=FIVE_MB))

    assert (answer.status_code, answer["Content-Type"]) == (413, PROBLEM)
    assert "larger than 4 MB" in answer.json()["detail"]


def test_a_field_that_is_too_large_has_a_page(client_for, carol):
    answer = client_for(carol).post("/p/demo/prompts/upload", upload(source=FIVE_MB))

    assert answer.status_code == 413
    assert "larger than 4 MB" in answer.content.decode()


def test_too_many_fields_are_a_400_problem(script):
    answer = script.post("/api/v1/projects/demo/imports", upload(**MANY))

    assert (answer.status_code, answer["Content-Type"]) == (400, PROBLEM)
    assert "too many fields" in answer.json()["detail"]


def test_too_many_fields_have_a_page():
    answer = Client().post("/login/", MANY)

    assert answer.status_code == 400
    assert "too many fields" in answer.content.decode()


def test_an_unknown_host_is_a_400_problem():
    answer = Client().get("/api/v1/me", headers={"Host": "elsewhere.example"})

    assert (answer.status_code, answer["Content-Type"]) == (400, PROBLEM)


@pytest.mark.parametrize("depth", [51, 900, 100_000])
def test_json_that_nests_without_end_is_not_read(depth):
    text = "[" * depth + "]" * depth

    with pytest.raises(json_depth.TooDeep):
        json_depth.read(text)
    assert JSONField(required=False).to_python("[1]") == [1]
    with pytest.raises(Exception, match="nests too deeply"):
        JSONField().to_python(text)
