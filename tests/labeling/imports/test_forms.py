"""Prompts enter by a form, or by a command; with one bad line, nothing does."""

import html
import json
import re
from io import StringIO
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.person import read_page
from labeling import imports
from labeling.models import Candidate, Prompt, RankingTask
from modelops import jobs, store
from modelops.models import Job
from tests.pages import one_line
from workers import dataset_jobs

pytestmark = pytest.mark.django_db
GOOD = '{"prompt": "One?"}\n{"prompt": "Two?"}\n'
BAD = '{"prompt": "One?"}\nnot json\n{"prompt": ""}\n'


def upload(browser, text=GOOD, key=None, name="prompts.jsonl", **fields):
    content = text if isinstance(text, bytes) else text.encode()
    file = SimpleUploadedFile(name, content)
    return browser.post("/p/demo/prompts/upload", {"key": key or uuid4(), "file": file} | fields)


def uploads(settings):
    return list((settings.VAR / "uploads").iterdir())


def work():
    """What a worker does with the next job."""
    job = jobs.claim_next({Job.Kind.IMPORT})
    with jobs.running(job):
        dataset_jobs.run(job)
    job.refresh_from_db()
    return job


def looked_at(browser, text=GOOD, **fields):
    """The page that shows what an upload would bring, its check done."""
    address = upload(browser, text, **fields).url
    work()
    return address, browser.get(address)


def confirm(browser, address, page, **changes):
    """The form as the page shows it, sent back with these changes; None leaves a box unticked."""
    form = max(read_page(page.content.decode()).forms, key=lambda form: len(form.fields))
    values = form.fields | changes
    return browser.post(
        address, {name: value for name, value in values.items() if value is not None}
    )


def test_an_upload_is_kept_recognised_and_checked_and_nothing_comes_in(client_for, carol, settings):
    address, page = looked_at(
        client_for(carol), '{"instruction": "Sum up.", "instances": [{"output": "x"}]}'
    )

    job = Job.objects.get()
    assert address == f"/p/demo/prompts/upload/{job.pk}/"
    assert (job.state, job.recipe["format"], job.recipe["dry_run"]) == (
        "done",
        "self-instruct",
        True,
    )
    assert (page.context["found"]["prompts"], page.context["found"]["demonstrations"]) == (1, 1)
    assert b"Sum up." in page.content
    assert not Prompt.objects.exists()


def test_what_is_confirmed_is_imported(client_for, carol):
    browser = client_for(carol)
    address, page = looked_at(browser)
    imported = confirm(browser, address, page, personal=None, per_author=7)

    job = work()
    assert imported.url == f"/p/demo/jobs/{job.pk}/"
    assert (job.recipe["personal"], job.recipe["per_author"], job.recipe["near"]) == (
        False,
        7,
        True,
    )
    assert Prompt.objects.filter(published=True, job=job).count() == 2


@pytest.mark.parametrize("shown", ["[" * 100_000, "{"], ids=["deep", "no JSON"])
def test_settings_that_cannot_be_read_are_refused(client_for, carol, shown):
    browser = client_for(carol)
    address, page = looked_at(browser)
    answer = confirm(browser, address, page, shown=shown)

    assert answer.status_code == 400
    assert "settings of this form can" in answer.content.decode()


def test_another_format_is_checked_first(client_for, carol):
    browser = client_for(carol)
    address, page = looked_at(browser)
    again = confirm(browser, address, page, format="hh-rlhf", check="1")

    assert again.url.startswith("/p/demo/prompts/upload/")
    found = work().result["check"]
    assert (found["bad"], found["prompts"], Prompt.objects.count()) == (2, 0, 0)


def test_bad_rows_are_named_and_may_be_skipped_and_downloaded(client_for, carol):
    browser = client_for(carol)
    address, page = looked_at(browser, BAD)
    assert [line for line, _reason in page.context["found"]["bad_lines"]] == [2, 3]

    confirm(browser, address, page)
    assert work().state == "failed"
    confirm(browser, address, page, skip_bad="on", key=uuid4())
    job = work()
    bad = (
        browser.get(f"/p/demo/prompts/upload/{job.pk}/bad-rows.jsonl")
        .getvalue()
        .decode()
        .splitlines()
    )
    assert (job.result["prompts"], job.result["bad"]) == (1, 2)
    assert [json.loads(line)["line"] for line in bad] == [2, 3]


def test_looking_at_many_rows_asks_no_more_of_the_database(client_for, carol):
    browser = client_for(carol)
    counts = []
    for rows in (1, 30):
        address, _page = looked_at(
            browser, "".join(f'{{"prompt": "Number {n} of {rows}?"}}\n' for n in range(rows))
        )
        with CaptureQueriesContext(connection) as asked:
            assert len(browser.get(address).context["rows"]) == min(rows, 10)
        counts.append(len(asked))

    assert counts[0] == counts[1]


def test_the_same_form_twice_is_one_import(client_for, carol, settings):
    browser, key = client_for(carol), uuid4()
    first, second = upload(browser, key=key), upload(browser, key=key)

    assert first.url == second.url
    assert len(uploads(settings)) == Job.objects.count() == 1


def test_several_files_keep_their_names(client_for, carol, settings):
    row = '{"instruction": "Sum up.", "response": "%s"}'
    files = [
        SimpleUploadedFile(f"../{name}.jsonl", (row % name).encode()) for name in ("ada", "babbage")
    ]
    browser = client_for(carol)
    address = browser.post("/p/demo/prompts/upload", {"key": uuid4(), "file": files}).url
    work()
    confirm(browser, address, browser.get(address))
    work()

    assert set(Candidate.objects.values_list("model_version__name", flat=True)) == {
        "ada",
        "babbage",
    }
    assert RankingTask.objects.get().free_places == 1


def test_a_file_over_the_limit_is_refused(client_for, carol, settings):
    settings.UPLOAD_LIMIT = 10
    response = upload(client_for(carol))

    assert "larger than" in str(response.context["form"].errors["file"])


def test_an_empty_file_is_refused(client_for, carol):
    assert upload(client_for(carol), "").status_code == 422


def test_an_upload_that_is_gone_says_so(client_for, carol, settings):
    browser = client_for(carol)
    address = upload(browser).url
    uploads(settings)[0].unlink()
    store.delete(Job.objects.get().recipe["stored"])

    assert "upload it again" in browser.get(address).content.decode()


def run(tmp_path, text, **options):
    file = tmp_path / "prompts.jsonl"
    file.write_text(text)
    call_command("import", file, project="demo", skip_checks=False, **options)


def test_the_command_imports_and_counts(project, tmp_path, capsys):
    run(tmp_path, GOOD + GOOD)

    assert (
        capsys.readouterr().out == "2 prompts added, 2 duplicates skipped, 0 answers, 0 rankings.\n"
    )
    assert Prompt.objects.filter(published=True).count() == 2
    assert Job.objects.get().state == "done"


def test_a_dry_run_counts_and_writes_nothing(project, tmp_path, capsys):
    run(tmp_path, BAD, dry_run=True)

    out = capsys.readouterr().out.splitlines()
    assert out[:2] == [
        "1 prompts would be added, 0 duplicates skipped, 0 answers, 0 rankings.",
        "2 bad rows.",
    ]
    assert out[2].startswith("line 2: not JSON")
    assert not Prompt.objects.exists()
    assert not Job.objects.exists()


def test_the_command_skips_bad_rows_into_a_file(project, tmp_path):
    run(tmp_path, BAD, skip_bad=tmp_path / "bad.jsonl")

    assert Prompt.objects.count() == 1
    assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 2


def test_the_command_names_the_bad_lines_and_imports_nothing(project, tmp_path):
    with pytest.raises(CommandError, match="line 2: not JSON.*\nline 3: .*\nNothing was imported"):
        run(tmp_path, BAD)
    assert not Prompt.objects.exists()
    assert not Job.objects.exists()


def test_the_command_names_the_projects_there_are(project, tmp_path):
    with pytest.raises(CommandError, match="Projects here: demo"):
        call_command("import", __file__, project="dome")


def test_an_import_that_fails_on_the_way_says_so(project, tmp_path, monkeypatch):
    monkeypatch.setattr(imports.store, "write", lambda *_, **__: json.loads("{"))
    with pytest.raises(CommandError, match="JSONDecodeError"):
        run(tmp_path, GOOD)
    assert Job.objects.get().state == "failed"


PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x.png"}}]}
PICTURES = "\n".join(
    json.dumps(row)
    for row in ({"messages": [PICTURE]}, {"prompt": "One?"}, {"messages": [PICTURE]}, {"prompt": 3})
)


def test_rows_with_pictures_have_a_count_of_their_own(client_for, carol, tmp_path, project):
    browser = client_for(carol)
    address, page = looked_at(browser, PICTURES)
    check = Job.objects.get().result["check"]
    response = confirm(browser, address, page, skip_bad="on", **{"import": "1"})
    result = work().result
    file = tmp_path / "file.jsonl"
    file.write_text(PICTURES)
    said = StringIO()
    call_command("import", str(file), project="demo", dry_run=True, stdout=said)

    assert (check["bad"], check["pictures"]) == (result["bad"], result["pictures"]) == (3, 2)
    assert "2 of them hold pictures, which can't come in yet." in one_line(page)
    assert "2 of them hold pictures." in one_line(browser.get(response.url))
    assert "3 bad rows. 2 of them hold a picture." in said.getvalue()
    assert "line 1: holds a picture" in said.getvalue()


def test_the_example_with_answers_and_ranks_comes_in_as_it_stands(client_for, carol, project):
    page = client_for(carol).get("/p/demo/prompts/upload").content.decode()
    [sample] = re.findall(r'<pre[^>]*class="sample"[^>]*>(.*?)</pre>', page, re.DOTALL)
    rows = [json.loads(line) for line in html.unescape(sample).splitlines()]
    tally, refused = imports.add(carol, project, rows)

    assert not refused
    assert (tally.prompts, tally.answers, tally.rankings) == (3, 2, 1)
