"""Files through the API: uploaded and checked, looked at, then imported; and people's judgments,
erased.
"""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling.exports import freeze
from labeling.models import Prompt, Ranking
from modelops import jobs
from modelops.models import Dataset, Job
from tests.factories import make_ranking, make_task
from tests.labeling.api.hands import AT, code_of, fields_of
from workers import dataset_jobs

pytestmark = pytest.mark.django_db

LINES = [json.dumps({"prompt": f"Question {n}?"}) for n in range(12)] + ["{"]


def upload(hands, lines=LINES, key="", **said):
    file = SimpleUploadedFile("prompts.jsonl", "\n".join(lines).encode())
    headers = {"Idempotency-Key": key} if key else {}
    return hands.client.post(f"{AT}imports", {"file": file, **said}, headers=headers)


def work() -> Job:
    job = Job.objects.filter(state="queued").latest("pk")
    claimed = jobs.claim(job.pk, {job.kind})
    with jobs.running(claimed):
        dataset_jobs.run(claimed)
    return job


def test_a_file_is_checked_looked_at_and_imported(admin):
    response = upload(admin)
    job = work()
    told = admin.get(f"imports/{job.pk}").json()

    assert (response.status_code, response["Location"]) == (
        202,
        f"/api/v1/projects/demo/jobs/{job.pk}",
    )
    assert not Prompt.objects.exists()
    assert (told["result"]["check"]["prompts"], len(told["rows"])) == (12, 10)
    assert told["rows"][0]["entries"][0]["messages"] == [{"role": "user", "content": "Question 0?"}]

    again = admin.post(f"imports/{job.pk}/check", {"near": False, "skip_bad": True})
    assert again.json()["recipe"]["dry_run"]
    admin.post(f"imports/{job.pk}/confirm", {"near": False, "skip_bad": True})
    done = work()
    assert Prompt.objects.filter(published=True).count() == 12
    bad = admin.get(f"imports/{done.pk}/bad-rows")
    assert b"13" in b"".join(bad.streaming_content)


def test_what_reading_converts_is_counted(admin):
    file = SimpleUploadedFile("a.csv", "prompt,language\nGrüße?,de\n,\n".encode("cp1252"))
    admin.client.post(f"{AT}imports", {"file": file})
    check = admin.get(f"imports/{work().pk}").json()["result"]["check"]

    assert check["cleaned"] == {"windows_1252": 1, "empty_rows": 1}
    [example] = check["examples"]["windows_1252"]
    assert (example["line"], example["after"]) == (2, "Grüße?,de\n")


def test_the_same_upload_twice_is_checked_once_and_kept_once(admin, settings):
    first, again = (upload(admin, key="one") for _ in range(2))

    assert first.json()["id"] == again.json()["id"]
    assert len(list((settings.VAR / "uploads").iterdir())) == 1


@pytest.mark.parametrize(
    ("said", "field"), [({"format": "songs"}, "format"), ({"file": ""}, "file")]
)
def test_an_upload_that_is_none_is_told_at_its_field(admin, said, field):
    response = admin.client.post(f"{AT}imports", {"file": SimpleUploadedFile("a", b"{}")} | said)

    assert (response.status_code, fields_of(response)) == (400, {field})
    assert not Job.objects.exists()


def test_a_file_that_is_too_large_is_refused(admin, settings):
    settings.UPLOAD_LIMIT = 10

    assert fields_of(upload(admin)) == {"file"}


def test_an_upload_is_a_form(admin):
    assert admin.post("imports", {"file": "text"}).status_code == 415


def test_what_came_with_a_request_left_no_file(admin):
    admin.post("prompts", {"prompts": [{"prompt": "Hello?"}]})
    told = admin.get(f"imports/{Job.objects.get().pk}").json()

    assert (told["state"], told["rows"]) == ("done", [])


def test_uploads_are_for_admins(labeler):
    assert upload(labeler).status_code == 403


# Erasing


def test_what_would_go_is_told_before_it_goes(admin, project, alice):
    make_ranking(make_task(project), alice)
    frozen = freeze.freeze_now(None, project)
    at = f"members/{alice.memberships.get().pk}/erase"

    would_go = {"rankings": 1, "datasets": [frozen.pk], "models": [], "messages": 0, "reviews": 0}
    assert admin.get(at).json() == would_go
    assert Ranking.objects.exists()
    assert fields_of(admin.post(at, {})) == {"why"}

    told = admin.post(at, {"why": "They asked for it."}, key="one").json()
    assert told == would_go
    assert not Ranking.objects.exists()
    assert Dataset.objects.get().withdrawn_why == "They asked for it."
    assert admin.post(at, {"why": "They asked for it."}, key="one").json() == told
    assert admin.post(at, {"why": "Again."}).json()["rankings"] == 0


def test_erasing_is_for_admins(labeler, alice):
    refused = labeler.post(f"members/{alice.memberships.get().pk}/erase", {"why": "No."})

    assert (refused.status_code, code_of(refused)) == (403, "about:blank")
