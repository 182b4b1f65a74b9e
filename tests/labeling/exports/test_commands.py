"""The commands refuse in one sentence."""

import pytest
from django.core.management import CommandError, call_command

from labeling.exports import freeze
from modelops.models import Dataset, Job
from tests.factories import make_project, make_ranking, make_task

pytestmark = pytest.mark.django_db
BAD_DAYS = {
    "soon": "must be a day like 2026-05-31",
    "2026-02-30": "must be a day like 2026-05-31",
    "31.05.2026": "must be a day like 2026-05-31",
    "0001-01-01": "must lie between 1900-01-01 and 9998-12-31",
    "9999-12-31": "must lie between 1900-01-01 and 9998-12-31",
}


@pytest.mark.parametrize("option", ["since", "until"])
@pytest.mark.parametrize("day", BAD_DAYS)
def test_a_bad_day_is_one_sentence(project, alice, option, day):
    make_ranking(make_task(project), alice)

    with pytest.raises(CommandError) as refused:
        call_command("freeze", f"--{option}={day}", project="demo")
    assert str(refused.value) == f"{option}: {BAD_DAYS[day]}"
    assert not Dataset.objects.exists()


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_script_is_told_the_same(client_for, carol, project, alice, day):
    make_ranking(make_task(project), alice)
    answer = client_for(carol).post(
        "/api/v1/projects/demo/datasets/preview",
        {"until": day},
        content_type="application/json",
    )

    assert answer.status_code == 400, answer.content
    [error] = answer.json()["errors"]
    assert error["field"] == "until"
    assert "Ensure this value is" in error["detail"]


def test_a_dataset_that_two_projects_hold_is_exported_from_the_named_one(
    project, alice, tmp_path, settings
):
    make_ranking(make_task(project), alice)
    mine = freeze.freeze_now(None, project)
    other = make_project(slug="other")
    about = {"kind": mine.kind, "digest": mine.digest, "folder": mine.folder}
    Dataset.objects.create(project=other, counts=mine.counts, **about)

    with pytest.raises(CommandError) as refused:
        call_command("export", mine.short, format="rows", output=tmp_path / "rows.jsonl")
    assert str(refused.value) == (
        "Several projects hold this dataset: add --project, one of demo, other."
    )
    with pytest.raises(CommandError, match="No dataset begins with 0000."):
        call_command("export", "0000", format="rows")
    call_command("export", mine.short, project="other", output=tmp_path / "rows.jsonl")
    assert (tmp_path / "rows.jsonl").stat().st_size
    assert not Job.objects.filter(kind="render").exists()
