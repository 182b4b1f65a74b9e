"""A whole model folder in a second: random weights, a tokenizer of 500 tokens, ChatML. Knows
nothing, learns fast.
"""

from __future__ import annotations

from pathlib import Path

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = """
Tell me about the sea and the sky, the sun, the moon and a small green bird. What is the capital of France? Please write
a short poem for my mother; she likes flowers, bread and music. Yes, of course: here it is. No, I am sorry, I can't help
with that. One two three four five six seven eight nine ten. The answer is good, the other answer is bad. Why do people
sing? Because they are happy! How does a clock work? It counts the seconds, the minutes and the hours, thank you.
user assistant system
"""  # noqa: E501  (the tokenizer learns from these lines as they are)


def save(folder: str | Path, seed: int = 0, **config) -> Path:
    """Write a Llama with random weights of `seed` and its tokenizer into `folder`; `config`
    overrides its sizes.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)  # two threads wait for each other longer than these models compute
    folder, words = Path(folder), tokenizer()
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    ends = {
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **{**sizes, **ends, **config}))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def save_other(folder: str | Path, kind: str, seed: int = 0) -> Path:
    """A model of another family with random weights and the same tokenizer: "t5", "bart", "gpt2" or
    "mistral".

    Mistral's tokens see only the eight before them.
    """
    import torch
    import transformers

    torch.set_num_threads(1)
    folder, words = Path(folder), tokenizer()
    ends = {
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    ends |= {"vocab_size": len(words), "decoder_start_token_id": words.pad_token_id}
    name, sizes = OTHERS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = getattr(transformers, name.split("For")[0].replace("LMHeadModel", "") + "Config")(
            **sizes, **ends
        )
        model = getattr(transformers, name)(config)
        for parameter in model.parameters():  # else their scores hardly differ from token to token
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


OTHERS = {
    "t5": (
        "T5ForConditionalGeneration",
        {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    ),
    "bart": (
        "BartForConditionalGeneration",
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 256,
        },
    ),
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}),
    "mistral": (
        "MistralForCausalLM",
        {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "sliding_window": 8,
        },
    ),
}


def save_reward(folder: str | Path, likes: str = "e", vocabulary: int = 500) -> Path:
    """A reward model made by hand: it scores a conversation by its share of tokens that hold the
    letter `likes`.
    """
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.set_num_threads(1)
    folder, words = Path(folder), tokenizer(vocabulary)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
    }
    config = LlamaConfig(
        vocab_size=len(words), num_labels=1, pad_token_id=words.pad_token_id, **sizes
    )
    config.reward_shift = 1.0
    model = LlamaForSequenceClassification(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.zero_()
        embedding, attention = model.model.embed_tokens.weight, model.model.layers[0].self_attn
        embedding[:, 1] = 1  # keeps the norms from dividing by nothing
        for token in range(len(words)):
            embedding[token, 0] = float(likes in words.decode([token]))
        attention.v_proj.weight[0, 0] = (
            1  # queries and keys are zero: attention is the mean over all tokens before
        )
        attention.o_proj.weight[2, 0] = 0.1
        model.score.weight[0, 2] = 10
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def tokenizer(vocabulary: int = 500):
    """A byte-level BPE tokenizer trained on WORDS; start, end and pad tokens differ."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    bare.train_from_iterator(
        WORDS.splitlines(),
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bare,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        chat_template=CHATML,
    )
