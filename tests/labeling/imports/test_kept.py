"""An import does not read again what its check has read, unless something has changed since."""

import json

import pytest

from labeling import imports
from labeling.imports import kept, uploads
from labeling.judging import criteria
from labeling.models import Candidate, Demonstration, ImportedRow, Prompt, Ranking, RankingTask
from modelops import jobs
from modelops.models import Job
from tests.factories import make_project, make_prompt
from tests.worker import work

pytestmark = pytest.mark.django_db
AB = [{"text": "a", "model": "m", "rank": 1}, {"text": "b", "model": "m", "rank": 2}]
ROWS = [
    *({"prompt": f" Question {n} of many? ", "author": f"author {n % 7}"} for n in range(600)),
    {"prompt": "Mine?", "author": "ann", "split": "test"},
    {"prompt": "Mine, too?", "author": "ann"},
    {"prompt": "Question 3 of many?", "answers": AB, "labeler": "ben"},
    {"prompt": "Question 3 of many?", "answers": AB, "labeler": "ben"},
    {"prompt": "Shown?", "demonstration": "So.", "use_case": "chat"},
    {"prompt": "Café\ud800?"},
    {"prompt": 3},
]


@pytest.fixture
def upload(settings):
    path = uploads.place("of-a-test")
    path.write_text("\n".join(map(json.dumps, ROWS)))
    yield path
    for folder in ("uploads", kept.FOLDER):
        for file in (settings.VAR / folder).glob("of-a-test*"):
            file.unlink()


@pytest.fixture
def reads(monkeypatch):
    """How often a file was read."""
    read, count = imports.reading.read, []
    monkeypatch.setattr(
        imports.reading, "read", lambda *a, **k: (count.append(1), read(*a, **k))[1]
    )
    return count


def requested(project, upload, **settings_) -> Job:
    recipe = {"path": f"uploads/{upload.name}", "near": False, "prefixes": False}
    return jobs.request(None, project, "import", recipe | settings_)


def checked(project, upload, **settings_) -> Job:
    job = work(requested(project, upload, dry_run=True, **settings_))
    assert job.state == "done", job.error
    return job


def imported(project, upload, **settings_) -> Job:
    return work(requested(project, upload, skip_bad=True, **settings_))


def came_in(project) -> list:
    """All that an import wrote, without keys and times."""
    prompts = Prompt.objects.filter(project=project).order_by("pk")
    fields = ("messages", "author", "split", "use_case", "language", "published")
    answers = Candidate.objects.filter(prompt__project=project).order_by("pk")
    rankings = Ranking.objects.filter(task__project=project).order_by("pk")
    return [
        list(prompts.values_list(*fields)),
        list(answers.values_list("text", "slot", "prompt__digest")),
        list(rankings.values_list("outcome", "judge", "task__prompt__digest")),
        list(RankingTask.objects.filter(project=project).values_list("overlap", "free_places")),
        list(ImportedRow.objects.filter(project=project).values_list("digest", "place")),
        list(Demonstration.objects.filter(prompt__project=project).values_list("text")),
    ]


def test_an_import_writes_the_same_without_reading_the_file_again(upload, reads, settings):
    project, other = make_project(), make_project(slug="other")
    check = checked(project, upload)
    first, second = imported(project, upload), imported(other, upload)

    assert len(reads) == 2, "the check, and the import into the other project"
    assert came_in(project) == came_in(other)
    assert first.result == second.result
    assert first.result["prompts"] == check.result["check"]["prompts"] == 604
    bad_rows = [imports.bad_rows_of(upload, job.pk).read_text() for job in (check, first, second)]
    assert bad_rows[0] == bad_rows[1] == bad_rows[2] != ""
    assert not list((settings.VAR / kept.FOLDER).iterdir())


def test_a_second_check_reads_nothing_and_counts_the_same(upload, reads):
    project = make_project()

    assert checked(project, upload).result == checked(project, upload).result
    assert len(reads) == 1


def test_bad_rows_stop_an_import_that_does_not_skip_them(upload, reads):
    project = make_project()
    checked(project, upload)
    job = work(requested(project, upload))

    assert (job.state, len(reads)) == ("failed", 1)
    assert f"line {len(ROWS)}: the content of a turn must be" in job.error
    assert not Prompt.objects.exists()


def test_fields_that_nothing_reads_stop_it(upload, reads):
    upload.write_text(json.dumps({"prompt": "Who?", "anwser": "I."}))
    project = make_project()
    checked(project, upload)
    job = imported(project, upload)

    assert (job.state, len(reads)) == ("failed", 1)
    assert "Nothing reads these fields of the file: anwser" in job.error


CHANGES = {
    "a setting": lambda project, upload: {"split": "test"},
    "a step of the cleaning": lambda project, upload: {"spaces": False},
    "a prompt": lambda project, upload: make_prompt(project) and {},
    "a criterion": lambda project, upload: (
        criteria.create(None, project, key="k", scope="ranking", kind="text", question="?") and {}
    ),
    "the file": lambda project, upload: upload.write_text('{"prompt": "Who?"}') and {},
    "the code": lambda project, upload: {},
    "the bad rows": lambda project, upload: delete_bad_rows(upload),
}


def delete_bad_rows(upload) -> dict:
    for file in upload.parent.glob(f"{upload.name}.*.bad.jsonl"):
        file.unlink()
    return {}


@pytest.mark.parametrize("what", CHANGES)
def test_after_a_change_the_file_is_read_again(upload, reads, monkeypatch, what):
    project = make_project()
    checked(project, upload)
    settings_ = CHANGES[what](project, upload)
    if what == "the code":
        monkeypatch.setattr(kept, "_code", lambda: "of another version")
    job = imported(project, upload, **settings_)

    assert (job.state, len(reads)) == ("done", 2), job.error


def test_a_split_that_came_in_after_the_check_is_not_passed_over(upload, reads):
    project = make_project()
    checked(project, upload)
    make_prompt(project, "Mine?", split="train")
    job = imported(project, upload)

    assert job.result["bad"] == 2
    assert "in split train already" in imports.bad_rows_of(upload, job.pk).read_text()


def test_nothing_is_kept_of_a_file_that_is_no_upload(tmp_path, settings):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "Who?"}')
    work(jobs.request(None, make_project(), "import", {"path": str(path), "dry_run": True}))

    assert not (settings.VAR / kept.FOLDER / path.name).exists()
