"""Choosing what to freeze: what each choice lets in, and the page that shows it beforehand."""

import zipfile
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from labeling.exports import downloads, freeze
from labeling.exports.forms import FreezeForm
from labeling.models import Demonstration, Ranking
from modelops import datasets, rows
from modelops.jobs import JobFailed
from modelops.models import Dataset, Job
from people.models import AuditEvent
from tests.factories import make_model, make_person, make_ranking, make_task

pytestmark = pytest.mark.django_db
FORM = {
    "kind": "judgments",
    "purpose": "training",
    "answers": "written",
    "agreement": "0",
    "ties": "on",
}


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


def test_a_dataset_offers_each_way_to_fine_tune_on_it(client_for, carol, project, judged):
    dataset = freeze.freeze_now(carol, project)
    page = client_for(carol).get(f"/p/demo/datasets/{dataset.pk}/").content.decode()

    for kind in ("reward", "sft", "dpo", "kto"):
        address = f"/p/demo/jobs/new/{kind}/?dataset={dataset.pk}"
        assert f'href="{address}"' in page
        form = client_for(carol).get(address).context["form"]
        assert str(form["dataset"].value()) == str(dataset.pk)


def test_all_models_can_be_chosen(project):
    for number in range(201):
        make_model(project, f"model-{number}")

    assert len(FreezeForm(project, names=True).fields["models"].choices) == 201
