"""What a labeler's browser has to fetch before the first answer can be read, with nothing in its
cache.
"""

import gzip
import random
import re

import pytest
from django.contrib.staticfiles import finders

from tests.factories import make_task

pytestmark = pytest.mark.django_db

ALLOWED = 100_000  # bytes


def prose(words: int, seed: int) -> str:
    """Text as hard for gzip as English: 4,000 words, the frequent ones more often."""
    draw = random.Random(seed)
    known = [
        "".join(random.Random(number).choices("etaoinshrdlu", k=2 + number % 9))
        for number in range(4000)
    ]
    return "\n\n".join(
        " ".join(known[min(3999, int(draw.paretovariate(0.35)))] for _ in range(100))
        for _ in range(words // 100)
    )


def static_bytes(html: str) -> int:
    """The files that the page names, as WhiteNoise sends them."""
    names = re.findall(r'(?:src|href)="/static/([^"]+\.(?:js|css))"', html)
    assert len(names) >= 5
    return sum(len(gzip.compress(open(finders.find(name), "rb").read(), 9)) for name in names)


@pytest.mark.parametrize("k", [4, 9])
def test_the_ranking_page_weighs_little_even_with_nine_long_answers(client_for, alice, project, k):
    make_task(project, [prose(1_500, seed) for seed in range(k)])
    response = client_for(alice).get("/p/demo/rank/", headers={"Accept-Encoding": "gzip"})

    assert response["Content-Encoding"] == "gzip"
    html = gzip.decompress(response.content).decode()
    weight = len(response.content) + static_bytes(html)
    assert weight < ALLOWED, (
        f"{len(response.content)} of the page and {static_bytes(html)} of its files"
    )
