"""Which tasks the rows of a file make: one or several of a row, whole lists, parts of long ones."""

import gc
from contextlib import nullcontext

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from labeling import imports
from labeling.exports import freeze
from labeling.imports import store
from labeling.imports.formats import FORMATS
from labeling.models import Candidate, ImportedRow, Prompt, Ranking, RankingTask
from labeling.quality import adjudication
from labeling.queue import claims
from modelops import datasets, jobs, rows
from tests.factories import make_job, make_project, make_prompt
from tests.labeling.imports.test_formats import annotation, bring, judged, lines
from tests.migrations import migrated_back

ABC = [{"text": text, "model": "m"} for text in "abc"]


def answers_of(task: RankingTask) -> list[str]:
    return sorted(task.candidates.values_list("text", flat=True))


# Several tasks of one row


CYCLE = [
    {"labeler": "ann", "answers": [0, 1], "ranks": [1, 2]},
    {"labeler": "ann", "answers": [1, 2], "ranks": [1, 2]},
    {"labeler": "ann", "answers": [0, 2], "ranks": [2, 1]},
    {"labeler": "ben", "answers": [1, 0], "ranks": [1, 2]},
]


@pytest.fixture
def cycle(tmp_path, project):
    """Somebody finds a better than b, b than c, and c than a; somebody else b better than a."""
    row = {"prompt": "Sky?", "answers": ABC, "judgments": CYCLE}
    return bring(lines(tmp_path / "pairs.jsonl", [row]), project=project)


@pytest.mark.django_db
def test_judged_pairs_are_tasks_of_two_over_shared_answers(cycle, project):
    tasks = RankingTask.objects.order_by("row_position")

    assert [answers_of(task) for task in tasks] == [["a", "b"], ["b", "c"], ["a", "c"]]
    assert [task.row_position for task in tasks] == [0, 1, 2]
    assert len({task.row_id for task in tasks}) == 1
    assert sorted(judged(), key=str) == [
        ("Sky?", "ann", {"a": 1, "b": 2}),
        ("Sky?", "ann", {"a": 2, "c": 1}),
        ("Sky?", "ann", {"b": 1, "c": 2}),
        ("Sky?", "ben", {"a": 2, "b": 1}),
    ]
    assert Candidate.objects.count() == cycle.answers == 3
    assert cycle.rankings == 4


@pytest.mark.django_db
def test_each_judged_pair_is_frozen_as_a_row(cycle, project):
    frozen = list(rows.read(datasets.path(freeze.freeze_now(None, project))))
    pairs = sorted([answer["text"] for answer in row["answers"]] for row in frozen)

    assert pairs == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert {row["prompt_id"] for row in frozen} == {frozen[0]["prompt_id"]}
    assert sum(len(rows.row_pairs(row)) for row in frozen) == 4


@pytest.mark.django_db
def test_annotators_of_label_studio_who_ranked_different_answers_share_them(tmp_path):
    items = [{"id": name, "body": f"answer {name}"} for name in "abcd"]
    annotations = [
        annotation(1, {"rank": ["b", "a"]}),
        annotation(2, {"rank": ["c", "b"]}),
        annotation(3, {"rank": ["a", "c"]}),
        annotation(1, {"rank": ["a", "b"]}),  # once more, the other way round
    ]
    row = {"data": {"prompt": "Sky?", "items": items}, "annotations": annotations}
    file = lines(tmp_path / "export.jsonl", [row])
    counted = bring(file, leave_out=["annotations[*].result[*].type"])

    assert [answers_of(task) for task in RankingTask.objects.order_by("row_position")] == [
        ["answer a", "answer b"],
        ["answer b", "answer c"],
        ["answer a", "answer c"],
        ["answer a", "answer b"],
    ]
    assert Candidate.objects.count() == counted.answers == 4, "also d, which nobody ranked"
    assert Ranking.objects.count() == counted.rankings == 4


BAD_POSITIONS = {
    "beyond the answers": [0, 3],
    "below zero": [-1, 0],
    "twice": [1, 1],
    "a truth value": [0, True],
    "a text": "01",
    "alone": [1],
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", BAD_POSITIONS)
def test_a_judgment_of_answers_that_are_not_there_is_bad(tmp_path, name):
    judgment = {"labeler": "ann", "answers": BAD_POSITIONS[name], "ranks": [1, 2]}
    row = {"prompt": "Sky?", "answers": ABC, "judgments": [judgment]}

    with pytest.raises(imports.BadFile, match="line 1"):
        bring(lines(tmp_path / "pairs.jsonl", [row]))


@pytest.mark.django_db
def test_one_labeler_judges_the_same_answers_of_a_row_once(tmp_path):
    twice = [CYCLE[0], CYCLE[0] | {"answers": [1, 0]}]
    row = {"prompt": "Sky?", "answers": ABC, "judgments": twice}

    with pytest.raises(imports.BadFile, match="one labeler judges the same answers"):
        bring(lines(tmp_path / "pairs.jsonl", [row]))


@pytest.mark.django_db
def test_the_page_of_a_check_shows_each_rank_beside_its_answer():
    from labeling.templatetags.answers import rank_of

    [entry] = FORMATS["prompts"].read({"prompt": "?", "answers": ABC, "judgments": CYCLE}, "")
    shown = [[rank_of(judgment, place) for place in range(3)] for judgment in entry.judgments]

    assert shown == [[1, 2, None], [None, 1, 2], [2, None, 1], [2, 1, None]]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "of_row"),
    [
        ("a_row_makes_one_task_at_a_position", True),
        ("a_job_makes_one_task_of_a_prompt_at_a_position", False),
    ],
)
def test_the_database_refuses_two_tasks_at_one_position(project, constraint, of_row):
    job, prompt = make_job(project, "import"), make_prompt(project)
    row = ImportedRow.objects.create(project=project, job=job, digest="0" * 64, place="1")
    fields = {"project": project, "prompt": prompt, "job": job, "row": row if of_row else None}
    for position in (0, 1):
        RankingTask.objects.create(**fields, row_position=position)

    column = "row_id" if of_row else "job_id"
    with pytest.raises(IntegrityError, match=f"{constraint}|{column}"), transaction.atomic():
        RankingTask.objects.create(**fields, row_position=1)


# Rows that share answers


def frozen_row(prompt: str, texts: list[str], **answer) -> dict:
    messages = [{"role": "user", "content": prompt}]
    answers = [
        {"id": place, "text": text, "model": "m", "finish_reason": "", "tokens": 1} | answer
        for place, text in enumerate(texts)
    ]
    judgment = {"labeler": 0, "kind": "imported", "outcome": "ranked", "weight": 1.0}
    judgment |= {"ranks": list(range(1, len(texts) + 1)), "ratings": [None] * len(texts)}
    judgment |= {"flags": [[] for _ in texts], "strength": None, "seconds": 0.0}
    return {
        "prompt_id": rows.digest(messages),
        "messages": messages,
        "split": "train",
        "use_case": "",
        "language": "",
        "answers": answers,
        "judgments": [judgment],
    }


@pytest.mark.django_db
@pytest.mark.parametrize("batch", [1, 500])
def test_frozen_rows_of_one_prompt_share_the_answers_that_say_the_same(
    tmp_path, monkeypatch, batch
):
    monkeypatch.setattr(store, "INSERTED", batch)
    file = [
        frozen_row("Sky?", ["a", "b"]),
        frozen_row("Sky?", ["b", "c"]),
        frozen_row("Sky?", ["b", "b"]),  # twice in one row: two answers
        frozen_row("Sky?", ["a", "b"], tokens=2),  # drawn another time
        frozen_row("Sea?", ["a", "b"]),
    ]
    counted = bring(lines(tmp_path / "rows.jsonl", file), "rows")
    given = Candidate.objects.order_by("prompt", "slot").values_list("text", "tokens", "slot")

    assert list(given) == [
        ("a", 1, 0),
        ("b", 1, 1),
        ("c", 1, 2),
        ("b", 1, 3),
        ("a", 2, 4),
        ("b", 2, 5),
        ("a", 1, 0),
        ("b", 1, 1),
    ]
    assert [answers_of(task) for task in RankingTask.objects.order_by("pk")] == [
        ["a", "b"],
        ["b", "c"],
        ["b", "b"],
        ["a", "b"],
        ["a", "b"],
    ]
    assert counted.answers == 8


# Long lists


@pytest.fixture
def long_list(tmp_path, project):
    """A hundred answers that two people have ranked, in opposite orders."""
    answers = [{"text": f"answer {n:02}", "model": "m"} for n in range(100)]
    ranks = {"ann": list(range(1, 101)), "ben": list(range(100, 0, -1))}
    judgments = [{"labeler": name, "ranks": given} for name, given in ranks.items()]
    row = {"prompt": "Sky?", "answers": answers, "judgments": judgments}
    bring(lines(tmp_path / "long.jsonl", [row]), project=project)
    return RankingTask.objects.get()


@pytest.mark.django_db
def test_a_judged_list_of_a_hundred_is_kept_whole_and_never_offered(long_list, project, alice):
    assert long_list.candidates.count() == 100
    assert (long_list.free_places, long_list.sort_key) == (0, None)
    assert claims.next_for(alice.memberships.get()) is None

    [row] = rows.read(datasets.path(freeze.freeze_now(None, project)))
    assert [judgment["ranks"][41] for judgment in row["judgments"]] in ([42, 59], [59, 42])
    assert row["answers"][41]["text"] == "answer 41"


@pytest.mark.django_db
def test_nobody_is_asked_to_rank_a_hundred_answers(long_list, project, carol, client_for):
    browser = client_for(carol)
    at = reverse("task-gold", args=["demo", long_list.pk])
    prompt = f"/p/demo/prompts/{long_list.prompt_id}/"

    assert adjudication.disputes(project, carol) == [], "though two people disagree"
    assert at not in browser.get(prompt).content.decode()
    response = browser.get(at, follow=True)
    assert response.redirect_chain[-1][0] == prompt
    assert "at most 9 answers" in response.content.decode()


@pytest.mark.django_db
def test_the_api_shows_all_of_a_hundred_answers_and_asks_for_none(long_list, carol, client_for):
    browser, at = client_for(carol), "/api/v1/projects/demo/"
    task = browser.get(f"{at}tasks/{long_list.pk}").json()
    letters = [answer["letter"] for answer in task["answers"]]
    gold = browser.post(
        f"{at}tasks/{long_list.pk}/gold", {"order": "A>B"}, content_type="application/json"
    )
    [first, _second] = Ranking.objects.order_by("pk")
    ranking = browser.get(f"{at}rankings/{first.pk}").json()

    assert (letters[:2], letters[25:28], letters[99]) == (["A", "B"], ["Z", "AA", "AB"], "CV")
    assert gold.status_code == 409
    assert ranking["order"].split(">") == letters, "ann ranked them as they are"
    assert ranking["answers"][99] == {"letter": "CV", "text": "answer 99"}
    assert browser.get(f"{at}tasks/{long_list.pk}/settle").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("format", ["prompts", "label-studio"])
def test_more_than_a_hundred_answers_are_a_bad_row_in_any_format(tmp_path, format):
    items = [{"id": str(n), "body": f"answer {n}"} for n in range(101)]
    placed = annotation(1, {"rank": [item["id"] for item in items]})
    row = {
        "prompts": {"prompt": "Sky?", "answers": [item["body"] for item in items]},
        "label-studio": {"data": {"prompt": "Sky?", "items": items}, "annotations": [placed]},
    }[format]

    with pytest.raises(imports.BadFile, match="100 answers"):
        bring(lines(tmp_path / "long.jsonl", [row]))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("count", "sizes"),
    [(2, [2]), (9, [9]), (10, [5, 5]), (19, [6, 6, 7]), (100, [8] * 8 + [9] * 4)],
)
def test_unjudged_answers_become_tasks_that_cover_all_of_them(tmp_path, count, sizes):
    texts = [f"answer {n:02}" for n in range(count)]
    project = make_project(overlap=2)
    bring(lines(tmp_path / "long.jsonl", [{"prompt": "?", "answers": texts}]), project=project)
    tasks = RankingTask.objects.order_by("row_position")

    assert sorted(task.candidates.count() for task in tasks) == sorted(sizes)
    assert [text for task in tasks for text in answers_of(task)] == texts
    assert all(task.free_places == 2 and task.sort_key is not None for task in tasks)


@pytest.mark.django_db
def test_answers_of_many_rows_to_one_prompt_become_tasks_that_cover_all(tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    for n in range(12):
        lines(folder / f"model-{n:02}.jsonl", [{"instruction": "Shorten.", "response": f"{n}"}])
    bring(folder)

    assert [task.candidates.count() for task in RankingTask.objects.all()] == [6, 6]
    assert not Candidate.objects.filter(tasks=None).exists()


@pytest.mark.django_db
def test_tasks_of_long_lists_are_built_once_and_a_few_prompts_at_a_time(
    tmp_path, monkeypatch, project
):
    """A prompt's tasks come together, so that an import that was killed goes on after them."""
    built = []
    build = store.Writer._build
    monkeypatch.setattr(
        store.Writer, "_build", lambda self, pks: (built.append(len(pks)), build(self, pks))
    )
    file = [{"prompt": f"What is {n % 12}?", "answers": [f"{n}"]} for n in range(12 * 90)]
    bring(lines(tmp_path / "long.jsonl", file), project=project, near=False, prefixes=False)
    store.Writer(RankingTask.objects.first().job).build_tasks(lambda done, total: None, 0)

    assert built == [5, 5, 2], "at most 500 answers"
    assert RankingTask.objects.count() == 12 * 10


# Rows without judgments stay the tasks that the file has


def tasks_of(texts: str = "") -> list[list[str]]:
    tasks = RankingTask.objects.filter(prompt__messages__0__content__startswith=texts)
    return [answers_of(task) for task in tasks.order_by("pk")]


@pytest.mark.django_db
@pytest.mark.parametrize("batch", [40, 2500])
def test_unjudged_pairs_of_one_prompt_stay_the_pairs_of_the_file(tmp_path, monkeypatch, batch):
    """999 pairs of 170 prompts are 999 tasks to rank."""
    monkeypatch.setattr(store, "INSERTED", batch)
    pairs = [{"prompt": f"{n % 170}?", "answers": [f"{n} a", f"{n} b"]} for n in range(999)]
    project = make_project(overlap=2)
    bring(lines(tmp_path / "pairs.jsonl", pairs), project=project, near=False, prefixes=False)
    tasks = RankingTask.objects.prefetch_related("candidates")

    assert sorted(answers_of_fetched(task) for task in tasks) == sorted(
        row["answers"] for row in pairs
    )
    assert all(task.row_id is None and task.free_places == 2 for task in tasks)
    assert all(task.sort_key is not None for task in tasks)
    assert Candidate.objects.count() == 1998


def answers_of_fetched(task: RankingTask) -> list[str]:
    return sorted(answer.text for answer in task.candidates.all())


@pytest.mark.django_db
def test_rows_of_one_prompt_with_lists_of_any_length_cover_all_answers(tmp_path):
    rows_of_file = [
        {"prompt": "?", "answers": ["a", "b"]},
        {"prompt": "?", "answers": [f"c{n:02}" for n in range(10)]},
        {"prompt": "?", "answers": ["d"]},
        {"prompt": "?", "answers": ["e"]},
        {"prompt": "?", "answers": ABC, "judgments": [JUDGED_ALL]},
        {"prompt": "?", "answers": [f"f{n}" for n in range(3)]},
    ]
    bring(lines(tmp_path / "lists.jsonl", rows_of_file))

    assert sorted(tasks_of()) == [
        ["a", "b"],
        ["a", "b", "c"],
        [f"c{n:02}" for n in range(5)],
        [f"c{n:02}" for n in range(5, 10)],
        ["d", "e"],
        ["f0", "f1", "f2"],
    ]
    positions = RankingTask.objects.filter(row=None).values_list("row_position", flat=True)
    assert sorted(positions) == [0, 1, 2, 3, 4]
    assert not Candidate.objects.filter(tasks=None).exists()


@pytest.mark.django_db
def test_what_nobody_judged_of_a_row_is_a_task_to_rank(tmp_path):
    judgment = {"labeler": "ann", "answers": [0, 3], "ranks": [1, 2]}
    four = [*ABC, {"text": "d", "model": "m"}]
    bring(lines(tmp_path / "r.jsonl", [{"prompt": "?", "answers": four, "judgments": [judgment]}]))

    assert sorted(tasks_of()) == [["a", "d"], ["b", "c"]]
    assert RankingTask.objects.get(row=None).free_places == 1


@pytest.mark.django_db
def test_an_answer_that_is_alone_is_ranked_with_the_first_one_of_its_prompt(tmp_path):
    rows_of_file = [
        {"prompt": "pair?", "answers": ["a", "b"]},
        {"prompt": "pair?", "answers": ["c"]},
        {"prompt": "single?", "answers": ["d"]},
    ]
    bring(lines(tmp_path / "r.jsonl", rows_of_file))

    assert tasks_of() == [["a", "b"], ["a", "c"]]


@pytest.mark.django_db
def test_an_import_that_was_killed_makes_each_task_of_its_rows_once(tmp_path, project, monkeypatch):
    monkeypatch.setattr(store, "INSERTED", 1)
    pairs = [{"prompt": f"{n % 2}?", "answers": [f"{n} a", f"{n} b"]} for n in range(6)]
    file = lines(tmp_path / "pairs.jsonl", [*pairs, {"prompt": "0?", "answers": ["alone"]}])
    job = jobs.request(None, project, "import", {"near": False, "prefixes": False})
    publish = store.Writer.publish

    def die(done, total):
        if Candidate.objects.count() in (6, 7, 8):
            raise MemoryError

    with pytest.raises(MemoryError):
        imports.run(job, file, beat=die)
    monkeypatch.setattr(store.Writer, "publish", die_at_publishing)
    with pytest.raises(MemoryError):
        imports.run(job, file)
    monkeypatch.setattr(store.Writer, "publish", publish)
    imports.run(job, file)

    assert sorted(tasks_of()) == sorted([["0 a", "alone"], *(row["answers"] for row in pairs)])


def die_at_publishing(*about):
    raise MemoryError


@given(st.lists(st.integers(), min_size=1), st.integers(2, 12))
def test_parts_are_few_and_of_nearly_one_size(items, most):
    parts = store.evenly(items, most)

    assert [item for part in parts for item in part] == items
    assert len(parts) == -(-len(items) // most)
    assert max(map(len, parts)) <= most
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


# The migration


BEFORE = ("labeling", "0020_project_rules")


@pytest.mark.django_db(transaction=True)
def test_tasks_keep_their_rows_through_the_migration_and_back(tmp_path):
    file = [{"prompt": f"{n}?", "answers": ABC, "judgments": [JUDGED_ALL]} for n in range(3)]
    bring(lines(tmp_path / "own.jsonl", [*file, {"prompt": "free?", "answers": ABC}]))
    kept = sorted(RankingTask.objects.values_list("pk", "row"), key=str)

    with migrated_back(BEFORE) as before:
        tasks_before = before.get_model("labeling", "RankingTask").objects
        assert sorted(tasks_before.values_list("pk", "row"), key=str) == kept
    assert sorted(RankingTask.objects.values_list("pk", "row"), key=str) == kept
    assert len(kept) == 4


JUDGED_ALL = {"labeler": "ann", "ranks": [1, 2, 3]}


@pytest.mark.django_db(transaction=True)
def test_the_way_back_refuses_tasks_that_the_version_before_can_not_hold(tmp_path):
    row = {"prompt": "Sky?", "answers": ABC, "judgments": CYCLE}
    bring(lines(tmp_path / "pairs.jsonl", [row]), project=make_project())

    with pytest.raises(RuntimeError, match="^2 tasks share a row"), migrated_back(BEFORE):
        pass
    assert RankingTask.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize("fails", [False, True])
def test_an_import_leaves_the_collector_of_cycles_as_it_was(tmp_path, project, monkeypatch, fails):
    before, during = gc.get_threshold(), []
    add = store.Writer.add

    def noted(*about):
        during.append(gc.get_threshold())
        if fails:
            raise MemoryError
        return add(*about)

    monkeypatch.setattr(store.Writer, "add", noted)
    with pytest.raises(jobs.JobFailed) if fails else nullcontext():
        bring(lines(tmp_path / "r.jsonl", [{"prompt": "?"}]))

    assert during[0] > before
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


@pytest.mark.django_db
def test_no_prompt_is_looked_at_for_answers_that_are_in_tasks_already(cycle):
    writer = store.Writer(RankingTask.objects.first().job)
    with CaptureQueriesContext(connection) as queries:
        writer.build_tasks(lambda done, total: None, 0)

    assert len(queries) == 1
    assert Prompt._meta.db_table not in queries[0]["sql"]
