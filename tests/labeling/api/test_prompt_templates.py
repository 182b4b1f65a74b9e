"""Templates through the API: made, filled, and their prompts led back to their rows."""

import pytest

from labeling.models import PromptTemplate
from tests.labeling.api.hands import code_of, fields_of

pytestmark = pytest.mark.django_db
ROWS = [{"title": "Snow", "language": "en"}, {"title": ""}, {"title": "Sea", "split": "test"}]


@pytest.fixture
def template(admin):
    return admin.post(
        "templates", {"name": "stories", "text": "Write a story titled {title}."}
    ).json()


def test_rows_become_prompts_that_are_led_back_to_them(admin, template):
    response = admin.post(f"templates/{template['id']}/fill", {"rows": ROWS, "split": "train"})
    made = admin.get("prompts", template=template["id"]).json()["results"]

    assert template["slots"] == ["title"]
    assert response.status_code == 201
    assert response.json()["added"] == 2
    assert [one["row"] for one in response.json()["refused"]] == [1]
    assert [(one["template_row"], one["split"]) for one in made] == [(3, "test"), (1, "train")]
    assert admin.get("templates").json()["results"][0]["prompts"] == 2


def test_what_is_no_template_is_told_at_its_field(admin):
    assert fields_of(admin.post("templates", {"name": "bad", "text": "no slot"})) == {"text"}


def test_a_template_stays_once_prompts_were_made_of_it(admin, template):
    at = f"/api/v1/projects/demo/templates/{template['id']}"
    admin.post(f"templates/{template['id']}/fill", {"rows": ROWS})

    refused = admin.client.delete(at)
    assert (refused.status_code, code_of(refused)) == (409, "refused")
    assert PromptTemplate.objects.exists()


def test_labelers_see_none(labeler):
    assert labeler.get("templates").status_code == 403
