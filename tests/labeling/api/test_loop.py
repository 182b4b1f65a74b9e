"""The loop through the API: the figures of the page, and its next step."""

import pytest

from modelops.models import Dataset
from tests.factories import make_ranking, make_task

pytestmark = pytest.mark.django_db


def test_an_empty_project_begins_with_prompts(admin):
    loop = admin.get("ring").json()

    assert loop["next"] == "prompts"
    assert loop["rankings"]["agreement"] is None
    assert loop["policies"]["champion"] is None


def test_the_ring_tells_what_is_there(admin, project, alice):
    task = make_task(project)
    make_ranking(task, alice, (1, 2, 2, 3))
    dataset = Dataset.objects.create(
        project=project, kind="judgments", digest="f" * 64, folder="", counts={}
    )
    loop = admin.get("ring").json()

    assert loop["prompts"]["splits"] == {"train": 1}
    assert (loop["rankings"]["total"], loop["rankings"]["people"]) == (1, 1)
    assert (loop["unfrozen"]["pairs"], loop["unfrozen"]["newest"]) == (5, dataset.pk)
    assert (loop["candidates"]["total"], loop["next"]) == (4, "reward")


def test_the_ring_is_for_admins(labeler):
    assert labeler.get("ring").status_code == 403
