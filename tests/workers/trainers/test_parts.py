"""The parts of the trainers, without starting one."""

import json
import subprocess
import sys

import pytest
import torch

from tests.workers import tiny
from workers.modeling import scoring, tokens
from workers.trainers import reward
from workers.trainers.data import comparisons
from workers.trainers.run import events, loop, marks, metrics, runs
from workers.trainers.run.events import Stop

pytestmark = pytest.mark.torch


def row(ranks, texts="abcd", split="train"):
    """A judgments row: one ranking, or a list of them, of answers named by their letters."""
    rankings = ranks if ranks and isinstance(ranks[0], list) else [ranks]
    return {
        "prompt_id": f"p-{split}-{ranks}",
        "messages": [{"role": "user", "content": "Why?"}],
        "split": split,
        "answers": [{"id": i, "text": text} for i, text in enumerate(texts)],
        "judgments": [{"ranks": ranking} for ranking in rankings],
    }


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("models") / "tiny")


# --- tokens ---------------------------------------------------------------------------------------


def test_the_last_token_is_found_under_padding_on_either_side():
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1], [1, 0, 0, 0]])
    assert tokens.last_token(mask).tolist() == [2, 3, 3, 0]


def test_pads_at_the_end_of_a_row_are_no_tokens_of_it():
    assert tokens.without_end_pads([5, 0, 6, 0, 0], 0) == [5, 0, 6]
    assert tokens.without_end_pads([0, 0], 0) == [0]


def test_rows_are_padded_on_the_side_asked_for():
    ids, mask = tokens.padded([[1, 2], [3]], 9, side="left")
    assert (ids.tolist(), mask.tolist()) == ([[1, 2], [9, 3]], [[1, 1], [0, 1]])
    ids, mask = tokens.padded([[1, 2], [3]], 9)
    assert (ids.tolist(), mask.tolist()) == ([[1, 2], [3, 9]], [[1, 1], [1, 0]])


def test_a_prompt_and_its_answer_are_the_whole_conversation(tokenizer):
    messages = [{"role": "user", "content": "Why?"}]
    prompt, answer = tokens.answered(tokenizer, messages, "Because.", 100)
    assert tokenizer.decode(prompt) == "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(answer) == "Because.<|im_end|>\n"


def test_a_long_prompt_loses_its_start_after_its_header_and_a_long_answer_its_end(tokenizer):
    messages = [{"role": "user", "content": "sea " * 50}]
    header = tokens.ids_of(tokenizer, "<|im_start|>user\n")
    whole_prompt, whole_answer = tokens.answered(tokenizer, messages, "sky " * 20, 1000)
    prompt, answer = tokens.answered(tokenizer, messages, "sky " * 20, 40)
    assert answer == whole_answer
    assert prompt == header + whole_prompt[-(40 - len(answer) - len(header)) :]
    prompt, answer = tokens.answered(tokenizer, messages, "sky " * 20, 20)
    assert (prompt, answer) == (whole_prompt[-5:], whole_answer[:15])


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (tiny.CHATML, "The sea"),
        (tokens.PLAIN_TEMPLATE, " The sea"),
        ("{{ messages[-1]['content'] | upper }}", "The sea"),  # no answer of ours is in it
    ],
    ids=["chatml", "plain", "rewrites"],
)
def test_an_answer_that_was_cut_gets_no_end_of_its_turn(template, expected):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = template
    messages = [{"role": "user", "content": "Why?"}]
    prompt, whole = tokens.answered(tokenizer, messages, "The sea", 100)
    same_prompt, cut = tokens.answered(tokenizer, messages, "The sea", 100, ended=False)
    assert tokenizer.decode(cut) == expected
    assert tokenizer.eos_token_id in whole
    assert same_prompt == prompt


def test_a_tokenizer_that_pads_with_its_end_token_gets_another_pad(tmp_path):
    words = tiny.tokenizer()
    words.pad_token = words.eos_token
    words.save_pretrained(tmp_path)
    assert tokens.load_tokenizer(tmp_path).pad_token == "<|endoftext|>"


# --- groups ---------------------------------------------------------------------------------------


def test_a_tie_makes_no_pair_and_a_prompt_without_pairs_is_left_out():
    found = comparisons.of_rows([row([1, 2, 2, 1]), row([1, 1, 1, 1]), row([])])
    assert [group.pairs for group in found] == [[(0, 1), (0, 2), (3, 1), (3, 2)]]


def test_an_answer_that_no_pair_names_is_not_read():
    group = comparisons.of_row(row([2, 1, 1, 1], texts="abbb") | {"judgments": [{"ranks": [2, 1]}]})
    assert (group.texts, group.pairs) == (["a", "b"], [(1, 0)])


def test_equal_texts_are_one_answer_and_never_a_pair():
    group = comparisons.of_row(row([1, 2, 3, 4], texts="aabb"))
    assert (group.texts, group.pairs) == (["a", "b"], [(0, 1)] * 4)


def test_a_recipe_learns_from_the_pairs_it_names_and_is_judged_on_all():
    group = comparisons.of_row(row([3, 1, 2], texts="abc"), "best")
    assert (group.pairs, group.lessons) == ([(1, 0), (1, 2), (2, 0)], [(1, 0), (1, 2)])


def test_without_a_training_pair_the_trainer_says_so():
    with pytest.raises(Stop, match="No pair to learn from"):
        comparisons.of_rows([row([1, 2, 3, 4], split="test"), row([1, 1, 1, 1])])


def test_a_broken_row_is_named():
    with pytest.raises(Stop, match="Row 2 "):
        comparisons.of_rows([row([1, 2, 3, 4]), {"prompt_id": "p", "text": "a demonstration"}])


# --- the ranking loss -----------------------------------------------------------------------------


def naive_loss(scores, batch):
    """The definition, pair by pair, with `scores` in the order of the batch's answers."""
    total, start = 0.0, 0
    for prompt in batch:
        here = sum(
            -torch.log(torch.sigmoid(scores[start + w] - scores[start + l]))
            for w, l, *_ in prompt["pairs"]
        )
        total, start = total + here / len(prompt["pairs"]), start + len(prompt["answers"])
    return total / len(batch)


def example(group, tokenizer):
    return reward.example(group, group.answers(tokenizer, 512), tokenizer.pad_token_id, recipe())


def alike(*pairs):
    """A prompt's pairs, each of the same weight."""
    return [(w, l, 1 / len(pairs), 0.0, False) for w, l in pairs]


def test_the_loss_is_the_mean_over_prompts_of_the_mean_over_pairs():
    batch = [
        {"answers": [[1], [2, 3], [4]], "pairs": alike((0, 1), (0, 1), (1, 2))},
        {"answers": [[5], [6]], "pairs": alike((1, 0))},
    ]
    ours, theirs = (torch.tensor([0.3, -1.0, 2.0, 0.5, 0.1], requires_grad=True) for _ in range(2))
    inputs = reward.collate(batch, pad=0, of=2)

    loss = reward.ranking_loss(ours, inputs["winners"], inputs["losers"], inputs["weights"])
    expected = naive_loss(theirs, batch)
    loss.backward(), expected.backward()

    assert loss.item() == pytest.approx(expected.item())
    assert torch.allclose(ours.grad, theirs.grad)


@pytest.fixture
def scorer(folder):
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).eval()


def test_each_distinct_answer_is_forwarded_once(scorer, tokenizer, monkeypatch):
    monkeypatch.setattr(reward.prefix_packing, "FAMILIES", set())
    group = comparisons.of_row(
        row([[1, 2, 2, 3], [1, 1, 2, 3], [2, 1, 3, 4]], texts=["Yes", "No", "No", "Why?"])
    )
    inputs = reward.collate([example(group, tokenizer)], tokenizer.pad_token_id, of=1)
    seen = []
    scorer.register_forward_hook(lambda *call: seen.append(call[2].logits.shape[0]))

    reward.learn(scorer, inputs, budget=1000)

    assert sum(seen) == 3
    assert len(inputs["winners"]) > 10


@torch.inference_mode()
def test_the_head_reads_the_last_real_token(scorer, tokenizer):
    texts = ["Yes", "No, I am sorry, I can't help with that.", "ends in a pad<|endoftext|>"]
    group = comparisons.of_row(row([1, 2, 3], texts=texts))
    ids, mask = tokens.padded(example(group, tokenizer)["answers"], tokenizer.pad_token_id)

    hidden = scorer.model(ids, attention_mask=mask).last_hidden_state
    expected = scorer.score(hidden[torch.arange(3), tokens.last_token(mask)])[:, 0]

    assert torch.allclose(scoring.rewards(scorer, ids, mask), expected, atol=1e-6)


@torch.inference_mode()
def test_padding_does_not_change_a_score(scorer, tokenizer):
    answers = [[5, 6, 7], [8, 9, 10, 11, 12, 13, 14]]
    together = scoring.score(scorer, answers, tokenizer.pad_token_id)
    apart = [scoring.score(scorer, [answer], tokenizer.pad_token_id)[0] for answer in answers]
    assert together == pytest.approx(apart, abs=1e-5)


@torch.inference_mode()
def test_logprobs_are_those_of_each_answer_alone(folder, tokenizer):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    answers = [([5, 6, 7], [8, 9]), ([5, 6], [8, 9, 10, 11]), ([5], [3])]
    expected = []
    for prompt, answer in answers:
        each = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        expected.append(
            sum(each[len(prompt) + i - 1, token].item() for i, token in enumerate(answer))
        )
    assert loop.logprobs(model, answers, tokenizer.pad_token_id) == pytest.approx(
        expected, abs=1e-4
    )


# --- steps ----------------------------------------------------------------------------------------


def recipe(**settings):
    from modelops import recipes

    return recipes.read("reward", settings)


def test_steps_are_counted_over_whole_batches():
    assert loop.total_steps(recipe(epochs=2, batch=4), 10) == 6
    assert loop.total_steps(recipe(epochs=2, batch=4, max_steps=5), 10) == 5
    assert loop.total_steps(recipe(batch=4, max_steps=50), 10) == 3


def test_rows_at_once_divide_the_batch(monkeypatch):
    monkeypatch.setattr(loop, "best_device", lambda: torch.device("cpu"))
    monkeypatch.setitem(loop.TOKENS_AT_ONCE, "cpu", 1000)
    assert [loop.rows_at_once(12, tokens) for tokens in (50, 100, 200, 300, 5000)] == [
        12,
        6,
        4,
        3,
        1,
    ]


def test_long_work_is_not_silent(monkeypatch, capsys):
    monkeypatch.setattr(loop, "SILENT_SECONDS", -1)
    assert list(loop.with_progress(["a", "b"], "Reads")) == ["a", "b"]
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == [
        "Reads: 0 of 2.",
        "Reads: 1 of 2.",
    ]


# --- checkpoints ----------------------------------------------------------------------------------


def make_checkpoint(folder, step, marked=True):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "weights.bin").write_bytes(b"1234")
    if marked:
        marks.mark(path)
    return path


def test_the_newest_complete_checkpoint_counts(tmp_path):
    make_checkpoint(tmp_path, 5)
    ten = make_checkpoint(tmp_path, 10)
    fifteen = make_checkpoint(tmp_path, 15, marked=False)

    assert marks.newest(tmp_path) == ten
    assert not fifteen.exists()


def test_a_truncated_checkpoint_is_passed_over(tmp_path):
    five, ten = make_checkpoint(tmp_path, 5), make_checkpoint(tmp_path, 10)
    (ten / "weights.bin").write_bytes(b"12")

    assert marks.newest(tmp_path) == five
    assert not ten.exists()


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert marks.newest(tmp_path / "nothing") is None


# --- events, locks, recipes -----------------------------------------------------------------------


def python(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **options
    )


def test_only_events_reach_stdout():
    done = python(
        "import os; from workers.trainers.run import events; events.own_stdout()\n"
        "print('a'); os.system('echo b'); os.write(1, b'c'); events.log('d\\n' + chr(233))\n"
        "events.emit('step', metrics={'loss': float('nan')})\n"
        "raise OSError(28, 'No space left on device')"
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said[:2] == [
        {"event": "log", "text": "d\né"},
        {"event": "step", "metrics": {"loss": None}},
    ]
    assert said[2]["event"] == "error"
    assert said[2]["text"].startswith("The disk is full")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (Stop("Do this."), "Do this."),
        (MemoryError(), "The machine ran out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "The machine ran out of memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "The machine ran out of memory",
        ),
        (OSError(28, "No space left on device"), "The disk is full"),
        (
            RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"),
            "The disk is full",
        ),
        (ValueError("strange\nand long"), "The trainer failed (ValueError: strange)"),
        (AssertionError(), "The trainer failed (AssertionError: no message)"),
    ],
)
def test_an_error_becomes_one_sentence(error, start):
    assert events.sentence(error).startswith(start)
    assert "\n" not in events.sentence(error)


def test_a_second_writer_is_refused(tmp_path):
    runs.lock(tmp_path)
    with pytest.raises(Stop, match="Another trainer still writes here"):
        runs.lock(tmp_path, patience=0.3)


def test_the_lock_ends_with_its_process(tmp_path):
    done = python(
        "import pathlib; from workers.trainers.run import runs; "
        f"runs.lock(pathlib.Path({str(tmp_path)!r}))"
    )
    assert done.returncode == 0
    runs.lock(tmp_path, patience=0)


def write_recipe(folder, **changes):
    asked = {
        "kind": "dpo",
        "settings": {},
        "model": str(folder),
        "dataset": str(folder),
        "out": str(folder / "out"),
    }
    (folder / "recipe.json").write_text(json.dumps(asked | changes))
    return folder / "recipe.json"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "There is no model in"),
        ({"kind": "sft"}, "This recipe is for sft"),
        ({"settings": {"beta": -1}}, "The recipe's setting beta must lie between"),
        ({"model": None}, "cannot be read"),
    ],
)
def test_a_wrong_recipe_is_refused_in_words(tmp_path, changes, words):
    with pytest.raises(Stop, match=words):
        runs.read(write_recipe(tmp_path, **changes), "dpo")


def make_run(folder):
    return runs.Run(folder, "reward", recipe(), folder, folder, folder / "out")


def test_a_dataset_without_rows_is_refused_in_words(tmp_path):
    run = make_run(tmp_path)
    with pytest.raises(Stop, match="no readable rows"):
        run.rows()
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a"')
    with pytest.raises(Stop, match="broken line"):
        run.rows()
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(Stop, match="has no rows"):
        run.rows()


def test_a_model_that_cannot_be_read_is_named(folder, tmp_path, capsys):
    from transformers import AutoModelForCausalLM

    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"short")
    with pytest.raises(Stop, match="cannot be loaded"):
        loop.load(AutoModelForCausalLM, make_run(tmp_path))


def test_a_result_appears_whole_or_not_at_all(tmp_path):
    run = make_run(tmp_path)
    with pytest.raises(OSError, match="full"):
        run.publish(lambda folder: (_ for _ in ()).throw(OSError("full")))
    assert not run.out.exists()


def test_a_result_is_told_again(tmp_path, capsys):
    run = make_run(tmp_path)

    def write(folder):
        (folder / "model.safetensors").write_text("x")
        return [metrics.plain("loss", "train", 0.5)]

    run.publish(write)
    told = capsys.readouterr().out
    run.report()
    assert capsys.readouterr().out == told
    assert [json.loads(line)["event"] for line in told.splitlines()] == ["metric", "done"]
    assert sorted(path.name for path in run.out.iterdir()) == [
        "README.md",
        "metrics.json",
        "model.safetensors",
        "recipe.json",
    ]
