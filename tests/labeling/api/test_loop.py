"""The ring through the API: the figures of the page, and its next step."""

import pytest

from modelops.models import Dataset
from tests.factories import make_ranking, make_task

pytestmark = pytest.mark.django_db


def test_an_empty_project_begins_with_prompts(admin):
    ring = admin.get("ring").json()

    assert ring["next"] == "prompts"
    assert ring["rankings"]["agreement"] is None
    assert ring["policies"]["champion"] is None


def test_the_ring_tells_what_is_there(admin, project, alice):
    task = make_task(project)
    make_ranking(task, alice, (1, 2, 2, 3))
    dataset = Dataset.objects.create(
        project=project, kind="judgments", digest="f" * 64, folder="", counts={}
    )
    ring = admin.get("ring").json()

    assert ring["prompts"]["splits"] == {"train": 1}
    assert (ring["rankings"]["total"], ring["rankings"]["people"]) == (1, 1)
    assert (ring["unfrozen"]["pairs"], ring["unfrozen"]["newest"]) == (5, dataset.pk)
    assert (ring["candidates"]["total"], ring["next"]) == (4, "reward")


def test_the_ring_is_for_admins(labeler):
    assert labeler.get("ring").status_code == 403
