"""Each format that others write, with its traps, in small rows of our own."""

import csv
import gzip
import json
from collections import Counter

import pytest

from labeling import imports
from labeling.models import (
    Candidate,
    Demonstration,
    Judge,
    Prompt,
    RankedCandidate,
    Ranking,
    RankingTask,
)
from modelops import jobs
from tests.factories import make_project
from tests.pages import one_line

pytestmark = pytest.mark.django_db
VERBATIM = {
    "repair": False,
    "controls": False,
    "spaces": False,
    "personal": False,
    "prefixes": False,
    "near": False,
}


def lines(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def bring(path, format=None, project=None, **settings):
    """Import a file as it looks; what came in."""
    return imports.import_file(
        None, project or make_project(), path, format or imports.recognise(path), **settings
    )


def judged():
    """{last turn: {answer: rank}} of each ranking, with its judge's name."""
    found = []
    for ranking in Ranking.objects.order_by("pk").select_related("task__prompt"):
        ranks = {one.candidate.text: one.rank for one in ranking.ranked.select_related("candidate")}
        name = Judge.objects.get(pk=ranking.judge).name
        found.append((ranking.task.prompt.last_turn, name, ranks))
    return found


# hh-rlhf


def talk(*turns):
    return "".join(
        f"\n\n{speaker}: {said}" for speaker, said in zip(("Human", "Assistant") * 9, turns)
    )


TRAPS = [
    {"chosen": talk("Hi", "Hello."), "rejected": talk("Hi", "Go away.")},
    # they part in the first answer, and go on with different questions: no last turn is shared
    {"chosen": talk("A", "one", "B", "two"), "rejected": talk("A", "none", "C", "three")},
    # they begin the same answer, and part in a later one
    {"chosen": talk("A", "same", "B", "yes "), "rejected": talk("A", "same", "B", "no")},
    {"chosen": talk("Why?", ""), "rejected": talk("Why?", "Because.")},
    {
        "chosen": talk("Hi", "Welcome!"),
        "rejected": talk("Hi", "Hello."),
    },  # a prompt again, and an answer again
    {
        "chosen": talk("Odd\u0007 text", " two spaces  "),
        "rejected": talk("Odd\u0007 text", "caf\u0065\u0301"),
    },
    {"chosen": talk("Hi", "Hello."), "rejected": talk("Hi", "Go away.")},  # the first row once more
]


SPEAKERS = {"user": "Human", "assistant": "Assistant"}


def transcripts():
    """The comparisons in the database, as hh-rlhf writes them."""
    for ranking in Ranking.objects.prefetch_related("ranked__candidate"):
        turns = ranking.task.prompt.messages
        asked = "".join(f"\n\n{SPEAKERS[turn['role']]}: {turn['content']}" for turn in turns)
        best, worst = sorted(ranking.ranked.all(), key=lambda one: one.rank)
        yield (
            f"{asked}\n\nAssistant: {best.candidate.text}",
            f"{asked}\n\nAssistant: {worst.candidate.text}",
        )


def test_transcripts_come_in_and_go_out_as_a_multiset(tmp_path):
    found = bring(lines(tmp_path / "hh.jsonl", TRAPS), split="test", languages=False, **VERBATIM)

    assert Counter(transcripts()) == Counter((row["chosen"], row["rejected"]) for row in TRAPS)
    assert (found.rankings, found.prompts) == (7, 5)
    assert set(Prompt.objects.values_list("split", flat=True)) == {"test"}


def test_the_same_file_twice_adds_nothing(tmp_path):
    project, file = make_project(), lines(tmp_path / "hh.jsonl", TRAPS)
    bring(file, project=project)
    counted = [
        model.objects.count()
        for model in (Prompt, Candidate, RankingTask, Ranking, RankedCandidate)
    ]
    again = bring(file, project=project, near=False, spaces=False)

    assert counted == [
        model.objects.count()
        for model in (Prompt, Candidate, RankingTask, Ranking, RankedCandidate)
    ]
    assert (again.prompts, again.rankings, again.known) == (0, 0, 7)


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": talk("A", "x"), "rejected": talk("B", "y")},
        {"chosen": talk("A", "x"), "rejected": talk("A", "x")},
        {"chosen": talk("A", "x"), "rejected": 5},
    ],
)
def test_transcripts_that_share_no_prompt_or_do_not_differ_are_bad(tmp_path, row):
    with pytest.raises(imports.BadFile, match="line 1"):
        bring(lines(tmp_path / "hh.jsonl", [row]), "hh-rlhf")


# TRL


def said(text):
    return [{"role": "assistant", "content": text}]


ASKED = [{"role": "user", "content": "Sky?"}]


@pytest.mark.parametrize(
    ("row", "format"),
    [
        ({"prompt": "Sky?", "chosen": "blue", "rejected": "green"}, "trl"),
        ({"prompt": ASKED, "chosen": said("blue"), "rejected": said("green")}, "trl"),
        ({"chosen": "Sky? blue", "rejected": "Sky? green"}, "trl-implicit"),
        ({"chosen": ASKED + said("blue"), "rejected": ASKED + said("green")}, "trl-implicit"),
    ],
)
def test_preferences_of_trl(tmp_path, row, format):
    file = lines(tmp_path / "trl.jsonl", [row])
    bring(file)

    assert imports.recognise(file) == format
    assert judged() == [("Sky?", "trl", {"blue": 1, "green": 2})]


def test_an_unpaired_answer_is_good_or_all_there_is_is_bad(tmp_path):
    rows = [
        {"prompt": "Sky?", "completion": "blue", "label": True},
        {"prompt": ASKED, "completion": said("green"), "label": False},
    ]
    bring(lines(tmp_path / "kto.jsonl", rows))

    assert judged() == [("Sky?", "trl", {"blue": 1}), ("Sky?", "trl", {"green": None})]
    assert list(Ranking.objects.order_by("pk").values_list("outcome", flat=True)) == [
        "ranked",
        "all_bad",
    ]


# Other tools


def test_comparisons_of_summaries_keep_worker_policy_and_split(tmp_path):
    row = {
        "info": {"id": "t3_1", "post": "I lost my keys.", "title": "Keys", "subreddit": "advice"},
        "summaries": [
            {"text": " Lost keys.", "policy": "sup1"},
            {"text": " Found keys.", "policy": "ref"},
        ],
        "choice": 1,
        "worker": "w7",
        "split": "valid1",
    }
    bring(lines(tmp_path / "tldr.jsonl", [row]), leave_out=["info.id"])

    [(asked, judge, ranks)] = judged()
    assert asked == "SUBREDDIT: r/advice\n\nTITLE: Keys\n\nPOST: I lost my keys.\n\nTL;DR:"
    assert (judge, ranks) == ("summarize-from-feedback w7", {"Lost keys.": 2, "Found keys.": 1})
    assert Prompt.objects.get().split == "validation"
    assert set(Candidate.objects.values_list("model_version__name", flat=True)) == {"sup1", "ref"}


def annotation(who, ranker, **fields):
    return {
        "completed_by": who,
        "result": [{"type": "ranker", "value": {"ranker": ranker}}],
    } | fields


def test_a_label_studio_export_is_one_list_and_its_buckets_are_tiers(tmp_path):
    items = [{"id": name, "title": name, "body": f"answer {name}"} for name in "abc"]
    exported = [
        {
            "id": 1,
            "data": {"prompt": "Sky?", "items": items},
            "annotations": [
                annotation(4, {"rank": ["b", "a", "c"]}),
                annotation({"id": 5, "email": "e@example.org"}, {"good": ["a"], "bad": ["b", "c"]}),
                annotation(6, {"good": ["a"], "bad": ["c"], "_": ["b"]}),
                annotation(7, {"rank": ["a", "b", "c"]}, was_cancelled=True),
            ],
        }
    ]
    file = tmp_path / "export.json"
    file.write_text(json.dumps(exported, indent=1))
    bring(file, leave_out=["id", "annotations[*].result[*].type"])

    assert imports.recognise(file) == "label-studio"
    assert judged() == [
        ("Sky?", "label-studio 4", {"answer b": 1, "answer a": 2, "answer c": 3}),
        ("Sky?", "label-studio e@example.org", {"answer a": 1, "answer b": 2, "answer c": 2}),
        ("Sky?", "label-studio 6", {"answer a": 1, "answer c": 2}),
    ]
    assert RankingTask.objects.count() == 2, "one for each set of answers that was ranked"


def ranker_task(*annotations, **data):
    items = [{"id": name, "body": f"answer {name}"} for name in "ab"]
    return {"data": {"prompt": "Sky?", "items": items} | data, "annotations": list(annotations)}


def imported(tmp_path, project, *tasks):
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps(tasks))
    bring(file, project=project)


def test_the_seconds_of_label_studio_are_kept_and_make_no_other_row(tmp_path, project):
    """Earlier versions did not read them: the same export is known again."""
    placed = annotation(4, {"1": ["a"], "2": ["b"]})
    imported(tmp_path, project, ranker_task(placed | {"lead_time": 12.34}))
    imported(tmp_path, project, ranker_task(placed))
    imported(tmp_path, project, ranker_task(placed | {"lead_time": 99}))

    assert list(Ranking.objects.values_list("seconds", flat=True)) == [12.34]


def test_annotators_whom_label_studio_does_not_name_are_different_ones(tmp_path, project):
    nobody = [annotation(None, {"1": [first], "2": [second]}) for first, second in ("ab", "ba")]
    imported(tmp_path, project, ranker_task(*nobody))

    assert [judge for _asked, judge, _ranks in judged()] == [
        "label-studio annotation 1",
        "label-studio annotation 2",
    ]
    assert RankingTask.objects.count() == 1
    assert set(Judge.objects.filter(account=None).values_list("kind", flat=True)) == {"unknown"}


def test_answers_that_nobody_ranked_in_label_studio_wait_for_a_ranking(tmp_path, project):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    asked = [*turns, {"role": "user", "content": "Sky?"}]
    imported(tmp_path, project, ranker_task(messages=asked))

    assert RankingTask.objects.get().free_places > 0
    assert Prompt.objects.get().messages == asked


RANKED = [
    {"value": "response-1", "rank": 2},
    {"value": "response-2", "rank": 1},
    {"value": "response-3", "rank": 2},
]


@pytest.mark.parametrize(
    "responses",
    [
        {
            "preference": [
                {"user_id": "u1", "value": RANKED},
                {"user_id": "u2", "value": RANKED, "status": "draft"},
            ]
        },
        [
            {
                "user_id": "u1",
                "status": "submitted",
                "values": {"preference": {"value": RANKED}, "note": {"value": "x"}},
            }
        ],
    ],
)
def test_argilla_s_rankings_keep_their_ties(tmp_path, responses):
    fields = {"prompt": "Sky?", "response-1": "green", "response-2": "blue", "response-3": "red"}
    bring(
        lines(tmp_path / "argilla.jsonl", [{"id": "r1", "fields": fields, "responses": responses}]),
        leave_out=["id", "responses[*].values.note"],
    )

    assert judged() == [("Sky?", "argilla u1", {"green": 2, "blue": 1, "red": 2})]


def test_predictions_of_several_models_become_one_set_to_rank(tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    for model, text in {"ada": "Short.", "babbage": "Shorter."}.items():
        lines(
            folder / f"{model}.jsonl",
            [{"instruction": "Shorten.\n", "input": "A text", "response": text}],
        )
    project = make_project(overlap=2)
    found = bring(folder, project=project)

    task = RankingTask.objects.get()
    assert (found.prompts, found.answers) == (1, 2)
    assert {one.model_version.name: one.text for one in task.candidates.all()} == {
        "ada": "Short.",
        "babbage": "Shorter.",
    }
    assert (task.free_places, task.sort_key is not None) == (2, True), "people can rank it"
    assert (bring(folder, project=project).known, Candidate.objects.count()) == (2, 2)


# Podium's own


def test_answers_may_be_judged_by_several_people(tmp_path):
    row = {
        "prompt": "Sky?",
        "answers": ["blue", "green"],
        "judgments": [
            {"labeler": "ann", "ranks": [1, 2]},
            {"labeler": "ben", "ranks": [1, 1]},
        ],
    }
    bring(lines(tmp_path / "own.jsonl", [row]))

    assert judged() == [
        ("Sky?", "ann", {"blue": 1, "green": 2}),
        ("Sky?", "ben", {"blue": 1, "green": 1}),
    ]
    assert RankingTask.objects.count() == 1


def test_the_prompts_page_names_who_judged_elsewhere(tmp_path, client_for, carol, project):
    row = {
        "prompt": "Sky?",
        "labeler": "Ann Elsewhere",
        "answers": [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}],
    }
    bring(lines(tmp_path / "own.jsonl", [row]), project=project)
    page = one_line(client_for(carol).get(f"/p/demo/prompts/{Prompt.objects.get().pk}/"))

    assert "Ann Elsewhere <small>imported</small>" in page


def test_a_table_brings_prompts_answers_and_ranks(tmp_path):
    file = tmp_path / "table.csv"
    with open(file, "w", newline="", encoding="utf-8-sig") as out:
        writer = csv.writer(out)
        writer.writerow(["prompt", "use_case", "answer_1", "rank_1", "answer_2", "rank_2"])
        writer.writerow(["Sky,\nwhy?", "open qa", "blue", "1", "green", "2"])
        writer.writerow(["Sea?", "", "", "", "", ""])
    found = bring(file)

    assert (found.prompts, found.rankings) == (2, 1)
    assert judged() == [("Sky,\nwhy?", "imported", {"blue": 1, "green": 2})]


def test_parquet_comes_in_by_batches(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rows = [
        {"prompt": f"Number {n}?", "demonstration": "Yes." if n == 3 else None} for n in range(1200)
    ]
    parquet.write_table(
        pa.Table.from_pylist(rows), tmp_path / "prompts.parquet", row_group_size=400
    )

    assert bring(tmp_path / "prompts.parquet").prompts == 1200
    assert Demonstration.objects.get().prompt.last_turn == "Number 3?"


def test_a_packed_file_is_unpacked_on_the_way(tmp_path):
    file = tmp_path / "lottery.jsonl.gz"
    file.write_bytes(gzip.compress(b'"What is yeast?"\n"Where is Rome?"\n'))

    assert (imports.recognise(file), bring(file).prompts) == ("prompts", 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PAR1 and no more", "not Parquet"),
        (b'[{"prompt": "x"}, {"prompt"', "not JSON"),
        (gzip.compress(b" " * 10**7, mtime=0), "times as large"),
        (gzip.compress(b'"x"\n', mtime=0)[:-9], "can't be read"),
        (b"prompt,split\nx,test,more\n", "more cells"),
        (b"prompt,split\n\x81,test\n", "line 2: .* no character of Windows-1252"),
    ],
)
def test_a_file_that_breaks_off_says_where(tmp_path, content, reason):
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(imports.BadFile, match=reason):
        bring(tmp_path / "file", "prompts")


def test_bad_rows_are_written_to_a_file_where_they_may_be_skipped(tmp_path):
    (tmp_path / "file.jsonl").write_text(
        '{"prompt": "Sky?"}\n{"prompt": "", "x": "\\ud800"}\n{"prompt": "Sea?"}\nodd'
    )
    found = bring(tmp_path / "file.jsonl", skip_bad=tmp_path / "bad.jsonl")

    assert (found.prompts, found.bad, found.cleaned) == (2, 2, {"characters": 1})
    empty, odd = map(json.loads, (tmp_path / "bad.jsonl").read_text().splitlines())
    assert (empty["line"], empty["row"]) == (2, {"prompt": "", "x": "?"})
    assert "content" in empty["reason"]
    assert (odd["line"], odd["row"]) == (4, "odd")


def test_a_killed_import_of_judgments_is_finished_without_repeats(tmp_path, monkeypatch):
    monkeypatch.setattr(imports.store, "INSERTED", 2)
    file = lines(tmp_path / "hh.jsonl", TRAPS)
    job = jobs.request(None, make_project(), "import", {"format": "hh-rlhf"})
    beats = iter(range(3))

    def die(done, total):
        if next(beats) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imports.run(job, file, beat=die)
    assert Ranking.objects.exists()
    imports.run(job, file)
    again = imports.run(job, file)  # killed once more, just before its end was noted

    assert (again.prompts, again.rankings, again.known) == (5, 7, 0)
    assert (Ranking.objects.count(), Candidate.objects.count()) == (7, 14)
    assert not Prompt.objects.filter(published=False).exists()


def test_judgments_on_a_prompt_in_sight_count_only_once_all_of_the_file_is_in(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(imports.store, "INSERTED", 2)
    project = make_project()
    bring(lines(tmp_path / "one.jsonl", [{"prompt": "Hi"}]), project=project)
    job = jobs.request(None, project, "import", {"format": "hh-rlhf"})
    seen = []
    imports.run(
        job, lines(tmp_path / "hh.jsonl", TRAPS), lambda done, total: seen.append(current(job))
    )

    assert seen[0] == 0
    assert current(job) == 3


def current(job):
    hello = Ranking.objects.filter(task__job=job, task__prompt__job__lt=job.pk)
    return hello.filter(current=True).count()
