"""The ten most used families of models, each as a small tokenizer and configs of its shape: who
begins and ends with what.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

from tests.workers.tiny import WORDS

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}"
    "{% else %}{% set loop_messages = messages %}{% set system = '' %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') "
    "}}{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.index0 == 0 else '') + message['content'].strip() "
    "+ ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') "
    "}}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% "
    "endfor %}"
)
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% "
    "endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """How a family comes (named tokens, chat template, configs), and what is right: `ends`,
    `padding`, `begins`.
    """

    special: str  # in the order of their ids
    eos: str
    ends: str
    padding: str
    bos: str | None = None
    pad: str | None = None
    unk: str | None = None
    puts_bos: bool = False  # whether its tokenizer puts the begin token before a text
    template: str | None = None  # a file of TRL's where it ends in .jinja
    config_eos: str | None = None
    generation_eos: str | None = None
    system: str = "kept"  # what becomes of a system turn: kept, or folded into the first user turn
    alternates: bool = False  # whether its template refuses two user turns in a row

    @property
    def begins(self) -> str | None:
        """The one begin token of a prompt; None where it has none."""
        return self.bos if self.puts_bos else None


GEMMA = {
    "special": "<pad> <eos> <bos> <unk> <start_of_turn> <end_of_turn>",
    "bos": "<bos>",
    "eos": "<eos>",
    "pad": "<pad>",
    "unk": "<unk>",
    "puts_bos": True,
    "config_eos": "<eos>",
    "ends": "<eos> <end_of_turn>",
    "padding": "<pad>",
    "alternates": True,
}
FAMILIES = {
    "Llama 2": Family(
        special="<unk> <s> </s>",
        bos="<s>",
        eos="</s>",
        unk="<unk>",
        puts_bos=True,
        template=LLAMA2,
        config_eos="</s>",
        ends="</s>",
        padding="<unk>",
        alternates=True,
    ),
    "Llama 3": Family(
        special=(
            "<|begin_of_text|> <|end_of_text|> <|reserved_special_token_0|> <|start_header_id|> "
            "<|end_header_id|> <|eot_id|>"
        ),
        bos="<|begin_of_text|>",
        eos="<|end_of_text|>",
        puts_bos=True,
        template="llama3.jinja",
        config_eos="<|end_of_text|>",
        ends="<|end_of_text|> <|eot_id|>",
        padding="<|reserved_special_token_0|>",
    ),
    "Qwen2.5": Family(
        special="<|endoftext|> <|im_start|> <|im_end|> <|vision_pad|>",
        eos="<|endoftext|>",
        pad="<|endoftext|>",
        template="qwen2_5.jinja",
        config_eos="<|endoftext|>",
        ends="<|endoftext|> <|im_end|>",
        padding="<|vision_pad|>",
    ),
    "Qwen3": Family(
        special="<|endoftext|> <|im_start|> <|im_end|> <|vision_pad|>",
        eos="<|im_end|>",
        pad="<|endoftext|>",
        template="qwen3.jinja",
        config_eos="<|im_end|>",
        generation_eos="<|im_end|> <|endoftext|>",
        ends="<|endoftext|> <|im_end|>",
        padding="<|endoftext|>",
    ),
    "Mistral": Family(
        special="<unk> <s> </s>",
        bos="<s>",
        eos="</s>",
        unk="<unk>",
        puts_bos=True,
        template=MISTRAL,
        config_eos="</s>",
        ends="</s>",
        padding="<unk>",
        system="folded",
        alternates=True,
    ),
    "Gemma 2": Family(template="gemma.jinja", system="folded", **GEMMA),
    "Gemma 3": Family(template="gemma3.jinja", **GEMMA),
    "Phi": Family(
        special="<unk> <s> </s> <|endoftext|> <|assistant|> <|system|> <|user|> <|end|>",
        bos="<s>",
        eos="<|endoftext|>",
        pad="<|endoftext|>",
        unk="<unk>",
        template="phi3.jinja",
        config_eos="<|endoftext|>",
        ends="<|endoftext|> <|end|>",
        padding="<unk>",
    ),
    "SmolLM2": Family(
        special="<|endoftext|> <|im_start|> <|im_end|>",
        bos="<|im_start|>",
        eos="<|im_end|>",
        pad="<|im_end|>",
        unk="<|endoftext|>",
        template=SMOLLM2,
        config_eos="<|im_end|>",
        ends="<|im_end|>",
        padding="<|endoftext|>",
    ),
    "GPT-2": Family(
        special="<|endoftext|>",
        bos="<|endoftext|>",
        eos="<|endoftext|>",
        unk="<|endoftext|>",
        config_eos="<|endoftext|>",
        ends="<|endoftext|>",
        padding="<|endoftext|>",
    ),
    "Pythia": Family(
        special="<|endoftext|> <|padding|>",
        bos="<|endoftext|>",
        eos="<|endoftext|>",
        unk="<|endoftext|>",
        config_eos="<|endoftext|>",
        ends="<|endoftext|>",
        padding="<|padding|>",
    ),
}


def save_tokenizer(family: Family, folder: Path) -> Path:
    """Write a byte-level tokenizer with the family's special tokens, habits and chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = family.special.split()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bare.train_from_iterator(WORDS.splitlines(), trainer)
    if family.puts_bos:
        bare.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A", special_tokens=[(family.bos, bare.token_to_id(family.bos))]
        )
    named = {f"{name}_token": getattr(family, name) for name in ("bos", "eos", "pad", "unk")}
    PreTrainedTokenizerFast(
        tokenizer_object=bare,
        additional_special_tokens=[token for token in special if token not in named.values()],
        chat_template=template(family),
        **{name: token for name, token in named.items() if token},
    ).save_pretrained(folder)
    return folder


def template(family: Family) -> str | None:
    if family.template and family.template.endswith(".jinja"):
        return (resources.files("trl") / "chat_templates" / family.template).read_text()
    return family.template


def model_of(family: Family, tokenizer) -> SimpleNamespace:
    """What is asked of a model of the family about its ends: its config, and how it was told to
    generate.
    """
    ids = [
        tokenizer.convert_tokens_to_ids((names or "").split())
        for names in (family.config_eos, family.generation_eos)
    ]
    config = SimpleNamespace(eos_token_id=ids[0][0], get_text_config=lambda: config)
    return SimpleNamespace(
        config=config, generation_config=SimpleNamespace(eos_token_id=ids[1] or ids[0][0])
    )
