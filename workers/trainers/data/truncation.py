"""Prompts and answers cut to the longest length: refused where too little is left, counted where
anything is lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

from transformers import AutoConfig, PreTrainedTokenizerBase

from workers.modeling import context_length, tokens
from workers.modeling.context_length import Conversation
from workers.modeling.tokens import Fitted
from workers.trainers.run import events, metrics
from workers.trainers.run.events import Stop
from workers.trainers.run.runs import Run


def within_context(run: Run) -> Run:
    """The run with a longest length that its model can read, which its log is told of where it is
    not the recipe's.
    """
    folders = [run.model, *(run.others[name] for name in ("reward_model",) if name in run.others)]
    try:
        longest = min(
            context_length.context(AutoConfig.from_pretrained(folder, local_files_only=True))
            for folder in folders
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


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Raises Stop where the model can't read what it is given meanwhile."""
    try:
        yield
    except context_length.Unreadable as error:
        raise Stop(str(error)) from error


def fit(
    run: Run, tokenizer: PreTrainedTokenizerBase, conversations: Iterable[Conversation]
) -> list[Fitted]:
    """The conversations in the recipe's longest length. Raises Stop where one can't be read so;
    the log is told of what was cut.
    """
    recipe = run.recipe
    with stopping():
        result = context_length.read(tokenizer, conversations, recipe.max_length)
    needed = max(
        (part.whole + max(map(len, part.answers), default=0) for part in result), default=0
    )
    with stopping():
        context_length.refuse(result, recipe.least_prompt, f"raise max_length (all fit {needed})")
    for sentence in context_length.sentences(result, recipe.max_length):
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
        tokenizer = tokens.load_tokenizer(folder)
        with stopping():
            fitted = context_length.read(tokenizer, conversations, room)
            context_length.refuse(fitted, recipe.least_prompt, "raise max_length, lower max_tokens")
        for sentence in context_length.sentences(fitted, room):
            events.log(
                sentence if folder == run.model else f"As the reward model reads them: {sentence}"
            )
        lost = counts([prompt["split"] for prompt in prompts], fitted)
    return lost


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
