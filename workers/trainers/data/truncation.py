"""Prompts and answers cut to the longest length: refused where too little is left, counted where
anything is lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from transformers import AutoConfig, PreTrainedConfig, PreTrainedTokenizerBase

from workers.modeling import tokens
from workers.modeling.tokens import Fitted
from workers.trainers.run import events, metrics
from workers.trainers.run.events import Stop
from workers.trainers.run.runs import Run

# Messages, the answers that are read after them, and whether each came to its own end
Conversation = tuple[list[dict], list[str], list[bool]]
NO_LIMIT = 2**31


def context(config: PreTrainedConfig) -> int:
    """The most tokens that a model reads; NO_LIMIT where its config names none."""
    return getattr(config.get_text_config(), "max_position_embeddings", None) or NO_LIMIT


def within_context(run: Run) -> Run:
    """The run with a longest length that its model can read, which its log is told of where it is
    not the recipe's.
    """
    folders = [run.model, *(run.others[name] for name in ("reward_model",) if name in run.others)]
    try:
        longest = min(
            context(AutoConfig.from_pretrained(folder, local_files_only=True)) for folder in folders
        )
    except (OSError, ValueError):
        return run  # loading the model says what is wrong
    if run.recipe.max_length <= longest:
        return run
    events.log(
        f"The model reads at most {longest} tokens: this is the longest length, not "
        f"{run.recipe.max_length}."
    )
    return dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, max_length=longest))


def fit(
    run: Run, tokenizer: PreTrainedTokenizerBase, conversations: Iterable[Conversation]
) -> list[Fitted]:
    """The conversations in the recipe's longest length. Raises Stop, see refuse(); the log is told
    of what was cut.
    """
    recipe = run.recipe
    result = read(tokenizer, conversations, recipe.max_length)
    needed = max(
        (part.whole + max(map(len, part.answers), default=0) for part in result), default=0
    )
    refuse(result, recipe.least_prompt, f"raise max_length (all fit {needed})")
    for sentence in sentences(result, recipe.max_length):
        events.log(sentence)
    return result


def fit_prompts(run: Run, prompts: list[dict]) -> list[dict]:
    """Figures of what is cut of prompts that are answered in the recipe's max_tokens. Raises Stop,
    see fit().

    The log is told too, and what is cut where the run's reward model, if there is one, reads them.
    """
    recipe, lost = run.recipe, []
    room = recipe.max_length - recipe.max_tokens
    folders = [run.others.get("reward_model"), run.model]
    for folder in (folder for folder in folders if folder and (folder / "config.json").is_file()):
        conversations = ((prompt["messages"], [], []) for prompt in prompts)
        fitted = read(tokens.load_tokenizer(folder), conversations, room)
        refuse(fitted, recipe.least_prompt, "raise max_length, lower max_tokens")
        for sentence in sentences(fitted, room):
            events.log(
                sentence if folder == run.model else f"As the reward model reads them: {sentence}"
            )
        lost = counts([prompt["split"] for prompt in prompts], fitted)
    return lost


def read(
    tokenizer: PreTrainedTokenizerBase, conversations: Iterable[Conversation], longest: int
) -> list[Fitted]:
    """The conversations as token ids. Raises Stop where the model's chat template does not take
    some of them.
    """
    result, refused, why = [], 0, ""
    for messages, answers, ended in conversations:
        try:
            result.append(tokens.fitted(tokenizer, messages, answers, longest, ended))
        except tokens.RefusedByTemplate as error:
            refused, why = refused + 1, str(error)
    if refused:
        raise Stop(
            f"{refused} of {refused + len(result)} conversations can't be read by this model: "
            f"{why}. "
            "Choose another model, or leave such prompts out."
        )
    return result


def refuse(fitted: list[Fitted], least: float, remedy: str) -> None:
    """Raises Stop, with the remedy, where a prompt keeps less than the share `least` of its tokens."""
    if short := sum(part.kept < least for part in fitted):
        raise Stop(
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
    return result


def counts(
    splits: list[str], fitted: list[Fitted], left_out: list[int] | None = None
) -> list[dict]:
    """Figures of each slice: prompts that were cut, answers that were, and what was left out for
    it; none of what is 0.

    `left_out` counts for each prompt the pairs (of KTO, the answers) that the cut made equal.
    """
    columns = {
        "prompts_cut": [int(part.kept < 1) for part in fitted],
        "answers_cut": [part.answers_cut for part in fitted],
        "left_out": left_out or [0 for _ in fitted],
    }
    return [
        metrics.plain(name, slice, sum(part))
        for name, column in columns.items()
        for slice, part in metrics.sliced(splits, column)
        if sum(part)
    ]


def cut_by_sampler(splits: list[str], ended: list[list[bool]], what: str = "answers") -> list[dict]:
    """How many answers of each slice the sampler cut, which get no end; nothing of a slice without.

    `ended` says of each prompt's answers whether they came to their own end. The log is told too.
    """
    cut = [sum(not whole for whole in answers) for answers in ended]
    if total := sum(cut):
        events.log(f"{total} {what} were cut by the sampler: no end is taught.")
    slices = [(slice, sum(part)) for slice, part in metrics.sliced(splits, cut)]
    return [metrics.plain("sampler_cut", slice, count) for slice, count in slices if count]
