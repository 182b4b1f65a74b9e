"""The preview of a freeze: what is shown is what is frozen."""

import pytest

from labeling.exports import freeze
from labeling.exports.preview import preview
from labeling.models import Demonstration
from modelops import recipes
from modelops.models import Job
from tests.factories import make_prompt, make_ranking, make_task
from tests.labeling.exports.test_forms import FORM

pytestmark = pytest.mark.django_db


def test_the_preview_shows_what_would_come_of_it(client_for, carol, project, judged):
    shown = client_for(carol).get("/p/demo/datasets/freeze/preview", FORM).context["preview"]

    assert (shown.rows, shown.judgments, shown.pairs) == (3, 5, 29)
    assert shown.statistics.agreement == 0.5
    assert shown.first_wins == 23 / 29
    assert [bar.label for bar in shown.bars[0].bars] == ["Alice", "Bob"]


def test_the_preview_without_javascript_starts_nothing(client_for, carol, project, judged):
    page = client_for(carol).post(
        "/p/demo/datasets/freeze/", FORM | {"look": "1", "language": "de"}
    )

    assert page.context["preview"].rows == 1
    assert not Job.objects.filter(kind="freeze").exists()


def test_the_preview_says_what_agreement_leaves_out(client_for, carol, project, judged):
    page = client_for(carol).get("/p/demo/datasets/freeze/preview", FORM | {"agreement": "0.9"})

    assert "2 of 5 judgments match" in page.content.decode()


def test_a_preview_of_a_mistake_changes_nothing(client_for, carol, project, judged):
    assert (
        client_for(carol)
        .get("/p/demo/datasets/freeze/preview", FORM | {"since": "soon"})
        .status_code
        == 204
    )


@pytest.fixture
def shown(project):
    """The preview of a freeze, and the counts of the freeze itself."""

    def compare(**chosen):
        recipe = recipes.read("freeze", {"kind": "judgments"} | chosen)
        return preview(project, recipe, names=True), freeze.freeze_now(
            None, project, **chosen
        ).counts

    return compare


@pytest.fixture
def ordered(project, alice):
    """What an ordered import leaves: the older half of the tasks is tied, the newer one is not."""
    for n in range(60):
        make_ranking(make_task(project), alice, (1, 1, 1, 1) if n < 30 else (1, 2, 3, 4))


def figures_of(preview):
    return preview.rows, preview.judgments, preview.pairs, preview.statistics.ties


@pytest.mark.parametrize("chosen", [{}, {"ties": False}, {"agreement": 0.5}])
def test_the_preview_counts_what_the_freeze_will_hold(shown, judged, chosen):
    preview, counts = shown(**chosen)

    assert figures_of(preview)[:3] == (counts["rows"], counts["judgments"], counts["pairs"])
    assert round(preview.statistics.ties, 4) == counts["ties"]
    assert not preview.sampled


def test_the_order_of_an_import_changes_no_figure_of_the_preview(shown, ordered, monkeypatch):
    monkeypatch.setattr("labeling.exports.preview.SAMPLE", 10)
    preview, counts = shown()

    assert figures_of(preview) == (60, 60, 180, 0.5)
    assert (counts["pairs"], counts["ties"], preview.sampled) == (180, 0.5, False)


def test_beyond_what_is_counted_tasks_are_drawn_at_random(
    shown, ordered, monkeypatch, client_for, carol
):
    """The newest 30 of 60 tasks have no tie: of 30 drawn ones about half have, and the page says
    that they are drawn.
    """
    monkeypatch.setattr("labeling.exports.preview.EXACT", 10)
    monkeypatch.setattr("labeling.exports.preview.SAMPLE", 30)
    preview, _counts = shown()
    page = client_for(carol).get("/p/demo/datasets/freeze/preview", FORM).content.decode()

    assert (preview.sampled, preview.looked_at, preview.rows) == (True, 30, 60)
    assert 0.3 < preview.statistics.ties < 0.7
    assert 108 < preview.pairs < 252
    assert "estimates from 30 judgments of tasks drawn at random" in page
    assert figures_of(shown()[0]) == figures_of(preview), "the same tasks are drawn again"


LONG = (
    "Please explain to me in a few short sentences why it is that the sky looks blue at noon and "
    "red at dusk"
)


@pytest.mark.parametrize("kind", ["judgments", "prompts", "text"])
@pytest.mark.parametrize(("apart", "near", "rows_left"), [(True, 1, 2), (False, None, 3)])
def test_the_preview_keeps_the_splits_apart(project, alice, shown, kind, apart, near, rows_left):
    for text, split in ((f"{LONG}.", "test"), (f"{LONG}, please.", "train"), ("Hi", "train")):
        make_ranking(make_task(project, prompt=make_prompt(project, text, split=split)), alice)
    preview, counts = shown(kind=kind, apart=apart)

    assert (preview.near, preview.rows) == (near, rows_left)
    assert (counts.get("near_held_out"), counts["rows"]) == (near, rows_left)
    assert preview.pairs == counts["pairs"]


def test_the_page_says_what_is_left_out_to_keep_the_splits_apart(project, alice, client_for, carol):
    for text, split in ((f"{LONG}.", "test"), (f"{LONG}, please.", "train")):
        make_ranking(make_task(project, prompt=make_prompt(project, text, split=split)), alice)
    page = client_for(carol).get("/p/demo/datasets/freeze/preview", FORM | {"apart": "on"})

    assert "keep the splits apart: 1 training row" in page.content.decode()


def test_the_preview_of_texts_counts_each_answer(project, alice, shown):
    first, _second = make_prompt(project), make_prompt(project, split="test")
    for text in ("One.", "Two."):
        Demonstration.objects.create(prompt=first, labeler=alice, text=text)
    preview, counts = shown(kind="text")

    assert (preview.rows, preview.splits) == (3, [("train", 2), ("test", 1)])
    assert counts["rows"] == 3
