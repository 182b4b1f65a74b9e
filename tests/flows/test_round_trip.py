"""What people and models said goes out as `rows` and comes back into an empty project.

Each case makes something, freezes it, downloads the rows, imports that file into an empty project
and freezes again: both datasets hold the same rows, but for what `lost` says of the case.

To add a case: a function that makes something in a World (through the API where it can), decorated
with @case and what the first import changes.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling import imports
from labeling.imports.files import Row
from labeling.imports.formats.rows import read_row
from labeling.imports.sources import Source
from labeling.judging.criteria import keep_preset
from labeling.models import Candidate, Judge, Prompt, Ranking, RankingTask, Score, Span
from modelops import datasets, jobs, rows
from modelops.models import Dataset, Job
from people.models import Project, User
from tests.factories import (
    ANSWER_TURNS,
    TOOL_TURNS,
    make_person,
    make_project,
    make_ranking,
    make_task,
)
from tests.labeling.api.hands import Hands
from tests.row_schema import faults
from workers import dataset_jobs

pytestmark = pytest.mark.django_db

VERBATIM = dict.fromkeys(("near", "prefixes", "languages", "personal"), False)


@dataclass
class World:
    """A project with its people at work through the API."""

    client_for: Callable
    project: Project
    names: dict[str, User] = field(default_factory=dict)

    @cached_property
    def admin(self) -> Hands:
        return self.hands("carol", "admin")

    def hands(self, name: str, role: str = "labeler", **fields) -> Hands:
        if name not in self.names:
            self.names[name] = make_person(self.project, role, f"{name}-{self.project.slug}")
            User.objects.filter(pk=self.names[name].pk).update(**fields)
        return Hands(self.client_for(self.names[name]), self.project.slug)

    def person(self, name: str) -> User:
        self.hands(name)
        return self.names[name]

    def set(self, **fields) -> None:
        """Change the project's settings."""
        for name, value in fields.items():
            setattr(self.project.rules, name, value)
        self.project.rules.save(update_fields=list(fields))

    def add(self, *prompts: dict) -> None:
        """Add prompts, unchanged."""
        response = self.admin.post("prompts", {"prompts": prompts, "cleaning": VERBATIM})
        assert (response.status_code, response.json()["refused"]) == (201, []), response.content

    def freeze(self, **chosen) -> Dataset:
        self.admin.post("datasets", {"apart": False} | chosen)
        return Dataset.objects.get(pk=work().result["dataset"])

    def download(self, dataset: Dataset) -> SimpleUploadedFile:
        response = self.admin.get(f"datasets/{dataset.pk}/download", format="rows")
        name = response["Content-Disposition"].partition('filename="')[2].rstrip('"')
        return SimpleUploadedFile(name, b"".join(response.streaming_content))

    def ask(self, key: str, **fields) -> None:
        """Add a criterion."""
        response = self.admin.post("criteria", {"key": key, "question": f"{key}?"} | fields)
        assert response.status_code == 201, response.content

    def ask_otherwise(self, key: str, **fields) -> None:
        """Make the next revision of a criterion."""
        path = f"{self.admin.at}criteria/{key}"
        response = self.admin.client.patch(
            path, fields, content_type="application/json", headers={"If-Match": "*"}
        )
        assert response.status_code == 200, response.content

    def ask_as(self, other: "World") -> None:
        """Copy the criteria of another project in all their revisions."""
        criteria = other.admin.get("criteria", limit=100).json()["results"]
        for criterion in sorted(criteria, key=lambda criterion: criterion["revision"]):
            names = ("scope", "kind", "question", "labels", "required")
            add = self.ask if criterion["revision"] == 1 else self.ask_otherwise
            if not criterion["preset"]:
                add(criterion["key"], **{name: criterion[name] for name in names})

    def check(self, file: SimpleUploadedFile) -> Job:
        """Upload and check a file, as it looks."""
        response = self.admin.client.post(f"{self.admin.at}imports", {"file": file})
        assert response.status_code == 202, response.content
        return work()

    def bring(self, file: SimpleUploadedFile, format: str = "rows") -> Job:
        """Upload, check and import a file, as it looks."""
        checked = self.check(file)
        assert checked.recipe["format"] == format
        assert checked.result["check"]["bad_lines"] == []
        self.admin.post(f"imports/{checked.pk}/confirm", VERBATIM)
        return work()


def work() -> Job:
    """Run the job that waits."""
    waiting = Job.objects.get(state="queued")
    claimed = jobs.claim(waiting.pk, {waiting.kind})
    with jobs.running(claimed):
        dataset_jobs.run(claimed)
    waiting.refresh_from_db()
    return waiting


@dataclass(frozen=True)
class Case:
    make: Callable[[World], None]
    lost: Callable[[dict], None]  # changes a row of the first dataset to what comes back
    freeze: dict


CASES: dict[str, Case] = {}


def imported(row: dict) -> None:
    """Whoever judged, it was elsewhere."""
    for judgment in row["judgments"]:
        judgment["kind"] = "imported"


def nothing(row: dict) -> None:
    """Everything comes back."""


def case(lost: Callable[[dict], None] = imported, **freeze):
    """Add a case; `freeze` are settings of its freezes."""

    def add(make: Callable[[World], None]) -> Callable[[World], None]:
        CASES[make.__name__] = Case(make, lost, freeze)
        return make

    return add


# The cases


SKY = {"prompt": "Why is the sky blue?", "split": "test", "use_case": "open qa", "language": "en"}
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "Write a haiku about \u6d77 and \U0001f30a."},
]


@case()
def rankings_with_ties_ratings_and_flags(world):
    world.set(overlap=2)
    world.add(SKY | {"answers": ["Rayleigh.", "Magic.", "Because.", "It is not."]})
    world.add({"messages": TURNS, "answers": ["Waves.", "Sand.", "Salt.", "Waves."]})
    flags = {"C": ["opinion", "hallucination"]}
    for name, order in {"ann": "B>A=C>D", "ben": "D>C>B>A"}.items():
        hands = world.hands(name)
        hands.rank(order=order, ratings={"A": 2, "B": 7}, flags=flags, seconds=12.34)
        hands.rank(order="A=B=C=D" if name == "ann" else order)


@case()
def turns_of_tools_and_contents_in_parts(world):
    calling = [*TOOL_TURNS[:3], {"role": "tool", "content": ""}]
    world.add({"messages": TOOL_TURNS, "answers": ["Warm.", "Hot."]})
    world.add({"messages": calling, "answers": ["Warm.", "Hot."]})
    world.hands("ann").rank(order="A>B")
    world.hands("ann").rank(order="B>A")


@case()
def answers_of_several_turns(world):
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "31."}]}]
    calling = [ANSWER_TURNS[0]]
    turns = [{"messages": messages} for messages in (ANSWER_TURNS, parts, calling)]
    world.add(SKY | {"answers": [*turns, "31."]})
    world.hands("ann").rank(order="C>B=A>D")


@case(nothing, kind="prompts")
def prompts_with_tools(world):
    world.add({"messages": TOOL_TURNS}, {"messages": TOOL_TURNS[:2]})


KINDS = {
    "scale": ([{"value": -1, "label": "bad"}, {"value": 0, "label": ""}], [0, -1]),
    "yes-no": ([], [False, True]),
    "choice": (["warm \U0001f525", "cold"], ["cold", "warm \U0001f525"]),
    "text": ([], ["Because.\n\u00e9 \U0001f469\u200d\U0001f467", "7"]),
}


@case()
def scores_by_criteria_of_each_kind_and_scope(world):
    for kind, (labels, _values) in KINDS.items():
        for scope in ("answer", "ranking"):
            world.ask(f"{kind}-{scope}", kind=kind, scope=scope, labels=labels)
    world.set(overlap=2, rating=True)
    world.add(SKY | {"answers": ["Rayleigh.", "Magic.", "Rayleigh."]})
    of_answers = {f"{kind}-answer": values for kind, (_labels, values) in KINDS.items()}
    of_rankings = {f"{kind}-ranking": values[0] for kind, (_labels, values) in KINDS.items()}
    some = {name: {"A": value, "C": other} for name, (value, other) in of_answers.items()}
    world.hands("ann").rank(order="B>A=C", scores=some | of_rankings, ratings={"A": 7})
    lone = {"yes-no-answer": {"B": True}, "text-ranking": "Neither."}
    world.hands("ben").rank(order="", verdict="cannot_judge", scores=lone)


FAMILY = "so \U0001f469\u200d\U0001f469\u200d\U0001f467!"
MARKED = {
    FAMILY: [(0, 9, "all"), (3, 8, "family"), (3, 4, "family"), (3, 4, "\U0001f469"), (0, 9, "b")],
    "e\u0301a\u0308o": [(1, 2, "accent"), (0, 2, "letter"), (2, 5, "letter")],
    "plain": [],
}


@case()
def spans_over_emoji_and_combining_characters(world):
    world.add(SKY | {"answers": list(MARKED)})
    hands = world.hands("ann")
    spans = [
        {"answer": answer["letter"], "label": label, "start": start, "end": end}
        for answer in hands.claim()["answers"]
        for start, end, label in MARKED[answer["text"]]
    ]
    hands.rank(order="A>B>C", spans=spans)


@case()
def two_revisions_of_a_criterion(world):
    """And one that is retired, and asked again as its third revision."""
    world.ask("why", kind="text", scope="ranking")
    world.ask("tone", kind="yes-no")
    world.ask_otherwise("tone", required=True)
    world.admin.post("criteria/tone/retire")
    world.ask("tone", kind="choice", labels=["warm", "cold"])
    world.set(overlap=2)
    world.add(SKY | {"answers": ["Rayleigh.", "Magic."]})
    world.hands("ann").rank(order="A>B", scores={"why": "Physics."})
    world.ask_otherwise("why", kind="yes-no")
    world.hands("ben").rank(order="A>B", scores={"why@2": True, "tone@3": {"B": "cold"}})


@case()
def nothing_ranked(world):
    world.set(overlap=2)
    world.add(SKY | {"answers": ["Magic.", "Witches."]})
    world.hands("ann").rank(order="", verdict="all_bad", flags={"B": ["opinion"]})
    world.hands("ben").rank(order="", verdict="cannot_judge", ratings={"A": 4})


@case()
def strengths_of_two_answers(world):
    world.set(strength=True)
    for number in range(6):
        world.add({"prompt": f"What is {number} squared?", "answers": ["Much.", "Little."]})
        world.hands("ann").rank(order="", strength=3 - number % 4)


@case()
def answers_that_were_cut_and_prompts_read_in_part(world):
    task = make_task(world.project, ["cut", "whole"])
    task.candidates.filter(text="cut").update(finish_reason="length", tokens=64, truncated=True)
    task.candidates.filter(text="whole").update(finish_reason="stop", tokens=0)
    world.hands("ann").rank(order="B>A")


@case()
def equal_answers_of_one_task(world):
    task = make_task(world.project, ["same", "same", "other"])
    make_ranking(task, world.person("ann"), [3, 1, 2])


def imported_of_a_script(row: dict) -> None:
    imported(row)
    for judgment in row["judgments"]:
        judgment["judge_kind"] = "script"


@case(imported_of_a_script)
def the_judgment_of_a_script(world):
    world.add(SKY | {"answers": ["Rayleigh.", "Magic."]})
    world.hands("robot", simulated=True).rank(order="A>B")


@case()
def a_ranking_after_a_lead_s_answer(world):
    world.set(overlap=2)
    world.add(SKY | {"answers": ["Rayleigh.", "Magic."]})
    ann, lea = world.hands("ann"), world.hands("lea", "lead")
    place = ann.claim()["id"]
    thread = ann.post(f"assignments/{place}/thread", {"text": "Is a name enough?"}).json()["id"]
    lea.post(f"threads/{thread}/messages", {"text": "It is."})
    ann.rank(order="A>B")
    world.hands("ben").rank(order="B>A")


@case(adjudicated=True)
def what_a_lead_decided(world):
    ranking = make_ranking(make_task(world.project), world.person("lea"))
    Ranking.objects.filter(pk=ranking.pk).update(kind="adjudicated", seconds=3)


@case()
def good_and_bad_answers_without_a_partner(world):
    lines = [
        {"prompt": f"What is {n} + {n}?", "completion": f"{2 * n}", "label": n % 2 == 0}
        for n in range(4)
    ]
    world.bring(as_file("kto.jsonl", lines), "trl-unpaired")


@case()
def judgments_of_imported_labelers(world):
    ranks = {"ann": [1, 2, 2], "ben": [3, 2, 1]}
    judgments = [{"labeler": name, "ranks": given} for name, given in ranks.items()]
    world.add(SKY | {"answers": ["a", "b", "c"], "judgments": judgments})


@case()
def pairs_that_are_no_ranking(world):
    """Somebody finds a better than b, b than c, and c than a; others judged other pairs."""
    pairs = {"ann": [(0, 1), (1, 2), (2, 0)], "ben": [(1, 0)], "eve": [(2, 0)]}
    judgments = [
        {"labeler": name, "answers": pair, "ranks": [1, 2]}
        for name, judged in pairs.items()
        for pair in judged
    ]
    world.add(SKY | {"answers": ["a", "b", "c"], "judgments": judgments})


@case()
def a_judged_list_of_a_hundred(world):
    answers = [f"answer {n}" for n in range(100)]
    judgments = [{"labeler": "ann", "ranks": [1 + n * 37 % 100 for n in range(100)]}]
    world.add(SKY | {"answers": answers, "judgments": judgments})


@case()
def judgments_of_judges_of_each_kind(world):
    judgments = [
        {"labeler": f"the {kind}", "judge_kind": kind, "ranks": [2, 1]}
        for kind in ("person", "model", "script", "unknown")
    ]
    judgments += [{"labeler": "ann", "ranks": [1, 2]}]
    world.add(SKY | {"answers": ["a", "b"], "judgments": judgments})


@case(nothing, kind="demonstrations")
def demonstrations(world):
    world.add(SKY | {"demonstration": "Rayleigh."})
    world.add({"messages": TURNS, "demonstration": "Waves."})


@case(nothing, kind="prompts")
def prompts(world):
    world.add(SKY, {"messages": TURNS})


# What every case goes through


@pytest.mark.parametrize("name", CASES)
def test_the_same_rows_are_frozen_after_a_round_trip(client_for, name):
    case, first, second = CASES[name], *(World(client_for, make_project()) for _ in range(2))
    case.make(first)
    second.ask_as(first)
    before = first.freeze(**case.freeze)
    result = second.bring(first.download(before)).result
    after = second.freeze(kind=before.kind)

    assert result["cleaned"] == {}, "nothing is changed or left out on the way"
    expected = list(rows.read(datasets.path(before)))
    for row in expected:
        case.lost(row)
    returned = list(rows.read(datasets.path(after)))
    assert [fault for row in expected + returned for fault in faults(row, before.kind)] == []
    assert without_numbers(returned) == without_numbers(expected)


def without_numbers(frozen: list[dict]) -> tuple[list, list]:
    """The rows without their labelers' numbers, which are given anew; and each labeler's
    judgments.
    """
    frozen, labelers = copy.deepcopy(frozen), {}
    for row in frozen:
        judgments = row.get("judgments", [])
        for judgment in judgments:
            by = labelers.setdefault(judgment.pop("labeler"), [])
            by.append([row["prompt_id"], row["answers"], rows.canonical(judgment)])
        judgments.sort(key=rows.canonical)
    work = [sorted(by, key=rows.canonical) for by in labelers.values()]
    return sorted(frozen, key=rows.canonical), sorted(work, key=rows.canonical)


@pytest.mark.parametrize("file", ["jsonl", "parquet"])
def test_scores_and_spans_are_stored_as_they_were_said(client_for, file):
    first, second = (World(client_for, make_project()) for _ in range(2))
    scores_by_criteria_of_each_kind_and_scope(first)
    spans_over_emoji_and_combining_characters(first)
    second.ask_as(first)
    before = first.freeze()
    downloaded = first.download(before)
    if file == "parquet":
        content = (datasets.path(before) / "test.parquet").read_bytes()
        downloaded = SimpleUploadedFile("rows.parquet", content)
    second.bring(downloaded)

    assert said_in(second) == said_in(first)
    texts = {
        (span.label, span.candidate.text[span.start : span.end])
        for span in Span.objects.filter(ranking__task__project=second.project)
    }
    assert ("family", FAMILY[3:8]) in texts
    assert ("accent", "\u0301") in texts
    assert len(texts) == sum(map(len, MARKED.values()))


def said_in(world: World) -> tuple[list, list]:
    """The scores and spans in the project's database, as texts."""
    of_project = {"ranking__task__project": world.project}
    scores = Score.objects.filter(**of_project).select_related("criterion", "candidate")
    spans = Span.objects.filter(**of_project).select_related("candidate")
    return (
        sorted(
            f"{score.criterion.name} {score.candidate and score.candidate.text} {score.value!r}"
            for score in scores
        ),
        sorted(f"{span.candidate.text} {span.label} {span.start} {span.end}" for span in spans),
    )


def test_more_scores_and_spans_take_no_more_queries(client_for):
    """A batch of one row and a batch of fifteen, each of a labeler of its own."""
    counted = []
    for number in (1, 15):
        world = World(client_for, make_project())
        world.ask("true", kind="yes-no")
        said = {"scores": {"true": [True, False]}, "spans": [SPAN, SPAN | {"answer": 0, "end": 3}]}
        lines = [row_of(f"What is {n}?", **said) for n in range(number)]
        checked = world.check(as_file(f"rows-{number}.jsonl", lines))
        world.admin.post(f"imports/{checked.pk}/confirm", VERBATIM)
        with CaptureQueriesContext(connection) as queries:
            work()
        assert Score.objects.filter(criterion__project=world.project).count() == 3 * number
        counted.append(len(queries))

    assert counted[0] == counted[1]


def test_pairs_share_their_answers_on_both_sides(client_for):
    first, second = (World(client_for, make_project()) for _ in range(2))
    pairs_that_are_no_ranking(first)
    second.bring(first.download(first.freeze()))

    for world in (first, second):
        answers = Candidate.objects.filter(prompt__project=world.project)
        assert sorted(answers.values_list("text", flat=True)) == ["a", "b", "c"]
        assert RankingTask.objects.filter(project=world.project).count() == 3


def test_the_same_file_twice_adds_nothing(client_for):
    first, second = (World(client_for, make_project()) for _ in range(2))
    rankings_with_ties_ratings_and_flags(first)
    file = first.download(first.freeze())
    second.bring(file)
    counted = Ranking.objects.count()
    file.seek(0)
    again = second.bring(file)

    assert (again.result["known"], again.result["rankings"]) == (2, 0)
    assert Ranking.objects.count() == counted


def test_labelers_of_one_dataset_are_the_same_people_in_each_of_its_files(client_for):
    """Its splits are files of their own; another dataset's labeler 0 is somebody else."""
    world = World(client_for, make_project())
    for name in ("a-0123456789ab-rows-train.jsonl", "a-0123456789ab-rows-test.jsonl"):
        world.bring(as_file(name, [row_of(name)]))
    world.bring(as_file("a-ffffffffffff-rows.jsonl", [row_of("Why?")]))
    names = set(Judge.objects.filter(account=None).values_list("name", flat=True))

    assert names == {"dataset 0123456789ab labeler 0", "dataset ffffffffffff labeler 0"}


def test_a_weight_is_left_out_and_counted(client_for):
    world = World(client_for, make_project())
    row = row_of("Why?", weight=0.25)
    result = world.bring(as_file("rows.jsonl", [row, row_of("How?")])).result

    assert result["cleaned"] == {"weights": 1}
    assert result["examples"]["weights"][0]["before"] == "0.25"
    frozen = rows.read(datasets.path(world.freeze()))
    assert {judgment["weight"] for row in frozen for judgment in row["judgments"]} == {1.0}


def test_metadata_that_were_added_to_rows_are_kept_and_exported_beside_them(client_for):
    world = World(client_for, make_project())
    about = {"source": "forum", "licence": "mit", "metadata": {"id": 7}}
    world.bring(as_file("rows.jsonl", [row_of("Why?") | about, row_of("How?")]))
    dataset = world.freeze()
    response = world.admin.get(f"datasets/{dataset.pk}/download", format="metadata")
    lines = list(map(json.loads, b"".join(response.streaming_content).splitlines()))
    asked = {rows.digest([{"role": "user", "content": text}]): text for text in ("Why?", "How?")}

    assert {asked[line.pop("prompt_id")]: line for line in lines} == {
        "Why?": about,
        "How?": {"source": "rows.jsonl", "licence": "", "metadata": {}},
    }
    assert all(set(row) <= set(row_of("Why?")) for row in rows.read(datasets.path(dataset)))


def test_the_metadata_of_a_prompt_that_is_gone_are_empty(client_for):
    world = World(client_for, make_project())
    world.bring(as_file("rows.jsonl", [row_of("Why?") | {"licence": "mit"}]))
    dataset = world.freeze()
    Prompt.objects.update(digest="")  # as if it were another one now
    response = world.admin.get(f"datasets/{dataset.pk}/download", format="metadata")

    assert json.loads(b"".join(response.streaming_content)) == {
        "prompt_id": rows.digest([{"role": "user", "content": "Why?"}]),
        "source": "",
        "licence": "",
        "metadata": {},
    }, "and not left out"


ANSWERS = [
    {"id": place, "text": text, "model": "m", "finish_reason": "", "tokens": None}
    for place, text in enumerate(["No.", "Yes."])
]
JUDGED = {"labeler": 0, "kind": "labeler", "outcome": "ranked", "ranks": [2, 1]}
JUDGED |= {"ratings": [None, 7], "flags": [[], []], "strength": -1, "seconds": 2.5, "weight": 1.0}


SPAN = {"answer": 1, "label": "wrong", "start": 0, "end": 4}


def row_of(prompt: str, **judgment) -> dict:
    messages = [{"role": "user", "content": prompt}]
    return {
        "prompt_id": rows.digest(messages),
        "messages": messages,
        "split": "train",
        "use_case": "",
        "language": "",
        "answers": ANSWERS,
        "judgments": [JUDGED | judgment],
    }


def test_a_row_of_the_tests_below_is_one():
    assert faults(row_of("Why?"), "judgments") == []
    assert list(read_row(row_of("Why?")))


def changed(**fields) -> dict:
    return row_of("Why?") | fields


BAD = {
    "another key of a row": (changed(rounds=1), "does not read: rounds"),
    "another key of an answer": (changed(answers=[ANSWERS[0] | {"html": ""}]), "read: html"),
    "another key of a judgment": (row_of("Why?", mood="good"), "does not read: mood"),
    "a text that its turns do not say": (
        changed(answers=[ANSWERS[0] | {"messages": [{"role": "assistant", "content": "?"}]}]),
        "what its messages say",
    ),
    "metadata that are none": (changed(metadata=[1]), "metadata must be"),
    "no split": (changed(split=""), "split must be"),
    "answers without judgments": (changed(judgments=[]), "belong together"),
    "answers in another order": (changed(answers=ANSWERS[::-1]), "its position"),
    "tokens as a text": (changed(answers=[ANSWERS[0] | {"tokens": "7"}]), "tokens"),
    "one labeler twice": (changed(judgments=[JUDGED, JUDGED]), "judges a row once"),
    "a labeler by name": (row_of("Why?", labeler="ann"), "labeler must be a number"),
    "an unknown kind": (row_of("Why?", kind="oracle"), "kind must be one of"),
    "a kind of judge that is none": (
        row_of("Why?", kind="imported", judge_kind="robot"),
        "judge_kind must be one of",
    ),
    "a person who is said to be no person": (row_of("Why?", judge_kind="model"), "no person"),
    "an unknown outcome": (row_of("Why?", outcome="won"), "outcome must be"),
    "ranks of nothing": (row_of("Why?", outcome="all_bad"), "where nothing was ranked"),
    "too few ranks": (row_of("Why?", ranks=[1]), "one rank for each answer"),
    "a rank that is none": (row_of("Why?", ranks=[1, True]), "whole numbers"),
    "a rating that is none": (row_of("Why?", ratings=[None, 8]), "from 1 to 7"),
    "half a rating": (row_of("Why?", ratings=[None, 6.5]), "from 1 to 7"),
    "too many flags": (row_of("Why?", flags=[[], [], []]), "flags for each answer"),
    "a strength that is none": (row_of("Why?", strength=4), "strength"),
    "a time that is none": (row_of("Why?", seconds=float("inf")), "seconds"),
    "prompted or not": (row_of("Why?", prompted=False), "prompted must be true"),
    "scores that are none": (row_of("Why?", scores=[1]), "scores must be an object"),
    "scores by a name that is none": (row_of("Why?", scores={"why\0": 1}), "key, or key@2"),
    "scores by an empty name": (row_of("Why?", scores={"": 1}), "key, or key@2"),
    "too few scores": (row_of("Why?", scores={"true": [True]}), "for each answer"),
    "half a score": (row_of("Why?", scores={"true": [0.5, None]}), "a value of true must be"),
    "a score that is null": (row_of("Why?", scores={"why": None}), "a value of why must be"),
    "a score by letters": (row_of("Why?", scores={"true": {"A": 1}}), "a value of true must be"),
    "a score with a NUL": (row_of("Why?", scores={"why": "a\0"}), "a value of why must be"),
    "a score that is too long": (
        row_of("Why?", scores={"why": "a" * 10_001}),
        "at most 10,000 characters",
    ),
    "spans that are none": (row_of("Why?", spans={"answer": 0}), "spans must be a list"),
    "too many spans": (row_of("Why?", spans=[SPAN] * 501), "at most 500 spans"),
    "a span twice": (row_of("Why?", spans=[SPAN, SPAN]), "marks a span once"),
    "another key of a span": (row_of("Why?", spans=[SPAN | {"text": "Yes"}]), "read: text"),
    "a span of no answer": (row_of("Why?", spans=[SPAN | {"answer": 2}]), "id of an answer"),
    "a span of an answer's letter": (row_of("Why?", spans=[SPAN | {"answer": "A"}]), "id of an"),
    "a span without a label": (row_of("Why?", spans=[SPAN | {"label": ""}]), "1 to 40"),
    "a span with a long label": (row_of("Why?", spans=[SPAN | {"label": "a" * 41}]), "1 to 40"),
    "a span that ends beyond the answer": (
        row_of("Why?", spans=[SPAN | {"end": 5}]),
        "within the 4 characters (Unicode code points) of its answer",
    ),
    "a span of nothing": (row_of("Why?", spans=[SPAN | {"start": 4}]), "before it ends"),
    "a span that starts too early": (row_of("Why?", spans=[SPAN | {"start": -1}]), "before it"),
    "a span that is a truth value": (row_of("Why?", spans=[SPAN | {"start": False}]), "before it"),
    "a text that was cut": (
        changed(answers=[], judgments=[], text="Yes.", finish_reason="length"),
        "cut by the sampler",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_says_what_can_not_be_kept_is_bad(name):
    row, reason = BAD[name]
    source = Source(imports.FORMATS["rows"])
    [(_row, _entries, error)] = source.read([Row(1, row, file="rows.jsonl")])

    assert reason in error


def test_an_id_that_is_not_the_prompts_is_counted():
    """The prompt gets its own id: a row that was changed by hand is a row of another prompt."""
    [entry] = read_row(changed(messages=[{"role": "user", "content": "?"}]))
    [unchanged] = read_row(row_of("Why?"))

    assert entry.ignored == {"prompt_id": row_of("Why?")["prompt_id"]}
    assert unchanged.ignored == {}


UNFIT = {
    "no such criterion": (
        {"helpfulness": [1, 2]},
        "This project has no criterion helpfulness. Add it, then import again.",
    ),
    "no such revision": (
        {"why@3": "Because."},
        "This project has no criterion why@3. Each change of why makes its next revision: "
        "make this one, then import again.",
    ),
    "a first revision by its number": ({"why@1": "Because."}, "has no criterion why@1."),
    "a criterion of the preset": ({"rating": [1, 2]}, "rating belongs to the preset InstructGPT"),
    "one value for all answers": ({"true": True}, "true is about each answer: give a list"),
    "a list of all together": ({"why": ["a", "b"]}, "why is about all answers together"),
    "a value beside the scale": (
        {"good": [None, 3]},
        "3 is no value of good in this project. Choose one of these: 1, 2.",
    ),
    "a truth value on the scale": ({"good": [True, None]}, "true is no value of good"),
    "a number in place of true": ({"true": [1, None]}, "1 is no value of true"),
    "another choice": ({"tone": ["hot", None]}, '"hot" is no value of tone'),
    "a number in place of a text": ({"why": 7}, "7 is no value of why"),
    "an empty text": ({"why": " "}, '" " is no value of why'),
    "a value of another revision": ({"why@2": "Because."}, '"Because." is no value of why@2'),
}


@pytest.fixture
def asking(client_for):
    """A project that asks by a criterion of each kind, one of them changed."""
    world = World(client_for, make_project())
    keep_preset(world.project)
    world.ask("good", kind="scale", labels=[{"value": 1}, {"value": 2}])
    world.ask("true", kind="yes-no")
    world.ask("tone", kind="choice", labels=["warm", "cold"])
    world.ask("why", kind="text", scope="ranking")
    world.ask_otherwise("why", kind="yes-no")
    return world


def test_scores_that_fit_come_in(asking):
    fitting = {"good": [2, None], "true": [None, False], "tone": ["cold", "warm"], "why": "So."}
    lines = [row_of("Why?", scores=fitting | {"why@2": True}, spans=[SPAN])]
    asking.bring(as_file("rows.jsonl", lines))

    assert (Score.objects.count(), Span.objects.count()) == (7, 1)


@pytest.mark.parametrize("name", UNFIT)
def test_a_row_whose_scores_the_project_can_not_hold_is_bad(asking, name):
    scores, reason = UNFIT[name]
    lines = [row_of("Why?"), row_of("How?", scores=scores)]
    [[line, said]] = asking.check(as_file("rows.jsonl", lines)).result["check"]["bad_lines"]

    assert (line, reason in said) == (2, True), said


def test_a_row_with_spans_is_bad_where_answers_are_cleaned(asking, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_file("rows.jsonl", [row_of("Why?", spans=[SPAN])]).read())

    with pytest.raises(imports.BadFile, match="without cleaning answers"):
        imports.import_file(None, asking.project, path, "rows", answers=True)
    assert imports.import_file(None, asking.project, path, "rows").rankings == 1
    assert Span.objects.count() == 1


def as_file(name: str, lines: list[dict]) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, "".join(json.dumps(line) + "\n" for line in lines).encode())
