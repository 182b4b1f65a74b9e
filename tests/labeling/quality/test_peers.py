"""How far people agree: with what uncertainty, with each other, and who may see it."""

import pytest

from labeling.loop import status
from labeling.models import Ranking, RankingTask
from labeling.quality import peers
from labeling.stats import agreement, bootstrap
from tests.factories import make_person, make_prompt, make_ranking, make_task

pytestmark = pytest.mark.django_db
SAME, OTHER = (1, 2, 3, 4), (4, 3, 2, 1)
PAGE = "/p/demo/people/"


@pytest.fixture
def rounds_of_two(project, alice, bob):
    """Twenty prompts with a task in each of two rounds: on half the prompts people agree, on half
    they don't.
    """
    for number in range(20):
        prompt = make_prompt(project)
        for _round in range(2):
            task = make_task(project, prompt=prompt)
            make_ranking(task, alice, SAME)
            make_ranking(task, bob, SAME if number < 10 else OTHER)


def test_the_interval_of_the_loop_draws_prompts(project, rounds_of_two):
    """Both tasks of a prompt agree or both don't: 40 tasks know no more than 20 prompts."""
    found = status.of_project(project).rankings
    low, high = bootstrap.interval([(12, 12)] * 10 + [(0, 12)] * 10, draws=peers.DRAWS)
    of_tasks = bootstrap.interval([(6, 6)] * 20 + [(0, 6)] * 20, draws=peers.DRAWS)

    assert found.agreement == 50
    assert found.plus_minus == pytest.approx(50 * (high - low), abs=1)
    assert found.plus_minus > 1.2 * 50 * (of_tasks[1] - of_tasks[0])


def test_tasks_of_one_prompt_are_one_group():
    counted = [("a", (1, 2)), ("b", (0, 0)), ("a", (3, 4)), ("c", (1, 6))]

    assert agreement.by_prompt(counted) == [(4, 6), (1, 6)]


def test_each_judge_is_held_against_every_other_one():
    tasks = [
        ("a", {"ann": [1, 2, 3], "ben": [1, 2, 3], "cas": [3, 2, 1]}),
        ("a", {"ann": [1, 2, 2], "ben": [2, 1, 1]}),
        ("b", {"ann": [1, 2, 3], "cas": []}),
    ]
    assert agreement.by_judge(tasks) == {"ann": [(3, 8)], "ben": [(3, 8)], "cas": [(0, 6)]}


def test_a_person_s_figure_is_the_share_of_pairs_ordered_as_the_others_did(project, alice, bob):
    cas = make_person(project, "labeler", "cas")
    for others in (SAME, OTHER):
        task = make_task(project)
        make_ranking(task, alice, SAME)
        make_ranking(task, bob, SAME)
        make_ranking(task, cas, others)
    make_ranking(make_task(project), alice)  # nobody else ranked it
    found = peers.figures(project)

    assert (found[alice.uuid].share, found[alice.uuid].pairs, found[alice.uuid].prompts) == (
        0.75,
        24,
        2,
    )
    assert (found[cas.uuid].share, found[cas.uuid].pairs) == (0.5, 24)
    assert found[cas.uuid].low == 0 < found[cas.uuid].high == 1


def test_ties_gold_keys_and_what_is_over_are_not_compared(project, alice, bob, carol):
    tied, gold, undone = (make_task(project) for _ in range(3))
    make_ranking(tied, alice, (1, 1, 2, 2))
    make_ranking(tied, bob, (1, 2, 3, 4))
    for task in (gold, undone):
        make_ranking(task, alice)
        make_ranking(task, bob)
    RankingTask.objects.filter(pk=gold.pk).update(purpose="gold", sort_key=None, free_places=0)
    Ranking.objects.filter(task=undone, labeler=bob).update(current=False)

    assert peers.figures(project)[alice.uuid].pairs == 4


def test_a_single_prompt_has_no_interval(project, alice, bob):
    task = make_task(project)
    make_ranking(task, alice)
    make_ranking(task, bob)

    assert peers.figures(project)[bob.uuid] == peers.Peer(1.0, 6, 1)


@pytest.mark.parametrize(("role", "shown"), [("admin", True), ("lead", True), ("labeler", False)])
def test_leads_and_admins_see_it_and_labelers_do_not(
    client_for, project, rounds_of_two, role, shown
):
    page = client_for(make_person(project, role, "reader")).get(PAGE)
    text = page.content.decode()

    assert page.status_code == (200 if shown else 403)
    share = '<span data-unit="agreement,">50.0\u00a0%</span>'
    assert (share in text and "240 pairs" in text) == shown


def test_a_lead_sees_nobody_s_address_and_changes_nothing(
    client_for, project, alice, rounds_of_two
):
    lead = client_for(make_person(project, "lead", "lena"))
    text = lead.get(PAGE).content.decode()

    assert "Alice" in text
    assert alice.email not in text
    assert "<form" not in text.partition("<main")[2].partition("</main>")[0]
    assert lead.post(PAGE, {"email": "new@example.org", "role": "labeler"}).status_code == 403


def test_the_page_takes_a_constant_number_of_queries(
    client_for, project, carol, alice, bob, django_assert_num_queries
):
    browser = client_for(carol)
    make_ranking(make_task(project), alice)
    with django_assert_num_queries(11):
        browser.get(PAGE)
    for _ in range(5):
        task = make_task(project)
        for person in (alice, bob, make_person(project)):
            make_ranking(task, person)
    with django_assert_num_queries(11):
        assert b"pairs" in browser.get(PAGE).content


@pytest.mark.parametrize(
    ("role", "code"), [("admin", 200), ("lead", 200), ("labeler", 403), ("researcher", 403)]
)
def test_scripts_read_the_same_as_the_page(client_for, project, alice, rounds_of_two, role, code):
    answer = client_for(make_person(project, role, "reader")).get("/api/v1/projects/demo/agreement")
    assert answer.status_code == code
    if code == 200:
        first, second = answer.json()["results"]
        assert (first["name"], first["member"]) == ("Alice", project.memberships.get(user=alice).pk)
        assert first["share"] == second["share"] == 0.5
        assert first["low"] < 0.5 < first["high"]
        assert (first["pairs"], first["prompts"]) == (240, 20)
