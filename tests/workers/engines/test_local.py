"""Answers drawn on this machine: right log-probabilities, right ends, the same again from the same
seed.
"""

import shutil

import pytest
import torch
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode

from tests.workers import tiny
from tests.workers.engines.test_draws import chance, expected
from workers.engines import batch
from workers.engines.answers import row_seed
from workers.engines.batch import BrokenModel
from workers.engines.decoders import Causal
from workers.engines.endings import Endings
from workers.engines.local import LocalEngine
from workers.modeling import tokens

pytestmark = pytest.mark.torch

SHORT = [{"role": "user", "content": "Why?"}]
LONG = [
    {
        "role": "user",
        "content": "Tell me about the sea and the sky, the sun, the moon and a small green bird.",
    }
]
TALK = [
    *LONG,
    {"role": "assistant", "content": "No, I am sorry."},
    {"role": "user", "content": "Please!"},
]
ALL = [SHORT, LONG, TALK]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def engine(folder):
    return LocalEngine(folder)


def prompt(engine, messages):
    text = engine.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
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

    alone = [
        engine.tokenizer.decode(greedy_alone(engine, messages, 12)).strip() for messages in ALL
    ]
    assert texts(found) == alone


@torch.inference_mode()
def test_the_logprob_is_that_of_a_full_forward(engine):
    found = engine.sample(ALL, [0, 0, 0], temperature=0, max_tokens=12)

    for sample, messages in zip(found, ALL):
        start, drawn = prompt(engine, messages), torch.tensor([greedy_alone(engine, messages, 12)])
        logits = engine.model(torch.cat([start, drawn], dim=1)).logits[:, start.shape[1] - 1 : -1]
        expected = logits.log_softmax(-1).gather(2, drawn[..., None]).sum().item()
        assert sample.logprob == pytest.approx(expected, abs=1e-4)


def various(engine, count=40):
    """Talks of every length, and ends that come often: rows leave the batch at different steps."""
    engine.ends = [engine.tokenizer.eos_token_id, *range(5, 45)]
    words = ["sea", "sky", "the sun", "and a bird", "moon"]
    talks = [
        [{"role": "user", "content": " ".join(words * (n % 5) + words[: n % 4])}]
        for n in range(count)
    ]
    return talks, [row_seed(1, "prompt", slot) for slot in range(count)]


def test_an_answer_is_the_same_in_any_batch_alone_and_after_a_refill(engine):
    talks, seeds = various(engine)
    alone, few, all_together = (
        engine.sample(talks, seeds, temperature=1, top_k=0, top_p=1, max_tokens=12, batch=batch)
        for batch in (1, 7, 64)
    )
    assert texts(alone) == texts(few) == texts(all_together)
    assert (
        [sample.ids for sample in alone]
        == [sample.ids for sample in few]
        == [sample.ids for sample in all_together]
    )
    assert len({sample.tokens for sample in alone}) > 6


def test_a_rerun_repeats_and_another_seed_differs(engine):
    talks, seeds = various(engine)
    once = engine.sample(talks, seeds, max_tokens=10, batch=7)

    assert once == engine.sample(talks, seeds, max_tokens=10, batch=7)
    others = engine.sample(
        talks, [row_seed(2, "prompt", slot) for slot in range(40)], max_tokens=10, batch=7
    )
    assert sum(a.ids == b.ids for a, b in zip(once, others)) < 3


def test_slots_of_one_prompt_differ(engine):
    found = engine.sample(
        [LONG] * 6, [row_seed(1, "prompt", slot) for slot in range(6)], max_tokens=10
    )
    assert len(set(texts(found))) == 6


def test_answers_come_as_they_end_each_with_its_number(engine):
    talks, seeds = various(engine)
    streamed = list(engine.stream(talks, seeds, max_tokens=10, batch=7))

    assert [number for number, _ in streamed] != sorted(number for number, _ in streamed)
    assert [sample for _, sample in sorted(streamed)] == engine.sample(
        talks, seeds, max_tokens=10, batch=7
    )


def test_each_prompt_is_read_once_however_many_answers_it_has(engine, monkeypatch):
    read, prefill = [], Causal.prefill
    monkeypatch.setattr(
        Causal, "prefill", lambda self, prompts: read.extend(prompts) or prefill(self, prompts)
    )

    engine.sample(ALL * 5, list(range(15)), max_tokens=6, batch=4)

    assert sorted(read) == sorted(prompt(engine, messages)[0].tolist() for messages in ALL)


def test_prompts_are_read_a_bounded_number_of_tokens_at_a_time(engine, monkeypatch):
    monkeypatch.setattr("workers.engines.batch.PREFILL", 60)
    sizes, prefill = [], Causal.prefill
    monkeypatch.setattr(
        Causal,
        "prefill",
        lambda self, prompts: sizes.append(len(prompts)) or prefill(self, prompts),
    )

    found = engine.sample(ALL * 2, [0] * 6, temperature=0, max_tokens=4)

    assert sizes == [1, 1, 1]
    assert texts(found)[:3] == texts(found)[3:]


@torch.inference_mode()
def test_every_tokens_logprob_is_that_of_a_full_forward(engine):
    talks, seeds = various(engine)
    found = engine.sample(talks, seeds, top_k=5, repetition_penalty=1.4, max_tokens=10, batch=7)

    for sample, messages in zip(found, talks):
        start, drawn = prompt(engine, messages), torch.tensor([sample.ids])
        logits = engine.model(torch.cat([start, drawn], dim=1)).logits[:, start.shape[1] - 1 : -1]
        expected = logits.log_softmax(-1).gather(2, drawn[..., None]).flatten().tolist()
        assert sample.logprobs == pytest.approx(expected, abs=1e-4)
        assert sample.logprob == pytest.approx(sum(expected), abs=1e-3)


@torch.inference_mode()
def test_first_tokens_come_as_often_as_transformers_would_draw_them(engine):
    settings = {
        "temperature": 1.4,
        "top_k": 60,
        "top_p": 0.8,
        "min_p": 0.05,
        "repetition_penalty": 1.3,
    }
    count, ids = 20_000, prompt(engine, LONG)
    found = engine.sample([LONG] * count, list(range(count)), **settings, max_tokens=1, batch=5000)

    counts = torch.tensor([sample.ids[0] for sample in found]).bincount(
        minlength=len(engine.tokenizer)
    )
    probabilities = expected(engine.model(ids).logits[0, -1], ids[0], **settings)
    assert counts[probabilities == 0].sum() == 0
    assert chance(counts, probabilities) > 0.001


def test_an_answer_ends_at_an_end_token(engine):
    first, second, *_ = greedy_alone(engine, LONG, 2)
    engine.ends = [second]

    (sample,) = engine.sample([LONG], [0], temperature=0, max_tokens=12)

    assert (sample.finish_reason, sample.tokens) == ("stop", 2)
    assert sample.text == engine.tokenizer.decode([first, second], skip_special_tokens=True).strip()


def test_an_answer_stops_at_the_longest_allowed(engine):
    (sample,) = engine.sample([LONG], [0], temperature=0, max_tokens=3)
    assert (sample.finish_reason, sample.tokens) == ("length", 3)


def test_special_tokens_do_not_reach_the_text(engine):
    end = engine.tokenizer.eos_token_id
    endings = Endings(engine.tokenizer, engine.ends, stop=(), longest=5)
    assert (endings.text([end]), endings.reached([end]), endings.reason([end])) == (
        "",
        True,
        "stop",
    )


def decoded(engine, ids):
    return engine.tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("stop", [["e"], ["q", "Z", "ee"], [" the"], ["\n", "user", "é"]], ids=str)
def test_an_answer_is_cut_exactly_before_a_stop_string(engine, stop):
    talks, seeds = various(engine)
    free = engine.sample(talks, seeds, temperature=1.5, top_k=0, top_p=1, max_tokens=24, batch=7)
    cut = engine.sample(
        talks, seeds, temperature=1.5, top_k=0, top_p=1, max_tokens=24, batch=7, stop=stop
    )

    for whole, sample in zip(free, cut):
        text = decoded(engine, whole.ids)
        end = min((text.find(string) for string in stop if string in text), default=len(text))
        assert sample.text == text[:end].strip()
        assert sample.ids == whole.ids[: sample.tokens]
        assert not any(string in decoded(engine, sample.ids[:-1]) for string in stop)
        if end < len(text):
            assert sample.finish_reason == "stop"
            assert any(string in decoded(engine, sample.ids) for string in stop)
        else:
            assert (sample.ids, sample.finish_reason) == (whole.ids, whole.finish_reason)


def test_a_stop_string_may_span_tokens_and_be_all_there_is(engine):
    ids = greedy_alone(engine, LONG, 6)
    text = engine.tokenizer.decode(ids)
    whole, inner = (
        engine.tokenizer.decode(ids[:3]),
        text[len(engine.tokenizer.decode(ids[:2])) - 1 :][:3],
    )

    (empty,) = engine.sample([LONG], [0], temperature=0, stop=[whole])
    (part,) = engine.sample([LONG], [0], temperature=0, stop=[inner])

    assert (empty.text, empty.finish_reason, empty.tokens) == ("", "stop", 3)
    assert (part.text, part.finish_reason) == (text[: text.find(inner)].strip(), "stop")


def test_an_empty_stop_string_is_refused(engine):
    with pytest.raises(ValueError, match="empty stop string"):
        engine.sample([LONG], [0], stop=[""])


def poison(engine, row, after):
    """The model gives this row of a batch scores that are not numbers, from its step `after` on."""
    calls = iter(range(1000))

    def spoil(module, inputs, logits):
        if next(calls) >= after:
            logits[row] = torch.nan
        return logits

    engine.model.lm_head.register_forward_hook(spoil)


def test_scores_that_are_not_numbers_end_the_stream_with_a_sentence(engine):
    poison(engine, row=1, after=3)
    with pytest.raises(BrokenModel, match="not numbers, first after 3 tokens of answer 2"):
        engine.sample([LONG] * 3, [1, 2, 3], max_tokens=8)


def test_what_a_tick_raises_ends_the_stream(engine):
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.sample(ALL, [1, 2, 3], tick=stop)


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
    save_file(
        {"lm_head.weight": torch.zeros(len(tiny.tokenizer()), 32)},
        tmp_path / "broken" / "model.safetensors",
    )
    with pytest.raises(OSError, match="lacks"):
        LocalEngine(tmp_path / "broken")


class Waits(TorchDispatchMode):
    """Operations whose result Python needs before it goes on: a GPU would be waited for."""

    NAMES = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "item", "masked_select")

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().split("::")[1].split(".")[0]
        if name in self.NAMES:
            self.names.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("how", [{"temperature": 0}, {"top_k": 5, "repetition_penalty": 1.2}])
def test_a_decoding_step_waits_for_the_device_once(engine, monkeypatch, how):
    engine.ends = []
    fetched, waits = [], Waits()
    read = batch.on_host
    monkeypatch.setattr(batch, "on_host", lambda *tensors: fetched.append(1) or read(*tensors))

    steps = []

    def tick():  # each step from its start to the next one's
        steps.append((len(fetched), len(waits.names)))

    with waits:
        engine.sample(ALL, [1, 2, 3], max_tokens=12, tick=tick, **how)

    first, *_, last = steps[1:]
    assert len(steps) == 12
    assert last[0] - first[0] == len(steps) - 2
    assert last[1] == first[1], waits.names
