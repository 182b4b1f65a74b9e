"""Which tokens conversations of each family begin, end and are padded with, and what is left of
those that are cut.
"""

import copy
from importlib import resources

import pytest

from tests.factories import TOOL_TURNS
from tests.workers.engines.families import FAMILIES, model_of, save_tokenizer
from workers.modeling import context_length, tokens

pytestmark = pytest.mark.torch

SYSTEM = {"role": "system", "content": "Be kind to people."}
USER = {"role": "user", "content": "Why do people sing?"}
ANSWER = {"role": "assistant", "content": "Because they are happy!"}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """(what is right, the tokenizer as trainers and engines load it) of a family."""
    folder = save_tokenizer(FAMILIES[request.param], tmp_path_factory.mktemp("tokenizers"))
    return FAMILIES[request.param], tokens.load_tokenizer(folder)


def names(tokenizer, ids):
    return set(tokenizer.convert_ids_to_tokens(sorted(ids)))


def test_an_answer_ends_with_the_templates_turn_end_or_the_configs(family):
    right, tokenizer = family
    assert names(tokenizer, tokens.all_end_ids(model_of(right, tokenizer), tokenizer)) == set(
        right.ends.split()
    )


def test_what_is_learned_ends_with_a_token_that_ends_answers(family):
    _, tokenizer = family
    _, answer = tokens.answered(tokenizer, [USER], ANSWER["content"], 200)
    ends = [id for id in answer if id in tokens.end_ids(tokenizer)]
    assert ends
    assert tokenizer.decode(answer[: answer.index(ends[0])]).strip().endswith(ANSWER["content"])


def test_padding_is_no_token_of_a_conversation_where_there_is_one_to_spare(family):
    right, tokenizer = family
    assert tokenizer.pad_token == right.padding
    conversation = sum(tokens.answered(tokenizer, [SYSTEM, USER], ANSWER["content"], 200), [])
    assert right.padding == right.eos or tokenizer.pad_token_id not in conversation


def test_a_prompt_and_a_text_begin_once_where_the_tokenizer_begins_texts(family):
    right, tokenizer = family
    texts = [tokens.prompt_ids(tokenizer, [USER], 200)[0], tokens.begun(tokenizer, "The sea.")]
    for ids in texts:
        assert (ids[0] == tokenizer.bos_token_id and right.puts_bos) or right.begins is None
        assert right.begins is None or ids.count(tokenizer.bos_token_id) == 1


def test_a_system_turn_is_read_and_begins_the_first_user_turn_where_the_template_has_none(family):
    right, tokenizer = family
    messages = tokens.folded(tokenizer, [SYSTEM, USER])
    assert len(messages) == (1 if right.system == "folded" else 2)
    text = tokenizer.decode(tokens.prompt_ids(tokenizer, [SYSTEM, USER], 200)[0])
    assert text.index(SYSTEM["content"]) < text.index(USER["content"])


def test_two_user_turns_in_a_row_are_read_or_refused_with_what_the_template_says(family):
    right, tokenizer = family
    if not right.alternates:
        assert (
            tokenizer.decode(tokens.prompt_ids(tokenizer, [USER, USER], 200)[0]).count(
                USER["content"]
            )
            == 2
        )
        return
    with pytest.raises(tokens.RefusedByTemplate, match="roles must alternate"):
        tokens.prompt_ids(tokenizer, [USER, USER], 200)


def test_a_template_that_leaves_a_system_turn_out_without_a_word_is_noticed(family):
    _, tokenizer = family
    before = tokenizer.chat_template
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}{% endif %}{% "
        "endfor %}"
    )
    try:
        text = tokenizer.decode(
            tokens.prompt_ids(tokenizer, [SYSTEM, USER], 200)[0], skip_special_tokens=True
        )
        assert text == SYSTEM["content"] + "\n\n" + USER["content"]
        with pytest.raises(tokens.RefusedByTemplate, match="leaves out its system turn"):
            tokens.prompt_ids(tokenizer, [USER, ANSWER, SYSTEM, USER], 200)
    finally:
        tokenizer.chat_template = before


def test_a_cut_prompt_keeps_what_stands_before_the_first_turns_words_and_its_end(family):
    right, tokenizer = family
    long = [SYSTEM, {"role": "user", "content": "sea " * 200 + "Why?"}]
    whole, cut = tokens.prompt_ids(tokenizer, long, 10**6)
    assert not cut

    ids, cut = tokens.prompt_ids(tokenizer, long, 150)

    assert (cut, len(ids)) == (True, 150)
    text = tokenizer.decode(ids)
    assert SYSTEM["content"] in text
    assert text.endswith(tokenizer.decode(whole)[-30:])
    assert right.begins is None or (ids[0], ids.count(ids[0])) == (tokenizer.bos_token_id, 1)
    kept = next(place for place in range(150) if ids[place:] == whole[place - 150 :])
    assert ids[:kept] == whole[:kept], "it is the middle that is missing"


def test_a_default_system_turn_of_the_template_is_kept(tmp_path):
    tokenizer = tokens.load_tokenizer(save_tokenizer(FAMILIES["Qwen2.5"], tmp_path))
    ids, _ = tokens.prompt_ids(tokenizer, [{"role": "user", "content": "sea " * 200}], 150)
    assert tokenizer.decode(ids).startswith(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud."
    )


def test_the_answers_of_a_prompt_follow_the_same_one_cut_by_the_longest(family):
    _, tokenizer = family
    messages = [SYSTEM, {"role": "user", "content": "sea " * 60}]
    fitted = tokens.fitted(tokenizer, messages, ["sky " * 10, "No"], 90)
    assert {tuple(prompt) for prompt, _ in fitted.rows} == {tuple(fitted.prompt)}
    assert max(len(prompt) + len(answer) for prompt, answer in fitted.rows) == 90
    assert (0 < fitted.kept < 1, fitted.answers_cut) == (True, 0)


# Tools


TAKE_TOOLS = {"Qwen2.5", "Qwen3", "GPT-2", "Pythia"}
SAYS = ("Use the tools.", "How warm is\nRome?", "weather", "city", "Roma", "now", "celsius", "31")


def test_turns_of_tools_are_read_whole_or_refused(family, request):
    _, tokenizer = family
    name = request.node.callspec.params["family"]
    if name not in TAKE_TOOLS:
        with pytest.raises(tokens.RefusedByTemplate):
            tokens.prompt_ids(tokenizer, TOOL_TURNS, 2000)
        return
    text = tokenizer.decode(tokens.prompt_ids(tokenizer, TOOL_TURNS, 2000)[0])
    assert [words for words in SAYS if not tokens.holds(text, words)] == []


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    folder = save_tokenizer(FAMILIES["Qwen2.5"], tmp_path_factory.mktemp("qwen"))
    return tokens.load_tokenizer(folder)


TEMPLATES = sorted(
    file.name for file in (resources.files("trl") / "chat_templates").iterdir() if file.is_file()
)


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name.endswith(".jinja")])
def test_no_template_loses_a_word_of_a_conversation_with_tools_in_silence(qwen, template):
    """Of all templates that TRL knows: each writes all of it, or says what it does not take."""
    tokenizer = copy.deepcopy(qwen)
    tokenizer.chat_template = (resources.files("trl") / "chat_templates" / template).read_text()
    try:
        turns = tokens.folded(tokenizer, TOOL_TURNS)
    except tokens.RefusedByTemplate:
        return
    text = tokens.rendered(tokenizer, turns, add_generation_prompt=True)
    assert [words for words in SAYS if not tokens.holds(text, words)] == []


def test_the_developer_is_read_as_the_system_where_the_template_has_none(qwen):
    developer = {"role": "developer", "content": "Be kind to people."}
    ids, _ = tokens.prompt_ids(qwen, [developer, USER], 200)
    fitted = tokens.fitted(qwen, [developer, USER], [], 200)

    assert ids == tokens.prompt_ids(qwen, [SYSTEM, USER], 200)[0] == fitted.prompt
    assert (fitted.renamed, fitted.folded) == (True, False)
    assert "no developer turn: in 1 conversations" in context_length.sentences([fitted], 200)[-1]


def test_contents_in_parts_are_read_as_their_text(family):
    _, tokenizer = family
    parts = [{"type": "text", "text": word} for word in ("Why do", "people sing?")]
    whole = {"role": "user", "content": "Why do\npeople sing?"}
    ids = [
        tokens.prompt_ids(tokenizer, [SYSTEM, turn], 200)
        for turn in (USER | {"content": parts}, whole)
    ]

    assert ids[0] == ids[1]


CHATML = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}"
    "{% for c in m['tool_calls'] %}CALLS{% endfor %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ("", "leaves out its tool calls"),
        ("{{ c['function']['name'] }}", "leaves out its tool calls"),
        ("{{ c['function']['arguments'] | tojson }}", "leaves out its tool calls"),
        ("{{ c['function']['name'] + c['function']['arguments'] | tojson }}", ""),
        ("{{ c['function']['name'] + c['function']['arguments'] }}", ""),  # takes text alone
    ],
)
def test_a_template_that_leaves_a_part_of_a_call_out_is_noticed(qwen, calls, why):
    tokenizer = copy.deepcopy(qwen)
    tokenizer.chat_template = CHATML.replace("CALLS", calls)
    if why:
        with pytest.raises(tokens.RefusedByTemplate, match=why):
            tokens.folded(tokenizer, TOOL_TURNS)
    else:
        assert tokens.folded(tokenizer, TOOL_TURNS) == TOOL_TURNS


def test_a_long_result_of_a_tool_is_cut_at_its_start(qwen):
    long = [*TOOL_TURNS[:3], TOOL_TURNS[3] | {"content": "sea " * 300 + "warm"}]
    whole, _ = tokens.prompt_ids(qwen, long, 10**6)
    ids, cut = tokens.prompt_ids(qwen, long, 200)

    assert (cut, len(ids)) == (True, 200)
    assert ids[-40:] == whole[-40:]
    assert "Use the tools." in qwen.decode(ids)
