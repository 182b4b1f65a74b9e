"""Figures in words and as drawings."""

import pytest
from django.template.loader import render_to_string
from django.utils import translation

from modelops import charts
from modelops.models import Metric


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("accuracy", 0.6891, "68.9 %"),
        ("longer_answer_accuracy", 0.5, "50.0 %"),
        ("loss", 0.69314, "0.6931"),
        ("pairs", 1204.0, "1,204"),
        ("learning_rate", 0.0001, "0.0001"),
        ("loss", float("nan"), "–"),
    ],
)
def test_a_value_is_said_with_its_unit(name, value, said):
    assert charts.say(name, value) == said


def test_half_an_interval_stands_after_the_value():
    assert (
        charts.plus_minus(Metric(name="accuracy", value=0.689, low=0.665, high=0.713))
        == "68.9 ± 2.4 %"
    )


def test_a_value_without_interval_stands_alone():
    assert charts.with_interval(Metric(name="loss", value=0.6, n=40)) == "0.6, n = 40"


@pytest.mark.parametrize(
    ("seconds", "said"), [(4, "4 s"), (89, "89 s"), (600, "10 min"), (11100, "3 h 5 min")]
)
def test_a_duration_is_said_in_its_own_unit(seconds, said):
    assert charts.duration(seconds) == said


@pytest.mark.parametrize(
    ("low", "high"), [(0.5, 0.7), (0, 1e-4), (3, 3), (0, 0), (-2.5, 40), (1e6, 2e6)]
)
def test_an_axis_has_a_few_round_numbers_around_its_values(low, high):
    ticks = charts.nice(low, high)

    assert 2 <= len(ticks) <= 6
    assert ticks[0] <= low <= high <= ticks[-1]


def test_a_line_stays_inside_its_chart():
    chart = charts.chart("loss", [(1, 0.7), (5, 0.2), (9, float("inf")), (10, 0.4)])
    points = [
        tuple(map(float, point.split())) for point in chart.path.removeprefix("M").split(" L")
    ]

    assert len(points) == 3
    assert all(chart.left <= x <= chart.right and 0 <= y <= chart.floor for x, y in points)


def test_a_drawing_is_the_same_in_a_language_with_decimal_commas():
    context = {"chart": charts.chart("loss", [(1, 0.7), (5, 0.2)])}
    with translation.override("de"):
        drawn = render_to_string("_chart.html", context)

    assert drawn == render_to_string("_chart.html", context)


def test_nothing_is_drawn_of_nothing():
    assert charts.chart("loss", []) is None
    assert charts.spark([0.5]) == ""
