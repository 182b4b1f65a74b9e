"""What judges marked in an answer, as a page shows it: nested, overlapping, and very many."""

import re

import pytest

from labeling.views.judged_rows import marked
from tests.labeling.text.work import lines_run


def span(label, start, end):
    return {"label": label, "start": start, "end": end}


def parts(text, *spans):
    """(text, colour, labels) of each part that is shown as marked."""
    html = str(marked(text, spans, sorted({one["label"] for one in spans})))
    found = re.findall(r'<mark class="mark-(\d)" title="([^"]*)">([^<]*)</mark>', html)
    assert re.sub(r"<[^>]*>", "", html) == text
    return [(part, int(colour), names) for colour, names, part in found]


@pytest.mark.parametrize(
    ("spans", "shown"),
    [
        ([span("x", 1, 3)], [("bc", 1, "x")]),
        ([span("x", 1, 4), span("y", 2, 3)], [("b", 1, "x"), ("c", 1, "x, y"), ("d", 1, "x")]),
        ([span("x", 1, 3), span("y", 2, 5)], [("b", 1, "x"), ("c", 1, "x, y"), ("de", 2, "y")]),
        ([span("y", 0, 2), span("x", 0, 6)], [("ab", 2, "y, x"), ("cdef", 1, "x")]),
        ([span("x", 0, 2), span("x", 1, 3)], [("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x")]),
        ([span("x", 0, 2), span("y", 2, 6)], [("ab", 1, "x"), ("cdef", 2, "y")]),
        ([span("x", 1, 3), span("x", 1, 3)], [("bc", 1, "x")]),
    ],
    ids=["one", "nested", "overlapping", "same start", "same label", "adjacent", "two judges"],
)
def test_each_part_has_the_colour_of_the_first_and_names_all(spans, shown):
    assert parts("abcdef", *spans) == shown


def test_many_long_marks_take_work_in_proportion():
    def work(count):
        spans = [span("xyz"[at % 3], at, at + count) for at in range(count)]
        return lines_run(lambda: marked("a" * 2 * count, spans, ["x", "y", "z"]))

    assert work(2000) < 2.5 * work(1000)
