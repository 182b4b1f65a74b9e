"""What each download format makes of a frozen row."""

import codecs
import csv
import io
import json
import re

import pyarrow as pa
import pytest
from pyarrow import parquet

from labeling.exports import dataset_card, formats
from labeling.exports.examples import View
from modelops import recipes, rows

KIND = {
    "labeler": "labeler",
    "kind": "labeler",
    "outcome": "ranked",
    "strength": None,
    "seconds": 2.5,
    "weight": 1.0,
}
FLAT = [[], ["hallucination"], []]


def judgment(labeler, ranks, **fields):
    said = {"labeler": labeler, "ranks": ranks, "ratings": [7, None, 1], "flags": FLAT}
    return KIND | said | fields


def row(*judgments, texts=("good", "=fair", "bad"), messages=None, **fields):
    answers = [
        {"id": n, "text": text, "model": f"m{n}", "finish_reason": "", "tokens": None}
        for n, text in enumerate(texts)
    ]
    asked = {
        "prompt_id": "00",
        "messages": messages or [{"role": "user", "content": "Say 你"}],
        "split": "train",
    }
    return (
        asked
        | {"use_case": "", "language": "en", "answers": answers, "judgments": list(judgments)}
        | fields
    )


TWO = row(judgment(0, [1, 2, 2]), judgment(1, [1, 2, 3]))


@pytest.fixture
def made(tmp_path):
    """The examples of these rows in a format, as they stand in the file."""

    def of(format, *frozen, file="jsonl", **view):
        (tmp_path / "rows.jsonl").write_text(
            "".join(rows.canonical(one) + "\n" for one in frozen), encoding="utf-8"
        )
        out = io.BytesIO()
        formats.FILES[file](formats.contents(tmp_path, format, "", View(**view), "d" * 64), out)
        if file == "parquet":
            return parquet.read_table(pa.BufferReader(out.getvalue())).to_pylist()
        return (
            [json.loads(line) for line in out.getvalue().splitlines()]
            if file == "jsonl"
            else out.getvalue()
        )

    return of


def test_every_format_and_file_is_a_setting_of_the_job_and_has_a_type():
    choices = recipes.RenderRecipe.__dataclass_fields__

    assert set(choices["format"].metadata["choices"]) == set(formats.FORMATS)
    assert (
        set(choices["file"].metadata["choices"])
        == set(formats.CONTENT_TYPES)
        == {*formats.FILES, "zip"}
    )


def test_plain_pairs_are_texts(made):
    assert made("trl", row(judgment(0, [1, 1, 2]))) == [
        {"prompt": "Say 你", "chosen": "good", "rejected": "bad"},
        {"prompt": "Say 你", "chosen": "=fair", "rejected": "bad"},
    ]


def test_implicit_pairs_hold_the_whole_conversation(made):
    (one,) = made("trl-implicit", row(judgment(0, [1, 1, 2])), pairs="adjacent")[:1]

    assert [turn["content"] for turn in one["chosen"]] == ["Say 你", "good"]
    assert [turn["content"] for turn in one["rejected"]] == ["Say 你", "bad"]


def test_hh_rlhf_is_a_transcript_whose_sides_share_the_prompt(made):
    asked = [
        {"role": role, "content": text}
        for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))
    ]
    (one,) = made("hh-rlhf", row(judgment(0, [1, 2]), texts=("yes", ""), messages=asked))

    assert one == {
        "chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: yes",
        "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: ",
    }


def test_the_best_against_the_rest_leaves_the_rest_apart(made):
    assert len(made("trl", row(judgment(0, [1, 2, 3])), pairs="best")) == 2


def test_unpaired_answers_are_the_first_and_the_last(made):
    found = made(
        "unpaired",
        row(judgment(0, [1, 2, 3]), judgment(1, [1, 1, 1]), judgment(2, [], outcome="all_bad")),
    )

    assert [(one["completion"][0]["content"], one["label"]) for one in found] == [
        ("good", True),
        ("bad", False),
        ("good", False),
        ("=fair", False),
        ("bad", False),
    ]


def test_the_consensus_is_one_judgment_with_its_weight(made):
    assert [(one["ranks"], one["weight"]) for one in made("listwise", TWO, judged="consensus")] == [
        ([1, 2, 3], 2.0)
    ]
    assert [one["weight"] for one in made("conversational", TWO, judged="consensus")] == [2.0] * 3


def test_opposite_judgments_make_a_tie_of_the_consensus(made):
    frozen = row(judgment(0, [1, 2, 3]), judgment(1, [2, 1, 3]))

    assert made("listwise", frozen, judged="consensus")[0]["ranks"] == [1, 1, 2]


@pytest.mark.parametrize(
    ("weights", "ranks"),
    [((1.0, 1.0), [1, 1, 1]), ((0.25, 0.75), [3, 2, 1]), ((1.0, 0.0), [1, 2, 3])],
)
def test_the_consensus_is_the_order_that_fine_tuning_imitates(made, weights, ranks):
    orders = [[1, 2, 3], [3, 2, 1]]
    said = [judgment(n, orders[n], weight=weight) for n, weight in enumerate(weights)]
    frozen = row(*said)

    (one,) = made("listwise", frozen, judged="consensus")
    assert (one["ranks"], one["weight"]) == (ranks, sum(weights))
    assert rows.dense(rows.mean_ranks(frozen)) == ranks
    assert one["completions"][rows.best(frozen)] == one["completions"][ranks.index(1)]


def test_a_consensus_of_judgments_that_weigh_nothing_is_none(made):
    frozen = row(judgment(0, [1, 2, 3], weight=0.0))

    assert made("trl", frozen, judged="consensus") == []


def test_ties_stay_in_whole_rankings(made):
    found = made("listwise", row(judgment(0, [1, 1, 2]), judgment(1, [], outcome="cannot_judge")))

    assert [(one["ranks"], one["outcome"]) for one in found] == [
        ([1, 1, 2], "ranked"),
        ([], "cannot_judge"),
    ]
    assert found[0]["completions"] == ["good", "=fair", "bad"]


def test_buckets_of_label_studio_are_ranks(made):
    task = json.loads(made("label-studio", row(judgment(0, [2, 1, 2])), file="json"))[0]

    assert [item["body"] for item in task["data"]["answers"]] == ["good", "=fair", "bad"]
    assert task["annotations"][0]["result"][0]["value"] == {"ranker": {"1": ["1"], "2": ["0", "2"]}}


def test_prompt_and_best_answer(made):
    assert made("prompt-completion", TWO, row(judgment(0, [], outcome="all_bad"))) == [
        {"prompt": TWO["messages"], "completion": [{"role": "assistant", "content": "good"}]}
    ]


@pytest.mark.parametrize(
    ("judgments", "best"),
    [
        ([[1, 1, 1]], None),
        ([[1, 2, 3], [3, 2, 1]], None),  # opposite judgments: all mean ranks are equal
        ([[1, 1, 2]], "good"),
        ([[1, 1, 1], [2, 2, 1]], "bad"),
    ],
)
def test_answers_that_are_all_tied_have_no_best_one(made, judgments, best):
    frozen = row(*(judgment(number, ranks) for number, ranks in enumerate(judgments)))
    written = made("prompt-completion", frozen)

    assert [one["completion"][0]["content"] for one in written] == ([best] if best else [])


def test_the_only_answer_is_the_best_one(made):
    frozen = row(judgment(0, [1], ratings=[None], flags=[[]]), texts=("alone",))

    assert made("prompt-completion", frozen)[0]["completion"][0]["content"] == "alone"


@pytest.mark.parametrize("metadata", [False, True])
def test_each_prompt_is_written_once(made, metadata):
    """A prompt has a row for each of its tasks."""
    other = [{"role": "user", "content": "Say what?"}]
    first, second = TWO | {"prompt_id": "aa"}, row(judgment(0, [1, 2, 3]), prompt_id="aa")
    third = row(judgment(0, [1, 2, 3]), prompt_id="bb", messages=other)
    written = made("prompt-only", first, third, second, metadata=metadata)

    assert [one["prompt"] for one in written] == [TWO["messages"], other]


def test_a_demonstration_is_a_completion(made):
    written = {
        "prompt_id": "p",
        "messages": TWO["messages"],
        "split": "train",
        "use_case": "",
        "language": "",
        "text": "Ni.",
    }

    assert made("prompt-completion", written)[0]["completion"][0]["content"] == "Ni."


def test_cells_that_look_like_formulas_are_escaped(made):
    table = list(
        csv.DictReader(io.StringIO(made("csv", row(judgment(0, [2, 1, 2])), file="csv").decode()))
    )

    assert [(line["chosen"], line["rejected"]) for line in table] == [
        ("'=fair", "good"),
        ("'=fair", "bad"),
    ]


def test_a_table_may_keep_its_formulas_and_begin_with_a_byte_order_mark(made):
    plain = made("csv", row(judgment(0, [2, 1, 2])), file="csv")
    out = io.BytesIO()
    items = [{"chosen": "=fair", "rejected": "good"}, {"chosen": "=fair", "rejected": "bad"}]
    formats.comma_separated(items, out, bom=True, formulas=True)

    assert not plain.startswith(codecs.BOM_UTF8)
    assert out.getvalue() == codecs.BOM_UTF8 + b"chosen,rejected\r\n=fair,good\r\n=fair,bad\r\n"


def test_metadata_says_who_what_and_how_sure(made):
    one = made("trl", TWO, metadata=True)[0]

    assert {
        name: one[name] for name in ("labeler", "chosen_model", "rejected_model", "rejected_rank")
    } == {"labeler": 0, "chosen_model": "m0", "rejected_model": "m1", "rejected_rank": 2}
    assert (one["rejected_flags"], one["chosen_rating"], one["agreement"]) == (
        ["hallucination"],
        7,
        1.0,
    )
    assert (one["dataset"], one["prompt_id"], one["split"], one["seconds"]) == (
        "d" * 64,
        "00",
        "train",
        2.5,
    )


@pytest.mark.parametrize(
    "format",
    [name for name, one in formats.FORMATS.items() if "parquet" in one.files and one.examples],
)
def test_parquet_holds_what_the_lines_hold(made, format):
    """Also where the first rows leave empty what a later one has: the columns are typed by their
    names.
    """
    monkey = [row(judgment(0, [1, 2, 2], ratings=[None] * 3, flags=[[]] * 3))] * 3
    for metadata in (False, True):
        assert made(format, *monkey, TWO, file="parquet", metadata=metadata) == made(
            format, *monkey, TWO, metadata=metadata
        )


def test_a_value_that_comes_after_many_empty_ones_is_kept(made):
    empty = row(judgment(0, [1, 2, 2], ratings=[None] * 3, flags=[[]] * 3))
    found = made("listwise", *[empty] * 2001, TWO, file="parquet", metadata=True)

    assert found[-1]["ratings"] == [7, None, 1]
    assert found[-1]["flags"] == FLAT


def test_the_snippet_is_three_lines_of_python():
    class Judgments:
        kind = "judgments"

    lines = dataset_card.snippet(Judgments(), "folder")

    assert len(lines) == 3
    compile("\n".join(lines), "snippet", "exec")
    assert re.search(r"load_dataset\(.folder.", lines[0])
