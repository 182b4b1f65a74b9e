"""An engine's own model computes what transformers' computes, in fewer operations and in no more
memory.
"""

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import nn

from tests.workers import tiny
from workers.engines import fusion, llama
from workers.engines.local import LocalEngine
from workers.modeling import tokens

pytestmark = pytest.mark.torch

TALKS = [
    [{"role": "user", "content": content}]
    for content in ["Why?", "Tell me about the sea and the sky, the sun and the moon.", "Music"]
]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}
STEPS = {"Llama", "Qwen2", "Qwen3"}  # whose decoding step is ours
FUSED = {  # what is recognised: projections, halves of the feed-forward part, norms
    "Llama": True,
    "Qwen2": True,  # with a bias
    "Qwen3": True,  # with a norm for each head
    "Mistral": True,  # with a window
    "Gemma2": True,  # with another norm, and scores that are capped
    "GPTNeoX": False,
}


@pytest.fixture(scope="module", params=FUSED)
def folder(request, tmp_path_factory):
    return save(tmp_path_factory.mktemp("models") / request.param, request.param)


def save(folder, family, **more):
    """A tiny model of this family with random weights, biases and norms, and the tokenizer of
    tiny.py.
    """
    words = tiny.tokenizer()
    ends = {name: getattr(words, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    sizes = SIZES | ({"sliding_window": 8} if family == "Mistral" else {}) | more
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = getattr(transformers, f"{family}Config")(vocab_size=len(words), **ends, **sizes)
        model = getattr(transformers, f"{family}ForCausalLM")(config)
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def untouched(folder, dtype=torch.float32):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def recognised(model):
    return {
        name.rsplit(".", 1)[-1] for name, part in model.named_modules() if "forward" in vars(part)
    }


def test_the_parts_of_a_family_are_recognised(folder):
    parts = recognised(LocalEngine(folder).model)
    assert ({"q_proj", "v_proj", "gate_proj", "up_proj"} <= parts) == FUSED[folder.name]
    norms = {"input_layernorm", "post_attention_layernorm", "norm"}
    assert (norms <= parts) == (folder.name not in ("Gemma2", "GPTNeoX"))


@pytest.mark.bf16
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_family_like_llama_decodes_with_a_step_of_ours(folder, dtype):
    assert bool(LocalEngine(folder, dtype=dtype).quick) == (folder.name in STEPS)


def test_a_window_that_is_switched_off_is_none(tmp_path):
    folder = save(tmp_path / "Mistral", "Mistral", sliding_window=None)
    assert LocalEngine(folder).quick


@pytest.mark.parametrize(
    "part",
    [
        {"rotated": lambda heads, turn: heads},
        {"gated": lambda mlp, hidden: mlp.gate_proj(hidden)},
    ],
    ids=["positions", "gate"],
)
def test_a_step_that_would_give_other_scores_is_not_taken(tmp_path, monkeypatch, part):
    folder = save(tmp_path / "Llama", "Llama")
    for name, wrong in part.items():
        monkeypatch.setattr(llama, name, wrong)

    engine, model = LocalEngine(folder), untouched(folder)

    assert engine.quick is None
    sample = engine.sample(TALKS[:1], [1], max_tokens=8)[0]
    assert sample.logprobs == pytest.approx(said_by(model, engine, TALKS[0], sample), abs=2e-5)


def test_the_answers_are_those_of_an_untouched_model(folder):
    engine, model = LocalEngine(folder), untouched(folder)

    for messages, sample in zip(TALKS, engine.sample(TALKS, [1, 2, 3], max_tokens=16)):
        assert sample.logprobs == pytest.approx(said_by(model, engine, messages, sample), abs=2e-5)


@torch.inference_mode()
def said_by(model, engine, messages, sample):
    """The log-probabilities that a model gives an answer's tokens, read at once."""
    ids, _ = tokens.prompt_ids(engine.tokenizer, messages, 200)
    logits = model(torch.tensor([ids + list(sample.ids)])).logits[0, len(ids) - 1 : -1]
    answer = torch.tensor(sample.ids)[:, None]
    return logits.float().log_softmax(-1).gather(1, answer)[:, 0].tolist()


@pytest.mark.bf16
def test_the_answers_in_bfloat16_are_those_of_an_untouched_model_in_it(folder):
    engine, model = LocalEngine(folder, dtype="bfloat16"), untouched(folder, torch.bfloat16)

    for messages, sample in zip(TALKS, engine.sample(TALKS, [1, 2, 3], max_tokens=16)):
        assert sample.logprobs == pytest.approx(said_by(model, engine, messages, sample), abs=0.1)


@pytest.mark.bf16
def test_a_head_that_is_tied_to_the_embedding_is_packed_beside_it(tmp_path):
    folder = save(tmp_path / "Llama", "Llama", tie_word_embeddings=True)
    engine, model = LocalEngine(folder, dtype="bfloat16"), untouched(folder, torch.bfloat16)

    assert ("lm_head" in recognised(engine.model)) == fusion.packs_bfloat16()
    embedding = engine.model.get_input_embeddings().weight
    assert torch.equal(embedding, model.get_input_embeddings().weight)
    for messages, sample in zip(TALKS, engine.sample(TALKS, [1, 2, 3], max_tokens=16)):
        assert sample.logprobs == pytest.approx(said_by(model, engine, messages, sample), abs=0.1)


@pytest.mark.bf16
def test_a_weight_in_bfloat16_keeps_its_name_and_value_in_another_order(folder):
    engine, model = LocalEngine(folder, dtype="bfloat16"), untouched(folder, torch.bfloat16)

    kept, expected = engine.model.state_dict(), model.state_dict()
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name].to_dense(), expected[name]) for name in expected)
    assert fusion.packs_bfloat16() == any(weight.is_mkldnn for weight in kept.values())


def test_no_weight_is_in_memory_twice_and_each_keeps_its_name_and_value(folder):
    engine, model = LocalEngine(folder), untouched(folder)

    kept = engine.model.state_dict()
    expected = model.state_dict()
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name], expected[name]) for name in expected)
    shared = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in [*kept.values(), *joined(engine.model)]
    }
    assert sum(shared.values()) == 4 * sum(part.numel() for part in model.parameters())


def joined(model):
    """The large matrices of which the layers' weights are views."""
    products = {
        part.forward.func.__self__
        for part in model.modules()
        if isinstance(part, nn.Linear) and "forward" in vars(part)
    }
    return [product.weight for product in products]


@pytest.fixture
def layers():
    torch.manual_seed(0)
    layers = [nn.Linear(8, size) for size in (6, 3, 3)]
    plain = [nn.Linear(8, size) for size in (6, 3, 3)]
    for layer, copy in zip(layers, plain):
        copy.load_state_dict(layer.state_dict())
    fusion.SharedProduct(layers)
    return layers, plain


@torch.inference_mode()
def test_layers_of_one_product_may_be_called_in_any_order_and_with_any_input(layers):
    one, other = torch.randn(4, 8), torch.randn(4, 8)
    for place, hidden in [(1, one), (0, one), (0, one), (2, other), (2, one), (0, other)]:
        ours, expected = (group[place](hidden) for group in layers)
        assert torch.allclose(ours, expected, atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("replaced", ["in place", "data", "parameter"])
def test_a_weight_that_changes_later_counts(layers, replaced):
    fused, plain = layers
    hidden, weight = torch.randn(4, 8), torch.randn(3, 8)
    plain[1].weight.data.copy_(weight)
    if replaced == "in place":
        fused[1].weight.data.copy_(weight)
    elif replaced == "data":
        fused[1].weight.data = weight
    else:
        fused[1].weight = nn.Parameter(weight)

    for ours, expected in zip(fused, plain):
        assert torch.allclose(ours(hidden), expected(hidden), atol=1e-6)


def test_a_product_is_forgotten_when_all_its_parts_are_fetched(layers):
    fused, _ = layers
    product = fused[0].forward.func.__self__
    hidden = torch.randn(4, 8)
    fused[0](hidden)
    assert product.hidden is hidden
    fused[2](hidden), fused[1](hidden)
    assert product.hidden is None
    assert product.parts == {}


def test_a_layer_with_an_adapter_keeps_its_own_product(tmp_path):
    model = untouched(save(tmp_path / "Llama", "Llama"))
    lora = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "up_proj"])
    model = get_peft_model(model, lora).get_base_model()

    assert not any(fusion.alike(module) for module in model.modules())


def test_a_model_that_is_learning_is_left_as_it_is(tmp_path):
    folder = save(tmp_path / "Llama", "Llama")
    model = untouched(folder)

    engine = LocalEngine.around(model, tokens.load_tokenizer(folder), context=64)

    engine.sample(TALKS, [1, 2, 3], max_tokens=4)
    assert not recognised(model)
    assert engine.quick is None
    assert model.config._attn_implementation == "sdpa"
