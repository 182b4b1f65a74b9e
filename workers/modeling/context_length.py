"""What a model can read of conversations: its longest length, what is cut, what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from workers.modeling import tokens
from workers.modeling.tokens import Content, Fitted

# Messages, the answers that are read after them, and whether each came to its own end
Conversation = tuple[list[dict[str, Any]], Sequence[Content], list[bool]]
NO_LIMIT = 2**31


class Unreadable(ValueError):
    """A model can't read these conversations as asked; the message tells a person what to do."""


def context(config: PreTrainedConfig) -> int:
    """The most tokens that a model reads; NO_LIMIT where its config names none."""
    return getattr(config.get_text_config(), "max_position_embeddings", None) or NO_LIMIT


def read(
    tokenizer: PreTrainedTokenizerBase, conversations: Iterable[Conversation], longest: int
) -> list[Fitted]:
    """The conversations as token ids. Raises Unreadable where the model's chat template does not
    take some of them.
    """
    result, refused, why = [], 0, ""
    for messages, answers, ended in conversations:
        try:
            result.append(tokens.fitted(tokenizer, messages, answers, longest, ended))
        except tokens.RefusedByTemplate as error:
            refused, why = refused + 1, str(error)
    if refused:
        raise Unreadable(
            f"{refused} of {refused + len(result)} conversations can't be read by this model: "
            f"{why}. "
            "Choose another model, or leave such prompts out."
        )
    return result


def refuse(fitted: list[Fitted], least: float, remedy: str) -> None:
    """Raises Unreadable, with the remedy, where a prompt keeps less than the share `least` of its
    tokens.
    """
    if short := sum(part.kept < least for part in fitted):
        raise Unreadable(
            f"{short} of {len(fitted)} prompts would lose more than {1 - least:.0%} of their "
            "tokens: "
            f"{remedy}, leave such prompts out, or lower least_prompt."
        )


def sentences(fitted: list[Fitted], longest: int) -> list[str]:
    """What was cut and what was folded, for the log."""
    result = []
    cut, ends = sum(part.kept < 1 for part in fitted), sum(part.answers_cut for part in fitted)
    if cut:
        result.append(
            f"To fit {longest} tokens, {cut} of {len(fitted)} prompts lost the start of what "
            "follows their system turn."
        )
    if ends:
        result.append(f"To fit {longest} tokens, {ends} answers lost their end.")
    if folded := sum(part.folded for part in fitted):
        result.append(
            f"The model's chat template has no system turn: that of {folded} conversations begins "
            "their first user turn."
        )
    if renamed := sum(part.renamed for part in fitted):
        result.append(
            f"The model's chat template has no developer turn: in {renamed} conversations the "
            "system says it."
        )
    return result
