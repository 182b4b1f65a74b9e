"""An upload that one host received is there on every host that has the same store, and so are the
rows that an import of it left out.
"""

import json

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


@pytest.fixture(params=["a shared folder", "a bucket"])
def hosts(request, settings, tmp_path):
    """Two data folders and one store."""
    if request.param == "a bucket":
        request.getfixturevalue("bucket")
    else:
        settings.STORE = str(tmp_path / "shared")
    return [tmp_path / "a", tmp_path / "b"]


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


def test_an_upload_from_before_the_store_is_read_where_it_is(settings):
    path = settings.VAR / "uploads" / "old"
    path.parent.mkdir(parents=True)
    path.write_text(ROWS[0])

    assert uploads.find({"path": "uploads/old"}) == path
    assert not uploads.find({"path": "uploads/gone"}).exists()
