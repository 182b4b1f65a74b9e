"""A person's own keys and layout follow them; a project's switches decide what is asked."""

import pytest

from labeling.exports import freeze
from labeling.judging import shortcuts
from labeling.models import Assignment, ProjectRules, RankedCandidate, Ranking
from modelops import datasets, rows
from tests.factories import flags_of, make_task
from tests.pages import one_line

pytestmark = pytest.mark.django_db

RANK = "/p/demo/rank/"
KEYS = "/p/demo/rank/keys/"


@pytest.fixture
def page(client_for, alice, project):
    make_task(project)
    return client_for(alice)


def test_a_key_is_chosen_and_shown_everywhere(page, alice):
    assert page.post(KEYS, {"skip": "K"}).status_code == 302
    alice.refresh_from_db()
    assert alice.keys == {"skip": "k"}
    html = one_line(page.get(RANK))
    assert "Skip <kbd>k</kbd>" in html
    assert "<dt><kbd>k</kbd></dt><dd>skip</dd>" in html
    assert "&quot;k&quot;: &quot;skip&quot;" in html


@pytest.mark.parametrize("key", ["a", "7", "0", "?", "uu", "p"])
def test_a_key_that_has_a_meaning_is_refused_at_its_field(page, alice, key):
    response = page.post(KEYS, {"skip": key})
    alice.refresh_from_db()
    assert response.status_code == 422
    assert 'aria-describedby="problem-skip"' in response.content.decode()
    assert alice.keys == {}


def test_an_empty_field_is_the_standard_key(page, alice):
    page.post(KEYS, {"skip": "k"})
    page.post(KEYS, {"skip": ""})
    alice.refresh_from_db()
    assert shortcuts.of(alice)["skip"] == "s"


def test_a_key_of_ones_own_stays_when_an_update_brings_an_action_with_the_same_one(alice):
    alice.keys = {"skip": "q", "note": "s"}
    keys = shortcuts.of(alice)

    assert (keys["skip"], keys["note"]) == ("q", "s")
    assert keys["questions"] not in ("q", "")
    assert len(set(keys.values())) == len(keys)
    assert shortcuts.problems(keys) == {}


def test_the_standard_keys_have_no_problems():
    assert (
        shortcuts.problems({name: shortcut.key for name, shortcut in shortcuts.SHORTCUTS.items()})
        == {}
    )


def test_a_layout_is_remembered_for_the_person(page, alice):
    page.post("/p/demo/rank/desk", {"layout": "stack"})
    page.post("/p/demo/rank/desk", {"source": "on", "layout": "upside-down"})
    html = one_line(page.get(RANK))
    assert 'data-layout="stack" data-source="on"' in html


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        ({"rating": False}, 'name="rating-a"'),
        ({"flags": []}, 'name="flags-a"'),
        ({"notes": False}, 'name="note"'),
    ],
)
def test_what_a_project_switched_off_is_not_asked(page, project, rules, gone):
    assert gone in page.get(RANK).content.decode()
    ProjectRules.objects.update(**rules)
    assert gone not in page.get(RANK).content.decode()


def test_a_projects_own_flags_are_asked_and_kept(page, project, alice):
    ProjectRules.objects.update(flags=["opinion", "Rude & loud"])
    assert "Rude &amp; loud" in page.get(RANK).content.decode()
    form = {
        "rank-a": 1,
        "rank-b": 2,
        "rank-c": 3,
        "rank-d": 4,
        "flags-a": ["Rude & loud", "sexual"],
    }
    page.post(f"{RANK}{Assignment.objects.get().pk}/submit", form)
    assert flags_of(Ranking.objects.get()) == [["Rude & loud"], [], [], []]


@pytest.fixture
def pair(client_for, alice, project):
    """Alice's browser on a task of two answers in a project that asks for strength."""
    ProjectRules.objects.update(strength=True)
    project.refresh_from_db()
    make_task(project, texts=["good", "bad"])
    client = client_for(alice)
    client.get(RANK)
    return client


def submit(client, **form):
    return client.post(f"{RANK}{Assignment.objects.get().pk}/submit", form)


@pytest.mark.parametrize(
    ("strength", "ranks"), [(3, [1, 2]), (1, [1, 2]), (0, [1, 1]), (-2, [2, 1])]
)
def test_a_strength_of_preference_is_a_ranking_of_two(pair, strength, ranks):
    submit(pair, strength=strength)
    assert Ranking.objects.get().strength == strength
    assert list(RankedCandidate.objects.order_by("shown").values_list("rank", flat=True)) == ranks


def test_a_frozen_strength_is_that_of_the_first_answer_of_the_row(
    pair, project, settings, tmp_path
):
    settings.VAR = tmp_path
    submit(pair, strength=3)
    preferred = Ranking.objects.get().ranked.get(rank=1).candidate.text
    row = next(rows.read(datasets.path(freeze.freeze_now(None, project))))
    assert row["judgments"][0]["strength"] == (3 if row["answers"][0]["text"] == preferred else -3)


def test_no_strength_is_no_judgment(pair):
    response = submit(pair, **{"rank-a": 1, "rank-b": 2})
    assert response.status_code == 422
    assert "Say which answer is better, and how much." in response.content.decode()


def test_without_ties_one_answer_is_better(pair, project):
    ProjectRules.objects.update(ties=False)
    assert "Equally good" not in pair.get(RANK).content.decode()
    assert submit(pair, strength=0).status_code == 422


def test_more_than_two_answers_are_ranked_all_the_same(page, project):
    ProjectRules.objects.update(strength=True)
    assert 'name="rank-a"' in page.get(RANK).content.decode()
