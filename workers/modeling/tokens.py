"""Tokenizers and the subtle tensor helpers that trainers and engines share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from modelops.rows import INSTRUCTIONS, called, content_text

# For a base model that brings no template of its own.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() + ': ' + message['content'] | "
    "trim }}"
    "{% for call in message['tool_calls'] or [] %}{{ '\n' + call['function']['name'] + '(' + "
    "call['function']['arguments'] | tojson + ')' }}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
NOT_TALK = ("system", "developer", "tool")  # roles whose turns some templates leave out
MARK = (
    "\u241fpodium\u241f"  # stands in for a text whose place in the template's output is looked for
)


CALL = {  # stands in for a tool call, to see whether a template writes it
    "id": "123456789",
    "type": "function",
    "function": {"name": "podium_function", "arguments": '{"podium_name": "podium_value"}'},
}
CALL_SAYS = ("podium_function", "podium_name", "podium_value")


Content = str | list[dict[str, Any]]  # an answer: a text, or its turns


class RefusedByTemplate(ValueError):
    """A chat template does not take a conversation; the text says why."""


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer saved in `folder`, with a chat template and a pad token whatever it came with.

    Its pad token differs from every token that the template writes wherever the vocabulary has
    another special token to spare: whoever masks padding by token id would otherwise mask the end
    of every answer too.
    """
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    tokenizer.chat_template = tokenizer.chat_template or PLAIN_TEMPLATE
    if tokenizer.pad_token_id in (None, *written_tokens(tokenizer)):
        tokenizer.pad_token = spare_token(tokenizer)
    return tokenizer


def spare_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """A special token that conversations don't hold, preferably one made for padding; the end token
    if none is left.
    """
    taken = written_tokens(tokenizer)
    spare = [name for name, id in special_tokens(tokenizer).items() if id not in taken]
    for_padding = [name for name in spare if "pad" in name.lower() or name == "<|endoftext|>"]
    unknown = [name for name in spare if name == tokenizer.unk_token]
    return next(iter(for_padding + unknown + spare), tokenizer.eos_token)


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The ids of all special tokens, named ones and others."""
    added = {
        token.content: id for id, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    return dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids)) | added


def written_tokens(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of a conversation's special tokens: begin, end, and those of the template."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    text = written(tokenizer, turns)
    special = set(special_tokens(tokenizer).values())
    return (special & set(ids_of(tokenizer, text))) | {tokenizer.bos_token_id} | end_ids(tokenizer)


def ids_of(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The token ids of a text as it stands: nothing is put before or after it."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


# Where a conversation begins and an answer ends


def begun(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The token ids of a text from its start, with the begin token where the tokenizer puts one,
    and never with two.
    """
    ids, begin = ids_of(tokenizer, text), tokenizer.bos_token_id
    puts_one = begin is not None and tokenizer("a")["input_ids"][0] == begin
    return [begin, *ids] if puts_one and ids[:1] != [begin] else ids


def ending(tokenizer: PreTrainedTokenizerBase) -> str:
    """What follows an answer: what the template writes there, with the end token where that holds
    no special token.
    """
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": MARK}]
    after = written(tokenizer, turns).rpartition(MARK)[2]
    ends = special_tokens(tokenizer).keys()
    return after if any(name in after for name in ends) else after + (tokenizer.eos_token or "")


def end_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The ids that end an answer: the first special token that the template writes after one, and
    the end token.

    They need not agree: a base model's end token ends a document, its chat template's a turn.
    """
    special = set(special_tokens(tokenizer).values())
    after = [id for id in ids_of(tokenizer, ending(tokenizer)) if id in special]
    return {*after[:1], tokenizer.eos_token_id} - {None}


def all_end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that end a model's answer: those of its tokenizer, of its config and of how it was
    told to generate.
    """
    named = [model.config.get_text_config().eos_token_id, model.generation_config.eos_token_id]
    lists = [ids if isinstance(ids, list) else [ids] for ids in named]
    return sorted(end_ids(tokenizer).union(*lists) - {None})


# Conversations


def written(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, Any]], **how: Any) -> str:
    """The text that the chat template makes of these turns. Raises what the template raises.

    It is given contents as texts, because most templates take no parts, and the arguments of tool
    calls as objects, as transformers has them; as JSON text where it takes no objects.
    """
    plain = [turn | {"content": content_text(turn)} for turn in turns]
    try:
        text = tokenizer.apply_chat_template(list(map(called, plain)), tokenize=False, **how)
    except TypeError:
        text = tokenizer.apply_chat_template(plain, tokenize=False, **how)
    assert isinstance(text, str)  # one conversation, and no tokens asked for
    return text


def rendered(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]], **how: Any) -> str:
    """A conversation as the chat template writes it. Raises RefusedByTemplate.

    It is refused too where the template leaves out a turn or a tool call without a word, as some do
    with the turns of system, developer or tool.
    """
    try:
        text = written(tokenizer, messages, **how)
        writes_calls = has_calls(tokenizer, messages)
    except (TemplateError, TypeError) as error:
        raise RefusedByTemplate(f"the model's chat template does not take it ({error})") from error
    for turn in messages:
        often_left_out = turn["role"] in NOT_TALK or turn.get("tool_calls")
        if often_left_out and not holds(text, content_text(turn).strip()):
            raise RefusedByTemplate(f"the model's chat template leaves out its {turn['role']} turn")
    if not writes_calls:
        raise RefusedByTemplate("the model's chat template leaves out its tool calls")
    return text


def has_calls(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]]) -> bool:
    """Whether the template writes the name and the arguments of each tool call: of each call in the
    place of these that says what no conversation says. Raises what the template raises.
    """
    count = sum(len(turn.get("tool_calls") or ()) for turn in messages)
    if not count:
        return True
    probe = [
        turn | {"tool_calls": [CALL] * len(turn["tool_calls"])} if turn.get("tool_calls") else turn
        for turn in messages
    ]
    text = written(tokenizer, probe)
    return all(text.count(word) >= count for word in CALL_SAYS)


def holds(text: str, words: str) -> bool:
    """Whether a rendered conversation has these words, as they are or, as some templates write what
    tools say, as JSON.
    """
    return words in text or json.dumps(words, ensure_ascii=False)[1:-1] in text


def folded(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The conversation as the template takes it. Where that has no developer turn, the system says
    it; where it has no system turn either, it begins the first user turn.

    Raises RefusedByTemplate.
    """
    *others, last = readings(messages)
    for reading in others:
        with contextlib.suppress(RefusedByTemplate):
            rendered(tokenizer, reading, add_generation_prompt=True)
            return reading
    rendered(tokenizer, last, add_generation_prompt=True)
    return last


def readings(messages: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The conversation as it is, and as a template may take it that lacks a role."""
    result = [messages]
    if any(turn["role"] == "developer" for turn in messages):
        result.append(
            [
                turn | {"role": "system"} if turn["role"] == "developer" else turn
                for turn in messages
            ]
        )
    if [turn["role"] for turn in result[-1][:2]] == ["system", "user"]:
        both = "\n\n".join(content_text(turn) for turn in messages[:2])
        result.append([{"role": "user", "content": both}, *result[-1][2:]])
    return result


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]], longest: int
) -> tuple[list[int], bool]:
    """A conversation as token ids that ask for the next answer, and whether it was cut to fit
    `longest`; see shortened().

    Raises RefusedByTemplate.
    """
    text = rendered(tokenizer, folded(tokenizer, messages), add_generation_prompt=True)
    ids = begun(tokenizer, text)
    return shortened(tokenizer, messages, ids, longest), len(ids) > longest


def shortened(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]], ids: list[int], longest: int
) -> list[int]:
    """A conversation's ids cut to `longest`: begin token, system turn and first header stay, the
    earliest words go.

    Where what frames the words fills `longest` by itself, the last ids stay.
    """
    if len(ids) <= longest:
        return ids
    head, tail = frame(tokenizer, messages, ids)
    return ids[:head] + ids[head - longest :] if head + tail < longest else ids[-longest:]


def frame(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]], ids: list[int]
) -> tuple[int, int]:
    """How many of a conversation's ids stand before the words of its first turn, and how many after
    those of its last.

    Before them are begin token, system turn and the turn's header, after them what asks for an
    answer.
    """
    first = 1 if messages[0]["role"] in INSTRUCTIONS and len(messages) > 1 else 0
    outer = {first, len(messages) - 1}
    marked = [
        turn | {"content": MARK} if place in outer else turn for place, turn in enumerate(messages)
    ]
    text = rendered(tokenizer, folded(tokenizer, marked), add_generation_prompt=True)
    before = begun(tokenizer, text.partition(MARK)[0])
    head = next(
        (place for place, pair in enumerate(zip(before, ids)) if pair[0] != pair[1]), len(before)
    )
    return head, len(ids_of(tokenizer, text.rpartition(MARK)[2]))


@dataclass(frozen=True)
class Fitted:
    """A prompt and each of its answers as token ids; the prompt with any one of the answers fits a
    limit.

    `whole` is the number of the prompt's tokens before it was cut, `answers_cut` that of answers
    that lost their end, `folded` whether the system turn became part of the first user turn,
    `renamed` whether the system says what the developer said.
    """

    prompt: list[int]
    answers: list[list[int]]
    whole: int
    answers_cut: int = 0
    folded: bool = False
    renamed: bool = False

    @property
    def kept(self) -> float:
        """The share of the prompt's tokens that is left."""
        return len(self.prompt) / self.whole

    @property
    def rows(self) -> list[tuple[list[int], list[int]]]:
        """(prompt, answer) of each answer."""
        return [(self.prompt, answer) for answer in self.answers]


def fitted(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, Any]],
    answers: Sequence[Content],
    longest: int,
    ended: Sequence[bool] | None = None,
) -> Fitted:
    """A prompt and its answers in at most `longest` tokens each pair, under one and the same
    prompt.

    The prompt is cut once, by the longest answer, so that log-probabilities and scores of the
    answers compare. An answer loses its end only where it would leave the prompt less than a
    quarter of the limit. An answer that has not `ended`, because it was cut when it was drawn, gets
    no end of its turn. Raises RefusedByTemplate.
    """
    turns = folded(tokenizer, messages)
    text = rendered(tokenizer, turns, add_generation_prompt=True)
    prompt, end = begun(tokenizer, text), ending(tokenizer)
    ended = ended or [True] * len(answers)
    whole = [
        answer_ids(tokenizer, turns, text, answer, end, whether)
        for answer, whether in zip(answers, ended)
    ]
    most = longest - min(len(prompt), max(1, longest // 4))
    cut = [ids[:most] for ids in whole]
    room = longest - max(map(len, cut), default=0)
    lost = sum(len(ids) > most for ids in whole)
    prompt, length = shortened(tokenizer, messages, prompt, room), len(prompt)
    fewer, other = len(turns) < len(messages), turns is not messages
    return Fitted(prompt, cut, length, lost, folded=fewer, renamed=other and not fewer)


def answer_ids(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, Any]],
    prompt: str,
    answer: Content,
    end: str,
    ended: bool = True,
) -> list[int]:
    """An answer's token ids after the rendered `prompt`, with `end`, which is ending(), where it
    has ended. Raises RefusedByTemplate where the template does not take its turns.
    """
    if isinstance(answer, str):
        last = answer
        whole = written(tokenizer, [*messages, {"role": "assistant", "content": answer}])
    else:
        last = content_text(answer[-1])
        whole = rendered(tokenizer, [*messages, *answer])
    if whole.startswith(prompt):
        tail = whole[len(prompt) :]
    elif isinstance(answer, str):  # a template that rewrites earlier turns
        tail = answer + end
    else:
        raise RefusedByTemplate(
            "the model's chat template writes a prompt in another way before an answer of turns"
        )
    if not ended:
        before = "" if isinstance(answer, str) else tail[: max(tail.rfind(last), 0)]
        return ids_of(tokenizer, before + without_end(tail.removeprefix(before), last))
    return ids_of(tokenizer, tail if tail.endswith(end) else tail + (tokenizer.eos_token or ""))


def answered(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, Any]],
    answer: Content,
    longest: int,
    ended: bool = True,
) -> tuple[list[int], list[int]]:
    """A conversation's and its one answer's token ids, together at most `longest`; see fitted()."""
    [row] = fitted(tokenizer, messages, [answer], longest, [ended]).rows
    return row


def without_end(turn: str, answer: str) -> str:
    """A turn's text up to the end of its answer; the answer alone where the template rewrote it."""
    start = turn.find(answer)
    return turn[: start + len(answer)] if start >= 0 else answer


def padded(
    rows: list[list[int]], pad: int, side: str = "right"
) -> tuple[torch.Tensor, torch.Tensor]:
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
    """Position of each row's last real token, from an attention mask (rows, length) padded on
    either side.
    """
    return (mask.long() * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1)


def without_end_pads(ids: list[int], pad: int) -> list[int]:
    """`ids` up to the last that is not `pad`.

    transformers' scoring heads read the last token that is not the pad token. A row that ends in
    one, because its text does or because the model's end token is also its pad token, would
    otherwise be read at another place than the attention mask says.
    """
    end = len(ids)
    while end > 1 and ids[end - 1] == pad:
        end -= 1
    return ids[:end]
