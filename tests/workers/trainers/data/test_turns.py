"""Conversations with tools, and answers of several turns: what each trainer reads and learns."""

import json

import pytest

from tests.factories import ANSWER_TEXT, ANSWER_TURNS, TOOL_TURNS
from tests.workers.engines.families import FAMILIES, save_tokenizer
from workers.modeling import context_length, tokens
from workers.trainers.data import binary_labels, comparisons, targets
from workers.trainers.run import events
from workers.trainers.run.events import Stop

pytestmark = pytest.mark.torch

CALL, RESULT, SAID = ANSWER_TURNS
ASKED = [{"role": "user", "content": "How warm is Rome?"}]


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    folder = save_tokenizer(FAMILIES["Qwen2.5"], tmp_path_factory.mktemp("qwen"))
    return tokens.load_tokenizer(folder)


@pytest.fixture
def logged(monkeypatch):
    """The lines of the log."""
    lines = []
    monkeypatch.setattr(events, "log", lines.append)
    return lines


def row(*answers, messages=ASKED, ranks=None, split="train"):
    given = [answer if isinstance(answer, dict) else {"text": answer} for answer in answers]
    return {
        "prompt_id": json.dumps(messages),
        "messages": messages,
        "split": split,
        "answers": [answer | {"id": i} for i, answer in enumerate(given)],
        "judgments": [{"ranks": ranks or list(range(1, len(given) + 1))}],
    }


TURNS = {"text": ANSWER_TEXT, "messages": ANSWER_TURNS}
CALLING = {"text": 'weather({"city": "Roma", "at": ["now"]})', "messages": [CALL]}
WORDS = ("weather", "city", "Roma", "celsius", "31", "It is 31 degrees.")


def test_an_answer_of_several_turns_is_read_as_the_template_writes_it(qwen):
    fitted = tokens.fitted(qwen, ASKED, [ANSWER_TURNS, "No."], 1000)
    text = qwen.decode(fitted.prompt + fitted.answers[0])

    assert text == tokens.written(qwen, [*ASKED, *ANSWER_TURNS])
    assert all(word in text for word in WORDS)
    assert qwen.decode(fitted.answers[1]) == "No.<|im_end|>\n"


def test_one_that_was_cut_has_no_end(qwen):
    _, answer = tokens.answered(qwen, ASKED, ANSWER_TURNS, 1000, ended=False)

    assert qwen.decode(answer).endswith("It is 31 degrees.")
    assert "Roma" in qwen.decode(answer)


@pytest.mark.parametrize("name", ["Llama 3", "SmolLM2", "Gemma 2"])
def test_a_template_that_loses_a_word_of_an_answer_is_refused(name, tmp_path):
    tokenizer = tokens.load_tokenizer(save_tokenizer(FAMILIES[name], tmp_path))
    with pytest.raises(context_length.Unreadable, match="1 of 1 conversations can't be read"):
        context_length.read(tokenizer, [(ASKED, [ANSWER_TURNS], [True])], 1000)


def test_a_reward_model_reads_an_answer_with_its_turns_and_each_distinct_one_once():
    group = comparisons.of_row(row(TURNS, "No.", "No.", CALLING))

    assert group.texts == [ANSWER_TEXT, "No.", CALLING["text"]]
    assert group.contents == [ANSWER_TURNS, "No.", [CALL]]
    assert group.lengths()[0] == len(ANSWER_TEXT)


def test_the_rows_of_a_prompt_are_one_group_with_the_turns_of_all():
    [group] = comparisons.of_rows([row("No.", CALLING), row(TURNS, "No.")])

    assert group.texts == ["No.", CALLING["text"], ANSWER_TEXT]
    assert group.contents == ["No.", [CALL], ANSWER_TURNS]


def test_dpo_leaves_out_answers_in_which_others_speak_and_says_so(logged):
    other = [{"role": "user", "content": "Is it warm?"}]
    found = comparisons.of_rows([row(TURNS, "No.", CALLING), row("Yes.", "No.", messages=other)])
    first, second = comparisons.by_the_model_alone(found)

    assert [(first.contents[w], first.contents[l]) for w, l in first.pairs] == [("No.", [CALL])]
    assert first.lessons == first.pairs
    assert second == found[1]
    assert logged == [
        "Leaves out 2 pairs: in one of their answers a tool or a user speaks, whose words the "
        "model would learn as its own."
    ]


def test_dpo_stops_where_nothing_is_left():
    with pytest.raises(Stop, match="train a reward model, or fine-tune with SFT"):
        comparisons.by_the_model_alone(comparisons.of_rows([row(TURNS, "No.")]))


def test_ordinary_answers_are_all_kept_without_a_word(logged):
    found = comparisons.of_rows([row("a", "b", "c")])

    assert comparisons.by_the_model_alone(found) == found
    assert logged == []


def test_kto_leaves_such_answers_out_too(logged):
    [of] = binary_labels.of_rows([row(TURNS, CALLING, "No.", "Never.")], "half")

    assert list(zip(of.contents, of.labels)) == [([CALL], True), ("No.", False), ("Never.", False)]
    assert logged[0].startswith("Leaves out 1 answers in which a tool or a user speaks")


def test_sft_learns_each_turn_of_the_assistant_after_all_that_was_said_before_it():
    first, second = targets.examples([row(TURNS, "No.")], "best")

    assert (first.messages, first.content, first.ended) == (ASKED, [CALL], True)
    assert (second.messages, second.content) == ([*ASKED, CALL, RESULT], "It is 31 degrees.")


def test_sft_teaches_the_tool_no_word(qwen):
    learned = [
        tokens.answered(qwen, example.messages, example.content, 1000)
        for example in targets.examples([row(TURNS, "No.")], "better-half")
    ]

    assert ["celsius" in qwen.decode(answer) for _prompt, answer in learned] == [False, False]
    assert ["celsius" in qwen.decode(prompt) for prompt, _answer in learned] == [False, True]
    assert "Roma" in qwen.decode(learned[0][1])


def test_of_an_answer_that_was_cut_the_last_turn_has_no_end():
    cut = TURNS | {"finish_reason": "length"}
    first, second = targets.examples([row(cut, "No.")], "best")

    assert (first.ended, second.ended) == (True, False)


def test_prompts_with_tools_are_read_with_their_answers(qwen):
    [fitted] = context_length.read(qwen, [(TOOL_TURNS, ["31."], [True])], 1000)

    assert qwen.decode(fitted.rows[0][1]) == "31.<|im_end|>\n"
    assert fitted.renamed
