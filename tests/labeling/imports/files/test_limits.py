"""A file of a few bytes that would take gigabytes or hours is refused, whatever its kind."""

import gzip
import io
import json
import random
import resource
import sys
import zipfile

import pyarrow as pa
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pyarrow import parquet

from labeling import imports
from labeling.imports import files, prompt_templates
from labeling.imports.files.row import LONGEST_ROW
from modelops import jobs
from modelops.models import Job
from people.access import Refused
from workers import dataset_jobs

linux = pytest.mark.skipif(sys.platform != "linux", reason="no limits on this system")
GROWN = "unpacked it is more than 100 times as large"
LONG = "x" * (LONGEST_ROW + 1)


def read(path) -> list[files.Row]:
    return list(files.rows(path, path.name))


def of_parquet(values, **how) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table({"prompt": values}), out, compression="zstd", **how)
    return out.getvalue()


def of_workbook(*rows) -> bytes:
    import openpyxl

    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def of_zip(**contents) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return out.getvalue()


# Memory


@pytest.fixture
def bomb(tmp_path):
    """500 MB in a few hundred bytes: one text, and that 500 rows hold it."""
    path = tmp_path / "bomb.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 500, pa.int8()), ["x" * 2**20])
    table = pa.table({"prompt": texts})
    parquet.write_table(table, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 1_000
    return path


@linux
def test_what_takes_too_much_memory_is_read_no_further(bomb, settings):
    settings.READ_MEMORY = 200
    with pytest.raises(files.LimitReached, match="it takes more than 200 MB of memory"):
        read(bomb)


@linux
def test_the_web_process_takes_no_memory_for_it(bomb, settings):
    settings.READ_MEMORY = 200
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [row] = files.head(bomb, 200)

    assert row.error == "can't be read from here on (it takes more than 200 MB of memory)"
    assert imports.proposed(bomb) == {"format": "prompts"}
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100 * 1024  # KB


@linux
@pytest.mark.django_db
def test_the_job_says_which_limit(bomb, settings, project):
    settings.READ_MEMORY = 200
    job = Job.objects.create(
        project=project,
        kind="import",
        recipe={"path": bomb.name, "format": "prompts", "skip_bad": True},
    )
    with pytest.raises(jobs.JobFailed) as caught:
        dataset_jobs.run(job)

    assert str(caught.value) == (
        "The file was not read to its end: it takes more than 200 MB of memory. Nothing was "
        "imported. The operator sets the limits (PODIUM_READ_MEMORY, PODIUM_READ_SECONDS)."
    )


@linux
@pytest.mark.django_db
def test_an_upload_of_it_is_answered(bomb, settings, project, carol, client_for):
    settings.READ_MEMORY = 200
    upload = SimpleUploadedFile("bomb.parquet", bomb.read_bytes())
    browser = client_for(carol)
    answer = browser.post("/p/demo/prompts/upload", {"file": upload, "format": ""})

    assert answer.status_code == 302
    page = browser.get(answer.url)
    assert page.status_code == 200
    assert "it takes more than 200 MB of memory" in page.content.decode().replace("&#x27;", "'")


def test_nothing_stays_of_what_was_unpacked_on_disk(tmp_path, settings):
    path = tmp_path / "table.parquet.gz"
    path.write_bytes(gzip.compress(of_parquet(["one", "two"])))

    assert [row.value for row in read(path)] == [{"prompt": "one"}, {"prompt": "two"}]
    assert not list(settings.VAR.glob(".reading-*"))


# The first rows


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Ten rows of 40,000 characters, of which a page holds two."""
    monkeypatch.setattr(files, "PAGE_BYTES", 100_000)
    path = tmp_path / "large.jsonl.gz"
    draw = random.Random(7)
    lines = [json.dumps({"prompt": draw.randbytes(20_000).hex()}) + "\n" for _ in range(10)]
    path.write_bytes(gzip.compress("".join(lines).encode(), 1))
    return path


def test_a_page_takes_fewer_rows_where_they_are_large(large):
    assert [row.place for row in files.head(large, 200)] == [1, 2]
    assert [row.place for row in read(large)] == list(range(1, 11))


def test_a_table_for_a_template_is_refused_and_not_cut(large):
    with pytest.raises(Refused, match="It can't be read: it holds more than"):
        prompt_templates.table(large.read_bytes(), files.Changes())


# The size of rows and of what is unpacked


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", f'{{"prompt": "{LONG}"}}\n'.encode()),
        ("a.json", f'[{{"prompt": "{LONG}"}}]'.encode()),
        ("a.csv", f'prompt,source\n"{LONG}",x\n'.encode()),
        ("a.parquet", of_parquet([LONG, "y" * 200_000], use_dictionary=False)),
        ("a.parquet", of_parquet(pa.array([LONG, "y"]).dictionary_encode())),
    ],
    ids=["lines", "list", "table", "parquet", "dictionary"],
)
def test_a_row_that_is_too_long_is_a_bad_row(tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(files.parquet, "PACKED", 10**6)
    path = tmp_path / name
    path.write_bytes(content)

    [row, *_others] = files.rows_here(path)
    assert row.error == "longer than 8 MB"


def test_a_row_of_a_workbook_that_is_too_long_is_a_bad_row(tmp_path, monkeypatch):
    path = tmp_path / "a.xlsx"
    path.write_bytes(of_workbook(["prompt", "source"], ["x" * 600, "y" * 600], ["short", ""]))
    monkeypatch.setattr(files.workbook, "LONGEST_ROW", 1_000)

    rows = list(files.rows_here(path))
    assert [row.error for row in rows] == ["longer than 8 MB", ""]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", gzip.compress(b"x" * 3_000_000)),
        ("a.csv.gz", gzip.compress(b"a," * 3_000_000)),
        ("a.parquet", of_parquet(["x" * 3_000_000], use_dictionary=False)),
        ("a.zip", of_zip(**{"a.jsonl": b"x" * 3_000_000})),
        ("a.zip", of_zip(**{f"{n}.jsonl": b"[]\n" * 100_000 for n in range(20)})),
        # packed twice: each time less than a hundred times as large
        (
            "a.zip",
            of_zip(**{"a.jsonl.gz": gzip.compress(b'{"prompt": "one"}\n' * 90_000, 1)}),
        ),
    ],
    ids=["gzip", "table", "parquet", "zip", "files of a zip", "twice"],
)
def test_what_grows_too_much_is_read_no_further(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)

    assert read(path)[-1].error == f"can't be read from here on ({GROWN})"


def test_rows_without_anything_grow_too(tmp_path, monkeypatch):
    monkeypatch.setattr(files.parquet, "SMALL", 0)
    path = tmp_path / "a.parquet"
    path.write_bytes(of_parquet(pa.nulls(10**6, pa.string())))

    rows = list(files.rows_here(path))
    assert rows[-1].error == f"can't be read from here on ({GROWN})"
    assert len(rows) < 500_000


def test_files_of_a_zip_that_share_bytes_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", b'{"prompt": "%s"}\n' % bytes(range(48, 58)) * 5_000)
        [whole] = archive.infolist()
        for number in range(50):
            again = zipfile.ZipInfo(f"b{number}.jsonl")
            for field in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(again, field, getattr(whole, field))
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again

    assert "overlap" in read(path)[-1].error or GROWN in read(path)[-1].error


def test_the_header_of_a_table_is_no_longer_than_a_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"prompt," * (LONGEST_ROW // 7 + 100))

    [row] = read(path)
    assert row.error == "can't be read from here on (the header: longer than 8 MB)"


# Time


@linux
def test_what_takes_too_much_time_is_read_no_further(tmp_path, settings):
    settings.READ_SECONDS = 0
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"[]\n" * 2_000_000, 1))

    with pytest.raises(files.LimitReached, match="it takes more than 0 seconds of a processor"):
        read(path)
