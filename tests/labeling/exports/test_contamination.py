"""Training rows that nearly repeat a held-out one are left out of a dataset, and counted."""

import pytest

from labeling.exports import freeze
from labeling.models import DatasetRanking
from modelops import datasets, rows
from tests.factories import make_prompt, make_ranking, make_task

pytestmark = pytest.mark.django_db

ASKED = (
    "Please explain to me in a few short sentences why it is that the sky looks blue at noon and "
    "red at dusk"
)
OTHER = (
    "Write a letter to the landlord that asks politely for the heating to be repaired before the "
    "first frost"
)


@pytest.fixture
def ranked(project, alice):
    """Four ranked tasks: two held out; of the training ones, one is like a held-out one but for its
    end.
    """

    def rank(text, split):
        return make_ranking(
            make_task(project, prompt=make_prompt(project, text, split=split)), alice
        )

    return [
        rank(ASKED + ".", "test"),
        rank(ASKED + ", please.", "train"),
        rank(OTHER, "train"),
        rank("Hi", "validation"),
    ]


def said(dataset):
    return {row["messages"][0]["content"] for row in rows.read(datasets.path(dataset))}


def test_they_are_left_out_and_counted_and_none_of_their_rankings_is_held(project, ranked):
    frozen = freeze.freeze_now(None, project)

    assert said(frozen) == {ASKED + ".", OTHER, "Hi"}
    assert frozen.counts["near_held_out"] == 1
    assert ranked[1].pk not in DatasetRanking.objects.filter(dataset=frozen).values_list(
        "ranking", flat=True
    )


def test_the_dataset_is_the_one_that_never_had_them(project, ranked):
    whole = freeze.freeze_now(None, project)
    ranked[1].delete()

    assert freeze.freeze_now(None, project).digest == whole.digest


def test_whoever_wants_them_keeps_them(project, ranked):
    frozen = freeze.freeze_now(None, project, apart=False)

    assert ASKED + ", please." in said(frozen)
    assert "near_held_out" not in frozen.counts


@pytest.mark.parametrize("kind", ["prompts", "text"])
def test_the_same_goes_for_other_kinds(project, ranked, kind):
    frozen = freeze.freeze_now(None, project, kind=kind)

    assert (frozen.counts["rows"], frozen.counts["near_held_out"]) == (3, 1)


def test_the_page_tells(project, ranked, client_for, carol):
    frozen = freeze.freeze_now(None, project)

    assert (
        "Left out, similar to held-out"
        in client_for(carol).get(f"/p/demo/datasets/{frozen.pk}/").content.decode()
    )
