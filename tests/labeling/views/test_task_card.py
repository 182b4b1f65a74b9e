"""What stands around an answer is kept from card to card; nothing of one card shows on another."""

from itertools import product
from types import SimpleNamespace

import pytest
from django.template import Context, Template
from django.utils import translation
from django.utils.safestring import mark_safe

from labeling.judging.criteria import Asked
from labeling.templatetags import answers
from labeling.views.task_card import Shown

WAYS = {
    "rank": (None, 2),
    "rating": (None, 5),
    "flags": ([], ["harmful"]),
    "error": ("", "Answer A has no rank yet."),
    "error_at": ("", "helpfulness"),
    "html": (mark_safe("<p>good</p>"), ""),
    "source": ("", "*good*"),
    "scores": ((), (("helpfulness", 2),)),
}
HELPFULNESS = Asked(
    pk=7,
    name="helpfulness",
    key="helpfulness",
    scope="answer",
    kind="scale",
    question="How helpful is it?",
    required=True,
    labels=((1, "poor"), (2, "good")),
)
RULES = {
    "strengths": (None, [(1, "A is better")]),
    "flags": ([], [("harmful", "Gives harmful advice")]),
    "project": tuple(SimpleNamespace(rules=SimpleNamespace(rating=on)) for on in (True, False)),
    "keys": (
        {"compare": "v", "flags": "x", "spans": "t"},
        {"compare": "w", "flags": "y", "spans": "z"},
    ),
    "answers": (range(2), range(4)),
    "criteria": ((), (HELPFULNESS,)),
    "span_labels": ([], ["wrong"]),
}


def every(table):
    return [dict(zip(table, values, strict=True)) for values in product(*table.values())]


def shown(said, rules):
    context = {
        "ordinals": [(1, "1st"), (2, "2nd")],
        "ratings": range(1, 8),
        "answer": Shown(letter="a", **said),
    } | rules
    return Template("{% load answers %}{% answer_card answer %}").render(Context(context))


def test_a_kept_card_is_the_card_made_anew():
    kept = {}
    for said, rules in product(every(WAYS), every(RULES)):
        kept[str((said, rules))] = shown(said, rules)
    for said, rules in list(product(every(WAYS), every(RULES)))[::17]:
        answers._around.cache_clear()
        assert shown(said, rules) == kept[str((said, rules))]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"rank": 2}, '<option value="2" selected>'),
        ({"rating": 5}, 'value="5" checked'),
        ({"flags": ["harmful"]}, 'value="harmful" checked'),
        ({"error": "No rank yet."}, "No rank yet."),
        ({"source": "*good*"}, '<pre class="text written"'),
        ({"scores": (("helpfulness", 2),)}, 'value="2" data-key="2" checked'),
        ({"error": "No.", "error_at": "helpfulness"}, 'id="error-score-7-a" role="alert">No.'),
    ],
)
def test_what_was_said_of_an_answer_is_on_its_card_alone(said, expected):
    plain = {name: ways[0] for name, ways in WAYS.items()}
    rules = {name: ways[0] for name, ways in RULES.items()} | {
        "flags": [("harmful", "Gives harmful advice")],
        "criteria": (HELPFULNESS,),
    }

    assert expected in shown(plain | said, rules)
    assert expected not in shown(plain, rules)


def test_cards_of_two_languages_are_kept_apart():
    plain = {name: ways[0] for name, ways in WAYS.items()}
    rules = {name: ways[0] for name, ways in RULES.items()}
    shown(plain, rules)

    before = answers._around.cache_info().misses
    with translation.override("de"):
        shown(plain, rules)
    assert answers._around.cache_info().misses == before + 1
