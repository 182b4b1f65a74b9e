"""What trainers do with prompts and answers that are longer than they read: cut alike, counted, or
refused.
"""

import json
import math
from dataclasses import replace

import pytest
import torch

from modelops import recipes
from tests.workers import tiny
from tests.workers.engines.families import FAMILIES, save_tokenizer
from workers.engines.answers import Sample
from workers.modeling import scoring, tokens
from workers.trainers import reward
from workers.trainers.data import binary_labels, comparisons, targets, truncation
from workers.trainers.run import events, metrics, runs
from workers.trainers.run.events import Stop

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def words():
    return tiny.tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def logged(monkeypatch):
    """The lines of the log."""
    lines = []
    monkeypatch.setattr(events, "log", lines.append)
    return lines


def ask(content):
    return [{"role": "user", "content": content}]


def row(messages, texts, ranks, split="train"):
    return {
        "prompt_id": json.dumps(messages),
        "messages": messages,
        "split": split,
        "answers": [{"id": i, "text": text} for i, text in enumerate(texts)],
        "judgments": [{"ranks": ranks}],
    }


def text_of(length, measure):
    """A text of so many tokens, by `measure`: short words are one each."""
    return next(text for n in range(200) if measure(text := " ".join(["sea"] * n)) == length)


@pytest.fixture(scope="module")
def long_row(words):
    """A prompt of 113 tokens with answers of 47 and of 4."""
    prompt = text_of(113, lambda text: len(tokens.prompt_ids(words, ask(text), 1000)[0]))
    answers = [
        text_of(length, lambda text: len(tokens.answered(words, ask("Why?"), text, 1000)[1]))
        for length in (47, 4)
    ]
    return row(ask(prompt), answers, [1, 2])


def run_of(kind, folder, **settings):
    return runs.Run(folder, kind, recipes.read(kind, settings), folder, folder, folder / "out")


# --- compared under one prompt --------------------------------------------------------------------


def test_dpo_starts_at_a_margin_of_zero_where_a_prompt_is_cut(long_row, folder, words, tmp_path):
    """Prompt and longer answer have 160 tokens, and 120 are read: reference and policy must read
    the same.
    """
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig

    from workers.trainers import dpo
    from workers.trainers.run import loop

    group = comparisons.of_row(long_row)
    answers = group.answers(words, 120)
    assert [len(answer) for _, answer in answers] == [47, 4]
    model = AutoModelForCausalLM.from_pretrained(folder)
    pairs = dpo.lessons(group, answers, loop.logprobs(model, answers, words.pad_token_id))
    config = DPOConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        bf16=False,
        report_to="none",
        precompute_ref_log_probs=True,
        beta=1.0,
        max_length=None,
        remove_unused_columns=False,
    )
    trainer = dpo.PairTrainer(
        model=model, args=config, train_dataset=Dataset.from_list(pairs), processing_class=words
    )
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(pairs)).item()
    assert loss == pytest.approx(math.log(2), abs=1e-5)  # −log σ of the margin, which was 0.021


def test_the_reward_model_compares_answers_after_the_same_prompt(long_row, words):
    group = comparisons.of_row(long_row)
    answers = group.answers(words, 120)
    [prompt] = {tuple(prompt) for prompt, _ in answers}
    read = reward.example(group, answers, words.pad_token_id, recipes.read("reward", {}))["answers"]
    assert (len(prompt), max(map(len, read))) == (73, 120)
    assert all(tuple(ids[:73]) == prompt for ids in read)


def test_the_best_of_several_is_chosen_among_answers_to_the_same_prompt(tmp_path):
    from workers.engines.best_of import Scorer

    scorer = Scorer(tiny.save_reward(tmp_path / "judge"))
    scorer.longest = 120
    messages, answers, pad = ask("sea " * 150), ["sky " * 30, "No"], scorer.tokenizer.pad_token_id
    rows = tokens.fitted(scorer.tokenizer, messages, answers, 120).rows
    assert rows[0][0] == rows[1][0]
    right = scoring.score(
        scorer.model, [tokens.without_end_pads(sum(both, []), pad) for both in rows], pad
    )
    shift = scorer.model.config.reward_shift
    samples = [Sample(text, 1, "stop", 0.0) for text in answers]
    assert scorer.rewards([messages, messages], samples) == pytest.approx(
        [value - shift for value in right], abs=1e-5
    )


# --- counted, told, refused -----------------------------------------------------------------------


def test_what_is_cut_is_told_and_counted_for_each_slice(long_row, folder, words, logged):
    found = comparisons.of_rows(
        [
            long_row,
            long_row | {"split": "test", "prompt_id": "other"},
            row(ask("Why?"), "ab", [1, 2]),
        ]
    )
    _, fitted, lost = comparisons.fit(run_of("dpo", folder, max_length=120), found, words)
    assert [len(part.prompt) for part in fitted][:2] == [73, 73]
    assert logged == [
        "To fit 120 tokens, 2 of 3 prompts lost the start of what follows their system turn."
    ]
    told = {(figure["name"], figure["slice"]): figure["value"] for figure in lost}
    assert told == {
        ("prompts_cut", "held-out"): 1,
        ("prompts_cut", "test"): 1,
        ("prompts_cut", "train"): 1,
    }


def test_a_prompt_that_would_keep_too_little_is_refused_with_what_helps(long_row, folder, words):
    found = comparisons.of_rows([long_row, row(ask("Why?"), "ab", [1, 2])])
    with pytest.raises(
        Stop, match=r"1 of 2 prompts would lose more than 50% .* raise max_length \(all fit 160\)"
    ):
        comparisons.fit(run_of("dpo", folder, max_length=90), found, words)
    _, fitted, _ = comparisons.fit(
        run_of("dpo", folder, max_length=90, least_prompt=0.3), found, words
    )
    assert fitted[0].kept == pytest.approx(43 / 113)


def test_pairs_that_the_cut_makes_equal_are_left_out_and_counted(folder, words, logged):
    texts = ["sky " * 60 + "yes", "sky " * 60 + "no", "No"]
    found = comparisons.of_rows(
        [row(ask("Why?"), texts, [1, 2, 3]), row(ask("Why not?"), texts[:2], [1, 2], "test")]
    )
    kept, _, lost = comparisons.fit(run_of("dpo", folder, max_length=40), found, words)
    assert [group.pairs for group in kept] == [[(0, 2), (1, 2)]]
    assert [group.lessons for group in kept] == [[(0, 2), (1, 2)]]
    told = {(figure["name"], figure["slice"]): figure["value"] for figure in lost}
    assert (told["left_out", "train"], told["left_out", "test"], told["answers_cut", "train"]) == (
        1,
        1,
        2,
    )
    assert "Leaves out 2 pairs whose answers are the same once they are cut." in logged


def test_without_a_pair_that_still_differs_the_trainer_says_so(folder, words):
    found = comparisons.of_rows(
        [row(ask("Why?"), ["sky " * 60 + "yes", "sky " * 60 + "no"], [1, 2])]
    )
    with pytest.raises(Stop, match="No pair of the training split differs"):
        comparisons.fit(run_of("reward", folder, max_length=40), found, words)


def test_kto_leaves_out_what_the_cut_makes_good_and_bad(folder, words, logged):
    texts = ["sky " * 90 + "yes", "sky " * 90 + "no", "Yes", "No"]
    found = binary_labels.of_rows([row(ask("Why?"), texts, [1, 4, 2, 3])], "half")
    [of], [part], lost = binary_labels.fit(run_of("kto", folder, max_length=64), found, words)
    assert dict(zip(of.texts, of.labels)) == {"Yes": True, "No": False}
    assert len(part.answers) == 2
    assert {(figure["name"], figure["value"]) for figure in lost if figure["slice"] == "train"} == {
        ("answers_cut", 2),
        ("left_out", 2),
    }


def test_sft_counts_what_it_cuts(folder, words, logged):
    parts = [
        [
            targets.Example(ask("Why?"), "sky " * 90, "train"),
            targets.Example(ask("Why?"), "No", "train"),
        ]
    ]
    [[[(prompt, answer)], _]], lost = targets.fit(
        run_of("sft", folder, max_length=64), words, parts
    )
    assert (len(prompt) + len(answer), tokens.prompt_ids(words, ask("Why?"), 99)[0]) == (64, prompt)
    assert [(figure["name"], figure["value"]) for figure in lost] == [("answers_cut", 1)]
    assert logged == ["To fit 64 tokens, 1 answers lost their end."]


def test_a_plain_text_begins_with_the_begin_token_where_the_tokenizer_puts_one(tmp_path):
    words = tokens.load_tokenizer(save_tokenizer(FAMILIES["Llama 3"], tmp_path))
    parts = targets.pieces(words, "Tell me about the sea and the sky.", 6)
    whole = parts[0][0] + [id for _, learned in parts for id in learned]
    assert whole == [
        words.bos_token_id,
        *tokens.ids_of(words, "Tell me about the sea and the sky."),
        words.eos_token_id,
    ]


def test_no_more_is_read_than_the_model_can(folder, logged):
    run = truncation.within_context(run_of("kto", folder, max_length=1000))
    assert run.recipe.max_length == 512
    assert logged == ["The model reads at most 512 tokens: this is the longest length, not 1000."]
    assert truncation.within_context(run) is run


def test_ppo_counts_and_refuses_the_prompts_that_it_can_not_read(folder, logged):
    prompts = [
        {"messages": ask("sea " * 60), "split": "train"},
        {"messages": ask("Why?"), "split": "test"},
    ]
    run = run_of("ppo", folder, max_length=64, max_tokens=16)
    assert truncation.fit_prompts(run, prompts) == [metrics.plain("prompts_cut", "train", 1)]
    assert "To fit 48 tokens, 1 of 2 prompts" in logged[-1]
    with pytest.raises(Stop, match="1 of 2 prompts would lose more than 50%"):
        truncation.fit_prompts(replace(run, recipe=replace(run.recipe, max_tokens=48)), prompts)


def test_a_template_that_refuses_conversations_is_told_before_the_model_is_loaded(
    tmp_path, folder, logged
):
    words = tokens.load_tokenizer(save_tokenizer(FAMILIES["Gemma 2"], tmp_path))
    system = {"role": "system", "content": "Be kind."}
    found = comparisons.of_rows(
        [row([system, *ask("Why?")], "ab", [1, 2]), row(ask("Why?") * 2, "ab", [1, 2])]
    )
    with pytest.raises(
        Stop, match="1 of 2 conversations can't be read by this model: .*must alternate"
    ):
        comparisons.fit(run_of("dpo", folder), found, words)

    [_], [part], _ = comparisons.fit(run_of("dpo", folder), found[:1], words)
    assert "Be kind.\n\nWhy?" in words.decode(part.prompt)
    assert logged[-1].endswith("that of 1 conversations begins their first user turn.")


# --- ends of answers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base model as Qwen2.5 comes: its end token ends documents, its chat template's turns end
    with another.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = save_tokenizer(FAMILIES["Qwen2.5"], tmp_path_factory.mktemp("models") / "base")
    words = tokens.load_tokenizer(folder)
    shape = AutoConfig.from_pretrained(tiny.save(folder.parent / "shape"))
    shape.vocab_size, shape.eos_token_id = len(words), words.convert_tokens_to_ids("<|endoftext|>")
    shape.bos_token_id = shape.pad_token_id = None
    AutoModelForCausalLM.from_config(shape).save_pretrained(folder)
    return folder


def test_a_base_models_answer_ends_where_its_chat_template_ends_a_turn(base, monkeypatch):
    from workers.engines.local import LocalEngine

    engine = LocalEngine(base)
    end = engine.tokenizer.convert_tokens_to_ids("<|im_end|>")
    with torch.no_grad():  # it says nothing else
        engine.model.lm_head.weight.zero_()
        for layer in engine.model.model.layers:
            layer.mlp.down_proj.weight.zero_()
            layer.self_attn.o_proj.weight.zero_()
        engine.model.model.embed_tokens.weight.fill_(1.0)
        engine.model.lm_head.weight[end] = 1.0
    [sample] = engine.sample([ask("Why?")], [1], temperature=0, max_tokens=8)
    assert (sample.finish_reason, sample.tokens) == ("stop", 1)


def test_a_published_model_names_all_that_ends_its_answers(base, tmp_path):
    from transformers import AutoModelForCausalLM, GenerationConfig

    from workers.trainers.run import loop

    words = tokens.load_tokenizer(base)
    loop.save(
        AutoModelForCausalLM.from_pretrained(base),
        words,
        replace(run_of("sft", base), model=base),
        tmp_path,
    )
    ends = GenerationConfig.from_pretrained(tmp_path).eos_token_id
    assert set(words.convert_ids_to_tokens(ends)) == {"<|endoftext|>", "<|im_end|>"}
