"""Choosing what to freeze: what each choice lets in, and the page that shows it beforehand."""

import zipfile
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from labeling.exports import downloads, forms, freeze
from labeling.models import Demonstration, Ranking
from modelops import datasets, recipes, rows
from modelops.jobs import JobFailed
from modelops.models import Dataset, Job
from people.models import AuditEvent
from tests.factories import make_model, make_person, make_prompt, make_ranking, make_task

pytestmark = pytest.mark.django_db
FORM = {
    "kind": "judgments",
    "purpose": "training",
    "answers": "written",
    "agreement": "0",
    "ties": "on",
}


@pytest.fixture
def judged(project, alice, bob):
    """A task on which two agree, one on which they don't, and a tie that one person made."""
    agreed, disputed = make_task(project), make_task(project)
    for task, ranks in ((agreed, [1, 2, 3, 4]), (disputed, [4, 3, 2, 1])):
        make_ranking(task, alice)
        make_ranking(task, bob, ranks=ranks)
    tied = make_task(
        project,
        prompt=make_prompt(project, use_case="chat", language="de"),
        model=make_model(project, "tied"),
    )
    make_ranking(tied, alice, ranks=[1, 1, 2, 3])
    return agreed, disputed, tied


def counts(project, **chosen):
    found = freeze.freeze_now(None, project, **chosen).counts
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
    Ranking.objects.filter(task=judged[0]).update(
        created_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    )

    assert counts(project, since="2026-03-02", until="2026-03-02") == (1, 2)
    with pytest.raises(JobFailed, match="Nothing matches what was chosen"):
        freeze.freeze_now(None, project, since="2026-03-01", until="2026-03-01")


def test_a_day_that_is_none_is_refused(project, judged):
    with pytest.raises(JobFailed, match="since: must be a day"):
        freeze.freeze_now(None, project, since="yesterday")


def test_a_mistake_on_the_command_line_is_one_line_and_no_traceback(project, judged, caplog):
    with pytest.raises(CommandError, match="since: must be a day"):
        call_command("freeze", "--project", "demo", "--since", "05/01/2026")
    assert not [record for record in caplog.records if record.exc_info]


def test_nothing_is_adjudicated_yet(project, judged):
    with pytest.raises(JobFailed, match="Nothing matches what was chosen"):
        freeze.freeze_now(None, project, adjudicated=True)


def test_where_nothing_is_ranked_that_is_said(project):
    with pytest.raises(JobFailed, match="No task has been ranked yet"):
        freeze.freeze_now(None, project)


def test_the_same_judgments_chosen_otherwise_are_the_same_dataset(project, judged):
    assert freeze.freeze_now(None, project) == freeze.freeze_now(
        None, project, purpose="training", since="2020-01-01"
    )


def test_the_query_is_kept_with_the_dataset(project, judged):
    assert freeze.freeze_now(None, project, language="de", note="n").query == {
        "language": "de",
        "note": "n",
    }


def test_a_dataset_keeps_its_figures(project, judged):
    found = freeze.freeze_now(None, project).counts

    assert (found["agreement"], found["judges"], found["outcomes"]) == (0.5, 2, {"ranked": 5})
    assert found["ties"] == round(1 / 30, 4)


def test_prompts_and_texts_are_frozen_too(project, judged, alice):
    prompt = judged[2].prompt
    Demonstration.objects.create(prompt=prompt, labeler=alice, text="An answer.")
    prompts = freeze.freeze_now(None, project, "prompts")
    texts = freeze.freeze_now(None, project, "text", language="de")

    assert (prompts.kind, prompts.counts["rows"]) == ("prompts", 3)
    (row,) = rows.read(datasets.path(texts))
    assert row == {
        "prompt_id": prompt.digest,
        "split": "train",
        "text": f"{prompt.last_turn}\n\nAn answer.",
    }


# The page


def test_the_form_as_it_stands_freezes_everything(client_for, carol, project, judged):
    page = client_for(carol).post("/p/demo/datasets/freeze/", FORM)

    job = Job.objects.get(kind="freeze")
    assert page.url == f"/p/demo/jobs/{job.pk}/"
    assert freeze.run(job).counts["rows"] == 3


def test_a_form_sent_twice_freezes_once(client_for, carol, project, judged):
    form = FORM | {"key": "3f0a3a9e-8d8c-4f6e-9d6b-0d0f4a7c9f11"}
    first, second = (client_for(carol).post("/p/demo/datasets/freeze/", form).url for _ in range(2))

    assert first == second
    assert Job.objects.filter(kind="freeze").count() == 1


def test_what_is_filled_in_is_what_the_job_is_told(client_for, carol, project, judged, bob):
    form = FORM | {
        "since": "2026-01-02",
        "models": ["tied"],
        "without": [bob.pk],
        "language": "de",
        "ties": "",
    }
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
    page = client_for(carol).post(
        "/p/demo/datasets/freeze/", FORM | {"look": "1", "language": "de"}
    )

    assert page.context["preview"].rows == 1
    assert not Job.objects.filter(kind="freeze").exists()


def test_the_preview_says_what_agreement_leaves_out(client_for, carol, project, judged):
    page = client_for(carol).get("/p/demo/datasets/freeze/preview", FORM | {"agreement": "0.9"})

    assert "of 5 judgments looked at 2 stay" in page.content.decode()


def test_a_preview_of_a_mistake_changes_nothing(client_for, carol, project, judged):
    assert (
        client_for(carol)
        .get("/p/demo/datasets/freeze/preview", FORM | {"since": "soon"})
        .status_code
        == 204
    )


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
    text = (
        client_for(make_person(project, "researcher"))
        .get("/p/demo/datasets/freeze/")
        .content.decode()
    )

    assert "What would be frozen" in text
    assert alice.name not in text
    assert alice.email not in text


# What is shown is what is frozen


@pytest.fixture
def shown(project):
    """The preview of a freeze, and the counts of the freeze itself."""

    def compare(**chosen):
        recipe = recipes.read("freeze", {"kind": "judgments"} | chosen)
        return forms.preview(project, recipe, names=True), freeze.freeze_now(
            None, project, **chosen
        ).counts

    return compare


@pytest.fixture
def ordered(project, alice):
    """What an ordered import leaves: the earlier half of the tasks is tied, the newer one is not."""
    for n in range(60):
        make_ranking(make_task(project), alice, (1, 1, 1, 1) if n < 30 else (1, 2, 3, 4))


def figures_of(preview):
    return preview.rows, preview.judgments, preview.pairs, preview.portrait.ties


@pytest.mark.parametrize("chosen", [{}, {"ties": False}, {"agreement": 0.5}])
def test_the_preview_counts_what_the_freeze_will_hold(shown, judged, chosen):
    preview, counts = shown(**chosen)

    assert figures_of(preview)[:3] == (counts["rows"], counts["judgments"], counts["pairs"])
    assert round(preview.portrait.ties, 4) == counts["ties"]
    assert not preview.sampled


def test_the_order_of_an_import_changes_no_figure_of_the_preview(shown, ordered, monkeypatch):
    monkeypatch.setattr(forms, "SAMPLE", 10)
    preview, counts = shown()

    assert figures_of(preview) == (60, 60, 180, 0.5)
    assert (counts["pairs"], counts["ties"], preview.sampled) == (180, 0.5, False)


def test_beyond_what_is_counted_tasks_are_drawn_at_random(
    shown, ordered, monkeypatch, client_for, carol
):
    """The newest 30 of 60 tasks have no tie: of 30 drawn ones about half have, and the page says
    that they are drawn.
    """
    monkeypatch.setattr(forms, "EXACT", 10)
    monkeypatch.setattr(forms, "SAMPLE", 30)
    preview, _counts = shown()
    page = client_for(carol).get("/p/demo/datasets/freeze/preview", FORM).content.decode()

    assert (preview.sampled, preview.looked_at, preview.rows) == (True, 30, 60)
    assert 0.3 < preview.portrait.ties < 0.7
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


# The same rows, frozen again


def test_the_same_rows_take_another_licence_and_note_and_stay_the_same_dataset(
    project, judged, carol, client_for
):
    first = freeze.freeze_now(carol, project, note="round 1", licence="mit")
    again = freeze.freeze_now(carol, project, note="round one", licence="cc-by-4.0")
    job = Job.objects.filter(kind="freeze").order_by("-pk").first()

    assert (again.pk, again.digest, again.note, again.licence) == (
        first.pk,
        first.digest,
        "round one",
        "cc-by-4.0",
    )
    assert job.result | {"same": True, "changed": ["note", "licence"]} == job.result
    [event] = AuditEvent.objects.filter(verb="relabel dataset")
    assert (event.actor, event.data["licence"]) == (carol, {"from": "mit", "to": "cc-by-4.0"})
    page = client_for(carol).get(f"/p/demo/jobs/{job.pk}/").content.decode()
    assert "it is the same dataset" in page
    assert "Its licence is now the one given here" in page


def test_what_is_left_empty_stays_and_is_no_event(project, judged, carol):
    freeze.freeze_now(carol, project, note="round 1", licence="mit")
    again = freeze.freeze_now(carol, project)
    job = Job.objects.filter(kind="freeze").order_by("-pk").first()

    assert (again.note, again.licence, job.result["changed"]) == ("round 1", "mit", [])
    assert not AuditEvent.objects.filter(verb="relabel dataset").exists()


def test_a_new_dataset_is_not_the_same_as_any(project, judged, carol):
    freeze.freeze_now(carol, project)

    assert "same" not in Job.objects.get(kind="freeze").result


def test_the_card_of_a_folder_follows_the_licence(project, judged, carol):
    def card_of(dataset):
        recipe = downloads.choose(dataset, "folder")
        with zipfile.ZipFile(downloads.make(dataset, recipe)) as folder:
            return folder.read("README.md").decode()

    before = card_of(freeze.freeze_now(carol, project, licence="mit"))
    after = card_of(freeze.freeze_now(carol, project, licence="cc-by-4.0"))

    assert 'license: "mit"' in before
    assert 'license: "cc-by-4.0"' in after


def test_the_command_says_that_the_rows_were_frozen_before(project, judged, capsys):
    call_command("freeze", "--project", "demo", "--licence", "mit")
    assert "frozen before" not in capsys.readouterr().err
    call_command("freeze", "--project", "demo", "--note", "again")

    assert "it is the same dataset. Note: again. Licence: mit." in capsys.readouterr().err
