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

from labeling.imports.files import Row
from labeling.imports.formats.rows import read_row
from labeling.imports.reading import entries_of
from labeling.models import Candidate, Judge, Ranking, RankingTask
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

    def bring(self, file: SimpleUploadedFile, format: str = "rows") -> Job:
        """Upload, check and import a file, as it looks."""
        response = self.admin.client.post(f"{self.admin.at}imports", {"file": file})
        assert response.status_code == 202, response.content
        checked = work()
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


ANSWERS = [
    {"id": place, "text": text, "model": "m", "finish_reason": "", "tokens": None}
    for place, text in enumerate(["No.", "Yes."])
]
JUDGED = {"labeler": 0, "kind": "labeler", "outcome": "ranked", "ranks": [2, 1]}
JUDGED |= {"ratings": [None, 7], "flags": [[], []], "strength": -1, "seconds": 2.5, "weight": 1.0}


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
    "another prompt": (changed(messages=[{"role": "user", "content": "?"}]), "prompt_id"),
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
    "a text that was cut": (
        changed(answers=[], judgments=[], text="Yes.", finish_reason="length"),
        "cut by the sampler",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_says_what_can_not_be_kept_is_bad(name):
    row, reason = BAD[name]
    _entries, error = entries_of(Row(1, row, file="rows.jsonl"), "rows")

    assert reason in error


def as_file(name: str, lines: list[dict]) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, "".join(json.dumps(line) + "\n" for line in lines).encode())
