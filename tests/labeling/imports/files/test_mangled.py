"""Random bytes and mangled files of each kind: bad rows, never an error."""

import gzip
import json
import zipfile

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeling.imports import files
from tests.labeling.imports.files.test_kinds import as_parquet, workbook, zipped, zstd

ROWS = [{"prompt": f"Größe {n}?", "answers": [{"text": "«a»", "rank": 1}]} for n in range(3)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
TABLE = 'prompt;answer_1\r\nGröße?;"a\n""b"""\r\n;\r\n'
CELLS = ["prompt", "answer"], ["Größe?", 1], ["x", "=1+1"], [None, True]
KINDS = {
    "lines": LINES,
    "list": json.dumps(ROWS, indent=1).encode(),
    "utf-16": TABLE.encode("utf-16"),
    "windows-1252": TABLE.encode("cp1252"),
    "table": TABLE.encode("utf-8-sig"),
    "gzip": gzip.compress(LINES, mtime=0),
    "zstd": zstd(LINES),
    "zip": zipped(**{"a.jsonl": LINES, "b.csv": TABLE}),
    "zip of bzip2": zipped(zipfile.ZIP_BZIP2, **{"a.jsonl": LINES}),
    "zip of lzma": zipped(zipfile.ZIP_LZMA, **{"a.jsonl": LINES}),
    "workbook": workbook(*CELLS, sheets=("A", "B")),
    "parquet": as_parquet(pa.Table.from_pylist(ROWS)),
}
MARKS = [b"", b"PK\x03\x04", b"PAR1", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xff\xfe"]
MARKS += [b"\xef\xbb\xbf", b"sep=;\n", b"[", b'{"a":', b'a,"b\n', b"{\n"]
Cut = st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=8))
quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def read(path, content):
    """The rows; each is good, or bad with a reason."""
    file = path / "file"
    file.write_bytes(content)
    rows = list(files.rows_here(file))
    assert all(isinstance(row.error, str) for row in rows)
    json.dumps([[row.value, row.error] for row in rows], allow_nan=False).encode()
    return rows


def mangled(content, cuts):
    """The content with some parts replaced by others."""
    for place, length, instead in cuts:
        at = int(place * len(content))
        content = content[:at] + instead + content[at + length :]
    return content


@quick
@given(st.sampled_from(MARKS), st.binary(max_size=300))
def test_random_bytes_are_bad_rows_at_worst(tmp_path, mark, content):
    read(tmp_path, mark + content)


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_read_whole_before_they_are_mangled(tmp_path, kind):
    rows = read(tmp_path, KINDS[kind])

    assert len(rows) >= 1
    assert sum(not row.error for row in rows) == len(rows) - (kind == "workbook")


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(cuts=st.lists(Cut, min_size=1, max_size=3))
def test_mangled_files_are_bad_rows_at_worst(tmp_path, kind, cuts):
    read(tmp_path, mangled(KINDS[kind], cuts))


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_cut_anywhere_are_bad_rows_at_worst(tmp_path, kind):
    content = KINDS[kind]
    for length in range(0, len(content), max(1, len(content) // 50)):
        read(tmp_path, content[:length])
