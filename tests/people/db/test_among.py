"""A column that is one of many values."""

import pytest

from labeling.models import Prompt
from people.db.among import among
from tests.factories import make_prompt

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("column", ["digest", "author", "pk"])
def test_it_finds_what_djangos_in_finds(project, column):
    for author in ("", "quote \" and ' %s \\", "ü\U0001f600"):
        make_prompt(project, author=author)
    values = list(Prompt.objects.values_list(column, flat=True))[1:]
    assert len(values) == 2

    expected = set(Prompt.objects.filter(**{f"{column}__in": values}))
    assert set(Prompt.objects.filter(among(column, values))) == expected
    assert set(Prompt.objects.exclude(among(column, values))) == {
        prompt for prompt in Prompt.objects.all() if prompt not in expected
    }


def test_of_no_values_it_finds_nothing(project):
    make_prompt(project)
    assert not Prompt.objects.filter(among("digest", [])).exists()
    assert not Prompt.objects.filter(among("pk", [])).exists()


def test_thousands_of_values_are_one_query(project, django_assert_num_queries):
    prompt = make_prompt(project)
    digests = [f"{number:064x}" for number in range(5000)]
    with django_assert_num_queries(1):
        assert list(Prompt.objects.filter(among("digest", [*digests, prompt.digest]))) == [prompt]
