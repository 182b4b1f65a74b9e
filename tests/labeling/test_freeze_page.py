"""Choosing what to freeze: what each choice lets in, and the page that shows it beforehand."""

from datetime import UTC, datetime

import pytest

from labeling import export
from labeling.models import Demonstration, Ranking
from modelops import datasets, rows
from modelops.jobs import JobFailed
from modelops.models import Dataset, Job
from modelops.recipes import InvalidRecipe
from tests.factories import make_model, make_person, make_prompt, make_ranking, make_task

pytestmark = pytest.mark.django_db
FORM = {"kind": "judgments", "purpose": "training", "answers": "written", "agreement": "0", "ties": "on"}


@pytest.fixture
def judged(project, alice, bob):
    """A task on which two agree, one on which they don't, and a tie that one person made."""
    agreed, disputed = make_task(project), make_task(project)
    for task, ranks in ((agreed, [1, 2, 3, 4]), (disputed, [4, 3, 2, 1])):
        make_ranking(task, alice)
        make_ranking(task, bob, ranks=ranks)
    tied = make_task(
        project, prompt=make_prompt(project, use_case="chat", language="de"), model=make_model(project, "tied")
    )
    make_ranking(tied, alice, ranks=[1, 1, 2, 3])
    return agreed, disputed, tied


def counts(project, **chosen):
    found = export.freeze_now(None, project, **chosen).counts
    return found["rows"], found["judgments"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, (3, 5)),
        ({"use_case": "chat"}, (1, 1)),
        ({"language": "de"}, (1, 1)),
        ({"models": "unknown\ntied"}, (1, 1)),
        ({"ties": False}, (2, 4)),
        ({"agreement": 0.5}, (1, 2)),
    ],
)
def test_what_is_chosen_is_what_is_frozen(project, judged, chosen, expected):
    assert counts(project, **chosen) == expected


def test_labelers_can_be_left_out(project, judged, bob):
    assert counts(project, without=str(bob.pk)) == (3, 3)


def test_days_are_the_projects(project, judged):
    """At half past eleven in the evening in UTC, it is the next day in Tokyo."""
    project.zone = "Asia/Tokyo"
    project.save()
    Ranking.objects.filter(task=judged[0]).update(created_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))

    assert counts(project, since="2026-03-02", until="2026-03-02") == (1, 2)
    with pytest.raises(JobFailed, match="No task"):
        export.freeze_now(None, project, since="2026-03-01", until="2026-03-01")


def test_a_day_that_is_none_is_refused(project, judged):
    with pytest.raises((InvalidRecipe, JobFailed), match="since: must be a day"):
        export.freeze_now(None, project, since="yesterday")


def test_nothing_is_adjudicated_yet(project, judged):
    with pytest.raises(JobFailed, match="No task"):
        export.freeze_now(None, project, adjudicated=True)


def test_the_same_judgments_chosen_otherwise_are_the_same_dataset(project, judged):
    assert export.freeze_now(None, project) == export.freeze_now(None, project, purpose="training", since="2020-01-01")


def test_the_query_is_kept_with_the_dataset(project, judged):
    assert export.freeze_now(None, project, language="de", note="n").query == {"language": "de", "note": "n"}


def test_a_dataset_keeps_its_figures(project, judged):
    found = export.freeze_now(None, project).counts

    assert (found["agreement"], found["judges"], found["outcomes"]) == (0.5, 2, {"ranked": 5})
    assert found["ties"] == round(1 / 30, 4)


def test_prompts_and_texts_are_frozen_too(project, judged, alice):
    prompt = judged[2].prompt
    Demonstration.objects.create(prompt=prompt, labeler=alice, text="An answer.")
    prompts = export.freeze_now(None, project, "prompts")
    texts = export.freeze_now(None, project, "text", language="de")

    assert (prompts.kind, prompts.counts["rows"]) == ("prompts", 3)
    (row,) = rows.read(datasets.path(texts))
    assert row == {"prompt_id": prompt.digest, "split": "train", "text": f"{prompt.last_turn}\n\nAn answer."}


# The page


def test_the_form_as_it_stands_freezes_everything(client_for, carol, project, judged):
    page = client_for(carol).post("/p/demo/datasets/freeze/", FORM)

    job = Job.objects.get(kind="freeze")
    assert page.url == f"/p/demo/jobs/{job.pk}/"
    assert export.run(job).counts["rows"] == 3


def test_a_form_sent_twice_freezes_once(client_for, carol, project, judged):
    form = FORM | {"key": "3f0a3a9e-8d8c-4f6e-9d6b-0d0f4a7c9f11"}
    first, second = (client_for(carol).post("/p/demo/datasets/freeze/", form).url for _ in range(2))

    assert first == second
    assert Job.objects.filter(kind="freeze").count() == 1


def test_what_is_filled_in_is_what_the_job_is_told(client_for, carol, project, judged, bob):
    form = FORM | {"since": "2026-01-02", "models": ["tied"], "without": [bob.pk], "language": "de", "ties": ""}
    client_for(carol).post("/p/demo/datasets/freeze/", form)

    told = Job.objects.get(kind="freeze").recipe
    assert (told["since"], told["models"], told["without"], told["language"]) == (
        "2026-01-02",
        "tied",
        str(bob.pk),
        "de",
    )
    assert told["ties"] is False


def test_the_preview_shows_what_would_come_of_it(client_for, carol, project, judged):
    shown = client_for(carol).get("/p/demo/datasets/freeze/preview", FORM).context["preview"]

    assert (shown.rows, shown.judgments, shown.pairs) == (3, 5, 29)
    assert shown.portrait.agreement == 0.5
    assert shown.first_wins == 23 / 29
    assert [bar.label for bar in shown.bars[0].bars] == ["Alice", "Bob"]


def test_the_preview_without_javascript_starts_nothing(client_for, carol, project, judged):
    page = client_for(carol).post("/p/demo/datasets/freeze/", FORM | {"look": "1", "language": "de"})

    assert page.context["preview"].rows == 1
    assert not Job.objects.filter(kind="freeze").exists()


def test_the_preview_says_what_agreement_leaves_out(client_for, carol, project, judged):
    page = client_for(carol).get("/p/demo/datasets/freeze/preview", FORM | {"agreement": "0.9"})

    assert "of 5 judgments looked at 2 stay" in page.content.decode()


def test_a_preview_of_a_mistake_changes_nothing(client_for, carol, project, judged):
    assert client_for(carol).get("/p/demo/datasets/freeze/preview", FORM | {"since": "soon"}).status_code == 204


@pytest.mark.parametrize("kind", Dataset.Kind.values)
def test_the_page_takes_a_constant_number_of_queries(
    client_for, carol, project, judged, bob, kind, django_assert_max_num_queries
):
    for _ in range(10):
        make_ranking(make_task(project), bob)
    browser = client_for(carol)

    with django_assert_max_num_queries(20):
        browser.get("/p/demo/datasets/freeze/preview", FORM | {"kind": kind})


def test_a_researcher_learns_no_labelers_name(client_for, project, judged, alice):
    text = client_for(make_person(project, "researcher")).get("/p/demo/datasets/freeze/").content.decode()

    assert "What would be frozen" in text
    assert alice.name not in text
    assert alice.email not in text
