"""What reading a file converts, replaces and ignores is shown wherever an import is."""

from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from labeling import imports
from labeling.imports.forms import LABELS
from labeling.models import Prompt, RankedCandidate
from modelops import jobs
from modelops.models import Job
from tests.factories import make_project
from tests.labeling.imports.files.test_kinds import workbook
from workers import dataset_jobs

pytestmark = pytest.mark.django_db
EXCEL = "\ufeffsep=;\r\nprompt;answer_1;rank_1;answer_2;rank_2\r\n"
EXCEL += 'Nenne Bäume.;"Eiche\nund ""Ulme""";1;Rose;2\r\nWas?;3;1,0;4;1.0\r\nKurz?\r\n;;;;\r\n'
BROKEN = '{"prompt": "Half \\ud83d?"}\n{"prompt": "NaN?", "metadata": {"a": NaN}}\n'
BROKEN += (
    '{"prompt": "Long?", "metadata": {"a": -Infinity}}\n\n{"prompt": "Twice?", "prompt": ""}\n'
)
WESTERN = "prompt,language\nGrüße?,de\nPlain.,en\n"
FILES = {
    "excel.csv": (EXCEL.encode(), 3, {"empty_rows": 1, "short_rows": 1}),
    "unicode.txt": (WESTERN.replace(",", "\t").encode("utf-16"), 2, {"utf_16": 2}),
    "western.csv": (WESTERN.encode("cp1252"), 2, {"windows_1252": 1}),
    "broken.jsonl": (
        BROKEN.encode(),
        3,
        {"characters": 1, "not_a_number": 1, "infinity": 1, "empty_rows": 1},
    ),
    "book.xlsx": (
        workbook(["prompt"], ["One?"], [None], ["Two?"], sheets=("A", "B")),
        2,
        {"empty_rows": 1, "other_sheets": 1},
    ),
}


def work():
    job = jobs.claim_next({Job.Kind.IMPORT})
    with jobs.running(job):
        dataset_jobs.run(job)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize("name", FILES)
def test_an_import_counts_what_it_changed(tmp_path, name):
    content, prompts, counts = FILES[name]
    (tmp_path / name).write_bytes(content)
    tally = imports.import_file(
        None,
        make_project(),
        tmp_path / name,
        skip_bad=tmp_path / "bad.jsonl",
        spaces=False,
        controls=False,
    )

    assert tally.cleaned == counts
    assert tally.prompts == prompts
    assert Prompt.objects.count() == prompts


def test_ranks_of_a_table_may_be_written_as_fractions(tmp_path):
    (tmp_path / "a.csv").write_bytes(EXCEL.encode())
    tally = imports.import_file(None, make_project(), tmp_path / "a.csv")

    assert (tally.answers, tally.rankings) == (4, 2)


def test_ranks_of_any_size_are_an_order(tmp_path):
    ranks = '{"text": "a", "rank": 1' + "0" * 30 + '}, {"text": "b", "rank": -5}'
    (tmp_path / "a.jsonl").write_text(f'{{"prompt": "Which?", "answers": [{ranks}]}}')
    imports.import_file(None, make_project(), tmp_path / "a.jsonl")

    ranked = dict(RankedCandidate.objects.values_list("candidate__text", "rank"))
    assert ranked == {"a": 2, "b": 1}


@pytest.mark.parametrize("name", FILES)
def test_the_page_of_a_check_shows_the_counts(client_for, carol, name):
    content, _prompts, counts = FILES[name]
    browser = client_for(carol)
    file = SimpleUploadedFile(name, content)
    address = browser.post("/p/demo/prompts/upload", {"file": file, "key": uuid4()}).url
    job = work()
    page = browser.get(address)

    assert job.result["check"]["cleaned"] == counts
    shown = {step["name"]: step["count"] for step in page.context["steps"]}
    assert shown == {LABELS[name]: count for name, count in counts.items()}
    for label in shown:
        assert str(label) in page.content.decode()


def test_the_command_prints_them(project, tmp_path, capsys):
    (tmp_path / "western.csv").write_bytes(FILES["western.csv"][0])
    for dry_run in (True, False):
        call_command("import", tmp_path / "western.csv", project="demo", dry_run=dry_run)

        assert "windows_1252: 1\n" in capsys.readouterr().out
