"""Answers drawn on this machine: right log-probabilities, right ends, the same again from the same seed."""

import shutil

import pytest
import torch
from safetensors.torch import save_file

from tests.workers import tiny
from workers.engines.local import Draw, LocalEngine, row_seed
from workers.trainers import tokens

pytestmark = pytest.mark.torch

SHORT = [{"role": "user", "content": "Why?"}]
LONG = [{"role": "user", "content": "Tell me about the sea and the sky, the sun, the moon and a small green bird."}]
TALK = [*LONG, {"role": "assistant", "content": "No, I am sorry."}, {"role": "user", "content": "Please!"}]
ALL = [SHORT, LONG, TALK]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def engine(folder):
    return LocalEngine(folder)


def prompt(engine, messages):
    text = engine.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return engine.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]


def greedy_alone(engine, messages, steps):
    """Token ids by the plainest loop there is: no batch, no cache, no padding."""
    ids = prompt(engine, messages)
    for _ in range(steps):
        ids = torch.cat([ids, engine.model(ids).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids[0, -steps:].tolist()


def texts(samples):
    return [sample.text for sample in samples]


@torch.inference_mode()
def test_a_padded_batch_says_what_each_row_says_alone(engine):
    found = engine.sample(ALL, [0, 0, 0], temperature=0, max_tokens=12)

    alone = [engine.tokenizer.decode(greedy_alone(engine, messages, 12)).strip() for messages in ALL]
    assert texts(found) == alone


@torch.inference_mode()
def test_the_logprob_is_that_of_a_full_forward(engine):
    found = engine.sample(ALL, [0, 0, 0], temperature=0, max_tokens=12)

    for sample, messages in zip(found, ALL):
        start, drawn = prompt(engine, messages), torch.tensor([greedy_alone(engine, messages, 12)])
        logits = engine.model(torch.cat([start, drawn], dim=1)).logits[:, start.shape[1] - 1 : -1]
        expected = logits.log_softmax(-1).gather(2, drawn[..., None]).sum().item()
        assert sample.logprob == pytest.approx(expected, abs=1e-4)


def test_the_same_seeds_draw_the_same_answers_whatever_lies_beside_them(engine):
    seeds = [row_seed(1, "prompt", slot) for slot in range(6)]
    together = engine.sample(ALL * 2, seeds, max_tokens=10)
    apart = [engine.sample([messages], [seed], max_tokens=10)[0] for messages, seed in zip(ALL * 2, seeds)]

    assert texts(together) == texts(apart) == texts(engine.sample(ALL * 2, seeds, max_tokens=10))
    assert len(set(texts(together))) == 6


def test_an_answer_ends_at_an_end_token(engine):
    first, second, *_ = greedy_alone(engine, LONG, 2)
    engine.ends = engine.model.generation_config.eos_token_id = [second]

    (sample,) = engine.sample([LONG], [0], temperature=0, max_tokens=12)

    assert (sample.finish_reason, sample.tokens) == ("stop", 2)
    assert sample.text == engine.tokenizer.decode([first, second], skip_special_tokens=True).strip()


def test_an_answer_stops_at_the_longest_allowed(engine):
    (sample,) = engine.sample([LONG], [0], temperature=0, max_tokens=3)
    assert (sample.finish_reason, sample.tokens) == ("length", 3)


def test_special_tokens_do_not_reach_the_text(engine):
    end = engine.tokenizer.eos_token_id
    sample = engine._finished([end], [-1.0], False)
    assert (sample.text, sample.tokens, sample.finish_reason) == ("", 1, "stop")


def test_a_prompt_too_long_for_the_model_loses_its_start(engine):
    endless = [{"role": "user", "content": "sea " * 600 + "Why?"}]
    ids, cut = tokens.prompt_ids(engine.tokenizer, endless, 508)
    assert (cut, len(ids)) == (True, 508)
    assert engine.tokenizer.decode(ids).endswith("Why?<|im_end|>\n<|im_start|>assistant\n")

    short, long = engine.sample([SHORT, endless], [0, 0], temperature=0, max_tokens=4)

    assert (short.truncated, long.truncated) == (False, True)
    assert long.tokens == 4


def test_no_conversation_no_answer(engine):
    assert engine.sample([], []) == []


def test_a_model_without_a_chat_template_still_answers(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "plain")
    (tmp_path / "plain" / "chat_template.jinja").unlink()

    engine = LocalEngine(tmp_path / "plain")

    assert engine.tokenizer.decode(prompt(engine, SHORT)[0]) == "User: Why?\n\nAssistant:"
    assert len(engine.sample([SHORT], [1], max_tokens=4)) == 1


def test_a_model_without_all_its_weights_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "broken")
    save_file({"lm_head.weight": torch.zeros(len(tiny.tokenizer()), 32)}, tmp_path / "broken" / "model.safetensors")
    with pytest.raises(OSError, match="lacks"):
        LocalEngine(tmp_path / "broken")


def draws(scores, temperature=1.0, top_p=1.0, top_k=0, count=2000):
    """How often each token is drawn, by evenly spaced uniform numbers."""
    draw = Draw([0], 0, 1, temperature, top_p, top_k)
    uniform = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    chosen = draw.choose(torch.tensor([scores]).expand(count, -1), uniform)
    return (chosen.bincount(minlength=len(scores)) / count).tolist()


def test_tokens_are_drawn_as_often_as_they_are_likely():
    scores = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().tolist()
    assert draws(scores) == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-3)


def test_temperature_sharpens():
    scores = torch.tensor([0.2, 0.8]).log().tolist()
    assert draws(scores, temperature=0.5) == pytest.approx([0.04 / 0.68, 0.64 / 0.68], abs=1e-3)


def test_top_k_and_top_p_cut_the_tail():
    scores = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().tolist()
    assert draws(scores, top_k=2) == pytest.approx([0, 0, 3 / 7, 4 / 7], abs=1e-3)
    assert draws(scores, top_p=0.6) == pytest.approx([0, 0, 3 / 7, 4 / 7], abs=1e-3)
    assert draws(scores, top_p=0.01) == [0, 0, 0, 1]


def test_the_largest_uniform_number_stays_within_the_cut():
    draw = Draw([0], 0, 1, 1.0, 0.5, 0)
    chosen = draw.choose(torch.zeros(1, 4), torch.tensor([1.0], dtype=torch.float64))
    assert chosen.item() in draw.choose(torch.zeros(4, 4), torch.tensor([0, 0.3, 0.6, 0.99], dtype=torch.float64))
