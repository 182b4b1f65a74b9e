"""Tokenizers and the subtle tensor helpers that trainers and engines share."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

# For a base model that brings no template of its own.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() + ': ' + message['content'] | trim }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer saved in `folder`, with a chat template and a pad token whatever it came with.

    Its pad token differs from its end token wherever the vocabulary has another special token to spare: whoever
    masks padding by token id would otherwise mask the end of every answer too.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    tokenizer.chat_template = tokenizer.chat_template or PLAIN_TEMPLATE
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.pad_token = spare_token(tokenizer)
    return tokenizer


def spare_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """A special token that ends and begins nothing, preferably one made for padding; the end token if none is left."""
    taken = {tokenizer.eos_token, tokenizer.bos_token}
    spare = [token for token in tokenizer.all_special_tokens if token not in taken]
    added = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special and t.content not in taken]
    names = spare + [token for token in added if "pad" in token.lower() or token == "<|endoftext|>"]
    return names[0] if names else tokenizer.eos_token


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: list[dict], longest: int) -> tuple[list[int], bool]:
    """A conversation as token ids that ask for the next answer, and whether its start was cut to fit `longest`."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids[-longest:], len(ids) > longest


def answered(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict],
    answer: str,
    longest: int,
    ended: bool = True,
) -> tuple[list[int], list[int]]:
    """A conversation's and its answer's token ids, together at most `longest`.

    The prompt loses its start first; an answer that alone is too long loses its end. An answer that
    has not `ended`, because it was cut at the longest length, gets no end of its turn.
    """
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    turns = [*messages, {"role": "assistant", "content": answer}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    # Templates that rewrite earlier turns break the prefix; an answer is then appended as it is.
    kept = whole.startswith(prompt)
    tail = whole[len(prompt) :] if kept else answer + (tokenizer.eos_token or "")
    if not ended:
        tail = without_end(tail, answer)
    ids = tokenizer(tail, add_special_tokens=False)["input_ids"][: longest - 1]
    return prompt_ids(tokenizer, messages, longest - len(ids))[0], ids


def without_end(turn: str, answer: str) -> str:
    """A turn's text up to the end of its answer; the answer alone where the template rewrote it."""
    start = turn.find(answer)
    return turn[: start + len(answer)] if start >= 0 else answer


def padded(rows: list[list[int]], pad: int, side: str = "right") -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and their attention mask, both (rows, longest row), padded on `side`."""
    longest = max(map(len, rows))
    gaps = [longest - len(row) for row in rows]
    if side == "right":
        ids = [row + [pad] * gap for row, gap in zip(rows, gaps)]
        mask = [[1] * len(row) + [0] * gap for row, gap in zip(rows, gaps)]
    else:
        ids = [[pad] * gap + row for row, gap in zip(rows, gaps)]
        mask = [[0] * gap + [1] * len(row) for row, gap in zip(rows, gaps)]
    return torch.tensor(ids), torch.tensor(mask)


def last_token(mask: torch.Tensor) -> torch.Tensor:
    """Position of each row's last real token, from an attention mask (rows, length) padded on either side."""
    return (mask.long() * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1)


def without_end_pads(ids: list[int], pad: int) -> list[int]:
    """`ids` up to the last that is not `pad`.

    transformers' scoring heads read the last token that is not the pad token. A row that ends in one, because its
    text does or because the model's end token is also its pad token, would otherwise be read at another place than
    the attention mask says.
    """
    end = len(ids)
    while end > 1 and ids[end - 1] == pad:
        end -= 1
    return ids[:end]
