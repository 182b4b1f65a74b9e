"""Every family of models that the engine decodes says what transformers' own `generate` makes it
say.
"""

from types import SimpleNamespace

import pytest
import torch
from transformers import GenerationConfig, MambaConfig

from tests.workers import tiny
from workers.engines.answers import row_seed
from workers.engines.decoders import decoder_of, start_token
from workers.engines.local import LocalEngine
from workers.modeling import tokens

pytestmark = pytest.mark.torch

TALKS = [
    [{"role": "user", "content": content}]
    for content in [
        "Why?",
        "Tell me about the sea and the sky, the sun, the moon and a small green bird.",
        "Music is good",
    ]
]
FAMILIES = ["llama", *tiny.OTHERS]


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tiny.save(folder / "llama")
    return {
        kind: LocalEngine(
            folder / kind if kind == "llama" else tiny.save_other(folder / kind, kind)
        )
        for kind in FAMILIES
    }


@pytest.fixture(params=FAMILIES)
def engine(engines, request):
    found = engines[request.param]
    found.ends = [found.tokenizer.eos_token_id, *range(5, 45)]
    return found


def prompt(engine, messages):
    return torch.tensor([tokens.prompt_ids(engine.tokenizer, messages, 200)[0]])


def generated(engine, messages, **settings):
    """Token ids that `generate` takes for one prompt alone."""
    ids = prompt(engine, messages)
    engine.model.generation_config = GenerationConfig(
        eos_token_id=engine.ends,
        pad_token_id=engine.tokenizer.pad_token_id,
        decoder_start_token_id=getattr(engine.model.config, "decoder_start_token_id", None),
        do_sample=False,
    )
    output = engine.model.generate(ids, **settings)[0]
    return output[1 if engine.model.config.is_encoder_decoder else ids.shape[1] :].tolist()


@pytest.mark.parametrize("penalty", [1.0, 1.5])
def test_the_likeliest_tokens_are_those_of_generate(engine, penalty):
    settings = {"repetition_penalty": penalty}
    found = engine.sample(TALKS * 3, [0] * 9, temperature=0, max_tokens=16, batch=4, **settings)

    alone = [generated(engine, messages, max_new_tokens=16, **settings) for messages in TALKS]
    assert [list(sample.ids) for sample in found] == alone * 3


def test_answers_are_the_same_in_any_batch(engine):
    seeds = [row_seed(1, "prompt", slot) for slot in range(12)]
    one, few, many = (
        engine.sample(TALKS * 4, seeds, temperature=1, top_k=0, top_p=1, max_tokens=12, batch=batch)
        for batch in (1, 5, 64)
    )
    assert (
        [sample.ids for sample in one]
        == [sample.ids for sample in few]
        == [sample.ids for sample in many]
    )
    assert len({sample.tokens for sample in one}) > 2


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_the_logprobs_of_an_encoder_decoder_are_those_of_a_full_forward(engines, kind):
    engine = engines[kind]
    for messages, sample in zip(TALKS, engine.sample(TALKS, [1, 2, 3], max_tokens=10)):
        said = torch.tensor([[start_token(engine.model.config), *sample.ids]])
        logits = engine.model(input_ids=prompt(engine, messages), decoder_input_ids=said).logits[
            0, :-1
        ]
        expected = logits.log_softmax(-1).gather(1, said[0, 1:, None])[:, 0].tolist()
        assert sample.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_prompt_too_long_for_an_encoder_loses_its_start(engines):
    endless = [{"role": "user", "content": "sea " * 600}]
    (sample,) = engines["bart"].sample([endless], [0], max_tokens=4)
    assert (sample.truncated, sample.tokens) == (True, 4)


def test_a_model_with_another_memory_than_keys_and_values_is_refused():
    with pytest.raises(ValueError, match="another memory"):
        decoder_of(SimpleNamespace(config=MambaConfig()))


def test_a_model_that_names_no_start_is_refused():
    with pytest.raises(ValueError, match="decoder_start_token_id"):
        start_token(SimpleNamespace(decoder_start_token_id=None, bos_token_id=None))
