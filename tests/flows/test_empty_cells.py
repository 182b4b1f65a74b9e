"""On a phone a table is a stack of its cells, and an empty one is hidden with its unit. CSS takes a
cell for empty only where nothing stands in it, no white space either.
"""

import re

import pytest

from modelops.models import Dataset
from tests.factories import make_job, make_model, make_person, make_prompt, make_ranking, make_task

pytestmark = pytest.mark.django_db

BLANK = re.compile(r"<td[^>]*>\s+</td>")


@pytest.fixture
def carol_in_a_young_project(client_for, project, carol):
    """Everything is there, but little can be said of it yet."""
    make_model(project, name="policy 1")
    make_job(project, "import", recipe={"filename": "prompts.jsonl"})
    make_person(project, "labeler", "dora")
    make_prompt(project, "Why?")
    make_ranking(make_task(project, ["a", "b", "c", "d"]), carol)
    Dataset.objects.create(project=project, digest="0" * 64, kind="prompts", counts={"rows": 1})
    return client_for(carol)


@pytest.mark.parametrize("page", ["models", "jobs", "loop", "datasets", "people", "prompts"])
def test_a_cell_that_says_nothing_is_empty(carol_in_a_young_project, page):
    html = carol_in_a_young_project.get(f"/p/demo/{page}/", follow=True).content.decode()

    assert "<td" in html
    assert BLANK.findall(html) == []


def test_so_is_that_of_a_component_and_of_an_account(carol_in_a_young_project, client_for):
    root = client_for(make_person(is_staff=True))

    for page in ("/components/", "/accounts/"):
        html = root.get(page).content.decode()
        assert "<td" in html
        assert BLANK.findall(html) == []
