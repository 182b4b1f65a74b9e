"""Agreement on values: shares, and Krippendorff's alpha by its published examples."""

import pytest

from labeling.stats import agreement


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], (0, 0), id="nobody"),
        pytest.param([1], (0, 0), id="one"),
        pytest.param([1, 1], (1, 1), id="two alike"),
        pytest.param([True, False], (0, 1), id="two apart"),
        pytest.param(["a", "a", "b"], (1, 3), id="two of three"),
    ],
)
def test_pairs_of_judges_are_counted(values, expected):
    assert agreement.value_agreement(values) == expected


# Krippendorff 2011, section C: four observers, twelve units, missing data
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [[value for value in unit if value is not None] for unit in zip(*OBSERVERS, strict=True)]


@pytest.mark.parametrize(
    ("numbers", "expected"), [pytest.param(False, 0.743, id="nominal"), (True, 0.849)]
)
def test_alpha_is_that_of_the_published_example(numbers, expected):
    assert agreement.alpha(UNITS, numbers) == pytest.approx(expected, abs=0.0005)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([[1], [2]], None, id="nobody can be compared"),
        pytest.param([[1, 1], [1, 1]], None, id="one value"),
        pytest.param([[1, 1], [2, 2]], 1.0, id="full agreement"),
    ],
)
def test_alpha_at_its_edges(units, expected):
    assert agreement.alpha(units, numbers=True) == expected
