"""Prompts enter by a form, or by a command; with one bad line, nothing does."""

import json
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from labeling import imports
from labeling.models import Prompt
from modelops.models import Job

pytestmark = pytest.mark.django_db
GOOD = '{"prompt": "One?"}\n{"prompt": "Two?"}\n'
BAD = '{"prompt": "One?"}\nnot json\n{"prompt": ""}\n'


def upload(browser, text=GOOD, format="prompts", key=None):
    file = SimpleUploadedFile("prompts.jsonl", text.encode())
    return browser.post("/p/demo/prompts/upload", {"key": key or uuid4(), "file": file, "format": format})


def uploads(settings):
    return list((settings.VAR / "uploads").iterdir())


def test_a_good_file_is_kept_and_a_job_asked_for(client_for, carol, settings):
    response = upload(client_for(carol))

    job = Job.objects.get()
    assert response.url == f"/p/demo/jobs/{job.pk}/"
    assert (job.kind, job.recipe["filename"]) == ("import", "prompts.jsonl")
    assert (settings.VAR / job.recipe["path"]).read_text() == GOOD


def test_each_bad_line_is_named_at_the_field_and_nothing_is_kept(client_for, carol, settings):
    response = upload(client_for(carol), BAD)

    errors = response.context["form"].errors["file"]
    assert response.status_code == 422
    assert [error.split(":")[0] for error in errors] == ["line 2", "line 3", "Nothing was imported."]
    assert not Job.objects.exists()
    assert not uploads(settings)


def test_the_same_form_twice_is_one_import(client_for, carol, settings):
    browser, key = client_for(carol), uuid4()
    first, second = upload(browser, key=key), upload(browser, key=key)

    assert first.url == second.url
    assert len(uploads(settings)) == Job.objects.count() == 1


def test_a_file_over_the_limit_is_refused(client_for, carol, settings):
    settings.UPLOAD_LIMIT = 10
    response = upload(client_for(carol))

    assert "larger than" in str(response.context["form"].errors["file"])


def test_an_empty_file_is_refused(client_for, carol):
    assert upload(client_for(carol), "").status_code == 422


def run(tmp_path, text, **options):
    file = tmp_path / "prompts.jsonl"
    file.write_text(text)
    call_command("import", file, project="demo", **options)


def test_the_command_imports_and_counts(project, tmp_path, capsys):
    run(tmp_path, GOOD + GOOD)

    assert capsys.readouterr().out == "2 prompts added, 2 duplicates skipped, 0 answers, 0 rankings.\n"
    assert Prompt.objects.filter(published=True).count() == 2
    assert Job.objects.get().state == "done"


def test_the_command_names_the_bad_lines_and_imports_nothing(project, tmp_path):
    with pytest.raises(CommandError, match="line 2: not JSON.*\nline 3: .*\nNothing was imported"):
        run(tmp_path, BAD)
    assert not Prompt.objects.exists()
    assert not Job.objects.exists()


def test_the_command_names_the_projects_there_are(project, tmp_path):
    with pytest.raises(CommandError, match="Projects here: demo"):
        call_command("import", __file__, project="dome")


def test_an_import_that_fails_on_the_way_says_so(project, tmp_path, monkeypatch):
    monkeypatch.setattr(imports.writing, "write", lambda *_, **__: json.loads("{"))
    with pytest.raises(CommandError, match="JSONDecodeError"):
        run(tmp_path, GOOD)
    assert Job.objects.get().state == "failed"
