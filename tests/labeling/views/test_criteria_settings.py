"""An admin decides on a page what is asked beside ranks, or starts from a preset."""

import pytest

from labeling.judging import criteria, presets, scores
from labeling.models import Criterion, ProjectRules, Ranking
from labeling.models.rules import FLAGS
from tests.factories import make_task
from tests.labeling.api.hands import Hands, fields_of

pytestmark = pytest.mark.django_db

PAGE = "/p/demo/settings/criteria/"
SCALE = {
    "question": "How <helpful>?",
    "scope": "answer",
    "kind": "scale",
    "labels": "0: not at all\r\n1\r\n2 fully",
    "required": "on",
    "name": "helpful",
}


@pytest.fixture
def admin(client_for, carol, project):
    return client_for(carol)


def asked(project):
    """What is asked now, by key."""
    rows = Criterion.objects.filter(project=project, preset="", retired_at=None)
    return {row.key: row for row in rows}


def test_a_question_is_added_changed_and_retired(admin, project):
    assert admin.post(PAGE, SCALE).status_code == 302
    made = asked(project)["helpful"]
    assert (made.required, made.labels) == (
        True,
        [
            {"value": 0, "label": "not at all"},
            {"value": 1, "label": ""},
            {"value": 2, "label": "fully"},
        ],
    )
    shown = admin.get(f"{PAGE}{made.pk}/").content.decode()
    assert "0: not at all\n1\n2: fully</textarea>" in shown

    changed = SCALE | {"labels": "-1: bad\n1: good"}
    assert admin.post(f"{PAGE}{made.pk}/", changed).status_code == 302
    made = asked(project)["helpful"]
    assert (made.name, made.labels[0]) == ("helpful@2", {"value": -1, "label": "bad"})
    page = admin.get(PAGE).content.decode()
    assert page.count("How &lt;helpful&gt;?") >= 2  # and the one before
    assert "helpful@2" in page

    admin.post(f"{PAGE}{made.pk}/retire")
    assert asked(project) == {}
    assert admin.post(f"{PAGE}{made.pk}/retire").status_code == 302  # twice is harmless


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        pytest.param({"labels": "poor"}, "labels", id="a step without a number"),
        pytest.param({"labels": "2: b\n1: a"}, "labels", id="steps the wrong way round"),
        pytest.param({"labels": "1"}, "labels", id="one step"),
        pytest.param({"kind": "yes-no"}, "labels", id="labels of a yes or no"),
        pytest.param({"name": "not a key!"}, "name", id="a key with a space"),
        pytest.param({"name": "", "question": "???"}, "name", id="no key can be made"),
        pytest.param({"name": "taken"}, "name", id="a key that is asked"),
        pytest.param({"question": ""}, "question", id="no question"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(admin, carol, project, fields, at):
    criteria.create(carol, project, key="taken", kind="yes-no", question="?", scope="answer")
    page = admin.post(PAGE, SCALE | fields)

    assert page.status_code == 422
    assert set(page.context["form"].errors) == {at}
    assert set(asked(project)) == {"taken"}


def test_a_form_that_arrives_twice_asks_once(admin, project):
    key = {"key": "b4f5d2f0-6f0b-4c65-9a40-0a8f9e1c2d3e"}
    assert [admin.post(PAGE, SCALE | key).status_code for _ in range(2)] == [302, 302]
    assert asked(project)["helpful"].revision == 1


def test_without_a_key_one_is_made_of_the_question(admin, project):
    admin.post(PAGE, SCALE | {"name": ""})
    assert set(asked(project)) == {"how-helpful"}


@pytest.mark.parametrize("name", ["ranking", "instruct-gpt", "helpsteer", "helpful-harmless"])
def test_a_preset_asks_exactly_what_it_says(admin, carol, project, name):
    criteria.create(carol, project, key="tone", kind="yes-no", question="?", scope="answer")
    admin.post(f"{PAGE}reason", {"choices": ""})
    preset = presets.presets()[name]
    admin.post(f"{PAGE}preset", {"preset": name})

    rules = ProjectRules.objects.get(project=project)
    assert (rules.rating, rules.flags) == (preset.rating, list(preset.flags))
    assert set(asked(project)) == {*preset.criteria, "reason"}
    admin.post(f"{PAGE}preset", {"preset": name})  # again changes nothing
    assert {row.revision for row in asked(project).values()} == {1}


def test_presets_are_those_of_their_sources(project, admin):
    admin.post(f"{PAGE}preset", {"preset": "helpsteer"})
    steps = {key: [step["value"] for step in row.labels] for key, row in asked(project).items()}
    names = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    assert steps == {name: [0, 1, 2, 3, 4] for name in names}
    assert all(row.required for row in asked(project).values())

    admin.post(f"{PAGE}preset", {"preset": "instruct-gpt"})
    assert ProjectRules.objects.get(project=project).flags == list(FLAGS)
    assert asked(project) == {}


def test_a_preset_goes_round_to_a_ranking_and_back(admin, client_for, alice, project):
    make_task(project)
    admin.post(f"{PAGE}preset", {"preset": "helpful-harmless"})
    hands = Hands(client_for(alice))
    values = {"A": 5, "B": 4, "C": 1, "D": 2}
    hands.rank(scores={"helpful": values, "harmless": values})
    assert len(scores.stored(Ranking.objects.get()).scores) == 2
    admin.post(f"{PAGE}preset", {"preset": "ranking"})
    assert len(scores.stored(Ranking.objects.get()).scores) == 2  # what was said stays
    admin.post(f"{PAGE}preset", {"preset": "helpful-harmless"})
    assert {row.name for row in asked(project).values()} == {"helpful@2", "harmless@2"}


@pytest.mark.parametrize(
    ("choices", "kind"),
    [pytest.param("", "text", id="words"), pytest.param("clearer\nshorter\n", "choice", id="list")],
)
def test_a_reason_is_required(admin, client_for, alice, project, choices, kind):
    make_task(project)
    admin.post(f"{PAGE}reason", {"choices": choices})
    row = asked(project)["reason"]
    assert (row.kind, row.scope, row.required) == (kind, "ranking", True)

    labeler = client_for(alice)
    assert f"score-{row.pk}" in labeler.get("/p/demo/rank/").content.decode()
    assigned = Hands(labeler).claim()["id"]
    order = {f"rank-{letter}": rank for rank, letter in enumerate("abcd", 1)}
    refused = labeler.post(f"/p/demo/rank/{assigned}/submit", order)
    assert refused.status_code == 422
    said = order | {f"score-{row.pk}": "clearer"}
    assert labeler.post(f"/p/demo/rank/{assigned}/submit", said).status_code == 302


def test_one_reason_is_no_choice(admin, project):
    page = admin.post(f"{PAGE}reason", {"choices": "only one"})
    assert page.status_code == 422
    assert "A choice has 2 to" in page.content.decode()
    assert asked(project) == {}


def test_an_unknown_preset_changes_nothing(admin, project):
    admin.post(f"{PAGE}preset", {"preset": "none"}, follow=True)
    assert ProjectRules.objects.get(project=project).rating


def test_presets_are_in_the_api(admin, project):
    hands = Hands(admin)
    body = hands.post("criteria-preset", {"preset": "helpsteer"}).json()
    assert (body["rating"], body["flags"]) == (False, [])
    assert [row["key"] for row in body["criteria"]] == sorted(asked(project))
    assert fields_of(hands.post("criteria-preset", {"preset": "none"})) == {"preset"}
    for name in presets.presets():
        assert hands.post("criteria-preset", {"preset": name}).status_code == 200


def test_the_page_takes_as_many_queries_for_many_questions(
    admin, carol, project, django_assert_max_num_queries
):
    for number in range(30):
        criteria.create(
            carol, project, key=f"q{number}", kind="yes-no", question="?", scope="answer"
        )
    with django_assert_max_num_queries(12):
        admin.get(PAGE)
