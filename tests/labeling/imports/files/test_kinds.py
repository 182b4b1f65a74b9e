"""Files as people have them, made here: what each row holds, and what is said of the rest."""

import datetime
import decimal
import gzip
import io
import json
import random
import tracemalloc
import zipfile

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from labeling.imports import files
from labeling.imports.files import json_values

ROWS = [{"prompt": "Grüße?", "answers": ["a", "b"]}, {"prompt": "名 👩‍👩‍👧", "answers": []}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
TABLE = "prompt,language\nWie heißt «er»?,de\nFine.,en\n"


def read(path, content, name="upload", changes=None):
    """(place, value, error) of each row."""
    (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = files.rows(path / name, changes=changes)
    return [(row.place, row.value, row.error) for row in rows]


def values(path, content):
    return [value for _place, value, error in read(path, content) if not error]


def in_this_process(path, changes):
    """The rows without a process of their own, which no monkeypatch reaches."""
    return files.rows_here(path, path.name, changes)


def errors(path, content):
    return [(place, error) for place, _value, error in read(path, content) if error]


def counts(path, content):
    changes = files.Changes()
    read(path, content, changes=changes)
    return changes.counts


def examples(path, content, name):
    changes = files.Changes()
    read(path, content, changes=changes)
    return changes.examples[name]


def zipped(method=zipfile.ZIP_DEFLATED, /, **contents):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return out.getvalue()


def zstd(*contents):
    codec = pa.Codec("zstd")
    return b"".join(codec.compress(content, asbytes=True) for content in contents)


def workbook(*rows, sheets=("Data",), **cells):
    book = openpyxl.Workbook()
    book.active.title = sheets[0]
    for row in rows:
        book.active.append(row)
    for place, value in cells.items():
        book.active[place] = value
    for title in sheets[1:]:
        book.create_sheet(title).append(["not data"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_parquet(table, **options):
    out = io.BytesIO()
    parquet.write_table(table, out, **options)
    return out.getvalue()


def numbered(cases):
    """Cases whose names are their numbers: some values are long, or hold line ends."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), id=str(number))
        for number, case in enumerate(cases)
    ]


# Encodings


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(LINES.encode("utf-8-sig"), id="utf-8-mark"),
        pytest.param(LINES.encode("utf-16"), id="utf-16-mark"),
        pytest.param(b"\xfe\xff" + LINES.encode("utf-16-be"), id="utf-16-be-mark"),
        pytest.param(LINES.encode("utf-16-le"), id="utf-16-le"),
        pytest.param(LINES.encode("utf-16-be"), id="utf-16-be"),
        pytest.param(LINES.replace("\n", "\r\n").encode(), id="crlf"),
        pytest.param(LINES.replace("\n", "\r").encode(), id="cr"),
        pytest.param(LINES.replace("\n", "\r").encode("utf-16"), id="utf-16-cr"),
        pytest.param(LINES.strip().encode(), id="no-last-line-end"),
        pytest.param(json.dumps(ROWS).encode(), id="list"),
        pytest.param(json.dumps(ROWS, ensure_ascii=False, indent=4).encode("utf-16"), id="list-16"),
        pytest.param(
            "\n".join(json.dumps(row, indent=2) for row in ROWS).encode(), id="objects-over-lines"
        ),
        pytest.param(",\n".join(json.dumps(row, indent=2) for row in ROWS).encode(), id="commas"),
        pytest.param("".join(json.dumps([row]) for row in ROWS).encode(), id="lists-in-a-row"),
        pytest.param(gzip.compress(LINES.encode()), id="gzip"),
        pytest.param(gzip.compress(LINES.encode("utf-16")), id="gzip-utf-16"),
        pytest.param(zstd(LINES.encode()), id="zstd"),
        pytest.param(zstd(*map(str.encode, LINES.splitlines(True))), id="zstd-frames"),
        pytest.param(zipped(**{"data.jsonl": LINES}), id="zip"),
        pytest.param(zipped(**{"a/data.json.gz": gzip.compress(LINES.encode())}), id="gzip-in-zip"),
    ],
)
def test_the_same_rows_are_read_from_every_kind_of_text_and_packing(tmp_path, content):
    assert values(tmp_path, content) == ROWS
    assert not errors(tmp_path, content)


def test_rows_of_utf_16_are_converted_and_counted(tmp_path):
    table = "prompt\tlanguage\r\nWie heißt der Fluss?\tde\r\nWas kostet 1 €?\tde\r\n".encode(
        "utf-16"
    )

    assert values(tmp_path, table) == [
        {"prompt": "Wie heißt der Fluss?", "language": "de"},
        {"prompt": "Was kostet 1 €?", "language": "de"},
    ]
    assert counts(tmp_path, table) == {"utf_16": 2}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(TABLE.encode("cp1252"), id="table"),
        pytest.param(gzip.compress(TABLE.encode("cp1252")), id="packed"),
        pytest.param(
            b'{"prompt": "Wie hei\xdft \xaber\xbb?", "language": "de"}\n'
            b'{"prompt": "Fine.", "language": "en"}\n',
            id="lines",
        ),
        pytest.param(
            b'[{"prompt": "Wie hei\xdft \xaber\xbb?", "language": "de"},'
            b' {"prompt": "Fine.", "language": "en"}]',
            id="list",
        ),
    ],
)
def test_windows_1252_is_converted_and_each_such_row_counted(tmp_path, content):
    assert values(tmp_path, content) == [
        {"prompt": "Wie heißt «er»?", "language": "de"},
        {"prompt": "Fine.", "language": "en"},
    ]
    assert counts(tmp_path, content) == {"windows_1252": 1}
    [example] = examples(tmp_path, content, "windows_1252")
    assert "heißt «er»" in example["after"]


def test_a_row_in_another_encoding_than_the_file_is_bad(tmp_path):
    for good_first in (True, False):
        rows = ["Grüße?".encode(), "Größe?".encode("cp1252")]
        lines = [b"prompt,n", *(row + b",1" for row in (rows if good_first else rows[::-1]))]
        content = b"\n".join(lines)

        assert values(tmp_path, content) == [{"prompt": "Grüße?", "n": "1"}]
        assert errors(tmp_path, content) == [
            (3 - (not good_first), "not UTF-8 text (byte 0xf6 at 3)")
        ]
        assert counts(tmp_path, content) == {}


def test_the_encoding_of_a_list_on_one_line_is_found_by_its_words(tmp_path):
    good, bad = '"Grüße, Märchen"'.encode(), '"Größe"'.encode("cp1252")
    for items in ([bad, good], [good, bad], [good, bad, good]):
        content = b"[" + b", ".join(items) + b"]"
        assert [error for _place, error in errors(tmp_path, content)] == [
            "not UTF-8 text (byte 0xf6 at 4)"
        ]
    western = b'["CAF\xc9\x97", "Gr\xf6\xdfe", "M\xe4rchen"]'  # the first could be UTF-8
    assert values(tmp_path, western)[1:] == ["Größe", "Märchen"]


def test_a_byte_that_windows_1252_has_not_is_named_with_its_line(tmp_path):
    content = b"prompt,n\nGr\xfc\xdfe,1\nGr\xfc\x81e,2\n"

    assert errors(tmp_path, content) == [(3, "the byte 0x81 is no character of Windows-1252")]
    assert values(tmp_path, content) == [{"prompt": "Grüße", "n": "1"}]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Привет, как дела?", "cp1251"),
        ("请介绍一下北京。", "gb18030"),
        ("こんにちは世界", "shift_jis"),
    ],
)
def test_texts_of_another_script_are_not_taken_for_windows_1252(tmp_path, text, encoding):
    content = f"prompt,n\n{text},1\nplain,2\n".encode(encoding)

    [(place, why)] = errors(tmp_path, content)
    assert place == 2
    assert why.startswith("not UTF-8 text")
    assert values(tmp_path, content) == [{"prompt": "plain", "n": "2"}]


def test_only_the_converted_rows_of_a_file_in_two_encodings_are_counted(tmp_path):
    """UTF-8 was pasted into a Windows-1252 file: those rows were not converted."""
    western = [text.encode("cp1252") for text in ("Größe?", "Märchen?", "Süß?")]
    for begin, end in ((b'{"prompt": "', b'"}'), (b"", b",1")):
        lines = [begin + text + end for text in [*western, "Grüße?".encode()]]
        content = b"\n".join(([] if begin else [b"prompt,n"]) + lines)

        assert [row["prompt"] for row in values(tmp_path, content)][-1] == "Grüße?"
        assert counts(tmp_path, content) == {"windows_1252": 3}


# JSON, row by row


@pytest.mark.parametrize(
    ("line", "why"),
    numbered(
        [
            ('{"a": 1,}', "not JSON (a comma too many at character 8)"),
            (
                "{'a': 1}",
                "not JSON (texts need double quotes, not single ones as in Python)",
            ),
            ('{"a": "cut off in the m', "not JSON (it is cut off)"),
            ('{"a": [1, 2', "not JSON (it is cut off)"),
            ('{"a": 1} {"b": 2}', "not JSON (something follows after its end, at character 10)"),
            (
                '{"a": "b\tc"}',
                "not JSON (a line break, a tab or another control character in a text, at 9)",
            ),
            ('{"a": 1, "b": {"c": 1, "c": 2}}', 'the key "c" is there twice'),
            ('{"a": ' + "9" * 400 + "}", "holds a number that is too long (400 digits)"),
            ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
            ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
            (
                json.dumps({f"column {n}": n for n in range(1000)}),
                "has 1,000 columns; 500 are the most",
            ),
            ('{"a": "' + "x" * (8 * 2**20) + '"}', "longer than 8 MB"),
        ]
    ),
)
def test_a_bad_row_has_its_reason_and_those_around_it_are_read(tmp_path, line, why):
    good = '{"a": "before"}', '{"a": "after"}'
    in_lines = f"{good[0]}\n{line}\n{good[1]}\n"

    assert errors(tmp_path, in_lines) == [(2, why)]
    assert values(tmp_path, in_lines) == list(map(json.loads, good))


@pytest.mark.parametrize(
    ("item", "why"),
    numbered(
        [
            ('{"a": 1,}', "not JSON (a comma too many at character 8)"),
            ('{"a": 1, "a": 2}', 'the key "a" is there twice'),
            ('{"a": ' + "9" * 400 + "}", "holds a number that is too long (400 digits)"),
            ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
            ('{"a": "' + "x" * (8 * 2**20) + '\\n"}', "longer than 8 MB"),
            ("", "nothing stands between two commas"),
        ]
    ),
)
def test_one_bad_item_of_a_list_leaves_the_others_alone(tmp_path, item, why):
    content = '[{"a": "before [ , \\" ]"},\n' + item + ', {"a": NaN}, {"a": "after"}]\n'

    assert errors(tmp_path, content) == [(2, why)]
    assert [value["a"] for value in values(tmp_path, content)] == [
        'before [ , " ]',
        None,
        "after",
    ]


def test_the_pieces_of_a_list_are_the_same_wherever_the_buffer_ends(tmp_path, monkeypatch):
    content = '[{"a": "x\\\\"}, {"b": ["\\"", "[", {}]}, null, 1.5e3, "t,\\u00e9"  ,\n[],{}]'
    for size in range(1, len(content) + 1):
        monkeypatch.setattr(json_values, "CHUNK", size)
        assert values(tmp_path, content) == json.loads(content), size


@pytest.mark.parametrize(
    "long",
    ['{"a": "' + 'x\\"\\\\' * 30 + '", "b": 1}', '{"a": [' + '"x", ' * 30 + '"]"]}'],
    ids=["text", "texts"],
)
def test_a_value_longer_than_a_row_is_read_over_wherever_the_buffer_ends(
    tmp_path, monkeypatch, long
):
    monkeypatch.setattr(json_values, "LONGEST_ROW", 20)
    content = f'[{{"n": 1}}, {long}, {{"n": 2}}, {long}]'
    for size in range(1, 40):
        monkeypatch.setattr(json_values, "CHUNK", size)
        assert errors(tmp_path, content) == [(2, "longer than 8 MB"), (4, "longer than 8 MB")], size
        assert values(tmp_path, content) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("content", "rest"),
    numbered(
        [
            ('[{"a": 1}, {"a": 2}, {"a', (3, "not JSON: it is cut off, the list has no end")),
            ('[{"a": 1}, {"a": 2}', (2, "not JSON: it is cut off, the list has no end")),
            ('[{"a": 1}, {"a": 2}] and more', (3, "not JSON: text outside of any value")),
            ('[{"a": 1}, {"a": 2}]]', (3, "not JSON: a bracket closes that none has opened")),
            ('{\n"a": 1}\n{\n"a": 2}\n{\n', (3, "not JSON: it is cut off")),
            ("[" * 2000, (1, "nested too deeply")),
        ]
    ),
)
def test_where_the_rest_of_a_file_cannot_be_read_the_place_and_the_cause_are_named(
    tmp_path, content, rest
):
    place, why = rest
    rows = read(tmp_path, content)

    assert rows[-1][::2] == (place, f"can't be read from here on ({why})")
    assert [value for _place, value, _error in rows[:-1]] == [{"a": n} for n in range(1, place)]


def test_what_no_database_holds_is_replaced_and_counted(tmp_path):
    lines = [
        r'{"a": "half \ud83d!", "\ud800": 1}',
        r'{"a": "NUL \u0000!"}',
        r'{"a": "whole \ud83d\ude00", "b": "\\ud83d stays"}',
        '{"a": NaN, "b": [NaN, 1]}',
        '{"a": [-Infinity, 1e999, Infinity]}',
        "",
        '{"a": "  "}',
    ]
    largest = 1.7976931348623157e308

    assert values(tmp_path, "\n".join(lines)) == [
        {"a": "half ?!", "?": 1},
        {"a": "NUL !"},
        {"a": "whole 😀", "b": "\\ud83d stays"},
        {"a": None, "b": [None, 1]},
        {"a": [-largest, largest, largest]},
        {"a": "  "},
    ]
    assert counts(tmp_path, "\n".join(lines)) == {
        "characters": 2,
        "not_a_number": 1,
        "infinity": 1,
        "empty_rows": 1,
    }
    assert examples(tmp_path, "\n".join(lines), "characters")[0] == {
        "line": 1,
        "before": "half \\ud83d!",
        "after": "half ?!",
    }


LISTS = [[{"prompt": "Größe?"}, {"prompt": "x" * 2**16}], [{"prompt": "Next?"}]]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_lists_in_lines_are_a_row_each_however_long_the_first_is(tmp_path, encoding):
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in LISTS)
    for content in (lines, "\n\n" + lines, lines.replace("Größe?", "Größe?" + "9" * 5000)):
        assert [len(row) for row in values(tmp_path, content.encode(encoding))] == [2, 1]


def test_a_list_whose_first_line_is_long_is_one_list(tmp_path):
    rows = [{"prompt": "x" * 2**16}, {"prompt": "Next?"}]
    for content in (json.dumps(rows), json.dumps(rows) + "\n\n", json.dumps(rows, indent=0)):
        assert values(tmp_path, content) == rows
    broken = json.dumps(rows[0]).join(("[", ",\n")) + json.dumps(rows[1]) + "]"
    assert values(tmp_path, broken) == rows


def test_fractions_with_more_digits_than_a_float_has_are_rounded_and_counted(tmp_path):
    lines = (
        "0.1",
        "0.30000000000000004",
        "0.12345678901234567891",
        "1e-400",
        "12345678901234567891",
    )
    content = "\n".join(f'{{"score": {number}}}' for number in lines)

    read_numbers = [row["score"] for row in values(tmp_path, content)]
    assert read_numbers == [
        0.1,
        0.30000000000000004,
        0.12345678901234568,
        0.0,
        12345678901234567891,
    ]
    assert counts(tmp_path, content) == {"rounded": 2}
    assert examples(tmp_path, content, "rounded") == [
        {"line": 3, "before": "0.12345678901234567891", "after": "0.12345678901234568"},
        {"line": 4, "before": "1e-400", "after": "0.0"},
    ]


def test_decimals_of_parquet_that_are_rounded_are_counted(tmp_path):
    numbers = ["0.10000000000000000000", "0.12345678901234567891", "7.00000000000000000000"]
    column = pa.array(list(map(decimal.Decimal, numbers)), pa.decimal128(38, 20))
    content = as_parquet(pa.table({"score": column}))

    assert [row["score"] for row in values(tmp_path, content)] == [0.1, 0.12345678901234568, 7]
    assert counts(tmp_path, content) == {"rounded": 1}


def test_halves_of_a_character_that_stand_one_by_one_are_joined(tmp_path):
    halves = "😀".encode("utf-16-le").decode("utf-16-le", "surrogatepass")
    raw = "\ud83d\ude00".encode("utf-8", "surrogatepass")

    assert values(tmp_path, b'{"a": "' + raw + b'"}') == [{"a": halves}]
    assert counts(tmp_path, b'{"a": "' + raw[:3] + b'"}') == {"characters": 1}


def test_a_row_is_counted_once_and_a_bad_one_not_at_all(tmp_path):
    lines = '{"a": NaN, "a": 1}\n{"a": 1}\n{"a": "\\u0000", "b": ["\\u0000", NaN, NaN]}\n'
    table = 'a,b,c\n"[NaN]","[NaN]",\n'

    assert counts(tmp_path, lines) == {"characters": 1, "not_a_number": 1}
    assert counts(tmp_path, table) == {"not_a_number": 1}


# Tables


@pytest.mark.parametrize(
    "content",
    numbered(
        [
            "prompt,rank_1\nOne?,1\n",
            "prompt;rank_1\nOne?;1\n",
            "prompt\trank_1\nOne?\t1\n",
            "prompt|rank_1\nOne?|1\n",
            "sep=;\r\nprompt;rank_1\r\nOne?;1\r\n;\r\n",
            '"sep=|"\n"prompt"|"rank_1"\n"One?"|"1"\n',
            '"prompt", "rank_1"\n'.replace(", ", ",") + '"One?","1"\n',
            " prompt , rank_1 \nOne?,1\n",
            "prompt,rank_1\rOne?,1\r",
            "prompt,rank_1,,\nOne?,1,,\n,,,\n\n",
            "PK,prompt,rank_1\n,One?,1\n",
        ]
    ),
)
def test_tables_have_any_usual_separator_and_line_end(tmp_path, content):
    assert values(tmp_path, content) == [{"prompt": "One?", "rank_1": "1"}]
    assert not errors(tmp_path, content)


def test_a_separator_within_a_quoted_name_is_none(tmp_path):
    content = '"a,b,c,d";prompt\n1;One?\n'

    assert values(tmp_path, content) == [{"a,b,c,d": "1", "prompt": "One?"}]


def test_empty_and_short_rows_are_counted(tmp_path):
    content = "prompt;a;b\nOne?;1;2\n;;\n\nTwo?\n ; ;\n"

    assert values(tmp_path, content) == [{"prompt": "One?", "a": "1", "b": "2"}, {"prompt": "Two?"}]
    assert counts(tmp_path, content) == {"empty_rows": 3, "short_rows": 1}


@pytest.mark.parametrize(
    ("row", "why"),
    numbered(
        [
            ('"5 inches,x\nnot in quotes,y', "a quote opens a cell and none closes it"),
            ('"He said "hi" to me",x', "a quote within a cell is not doubled"),
            ("a,b,c", "has more cells than the header: 3 and 2"),
            ("a,[1,,2]", "has more cells than the header: 4 and 2"),
            ('a,"{""k"": 1, ""k"": 2}"', 'the key "k" is there twice'),
            (f"a,[{'9' * 400}]", "holds a number that is too long (400 digits)"),
            ("a," + "x" * (9 * 2**20), "longer than 8 MB"),
        ]
    ),
)
def test_a_broken_row_of_a_table_is_bad_and_the_lines_after_it_are_read(tmp_path, row, why):
    content = f"prompt,n\nBefore?,1\n{row}\nAfter?,3\n"

    read_on = [{"prompt": "not in quotes", "n": "y"}] if "\n" in row else []
    assert errors(tmp_path, content) == [(3, why)]
    assert values(tmp_path, content) == [
        {"prompt": "Before?", "n": "1"},
        *read_on,
        {"prompt": "After?", "n": "3"},
    ]


def test_a_row_of_many_lines_is_named_by_its_first(tmp_path):
    content = 'prompt,n\n"One\ntwo\nthree?",1,2\nFour?,1\n'

    assert [place for place, *_rest in read(tmp_path, content)] == [2, 5]


def test_json_in_cells_is_read_and_other_texts_stay(tmp_path):
    content = 'prompt,a,b\n"[x] is it?","[1, NaN]","{""k"": ""v""}"\n'

    assert values(tmp_path, content) == [{"prompt": "[x] is it?", "a": [1, None], "b": {"k": "v"}}]
    assert counts(tmp_path, content) == {"not_a_number": 1}


@pytest.mark.parametrize(
    ("header", "why"),
    numbered(
        [
            ("prompt,answer,answer", 'the header names the column "answer" twice'),
            (",".join(f"c{n}" for n in range(1000)), "it has 1,000 columns; 500 are the most"),
            ('prompt,"answer', "the header: a quote opens a cell and none closes it"),
        ]
    ),
)
def test_a_header_without_meaning_is_named(tmp_path, header, why):
    assert errors(tmp_path, f"{header}\n1,2,3\n") == [(1, f"can't be read from here on ({why})")]


# Workbooks


def test_the_first_sheet_of_a_workbook_is_read_as_a_table_of_texts(tmp_path):
    content = workbook(
        ["prompt", "answer", "rank", "good", "when", None],
        ["Name a lake.", "7", 1, True, datetime.datetime(2026, 1, 2, 3, 4)],
        [None, "  "],
        ["名词", 2.5, 1.0, False, None],
        ["A line\nbreak_x000D_?", '["a", "b"]'],
        sheets=("Ranking", "Notes", "More"),
    )

    assert values(tmp_path, content) == [
        {
            "prompt": "Name a lake.",
            "answer": "7",
            "rank": "1",
            "good": "true",
            "when": "2026-01-02T03:04:00",
        },
        {"prompt": "名词", "answer": "2.5", "rank": "1", "good": "false"},
        {"prompt": "A line\nbreak\r?", "answer": ["a", "b"]},
    ]
    assert [place for place, *_rest in read(tmp_path, content)] == [2, 4, 5]
    assert counts(tmp_path, content) == {"empty_rows": 1, "other_sheets": 2}


def test_formulas_without_a_value_and_errors_are_bad_rows(tmp_path):
    content = workbook(["prompt", "answer"], ["a", "=1+1"], ["b", "#N/A"], ["c", "fine"])

    assert errors(tmp_path, content) == [
        (
            2,
            "the cell B2 holds a formula without its value: open the file in Excel and save it",
        ),
        (3, "the cell B3 holds the error #N/A"),
    ]
    assert values(tmp_path, content) == [{"prompt": "c", "answer": "fine"}]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (["prompt", "#REF!"], "the cell B1 holds the error #REF!"),
        (["prompt", "=A1"], "the cell B1 holds a formula without its value: open the file in "),
    ],
)
def test_a_header_with_an_error_is_named_and_no_row_takes_its_place(tmp_path, header, why):
    content = workbook(header, ["Why?", "Because."], ["How?", "Thus."])

    assert values(tmp_path, content) == []
    [(place, error)] = errors(tmp_path, content)
    assert (place, error.startswith(f"can't be read from here on (the header: {why}")) == (1, True)


def test_what_a_workbook_says_of_its_size_is_not_believed(tmp_path):
    content = workbook(["prompt", "answer"], ["a", "b"], ["c", "d"])
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            assert name != "xl/worksheets/sheet1.xml" or b'ref="A1:B3"' in data
            new.writestr(name, data.replace(b'ref="A1:B3"', b'ref="A1:A2"'))

    assert values(tmp_path, out.getvalue()) == [
        {"prompt": "a", "answer": "b"},
        {"prompt": "c", "answer": "d"},
    ]


# Parquet


def test_parquet_of_every_shape_becomes_json_values(tmp_path):
    columns = {
        "large": pa.array(["one", "ü"], pa.large_string()),
        "coded": pa.array(["x", "y"]).dictionary_encode(),
        "view": pa.array(["v", None], pa.string_view()),
        "nested": pa.array(
            [[{"role": "user", "parts": [{"t": "a"}]}], []],
            pa.large_list(
                pa.struct(
                    [
                        ("role", pa.string()),
                        ("parts", pa.list_(pa.struct([("t", pa.large_string())]))),
                    ]
                )
            ),
        ),
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int8())),
        "score": pa.array([float("nan"), float("-inf")]),
        "half": pa.array([1.5, 2.0], pa.float32()),
        "money": pa.array([decimal.Decimal("4.50"), decimal.Decimal("3.00")]),
        "at": pa.array(
            [datetime.datetime(2026, 1, 2, 3, 4, 5), None], pa.timestamp("us", tz="UTC")
        ),
        "day": pa.array([datetime.date(2026, 1, 2), None]),
        "raw": pa.array([b"text", None]),
        "null": pa.nulls(2),
    }
    content = as_parquet(pa.table(columns))

    assert values(tmp_path, content) == [
        {
            "large": "one",
            "coded": "x",
            "view": "v",
            "nested": [{"role": "user", "parts": [{"t": "a"}]}],
            "map": {"k": 1},
            "half": 1.5,
            "money": 4.5,
            "at": "2026-01-02T03:04:05+00:00",
            "day": "2026-01-02",
            "raw": "text",
        },
        {
            "large": "ü",
            "coded": "y",
            "nested": [],
            "map": {},
            "score": -1.7976931348623157e308,
            "half": 2.0,
            "money": 3,
        },
    ]
    assert counts(tmp_path, content) == {"not_a_number": 1, "infinity": 1}
    for packed in (gzip.compress(content), zipped(**{"data.parquet": content})):
        assert values(tmp_path, packed) == values(tmp_path, content)


def test_one_bad_row_of_a_parquet_file_leaves_the_others_alone(tmp_path):
    raw = pa.array([b"good", b"\xff\xfe", b"\x89PNG\r\n", b"NUL\0"])
    texts = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    maps = pa.array([[("k", 1)], [], [("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int8()))

    content = as_parquet(pa.table({"a": raw}))
    assert errors(tmp_path, content) == [(3, "holds a picture")]
    assert values(tmp_path, content) == [{"a": "good"}, {}, {"a": "NUL"}]
    assert counts(tmp_path, content) == {"bytes": 1, "characters": 1}
    not_text = as_parquet(pa.table({"a": texts}))
    assert errors(tmp_path, not_text) == [
        (2, "holds a text that is not UTF-8"),
        (3, "holds a text that is not UTF-8"),
    ]
    assert errors(tmp_path, as_parquet(pa.table({"a": maps}))) == [(3, "a map has a key twice")]


# Packed, and other kinds


def test_a_zip_of_several_files_is_read_as_a_folder_is(tmp_path):
    line = '{"n": %d}\n{\n'
    contents = {
        "data/b.jsonl": line % 2,
        "data/a.jsonl": line % 1,
        "README.md": "# Card",
        "__MACOSX/data/._a.jsonl": b"\0\x05\x16",
        "data/.DS_Store": b"\0",
        "schema.json": "{}",
    }
    folder = tmp_path / "folder"
    for name, content in contents.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    changes = files.Changes()

    rows = read(tmp_path, zipped(**contents), "upload.zip", changes)

    assert rows == [
        ("1 of data/a.jsonl", {"n": 1}, ""),
        ("2 of data/a.jsonl", "{", "not JSON (it is cut off)"),
        ("1 of data/b.jsonl", {"n": 2}, ""),
        ("2 of data/b.jsonl", "{", "not JSON (it is cut off)"),
    ]
    assert changes.counts == {"other_files": 4}
    in_folder = [(row.place, row.value, row.error) for row in files.rows(folder)]
    assert in_folder == rows
    names = [row.file for row in files.rows(tmp_path / "upload.zip")]
    assert names[::2] == ["upload.zip/data/a.jsonl", "upload.zip/data/b.jsonl"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_every_file_of_a_zip_is_read_also_those_of_one_name(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in (1, 2, 3):
            archive.writestr("a.jsonl", f'{{"n": {number}}}')
            archive.writestr("README.md", "# Card")

    assert read(tmp_path, out.getvalue()) == [
        ("1 of a.jsonl", {"n": 1}, ""),
        ("1 of a.jsonl (2)", {"n": 2}, ""),
        ("1 of a.jsonl (3)", {"n": 3}, ""),
    ]
    assert counts(tmp_path, out.getvalue()) == {"other_files": 3}
    names = {row.file for row in files.rows(tmp_path / "upload")}
    assert names == {"upload/a.jsonl", "upload/a.jsonl (2)", "upload/a.jsonl (3)"}


def test_a_broken_file_of_a_folder_is_named_and_those_after_it_are_read(tmp_path):
    good = zipped(**{"README.md": "# Card", "c.jsonl": '{"n": 3}'})
    contents = {
        "a.jsonl": b'{"n": 1}',
        "b.zip": zipped(**{"b.jsonl": LINES})[:-10],
        "c.zip": good,
        "d.zip": zipped(**{"README.md": "x"}),
        "f.jsonl": b'{"n": 6}',
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "e.jsonl").symlink_to(tmp_path / "nowhere")
    changes = files.Changes()

    rows = list(files.rows(tmp_path, changes=changes))
    assert [(row.place, row.value) for row in rows if not row.error] == [
        ("1 of a.jsonl", {"n": 1}),
        ("1 of c.zip", {"n": 3}),
        ("1 of f.jsonl", {"n": 6}),
    ]
    broken = "can't be read from here on (%s)"
    assert [(row.place, row.file, row.error) for row in rows if row.error] == [
        ("1 of b.zip", "b.zip", broken % "the zip is broken: File is not a zip file"),
        ("1 of d.zip", "d.zip", broken % "the zip holds no data file"),
        ("1 of e.jsonl", "e.jsonl", broken % "No such file or directory"),
    ]
    assert [one["line"] for one in changes.examples["other_files"]] == [
        "README.md of c.zip",
        "README.md of d.zip",
    ]


def packed_and_broken(method):
    """A zip whose file is packed so, with bytes in the middle of it changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("a.jsonl", "".join(f'{{"n": {n * n}}}\n' for n in range(500)))
    content = bytearray(out.getvalue())
    content[60:90] = bytes(30)
    return bytes(content)


@pytest.mark.parametrize("method", ["ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA"])
def test_a_zip_that_is_broken_inside_is_named_however_it_is_packed(tmp_path, method):
    *_good, (_place, error) = errors(tmp_path, packed_and_broken(getattr(zipfile, method)))

    assert error.startswith("can't be read from here on (it cannot be unpacked: ")


OTHERS = [
    (gzip.compress(LINES.encode())[:-12], "the packed file is cut off"),
    (zstd(LINES.encode())[:-5], "it cannot be unpacked: Truncated compressed stream"),
    (gzip.compress(b"\n" * 2**21), "unpacked it is more than 100 times as large"),
    (zipped(**{"a.jsonl": b"\n" * 2**21}), "unpacked it is more than 100 times as large"),
    (zipped(**{"README.md": "x"}), "the zip holds no data file"),
    (zipped(**{"word/document.xml": "x"}), "it is a Word document"),
    (zipped(**{"a.jsonl": "x"})[:-10], "the zip is broken: File is not a zip file"),
    (b"\xd0\xcf\x11\xe0" + bytes(100), "it is an old Excel workbook (.xls), or one with a"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
    ("\n<!DOCTYPE html><html><body>Log in</body>", "it is a web page, not the file"),
    ("a" * 257 + "ustar", "it is a tar archive"),
    (b"PAR1" + bytes(100), "not Parquet: "),
    (b"PK\x03\x04" + bytes(100), "the zip is broken"),
    (gzip.compress(b"PK\x03\x04" + bytes(100)), "the zip is broken"),
    (zipped(**{"a.zip": zipped(**{"a.jsonl": LINES})}), "a zip that is packed again"),
]


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_a_file_that_is_something_else_or_broken_is_named(tmp_path, number):
    content, why = OTHERS[number]
    [(_place, error)] = errors(tmp_path, content)

    assert error.startswith("can't be read from here on (")
    assert why in error


def test_a_zip_that_asks_for_too_much_memory_is_named(tmp_path, monkeypatch):
    def exhausted(*about):
        raise MemoryError

    monkeypatch.setattr(zipfile.ZipExtFile, "read", exhausted)
    monkeypatch.setattr(files, "rows", in_this_process)
    assert errors(tmp_path, zipped(zipfile.ZIP_LZMA, **{"a.jsonl": LINES})) == [
        (1, "can't be read from here on (it cannot be unpacked: that takes too much memory)")
    ]


def test_a_zip_with_a_password_is_named(tmp_path):
    content = bytearray(zipped(**{"a.jsonl": LINES}))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + flags] |= 1

    assert errors(tmp_path, bytes(content)) == [
        (1, "can't be read from here on (the zip has a password)")
    ]


# Memory


@pytest.mark.parametrize("kind", ["lines", "list", "table", "gzip"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    def peak(count):
        draw = random.Random(1)
        texts = [draw.randbytes(500).hex() for _row in range(count)]
        rows = [json.dumps({"prompt": text}) for text in texts]
        content = {
            "lines": "\n".join(rows),
            "list": f"[{', '.join(rows)}]",
            "table": "prompt,n\n" + "".join(f"{text},1\n" for text in texts),
            "gzip": "\n".join(rows),
        }[kind].encode()
        path = tmp_path / str(count)
        path.write_bytes(gzip.compress(content, 1) if kind == "gzip" else content)
        del content, texts, rows
        tracemalloc.start()
        assert sum(1 for _row in files.rows_here(path)) == count
        _now, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(12_000) < peak(4_000) + 2**20
