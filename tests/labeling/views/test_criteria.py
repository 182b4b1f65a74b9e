"""What a project asks beside ranks is on the ranking page, where a revision loses none of it."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.judging import criteria, scores
from labeling.models import Assignment, Ranking, Score
from tests.factories import make_task
from tests.labeling.api.hands import Hands
from tests.labeling.api.hands import fields_of as wrong_fields

pytestmark = pytest.mark.django_db

RANK = "/p/demo/rank/"
ORDER = {"rank-a": 1, "rank-b": 2, "rank-c": 3, "rank-d": 4}
STEPS = [{"value": 1, "label": "poor"}, {"value": 2, "label": ""}]
HELPFULNESS = {"kind": "scale", "question": "Is it <helpful>?", "labels": STEPS}
TONE = {"kind": "choice", "question": "Tone?", "labels": ["kind", "so-so, really"]}
TRUE = {"kind": "yes-no", "question": "True?", "scope": "answer"}
WHY = {"kind": "text", "question": "Why?", "scope": "ranking"}


@pytest.fixture
def page(client_for, alice, project):
    make_task(project)
    return client_for(alice)


@pytest.fixture
def ask(carol, project):
    """A function that adds a criterion with this key; returns the names of its fields."""

    def add(key, **fields):
        made = criteria.create(carol, project, key=key, **{"scope": "answer"} | fields)
        return lambda letter="": f"score-{made.pk}" + (f"-{letter}" if letter else "")

    return add


def html_of(page):
    return page.get(RANK).content.decode()


def submit(page, **fields):
    return page.post(f"{RANK}{Assignment.objects.latest('pk').pk}/submit", ORDER | fields)


def said(ranking=None):
    """The scores of a ranking by letter."""
    ranking = ranking or Ranking.objects.get(current=True)
    letter_of = {one.candidate_id: "abcd"[one.shown] for one in ranking.ranked.all()}
    return scores.by_letter(scores.stored(ranking), letter_of)["scores"]


def test_each_kind_has_a_field_of_its_own(page, ask):
    helpful, tone = ask("helpfulness", **HELPFULNESS), ask("tone", **TONE)
    true, why = ask("true", **TRUE), ask("why", **WHY)
    html = html_of(page)

    for field, steps in ((helpful, 2), (tone, 2), (true, 2)):
        radios = [html.count(f'<input type="radio" name="{field(letter)}"') for letter in "abcd"]
        assert radios == [steps] * 4
    assert len(re.findall(f'<textarea[^>]*name="{why()}"', html)) == 1
    assert html.count("Is it &lt;helpful&gt;?") == 4
    assert '<span dir="auto">1</span> <small dir="auto">poor</small></label>' in html


@pytest.mark.parametrize(
    ("labels", "digits"),
    [
        pytest.param([0, 1, 2, 3, 4], "0 1 2 3 4", id="by value"),
        pytest.param([-2, -1, 0, 1, 2], "1 2 3 4 5", id="by place"),
        pytest.param(list(range(11)), "0 1 2 3 4 5 6 7 8 9 -", id="ten has none"),
        pytest.param([10, 20], "- -", id="no digit"),
    ],
)
def test_a_digit_chooses_a_step(page, ask, labels, digits):
    field = ask("scale", kind="scale", question="?", labels=[{"value": one} for one in labels])
    found = re.findall(rf'name="{field("b")}" value="[^"]+" data-key="(\d?)"', html_of(page))

    assert [digit or "-" for digit in found] == digits.split()


def test_a_long_scale_is_a_list(page, ask):
    labels = [{"value": one, "label": "all" if one == 100 else ""} for one in range(101)]
    field = ask("share", kind="scale", question="How much of it?", labels=labels)
    html = html_of(page)

    assert len(re.findall(f'<select[^>]*name="{field("a")}"', html)) == 1
    assert '<option value="100">100: all</option>' in html


def test_a_project_without_criteria_asks_nothing_more(page):
    assert "score-" not in html_of(page)


def test_what_is_filled_in_is_kept(page, ask):
    helpful, tone = ask("helpfulness", **HELPFULNESS), ask("tone", **TONE)
    true, why = ask("true", **TRUE), ask("why", **WHY)
    html_of(page)
    submit(
        page,
        **{helpful("a"): "2", helpful("b"): "3", tone("c"): "so-so, really"},
        **{true("a"): "false", true("d"): "true", true("b"): "", why(): " So.\r\nYes. "},
    )

    assert said() == {
        "helpfulness": {"a": 2},
        "tone": {"c": "so-so, really"},
        "true": {"a": False, "d": True},
        "why": "So.\nYes.",
    }


def test_a_required_criterion_is_asked_for_at_its_answer(page, ask):
    helpful, why = ask("helpfulness", **HELPFULNESS, required=True), ask("why", **WHY)
    html_of(page)
    refused = submit(page, **{helpful(letter): "1" for letter in "abd"}, **{why(): "Because."})
    html = refused.content.decode()

    assert refused.status_code == 422
    message = "Answer C: “Is it &lt;helpful&gt;?” has no answer yet.</p>"
    assert f'id="error-{helpful("c")}" role="alert">{message}' in html
    assert html.count("has no answer yet.</p>") == 1
    assert f'aria-describedby="error-{helpful("c")}"' in html
    assert len(re.findall('name="score-[^"]*" value="1" data-key="1" checked', html)) == 3
    assert "Because.</textarea>" in html
    assert submit(page, **{helpful(letter): "1" for letter in "abcd"}).status_code == 302


def test_a_required_criterion_of_the_ranking_is_asked_for(page, ask):
    why = ask("why", **WHY, required=True)
    html_of(page)

    error = f'id="error-{why()}" role="alert">“Why?” has no answer yet.</p>'
    assert error in submit(page).content.decode()
    assert submit(page, **{why(): "So."}).status_code == 302


def test_a_draft_shows_again_what_was_filled_in(page, ask):
    helpful, why = ask("helpfulness", **HELPFULNESS), ask("why", **WHY)
    html_of(page)
    page.post(f"{RANK}{Assignment.objects.get().pk}/draft", {helpful("b"): "2", why(): "Half"})
    html = html_of(page)

    assert re.findall(r'name="score-[^"]*" value="(\d)" data-key="2" checked', html) == ["2"]
    assert "Half</textarea>" in html


def test_a_card_that_is_fetched_ahead_asks_the_same(page, ask, project):
    html_of(page)
    first = Assignment.objects.get()
    helpful = ask("helpfulness", **HELPFULNESS)
    make_task(project)
    ahead = page.get(f"{RANK}{first.pk}/ahead", headers={"HX-Request": "true"})

    assert f'<input type="radio" name="{helpful("d")}"' in ahead.content.decode()


def test_a_revision_on_the_page_keeps_scores_and_spans(page, ask, alice):
    ask("helpfulness", **HELPFULNESS)
    ask("why", **WHY)
    hands = Hands(page)
    span = {"answer": "B", "label": "“wrong”", "start": 1, "end": 3}
    given = {"helpfulness": {"C": 2}, "why": "So."}
    done = hands.rank(scores=given, spans=[span])
    address = f"{RANK}{Assignment.objects.get().pk}/revise"
    html = page.get(address).content.decode()
    filled = fields_of(html)
    page.post(address, ORDER | filled)

    revised = hands.get(f"rankings/{Ranking.objects.get(current=True).pk}").json()
    assert revised["id"] != done["id"]
    assert (revised["scores"], revised["spans"]) == (given, [span])


def fields_of(html):
    """Scores and spans as the form holds them."""
    chosen = re.findall(r'name="(score-[\w-]+)" value="([^"]+)" data-key="\d?" checked', html)
    texts = re.findall(r'<textarea[^>]*name="(score-\d+)"[^>]*>([^<]*)</textarea>', html)
    [spans] = re.findall(r'name="spans" value="([^"]*)"', html)
    return dict(chosen) | dict(texts) | {"spans": spans.replace("&quot;", '"')}


@pytest.mark.parametrize(
    "spans",
    [
        "{",
        "3",
        '["a"]',
        json.dumps([{"answer": "z", "label": "x", "start": 0, "end": 1}]),
        json.dumps([{"answer": "a", "label": "x", "start": 0}]),
        json.dumps([{"answer": "a", "label": "x", "start": "0", "end": 1}]),
        json.dumps([{"answer": "a", "label": "", "start": 0, "end": 1}]),
    ],
)
def test_spans_that_are_none_are_left_out(page, spans):
    html_of(page)

    assert submit(page, spans=spans).status_code == 302
    assert not Ranking.objects.get().spans.exists()


@pytest.mark.parametrize("depth", [51, 100_000])
def test_spans_that_nest_without_end_are_refused(page, depth):
    html_of(page)
    deep = "[" * depth + "]" * depth
    draft = page.post(f"{RANK}{Assignment.objects.get().pk}/draft", {"spans": deep})

    assert [submit(page, spans=deep).status_code, draft.status_code] == [400, 400]
    assert "nest too deeply" in draft.content.decode()
    assert not Ranking.objects.exists()


def test_a_span_outside_of_its_answer_is_refused(page):
    html_of(page)
    span = {"answer": "a", "label": "x", "start": 0, "end": 1000}
    refused = submit(page, spans=json.dumps([span]))

    assert refused.status_code == 422
    assert not Ranking.objects.exists()


def test_ratings_and_flags_take_one_statement_and_nothing_takes_none(page, project):
    """The criteria of the preset are known without a query."""
    counted = []
    for fields in ({}, {"rating-a": 7, "rating-b": 1, "flags-c": ["opinion", "sexual"]}):
        html_of(page)
        with CaptureQueriesContext(connection) as queries:
            submit(page, **fields)
        counted.append(len(queries))
        make_task(project)

    assert Score.objects.count() == 4
    # PostgreSQL inserts them in one statement with the ranks
    assert counted[1] - counted[0] == (0 if connection.vendor == "postgresql" else 1)


SPAN = {"answer": "a", "label": "wrong", "start": 0, "end": 1}


def test_ten_thousand_spans_are_refused_with_a_sentence(page):
    html_of(page)
    spans = json.dumps([SPAN | {"label": f"w{number}"} for number in range(10_000)])
    refused = submit(page, spans=spans)

    assert refused.status_code == 400
    sentence = "One judgment marks at most 500 passages; these are 10000."
    assert sentence in refused.content.decode()
    assert not Ranking.objects.exists()
    answer = Hands(page).post(
        f"assignments/{Assignment.objects.get().pk}/submit",
        {"order": "A>B>C>D", "spans": json.loads(spans)},
    )
    assert (answer.status_code, wrong_fields(answer)) == (400, {"spans"})
    assert not Ranking.objects.exists()


def test_a_label_that_the_project_lacks_is_refused_and_one_that_it_had_is_not(page, project):
    project.rules.span_labels = ["unsafe"]
    project.rules.save()
    html_of(page)
    refused = submit(page, spans=json.dumps([SPAN]))
    assert refused.status_code == 422
    assert "This project has no such label: wrong." in refused.content.decode()

    project.rules.span_labels = ["wrong"]
    project.rules.save()
    assert submit(page, spans=json.dumps([SPAN])).status_code == 302
    project.rules.span_labels = ["unsafe"]
    project.rules.save()
    address = f"{RANK}{Assignment.objects.get().pk}/revise"
    assert page.post(address, ORDER | {"spans": json.dumps([SPAN])}).status_code == 302
    assert Ranking.objects.get(current=True).spans.get().label == "wrong"
