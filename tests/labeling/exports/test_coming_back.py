"""Every download comes back: it is imported into an empty project, frozen again, and all that is
gone is what labeling/exports/losses.py names.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path

import pytest
from django.conf import settings

from labeling import imports
from labeling.exports import downloads, formats, freeze, losses
from labeling.exports.examples import View, labelled
from labeling.exports.statistics import RowStatistics
from labeling.imports import files
from labeling.imports.mapping import fields, unread
from labeling.judging import criteria
from labeling.models import Prompt
from modelops import datasets, rows
from modelops.models import Dataset
from people.models import Project
from tests.factories import ANSWER_TURNS, TOOL_TURNS, make_person, make_project

pytestmark = pytest.mark.django_db

UNCHANGED = dict.fromkeys(
    ("repair", "controls", "spaces", "personal", "prefixes", "near", "languages"), False
)
JUDGMENT = {
    "kind": "labeler",
    "outcome": "ranked",
    "strength": None,
    "seconds": 0.0,
    "weight": 1.0,
}


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def prompt(messages: list[dict], split: str = "train", **fields) -> dict:
    about = {"prompt_id": rows.digest(messages), "messages": messages, "split": split}
    return about | {"use_case": "", "language": ""} | fields


def task(asked: dict, answers: list, *judgments: dict) -> dict:
    """A row of judgments. An answer is a text, turns, or an object with more keys."""
    answers = [_answer(place, answer) for place, answer in enumerate(answers)]
    empty = {"ratings": [None] * len(answers), "flags": [[] for _ in answers]}
    return asked | {
        "answers": answers,
        "judgments": [JUDGMENT | empty | judgment for judgment in judgments],
    }


def _answer(place: int, answer) -> dict:
    said = {"id": place, "model": f"m{place}", "finish_reason": "", "tokens": None}
    if isinstance(answer, list):
        return said | {"text": rows.answer_text(answer), "messages": answer}
    return said | (answer if isinstance(answer, dict) else {"text": answer})


def by(labeler: int, ranks: list[int], **fields) -> dict:
    return {"labeler": labeler, "ranks": ranks} | fields


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "Write a haiku about 海."},
]
SKY = prompt(user("Why is the sky blue?"), "test", use_case="open qa", language="en")
SEA = prompt(user("Is it deep?"))
CUT = {"text": "Because it", "finish_reason": "length", "tokens": 2, "truncated": True}
SPANS = [{"answer": 0, "label": "fact", "start": 0, "end": 3}]
JUDGMENTS = [
    task(
        SKY,
        ["Rayleigh.", "Magic.", CUT],
        by(0, [1, 2, 2], ratings=[7, None, 2], flags=[[], ["hallucination", "opinion"], []]),
        by(1, [1, 2, 3], seconds=12.3),
        by(4, [], outcome="all_bad"),
        by(5, [], outcome="cannot_judge"),
    ),
    task(SKY, ["Blue light.", "It is not."], by(0, [2, 1], strength=-3)),
    task(prompt(CHAT, "validation"), ["Waves.", "Sand."], by(0, [1, 2]), by(1, [1, 2])),
    task(prompt(TOOL_TURNS), [ANSWER_TURNS, "It is warm."], by(1, [1, 2])),
    task(prompt(user("Both?")), ["Yes.", "Sure."], by(0, [1, 1])),
    task(prompt(user("Bad?")), ["No.", "Never."], by(0, [], outcome="all_bad")),
    task(prompt(user("What?")), ["A.", "B."], by(1, [], outcome="cannot_judge")),
    task(SEA, ["=1+1", "-"], by(2, [1, 2], kind="imported", judge_kind="model")),
    task(
        prompt(user("Scores?"), language="de"),
        ["Gut.", "Schlecht."],
        by(0, [1, 2], prompted=True, scores={"tone": [1, 2]}, spans=SPANS),
        by(3, [2, 1], kind="simulated"),
    ),
]
DEMONSTRATIONS = [
    SKY | {"text": "Rayleigh scatters blue light."},
    prompt(CHAT, "validation") | {"text": "=Waves"},
    prompt(TOOL_TURNS) | {"text": "31 degrees."},
]
PROMPTS = [SKY, prompt(CHAT, "validation"), prompt(TOOL_TURNS), prompt(user("=cmd"))]
OF_KIND = {"judgments": JUDGMENTS, "demonstrations": DEMONSTRATIONS, "prompts": PROMPTS}
TONE = {
    "key": "tone",
    "scope": "answer",
    "kind": "scale",
    "labels": [{"value": value, "label": ""} for value in (1, 2)],
    "required": False,
}
CRITERIA = {"criteria": [TONE | {"revision": 1}]}


# What rows say, by the names of losses.py: two datasets say the same where these are equal


def asked(row: dict) -> str:
    """The prompt as one text, which every format keeps."""
    return formats.plain(row["messages"])


def judged(rows_: list[dict]) -> list[tuple[str, list[dict], dict]]:
    """(prompt, answers, judgment) of each judgment."""
    return [
        (asked(row), row["answers"], judgment)
        for row in rows_
        for judgment in row.get("judgments", ())
    ]


def pairs(rows_: list[dict]) -> set:
    return {
        (prompt, answers[winner]["text"], answers[loser]["text"])
        for prompt, answers, judgment in judged(rows_)
        for winner, loser in rows.pairs(judgment["ranks"])
    }


def labels(rows_: list[dict]) -> set:
    return {
        (asked(row), row["answers"][place]["text"], good)
        for row in rows_
        for place, good, _judgment in labelled(row, View())
    }


def by_outcome(outcome: str) -> Callable[[list[dict]], Counter]:
    def counted(rows_: list[dict]) -> Counter:
        return Counter(
            (prompt, tuple(sorted(answer["text"] for answer in answers)))
            for prompt, answers, judgment in judged(rows_)
            if judgment["outcome"] == outcome
        )

    return counted


def rankings(rows_: list[dict]) -> set:
    return {
        (prompt, tuple(sorted(zip((one["text"] for one in answers), judgment["ranks"]))))
        for prompt, answers, judgment in judged(rows_)
        if judgment["ranks"]
    }


def ties(rows_: list[dict]) -> set:
    return {
        (prompt, frozenset((answers[i]["text"], answers[j]["text"])))
        for prompt, answers, judgment in judged(rows_)
        for i, j in combinations(range(len(judgment["ranks"])), 2)
        if judgment["ranks"][i] == judgment["ranks"][j]
    }


def tasks(rows_: list[dict]) -> Counter:
    """The answers of each task, and how many have ranked them."""
    return Counter(
        (
            asked(row),
            tuple(sorted(answer["text"] for answer in row["answers"])),
            sum(bool(judgment["ranks"]) for judgment in row["judgments"]),
        )
        for row in rows_
        if "answers" in row
    )


def judges(rows_: list[dict]) -> Counter:
    """Of each judge, the prompts of which they preferred an answer."""
    made: dict[int, set] = {}
    for prompt, _answers, judgment in judged(rows_):
        if rows.pairs(judgment["ranks"]) or judgment["ranks"] == [1]:
            made.setdefault(judgment["labeler"], set()).add(prompt)
    return Counter(map(frozenset, made.values()))


def judge_kinds(rows_: list[dict]) -> set:
    """Of the judges that are no people."""
    kinds = {"simulated": "script"}
    said = [
        (prompt, judgment.get("judge_kind") or kinds.get(judgment["kind"]))
        for prompt, _answers, judgment in judged(rows_)
    ]
    return {(prompt, kind) for prompt, kind in said if kind}


def ratings(rows_: list[dict]) -> set:
    return {
        (prompt, answer["text"], judgment["ratings"][place], tuple(judgment["flags"][place]))
        for prompt, answers, judgment in judged(rows_)
        for place, answer in enumerate(answers)
        if judgment["ratings"][place] or judgment["flags"][place]
    }


def strength(rows_: list[dict]) -> set:
    """How much better than the other answer the first one is, by their texts."""
    found = set()
    for prompt, answers, judgment in judged(rows_):
        if judgment["strength"]:
            texts = [answer["text"] for answer in answers]
            found.add((prompt, texts[0], texts[1], judgment["strength"]))
            found.add((prompt, texts[1], texts[0], -judgment["strength"]))
    return found


def said(name: str) -> Callable[[list[dict]], set]:
    """What judgments hold under this name, where they hold something."""
    return lambda rows_: {
        (prompt, rows.canonical(judgment[name]))
        for prompt, _answers, judgment in judged(rows_)
        if judgment.get(name)
    }


def of_answers(*names: str) -> Callable[[list[dict]], set]:
    """What answers hold under these names, where they hold something."""
    return lambda rows_: {
        (asked(row), answer["text"], *(rows.canonical(answer.get(name)) for name in names))
        for row in rows_
        for answer in row.get("answers", ())
        if any(answer.get(name) for name in names)
    }


def imitated(rows_: list[dict], format: str = "") -> set:
    """Demonstrations; of judgments, in the format that has them, the best answers."""
    texts = {(asked(row), row["text"]) for row in rows_ if "text" in row}
    if format == "prompt-completion":
        judged_rows = [row for row in rows_ if "answers" in row and pairs([row])]
        texts |= {(asked(row), row["answers"][rows.best(row)]["text"]) for row in judged_rows}
    return texts


def roles(row: dict) -> tuple:
    return tuple((turn["role"], rows.turn_text(turn)) for turn in row["messages"])


def texts_like_formulas(rows_: list[dict]) -> set:
    texts = [asked(row) for row in rows_] + [row.get("text", "") for row in rows_]
    texts += [answer["text"] for row in rows_ for answer in row.get("answers", ())]
    return {text for text in texts if text.removeprefix("'").startswith(formats.FORMULA)}


FACTS: dict[str, Callable[[list[dict]], set | Counter]] = {
    "turns": lambda rows_: {roles(row) for row in rows_},
    "structure": lambda rows_: {
        rows.canonical(row["messages"]) for row in rows_ if not rows.is_plain(row["messages"])
    },
    "splits": lambda rows_: {(asked(row), row["split"]) for row in rows_},
    "about": lambda rows_: {(asked(row), row["use_case"], row["language"]) for row in rows_},
    "answers": of_answers("text"),
    "rankings": rankings,
    "orders": pairs,
    "tasks": tasks,
    "ties": ties,
    "all_bad": by_outcome("all_bad"),
    "cannot_judge": by_outcome("cannot_judge"),
    "judges": judges,
    "judge_kinds": judge_kinds,
    "ratings": ratings,
    "strength": strength,
    "seconds": said("seconds"),
    "criteria": lambda rows_: said("scores")(rows_) | said("spans")(rows_),
    "prompted": said("prompted"),
    "models": of_answers("model"),
    "answer_turns": of_answers("messages"),
    "sampling": of_answers("finish_reason", "tokens", "truncated"),
}


# The test


def frozen(project: Project, kind: str, given: list[dict] | None = None) -> Dataset:
    """The dataset of the rows of this kind, or of these, as a freeze stores it."""
    given = given or OF_KIND[kind]
    statistics = RowStatistics()
    for row in given:
        statistics.add(row, ["person" for _judgment in row.get("judgments", ())])
    lines = map(rows.canonical, given)
    digest, folder = datasets.write(lines, kind, CRITERIA if kind == "judgments" else None)
    return datasets.register(project, kind, digest, folder, statistics.counts(), query={})[0]


@dataclass
class Back:
    """What a download became in an empty project: its rows, all its prompts, the bad lines."""

    rows: list[dict]
    prompts: set[str]
    refused: list[str]


def taken_in(download: Path, kind: str, format: str = "") -> Back:
    empty = make_project(slug="empty")
    criteria.create(None, empty, question="Tone?", **TONE)
    format = format or imports.recognise(download)
    values = [row.value for row in files.rows(download)]
    assert unread(imports.FORMATS[format], fields(values)) == [], "nothing asks whether to keep it"
    bad = download.with_name("bad.jsonl")
    imports.import_file(None, empty, download, format, bad, **UNCHANGED)
    dataset = freeze.freeze_now(None, empty, kind=kind, apart=False)
    prompts = Prompt.objects.filter(project=empty).values_list("messages", flat=True)
    refused = [json.loads(line)["reason"] for line in bad.read_text().splitlines()]
    return Back(list(rows.read(datasets.path(dataset))), set(map(formats.plain, prompts)), refused)


def come_back(project: Project, folder: Path, kind: str, format: str, file: str, **options) -> Back:
    """Export the rows of this kind, and import the file."""
    dataset = frozen(project, kind)
    recipe = downloads.choose(dataset, format, file, **options)
    download = folder / downloads.name_of(dataset, recipe)
    with open(download, "wb") as out:
        downloads.write(dataset, recipe, out)
    return taken_in(download, BECOMES.get(format, kind))


# What a judgments dataset comes back as, where not as judgments; and what is refused then.
BECOMES = {"prompt-completion": "demonstrations", "prompt-only": "prompts"}
ONLY_TEXT = "a demonstration is a text: this completion has tool calls, parts or several turns"
LAYOUTS = ("helpsteer", "fine-grained")  # of other sets; see below
CASES = [
    (kind, format, file, metadata)
    for format, offered in formats.FORMATS.items()
    for kind in offered.kinds
    if kind in OF_KIND and format not in ("metadata", *LAYOUTS)
    for file in offered.files
    for metadata in (False, True)
    if not metadata or ("metadata" in offered.options and file == offered.files[0])
]


@pytest.mark.parametrize(("kind", "format", "file", "metadata"), CASES)
def test_a_download_comes_back_but_for_what_its_format_loses(
    project, tmp_path, kind, format, file, metadata
):
    named = set(losses.of(format, kind, metadata)) - {"source", "empty"}  # see below

    back = come_back(project, tmp_path, kind, format, file, metadata=metadata)

    before, after, prompts = OF_KIND[kind], back.rows, back.prompts
    lost = set()
    if format == "csv" and texts_like_formulas(before) != texts_like_formulas(after):
        lost.add("formulas")
        after, prompts = without_apostrophes(after), set(without_apostrophes(list(prompts)))
    if {asked(row) for row in before} != prompts:
        lost.add("unpaired")
    returned = [row for row in before if asked(row) in set(map(asked, after))]
    lost |= {name for name, fact in FACTS.items() if fact(returned) != fact(after)}
    if "judgments" in named:
        lost = lost - losses.WITH_JUDGMENTS | {"judgments"}
    if named & {"answers", "others"}:
        lost = lost - losses.WITH_ANSWERS - {"answers"} | named & {"answers", "others"}
    assert lost == named
    assert imitated(after) == (set() if format == "prompt-only" else imitated(returned, format))
    assert format != "unpaired" or labels(after) == labels(before)
    assert back.refused == ([ONLY_TEXT] if "others" in named else [])


def without_apostrophes(value: list) -> list:
    """The rows or texts without the apostrophe before what looks like a formula."""
    text = json.dumps(value)
    for start in formats.FORMULA:
        text = text.replace(f"\"'{start}", f'"{start}')
    return json.loads(text)


@pytest.mark.parametrize("format", ["trl", "hh-rlhf", "trl-implicit", "label-studio", "csv"])
def test_an_empty_answer_is_lost_in_a_table_alone(project, tmp_path, format):
    """An empty cell and a missing one are the same; a pair without an answer is a bad row."""
    given = [
        task(SEA, ["Yes.", "No."], by(0, [1, 2])),
        task(SKY, ["Rayleigh.", ""], by(0, [1, 2])),
        task(prompt(user("Both?")), ["Yes.", "No."], by(0, [1, 2])),
    ]
    dataset = frozen(project, "judgments", given)
    recipe = downloads.choose(dataset, format)
    download = tmp_path / downloads.name_of(dataset, recipe)
    with open(download, "wb") as out:
        downloads.write(dataset, recipe, out)

    back = taken_in(download, "judgments", "trl" if format == "csv" else "")

    is_lost = "empty" in losses.of(format, "judgments")
    assert is_lost == (format == "csv")
    assert len(back.refused) == is_lost
    assert pairs(back.rows) == pairs([given[0], given[2]] if is_lost else given)


SCALES = {
    name: TONE | {"key": name, "labels": [{"value": value, "label": ""} for value in range(5)]}
    for name in formats.HELPSTEER
}
FOUR = task(
    prompt(user("Which is best?")),
    ["One 💥.", "Two.", "Three.", "Four."],
    by(
        0,
        [1, 2, 2, 3],
        scores={"helpfulness": [4, 3, 0, None], "verbosity": [1, 2, 3, None]},
        spans=[
            {"answer": 0, "label": "wrong", "start": 4, "end": 5},
            {"answer": 2, "label": "unsafe", "start": 0, "end": 5},
        ],
    ),
    by(1, [2, 1, 3, 4], scores={"helpfulness": [4, 4, 1, None], "helpfulness@2": [None] * 4}),
)
LATER = task(
    prompt(user("And revised?")),
    ["A.", "B."],
    by(0, [2, 1], scores={"helpfulness": [0, 0], "helpfulness@2": [2, 3]}),
)
UNRANKED = task(prompt(user("None?")), ["A.", "B.", "C.", "D."], by(0, [], outcome="all_bad"))


def written(project: Project, folder: Path, format: str, file: str, *given: dict) -> Path:
    """The download of these rows."""
    dataset = frozen(project, "judgments", list(given))
    recipe = downloads.choose(dataset, format, file)
    download = folder / downloads.name_of(dataset, recipe)
    with open(download, "wb") as out:
        downloads.write(dataset, recipe, out)
    return download


@pytest.mark.parametrize("file", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_attributes_go_round_in_the_layout_of_helpsteer2(project, tmp_path, file):
    download = written(project, tmp_path, "helpsteer", file, UNRANKED, FOUR, LATER)
    held = [row.value for row in files.rows(download)]
    columns = ("prompt", "response", *formats.HELPSTEER)
    assert all([name for name in columns if name in one] == list(one) for one in held)
    assert {
        one["response"]: (one["helpfulness"], one.get("verbosity"), one.get("coherence"))
        for one in held
    } == {
        "One 💥.": (4.0, 1.0, None),
        "Two.": (3.5, 2.0, None),
        "Three.": (0.5, 3.0, None),
        "A.": (2.0, None, None),
        "B.": (3.0, None, None),
    }

    back = taken_in(download, "judgments", "helpsteer2")

    assert back.refused == []
    best, revised = asked(FOUR), asked(LATER)
    assert pairs(back.rows) == {
        (best, "One 💥.", "Two."),
        (best, "One 💥.", "Three."),
        (best, "Two.", "Three."),
        (revised, "B.", "A."),
    }


def test_marks_and_comparisons_go_round_in_the_layout_of_fine_grained_rlhf(project, tmp_path):
    download = written(project, tmp_path, "fine-grained", "json", FOUR, UNRANKED)
    first, second = [row.value for row in files.rows(download)]
    assert first["preference"] == [1, 1, 1, 0, 1, 1]
    assert second["preference"] == [2, 1, 1, 1, 1, 1]
    [error] = first["feedback"]["errors"]
    passage = first["prediction 1"][error["start"] : error["end"]]
    assert (error["error type"], passage) == ("wrong", "💥")
    assert first["feedback 3"]["errors"][0]["error type"] == "unsafe"
    assert second["feedback"]["errors"] == []
    assert first["text"] == first["question"] == "Which is best?"

    back = taken_in(download, "judgments", "fine-grained-rlhf")

    assert back.refused == []
    assert pairs(back.rows) == pairs([FOUR])
    assert ties(back.rows) == ties([FOUR])


@pytest.mark.parametrize("format", LAYOUTS)
def test_rows_of_other_kinds_and_without_scores_make_no_example(project, tmp_path, format):
    file = formats.FORMATS[format].files[0]
    assert list(files.rows(written(project, tmp_path, format, file, UNRANKED))) == []


def test_sources_and_licences_are_in_no_row():
    for row in JUDGMENTS + DEMONSTRATIONS + PROMPTS:
        assert {"source", "licence", "metadata"}.isdisjoint(row)


# What is said of it


def table_of_losses() -> str:
    """The table of docs/researcher.md: what is lost, by the formats that lose it."""
    lines = []
    for name, what in losses.WHAT.items():
        if name == "everything":  # of texts alone
            continue
        always = [format for format in losses.TABLE if name in losses.of(format, "judgments", True)]
        bare = [format for format in losses.TABLE if name in losses.of(format, "judgments")]
        bare = [format for format in bare if format not in always]
        cells = (", ".join(f"`{format}`" for format in formats_) for formats_ in (always, bare))
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_documentation_has_the_table():
    docs = Path(settings.BASE_DIR, "docs/researcher.md").read_text(encoding="utf-8")

    assert table_of_losses() in docs


def test_every_format_says_what_it_loses():
    assert set(losses.TABLE) == set(formats.FORMATS)
    for_all = [losses.of(format, kind) for kind in Dataset.Kind for format in losses.TABLE]
    assert set(chain.from_iterable(for_all)) == set(losses.WHAT)


def test_the_page_says_it_before_the_download(client_for, project):
    dataset = frozen(project, "judgments")
    page = client_for(make_person(project, "researcher")).get(f"/p/demo/datasets/{dataset.pk}/")

    [lost] = [lost for name, _format, lost in page.context["formats"] if name == "listwise"]
    assert [loss["name"] for loss in lost if not loss["in_metadata"]] == losses.of(
        "listwise", "judgments", metadata=True
    )
    text = page.content.decode()
    assert text.count("which judgments are of one task") == sum(
        "tasks" in losses.of(format, "judgments") for format in formats.FORMATS
    )


def test_a_table_without_apostrophes_comes_back_with_all_its_texts(project, tmp_path):
    back = come_back(project, tmp_path, "judgments", "csv", "csv", formulas=True, bom=True)

    assert texts_like_formulas(back.rows) == texts_like_formulas(JUDGMENTS)
    assert pairs(back.rows) == pairs(JUDGMENTS)
