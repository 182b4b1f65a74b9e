"""An upload that one host received is there on every host that has the same store, and so are the
rows that an import of it left out.
"""

import json
from pathlib import Path

import pytest
from django.conf import settings as live_settings
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling.imports import uploads
from labeling.models import Prompt
from modelops import jobs, store
from modelops.models import Job
from tests.worker import work

pytestmark = pytest.mark.django_db
ROWS = ['{"prompt": "Why is the sea salty?"}', '{"prompt": 7}']


@pytest.fixture
def browser(client_for, carol):
    return client_for(carol)


def upload(browser, *texts):
    files = [
        SimpleUploadedFile(f"{number}.jsonl", text.encode()) for number, text in enumerate(texts)
    ]
    form = {"format": "prompts", "file": files if len(files) > 1 else files[0]}
    assert browser.post("/p/demo/prompts/upload", form).status_code == 302
    return Job.objects.get()


def test_another_host_checks_it_imports_it_and_has_what_was_left_out(hosts, settings, browser):
    settings.VAR = hosts[0]
    check = upload(browser, "\n".join(ROWS))
    settings.VAR = hosts[1]
    checked = work(check)

    assert len(checked.result["check"]["bad_lines"]) == 1
    recipe = checked.recipe | {"dry_run": False, "skip_bad": True}
    settings.VAR = hosts[0]
    job = work(jobs.request(None, check.project, "import", recipe))
    assert Prompt.objects.count() == 1
    for settings.VAR in hosts:
        answer = browser.get(f"/p/demo/prompts/upload/{job.pk}/bad-rows.jsonl")
        [left_out] = [json.loads(line) for line in answer.streaming_content]
        assert left_out["row"] == {"prompt": 7}
    assert str(hosts[0].parent) not in json.dumps([job.recipe, job.result])


def test_the_other_host_shows_its_first_rows(hosts, settings, browser):
    settings.VAR = hosts[0]
    check = upload(browser, ROWS[0])
    settings.VAR = hosts[1]

    page = browser.get(f"/p/demo/prompts/upload/{check.pk}/").content.decode()
    assert "Why is the sea salty?" in page


def test_several_files_come_with_their_names(hosts, settings, browser):
    settings.VAR = hosts[0]
    check = upload(browser, ROWS[0], ROWS[0])
    settings.VAR = hosts[1]

    assert sorted(path.name for path in uploads.find(check.recipe).iterdir()) == [
        "0.jsonl",
        "1.jsonl",
    ]
    assert [path for path in (hosts[1] / "uploads").iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_two_processes_bring_at_once_is_there_once(settings, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    (made / "a.jsonl").write_text(ROWS[0])
    digest, target = store.put(made), live_settings.VAR / "uploads" / "x"
    for _twice in range(2):
        uploads.bring(digest, target)

    assert [path.name for path in target.parent.iterdir()] == ["x"]
    assert [path.name for path in target.iterdir()] == ["a.jsonl"]


def test_an_import_whose_bad_rows_cannot_be_stored_imports_nothing(browser, carol, monkeypatch):
    check = upload(browser, "\n".join(ROWS))
    work(check)

    def full(*about):
        raise store.Full("The store is full: make room there, then try again.")

    recipe = check.recipe | {"dry_run": False, "skip_bad": True}
    asked = jobs.request(None, check.project, "import", recipe)
    with monkeypatch.context() as patch:
        patch.setattr(store, "put", full)
        failed = work(asked)
    assert (failed.state, Prompt.objects.count()) == ("failed", 0)
    assert failed.error.startswith("The store is full")

    jobs.resume(carol, failed)
    done = work(failed)
    assert (done.state, Prompt.objects.count()) == ("done", 1)
    assert done.result["bad_rows_stored"]


def test_only_the_page_of_one_import_fetches_its_file(hosts, settings, browser):
    settings.VAR = hosts[0]
    check = upload(browser, ROWS[0])
    settings.VAR = hosts[1]
    for page in ("/p/demo/jobs/", "/p/demo/prompts/upload", "/api/v1/projects/demo/jobs"):
        assert browser.get(page).status_code == 200
    assert not (settings.VAR / "uploads" / Path(check.recipe["path"]).name).exists()

    shown = browser.get(f"/api/v1/projects/demo/imports/{check.pk}").json()
    assert shown["rows"][0]["entries"][0]["messages"][0]["content"] == "Why is the sea salty?"


def test_an_upload_from_before_the_store_is_read_where_it_is(settings):
    path = settings.VAR / "uploads" / "old"
    path.parent.mkdir(parents=True)
    path.write_text(ROWS[0])

    assert uploads.find({"path": "uploads/old"}) == path
    assert not uploads.find({"path": "uploads/gone"}).exists()
