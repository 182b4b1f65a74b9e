"""An answer that the sampler cut is never taught to end at the cut: every trainer, and whatever
scores answers.
"""

import contextlib
import importlib
import io
import json
from types import SimpleNamespace

import pytest

from modelops import recipes, rows
from tests.workers import tiny
from tests.workers.trainers.test_child_process import figures, make_run
from workers.modeling import tokens
from workers.trainers import ppo, reward
from workers.trainers.data import binary_labels, comparisons, targets
from workers.trainers.run import loop, runs

pytestmark = pytest.mark.torch

TURN = [{"role": "user", "content": "Why?"}]
END = "<|im_end|>"
KINDS = {"sft": {"source": "better-half"}, "dpo": {}, "kto": {}, "reward": {}}
SMALL = {"max_steps": 1, "max_length": 64}


def judged(number, split="train"):
    """Four answers, two of each half of the ranking; one of each was cut."""
    texts = [f"Yes {number} whole", f"Yes {number} cut", f"No {number} whole", f"No {number} cut"]
    reasons = ["stop", "length", "", "length"]
    answers = [
        {"id": place, "text": text, "finish_reason": reason}
        for place, (text, reason) in enumerate(zip(texts, reasons))
    ]
    turn = {"role": "user", "content": f"Why {number}?"}
    row = {"prompt_id": str(number), "messages": [turn], "split": split, "answers": answers}
    return row | {"judgments": [{"ranks": [1, 1, 2, 2]}]}


def write(folder, lines):
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    tiny.save(folder / "model")
    tiny.save_reward(folder / "judge")
    write(folder / "dataset", [judged(n, "test" if n == 0 else "train") for n in range(6)])
    texts = [{"text": "The sea whole", "split": "train"}]
    texts += [
        {"text": f"The sky {n} cut", "split": "train", "finish_reason": "length"} for n in range(2)
    ]
    texts += [{"messages": TURN, "text": "So cut", "split": "train", "finish_reason": "length"}]
    write(folder / "texts", texts)
    return folder


@pytest.fixture(scope="module")
def words():
    return tiny.tokenizer()


def train(place, kind, monkeypatch, others=None, **settings):
    """One step of a trainer in this process: its events, and the rows of its dataset, which PPO has
    none of.
    """
    learned, real = [], loop.train

    def step(trainer, run):
        learned.extend(trainer.train_dataset)
        real(trainer, run)

    monkeypatch.setattr(loop, "train", step)
    folder = make_run(place, kind, kind, **SMALL, **settings)
    told = json.loads((folder / "recipe.json").read_text())
    told["others"] = {name: str(place / where) for name, where in (others or {}).items()}
    (folder / "recipe.json").write_text(json.dumps(told))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        importlib.import_module(f"workers.trainers.{kind}").train(
            runs.read(folder / "recipe.json", kind)
        )
    return [json.loads(line) for line in out.getvalue().splitlines()], learned


def answers_of(kind, row):
    """Token ids of the answers in a row of a trainer's dataset."""
    if kind == "sft":
        return [[label for label in row["labels"] if label != -100]]
    names = {"dpo": ("chosen_ids", "rejected_ids"), "kto": ("completion_ids", "KL_completion_ids")}
    return row["answers"] if kind == "reward" else [row[name] for name in names[kind]]


@pytest.mark.parametrize("kind", KINDS)
def test_no_trainer_teaches_a_cut_answer_to_end(place, words, monkeypatch, kind):
    events, learned = train(place, kind, monkeypatch, **KINDS[kind])

    ids = [answer for row in learned for answer in answers_of(kind, row)]
    texts = {words.decode(answer).rpartition("assistant\n")[2].strip() for answer in ids}
    last = {text.rpartition(" ")[2] for text in texts}
    assert last == {"whole" + END, "cut"}

    each = 1 if kind == "sft" else 2  # answers of a row that were cut, of those that it learns from
    found = figures(events)
    assert found["sampler_cut", "train"] == 5 * each
    assert found["sampler_cut", "held-out"] == each
    said = [event["text"] for event in events if event["event"] == "log"]
    assert f"{6 * each} answers were cut by the sampler: no end is taught." in said


def test_the_pretraining_mix_teaches_no_cut_text_to_end(place, words, monkeypatch):
    pieces, real = [], ppo.rehearsal

    def rehearsal(*given):
        rehearsed, cut = real(*given)
        pieces.extend(rehearsed)
        return rehearsed, cut

    monkeypatch.setattr(ppo, "rehearsal", rehearsal)
    others = {"reward_model": "judge", "rehearsal": "texts"}
    sizes = {"rollouts": 4, "batch": 2, "max_tokens": 4, "penalise_cut": False}
    events, _ = train(place, "ppo", monkeypatch, others, **sizes)

    ends = [words.decode(learned).strip().endswith(END) for _, learned in pieces]
    assert ends == [True, False, False, False]
    assert figures(events)["sampler_cut", "train"] == 3
    said = [event["text"] for event in events if event["event"] == "log"]
    assert "3 answers were cut by the sampler: no end is taught." in said


def test_plain_text_and_demonstrations_that_were_cut_get_no_end(words, tmp_path):
    text = {"text": "The sea", "split": "train", "finish_reason": "length"}
    demonstration = text | {"messages": TURN}
    parts = [targets.examples([text], "text"), targets.examples([demonstration], "demonstrations")]
    run = runs.Run(
        tmp_path, "sft", recipes.read("sft", {"max_length": 64}), tmp_path, tmp_path, tmp_path
    )
    pieces, lost = targets.fit(run, words, parts)

    read = [
        words.decode(sum(map(list, piece), []))
        for part in pieces
        for example in part
        for piece in example
    ]
    assert [text.endswith("The sea") for text in read] == [True, True]
    assert [(figure["name"], figure["slice"], figure["value"]) for figure in lost] == [
        ("sampler_cut", "train", 2)
    ]


def test_a_text_that_the_model_ended_once_has_an_end():
    row = judged(1)
    row["answers"][1]["text"] = row["answers"][0]["text"]
    group, labelled = comparisons.of_row(row), binary_labels.of_row(row, "best")

    assert rows.ended(row) == {"Yes 1 whole": True, "No 1 whole": True, "No 1 cut": False}
    assert dict(zip(group.texts, group.ended)) == rows.ended(row)
    assert dict(zip(labelled.texts, labelled.ended)) == rows.ended(row)
    assert [(one.text, one.ended) for one in targets.examples([row], "best")] == [
        ("Yes 1 whole", True)
    ]


def test_an_answer_that_was_cut_before_its_first_word_is_not_imitated(capsys):
    row = judged(1)
    row["answers"][1]["text"] = ""
    row["judgments"] = [{"ranks": [2, 1, 3, 3]}]

    assert targets.examples([row], "best") == []
    assert "Leaves out 1 answers that were cut before their first word." in capsys.readouterr().out


def test_an_empty_winner_that_was_cut_is_no_lesson_of_dpo(words):
    from workers.trainers import dpo

    row = judged(1)
    row["answers"][1]["text"] = ""
    group = comparisons.of_row(row)
    lessons = dpo.lessons(group, group.answers(words, 64), [0.0] * len(group.texts))

    assert len(group.lessons) == 4
    assert [words.decode(lesson["chosen_ids"]).strip() for lesson in lessons] == [
        "Yes 1 whole" + END
    ] * 2


def test_stored_answers_are_scored_as_the_best_of_several_are(words):
    """The reward trainer reads an answer as the one that chooses among draws does."""
    row = judged(1)
    texts = [answer["text"] for answer in row["answers"]]
    right = tokens.fitted(words, row["messages"], texts, 64, [True, False, True, False]).rows

    assert comparisons.of_row(row).answers(words, 64) == right


def test_the_shift_reads_a_cut_demonstration_without_an_end(words, capsys):
    line = {"messages": TURN, "text": "The sea", "split": "train"}
    recipe = recipes.read("reward", {"max_length": 64})
    lines = [line, line | {"finish_reason": "length"}]
    whole, cut = reward.demonstrated_rows(
        SimpleNamespace(demonstrations=lambda: lines, recipe=recipe), words
    )

    assert whole == sum(tokens.answered(words, TURN, "The sea", 64), [])
    assert cut == sum(tokens.answered(words, TURN, "The sea", 64, ended=False), [])
    assert "1 demonstrations were cut by the sampler" in capsys.readouterr().out
