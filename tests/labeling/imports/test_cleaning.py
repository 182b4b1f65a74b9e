"""What is done to prompts on their way in: each step counted, shown, and off where it is switched
off.
"""

import json

import pytest

from labeling import imports
from labeling.imports import cleaning, store
from labeling.models import Candidate, Demonstration, Prompt, PromptBand
from labeling.text import personal_data, repair, similarity
from labeling.text.similarity_index import alike
from modelops import jobs
from people import processes
from people.models import AuditEvent
from tests.factories import make_project

pytestmark = pytest.mark.django_db
LONG = (
    "Write a short story about the sea and an old captain who looks for an island that is on no "
    "map, and let him find "
    "it at the very end of the story, in a night without wind, when he has long stopped looking "
    "for it. "
)


def bring(tmp_path, rows, project=None, **settings):
    file = tmp_path / "file.jsonl"
    file.write_text(
        "\n".join(json.dumps(row if isinstance(row, dict) else {"prompt": row}) for row in rows)
    )
    return imports.import_file(None, project or make_project(), file, **settings)


def turns():
    return [prompt.last_turn for prompt in Prompt.objects.order_by("pk")]


def test_text_is_repaired_and_rid_of_what_nobody_sees(tmp_path):
    found = bring(tmp_path, ["What does schÃ¶n mean?", " A\u200b bell\u0007\r\nrings ", "Fine."])

    assert turns() == ["What does schön mean?", "A bell\nrings", "Fine."]
    assert {name: found.cleaned[name] for name in ("repair", "controls", "spaces")} == {
        "repair": 1,
        "controls": 1,
        "spaces": 1,
    }
    assert found.examples["repair"] == [
        {"line": 1, "before": "What does schÃ¶n mean?", "after": "What does schön mean?"}
    ]


def test_with_cleaning_off_a_text_stays_as_it_is(tmp_path):
    text = " schÃ¶n\u200b\r\n"
    bring(tmp_path, [text], repair=False, controls=False, spaces=False)

    assert turns() == [text]


def test_nearly_the_same_prompt_is_left_out_within_a_file_and_across_files(tmp_path):
    project = make_project()
    one = LONG + "Keep it below three hundred words."
    near = LONG.upper() + "Keep it below three hundred words!"
    other = (
        "Explain to a child of ten years why the moon is not always in the same place in the sky "
        "at night."
    )
    first = bring(tmp_path, [one, near, other], project, prefixes=False)
    second = bring(tmp_path, [near + " Please.", other + " Thanks!"], project, prefixes=False)

    assert (first.prompts, first.cleaned["near"]) == (2, 1)
    assert (second.prompts, second.cleaned["near"]) == (0, 2)
    assert turns() == [one, other]
    assert bring(tmp_path, [near], project, near=False, prefixes=False).prompts == 1


def test_a_prompt_that_begins_like_another_is_left_out(tmp_path):
    project = make_project()
    ends = [" ".join(f"{word}{n}" for n in range(60)) for word in ("one", "two", "three")]
    first = bring(tmp_path, [LONG + ends[0], LONG + ends[1]], project)
    second = bring(tmp_path, [LONG + ends[2]], project)

    assert (first.prompts, first.cleaned["prefixes"], second.prompts) == (1, 1, 0)


def test_what_people_worked_on_is_never_left_out(tmp_path):
    answers = [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}]
    rows = [
        {"prompt": LONG + "One."},
        {"prompt": LONG + "Two.", "answers": answers},
        {"prompt": LONG + "One.", "demonstration": "Once …"},
    ]
    found = bring(tmp_path, rows, most_tokens=1_000)

    assert (found.prompts, found.rankings, found.demonstrations) == (2, 1, 1)
    assert Demonstration.objects.get().prompt.last_turn.endswith("One.")


def test_one_author_has_at_most_so_many_prompts(tmp_path):
    project = make_project()
    rows = [{"prompt": f"Question {n}?", "author": "ann"} for n in range(5)] + [
        {"prompt": "Mine?", "author": "ben"}
    ]
    first = bring(tmp_path, rows, project, per_author=3)
    second = bring(tmp_path, [{"prompt": "Another?", "author": "ann"}], project, per_author=3)

    assert (first.prompts, first.cleaned["per_author"]) == (4, 2)
    assert (second.prompts, second.cleaned["per_author"]) == (0, 1)


def test_personal_data_are_masked_in_the_training_split_only(tmp_path):
    mail = "Write to ann@example.org, "
    rows = [{"prompt": f"{mail} {split}", "split": split} for split in ("train", "test")]
    rows += [{"prompt": "Whose?", "split": "train", "demonstration": "ann@example.org"}]
    found = bring(tmp_path, rows)

    assert turns()[:2] == ["Write to [e-mail],  train", "Write to ann@example.org,  test"]
    assert Demonstration.objects.get().text == "[e-mail]"
    assert found.cleaned["personal"] == 2


def with_tools(asked: str, city: str) -> dict:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": city}}}
    return {
        "messages": [
            {"role": "developer", "content": "Answer as weather() says, whatever it costs you."},
            {"role": "user", "content": [{"type": "text", "text": asked}]},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "content": ""},
        ],
        "split": "train",
    }


def test_parts_and_the_values_of_a_calls_arguments_are_cleaned(tmp_path):
    found = bring(tmp_path, [with_tools(" Is it schÃ¶n? ", "ann@example.org")])
    _developer, user, assistant, tool = Prompt.objects.get().messages
    [call] = assistant["tool_calls"]

    assert user["content"] == [{"type": "text", "text": "Is it schön?"}]
    assert call["function"] == {"name": "weather", "arguments": '{"city": "[e-mail]"}'}
    assert tool["content"] == ""
    assert found.cleaned == {"repair": 1, "spaces": 1, "personal": 1}


def test_the_language_is_that_of_what_the_user_asked(tmp_path):
    german = "Wie wird morgen das Wetter in der schönen alten Stadt am Fluss sein?"
    bring(tmp_path, [with_tools(german, "Roma")])

    assert Prompt.objects.get().language == "de"


def test_prompts_with_tools_are_compared_by_all_that_is_said(tmp_path):
    project = make_project()
    first = bring(tmp_path, [with_tools(LONG, "Roma")], project, prefixes=False)
    near = bring(tmp_path, [with_tools(LONG, "Rome")], project, prefixes=False)
    other = bring(tmp_path, [with_tools(LONG, LONG[::-1])], project, prefixes=False)

    assert [tally.prompts for tally in (first, near, other)] == [1, 0, 1]
    assert near.cleaned["near"] == 1


def test_the_turns_of_an_answer_stay_or_are_cleaned_with_its_text(tmp_path):
    turns = [
        {"role": "assistant", "content": " ann@example.org"},
        {"role": "tool", "content": "schÃ¶n "},
    ]
    row = {"prompt": "Whose?", "split": "train", "answers": [{"messages": turns}]}
    as_it_is = bring(tmp_path, [row])
    cleaned = bring(tmp_path, [row], answers=True)
    kept, changed = Candidate.objects.order_by("pk")

    assert (kept.messages, as_it_is.cleaned) == (turns, {})
    assert kept.text == " ann@example.org\n\nTool: schÃ¶n "
    assert [turn["content"] for turn in changed.messages] == ["[e-mail]", "schön"]
    assert changed.text == "[e-mail]\n\nTool: schön"
    assert cleaned.cleaned == {"answers": 1}


AS_WRITTEN = [
    "    indented = True  # ann@example.org\n",
    "\n👩\u200d🔬 wo\u2060rd\u200b, schÃ¶n, +49 30 1234567 \r\n",
    "\ufeffCafe\u0301\u0007",
]


def test_an_answer_stays_as_its_model_wrote_it(tmp_path):
    row = {"prompt": " Whose? ann@example.org", "split": "train", "answers": AS_WRITTEN}
    found = bring(tmp_path, [row])

    assert list(Candidate.objects.order_by("slot").values_list("text", flat=True)) == AS_WRITTEN
    assert turns() == ["Whose? [e-mail]"]
    assert found.cleaned == {"spaces": 1, "personal": 1}


def test_answers_are_cleaned_where_that_is_asked_for_and_counted(tmp_path):
    project = make_project()
    row = {"prompt": "Whose?", "split": "train", "answers": [*AS_WRITTEN, "Nobody's."]}
    found = bring(tmp_path, [row], project, answers=True)

    cleaned = [
        "indented = True  # [e-mail]",
        "👩\u200d🔬 word, schön, [phone]",
        "Café",
        "Nobody's.",
    ]
    assert list(Candidate.objects.order_by("slot").values_list("text", flat=True)) == cleaned
    assert found.cleaned == {"answers": 3}
    assert [one["before"] for one in found.examples["answers"]] == [
        "",
        "",
        AS_WRITTEN[2],
    ]  # a mask hides it here too
    assert [one["after"] for one in found.examples["answers"]] == cleaned[:3]

    again = bring(tmp_path, [row], project)  # the same row, however it is cleaned
    assert (again.known, again.answers) == (1, 0)


def test_only_the_steps_that_are_on_are_done_to_answers(tmp_path):
    row = {"prompt": "Whose?", "split": "test", "answers": AS_WRITTEN}
    bring(tmp_path, [row], answers=True, repair=False, controls=False)

    assert list(Candidate.objects.order_by("slot").values_list("text", flat=True)) == [
        "indented = True  # ann@example.org",
        "👩\u200d🔬 wo\u2060rd\u200b, schÃ¶n, +49 30 1234567",
        "\ufeffCafe\u0301\u0007",
    ]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Call (555) 123-4567 or 555-123-4567.", "Call [phone] or [phone]."),
        ("Card 4111 1111 1111 1111!", "Card [card]!"),
        ("Card 4111 1111 1111 1112!", "Card 4111 1111 1111 1112!"),
        ("SSN 123-45-6789", "SSN [ID number]"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [ID number]"),
        ("key sk-abcdefghijklmnopqrstuvwxyz123", "key [key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("In 1999-2023, 1,234,567.89 of 3.14159265358979 on 2023-10-11 at 10.0.0.1", None),
        ("def f(x): return x @ y", None),
    ],
)
def test_what_counts_as_personal(text, masked):
    assert personal_data.mask(text) == (masked or text)


def test_the_language_of_a_prompt_is_told_where_it_is_certain(tmp_path):
    rows = [
        "Schreibe mir bitte einen kurzen Brief an das Finanzamt.",
        "Hm?",
        {"prompt": "Une ligne.", "language": "fr"},
    ]
    bring(tmp_path, rows)

    assert list(Prompt.objects.order_by("pk").values_list("language", flat=True)) == [
        "de",
        "",
        "fr",
    ]


def test_prompts_outside_the_limits_of_length_are_left_out(tmp_path):
    found = bring(
        tmp_path,
        ["Hi", "What is yeast, and what is it for?", LONG * 3],
        fewest_tokens=3,
        most_tokens=60,
    )

    assert (found.prompts, found.cleaned["fewest_tokens"], found.cleaned["most_tokens"]) == (
        1,
        1,
        1,
    )
    assert repair.tokens("four words, five tokens") == 5


def test_the_marks_of_a_prompt_lie_in_a_table_and_go_with_it(tmp_path):
    bring(tmp_path, [LONG])
    assert PromptBand.objects.count() == 9

    Prompt.objects.all().delete()
    assert not PromptBand.objects.exists()


# What a row says of a prompt that is here already

SAID = {
    "author": "ann",
    "use_case": "chat",
    "language": "en",
    "source": "a book",
    "licence": "mit",
    "metadata": {"topic": "sea"},
}
OTHERWISE = {
    "author": "ben",
    "use_case": "brainstorming",
    "language": "de",
    "source": "a film",
    "licence": "cc0",
    "metadata": {"topic": "sky"},
}
COUNTED = {"licence": "metadata", "metadata": "metadata"}
ROWS = {
    "a prompt": {"prompt": "Who?"},
    "an answer": {"prompt": "Who?", "answers": ["I."]},
    "a demonstration": {"prompt": " Who? ", "demonstration": "I."},
}


@pytest.mark.parametrize("second", ROWS)
@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("first", ["said otherwise", "not said"])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_said_of_a_prompt_later_is_left_out_and_counted(
    tmp_path, second, name, first, at_once
):
    if (name, first) == ("source", "not said") and not at_once:
        pytest.skip("the file's name is then the source")
    project = make_project()
    rows = [
        {"prompt": "Who?"} | ({name: OTHERWISE[name]} if first == "said otherwise" else {}),
        ROWS[second] | {name: SAID[name]},
        ROWS[second] | {"prompt": "Another?", name: SAID[name]},
    ]
    if not at_once:
        bring(tmp_path, rows[:1], project)
        rows = rows[1:]
    before = Prompt.objects.values_list(name, flat=True).first() if not at_once else None
    found = bring(tmp_path, rows, project)
    kept = Prompt.objects.order_by("pk").first()
    counted = COUNTED.get(name, f"other_{name}")

    assert {counted: 1}.items() <= found.cleaned.items()
    assert found.examples[counted][0]["line"] == (2 if at_once else 1)
    assert "ann" not in json.dumps(found.examples), "authors are known by a hash only"
    assert at_once or getattr(kept, name) == before
    assert Prompt.objects.count() == 2


@pytest.mark.parametrize("at_once", [True, False])
def test_a_row_that_says_the_same_of_its_prompt_loses_nothing(tmp_path, at_once):
    project, row = make_project(), {"prompt": "Who?", "split": "test"} | SAID
    rows = [[row], [row, {"prompt": "Who?"}, row | {"answers": ["I."]}]]
    if at_once:
        rows = [sum(rows, [])]

    assert [bring(tmp_path, some, project).cleaned for some in rows] == [{}] * len(rows)


def test_a_language_that_was_detected_is_no_other_one(tmp_path):
    german = "Schreibe mir bitte einen kurzen Brief an das Finanzamt."
    rows = [german, {"prompt": german, "language": "de"}, {"prompt": german, "language": "fr"}]
    found = bring(tmp_path, rows)

    assert found.cleaned == {"languages": 1, "other_language": 1}
    assert found.examples["other_language"] == [{"line": 3, "before": "fr", "after": ""}]


def test_a_row_that_came_in_before_says_nothing_new_in_silence(tmp_path):
    project, row = make_project(), {"prompt": "Who?", "answers": ["I."], "language": "en"}
    bring(tmp_path, [row], project)
    found = bring(tmp_path, [row | {"language": "de", "sensitive": True}], project)

    assert (found.known, found.cleaned) == (1, {"sensitive": 1, "other_language": 1})
    assert Prompt.objects.get().sensitive


def test_a_split_that_an_author_has_otherwise_is_counted(tmp_path):
    """The prompt is in its author's split; another row of it names one, and no author."""
    rows = [
        {"prompt": "Who?", "author": "ann"},
        {"prompt": "Who?", "split": "train"},
        {"prompt": "Why?", "author": "ann", "split": "test"},
    ]
    found = bring(tmp_path, rows)

    assert Prompt.objects.get(messages__0__content="Who?").split == "test"
    assert found.cleaned["other_split"] == 1


@pytest.mark.parametrize("second", ROWS)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_prompt_that_anybody_calls_sensitive_is_sensitive(tmp_path, second, at_once):
    project = make_project()
    rows = [{"prompt": "Who?"}, {"prompt": "Harmless?"}]
    said = [ROWS[second] | {"sensitive": True}] * 2
    files = [rows + said] if at_once else [rows, said]
    found = [bring(tmp_path, some, project) for some in files][-1]
    sensitive = dict(Prompt.objects.values_list("messages__0__content", "sensitive"))

    assert sensitive == {"Who?": True, "Harmless?": False}
    assert found.cleaned["sensitive"] == 1
    assert found.examples["sensitive"][0]["before"] == "Who?"
    assert AuditEvent.objects.filter(verb="import").last().data["cleaned"]["sensitive"] == 1


def test_sensitive_prompts_that_are_called_so_again_are_not_counted(tmp_path):
    project, row = make_project(), {"prompt": "Who?", "sensitive": True}
    bring(tmp_path, [row, row], project)

    assert bring(tmp_path, [row, {"prompt": "Who?"}], project).cleaned == {}
    assert Prompt.objects.get().sensitive


def test_an_import_that_fails_makes_nothing_sensitive(tmp_path, monkeypatch):
    project = make_project()
    bring(tmp_path, ["Who?"], project)

    def fail(*about):
        raise jobs.JobFailed("The disk is full.")

    monkeypatch.setattr(store.Writer, "build_tasks", fail)
    with pytest.raises(jobs.JobFailed):
        bring(tmp_path, [{"prompt": "Who?", "sensitive": True}], project)
    assert not Prompt.objects.get().sensitive


# What a prompt is compared with


def cousins(count: int) -> list[str]:
    """Texts that share a band with LONG, as near duplicates do, and are not like it."""
    words, first = LONG.split(), similarity.sketch(LONG)
    found: list[str] = []
    for number in range(10_000):
        places = [(number * 7 + step * 5) % len(words) for step in range(4)]
        text = " ".join(f"{w}{number}" if n in places else w for n, w in enumerate(words))
        sketch = similarity.sketch(text)
        shares = set(similarity.bands(sketch)) & set(similarity.bands(first))
        if shares and not alike(sketch.tobytes(), first.tobytes()):
            found.append(text)
        if len(found) == count:
            return found
    raise AssertionError("too few")


def with_answers(texts: list[str]) -> list[dict]:
    return [{"prompt": text, "answers": ["Yes."]} for text in texts]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_prompt_is_compared_with_some_of_those_it_may_be_like_and_that_is_counted(
    tmp_path, monkeypatch, at_once
):
    monkeypatch.setattr(cleaning, "MOST", 2)
    project, others = make_project(), with_answers(cousins(20))
    if not at_once:
        bring(tmp_path, others, project, prefixes=False)
    found = bring(tmp_path, [*(others if at_once else []), LONG], project, prefixes=False)

    assert found.prompts == (21 if at_once else 1)
    assert found.cleaned["near_limit"] == 1
    assert found.examples["near_limit"][0]["before"] == LONG[:160]


def test_a_prompt_that_is_compared_with_all_is_not_counted(tmp_path):
    project = make_project()
    bring(tmp_path, with_answers(cousins(20)), project, prefixes=False)

    assert "near_limit" not in bring(tmp_path, [LONG], project, prefixes=False).cleaned


def test_only_bare_prompts_are_compared_each_band_once(tmp_path, monkeypatch):
    project, asked = make_project(), []
    shown = with_answers([f"{LONG} {n}" for n in range(30)])
    bring(tmp_path, shown, project)
    sketches_of = cleaning._sketches_of
    monkeypatch.setattr(
        cleaning,
        "_sketches_of",
        lambda prompts: (asked.extend(prompts.values_list("pk", flat=True)), sketches_of(prompts))[
            1
        ],
    )
    bring(tmp_path, with_answers([f"{LONG} {n}" for n in range(30, 60)]), project)
    assert asked == []

    bring(tmp_path, [f"{LONG} {n}" for n in range(60, 90)], project, prefixes=False)
    assert len(asked) == len(set(asked)) > 0


@pytest.mark.parametrize("off", ["near", "prefixes"])
def test_a_comparison_that_is_off_reads_no_prompts(tmp_path, monkeypatch, off):
    project, compared = make_project(), []
    bring(tmp_path, [LONG], project)
    sketches_of = cleaning._sketches_of
    monkeypatch.setattr(
        cleaning, "_sketches_of", lambda prompts: (compared.append(1), sketches_of(prompts))[1]
    )
    found = bring(tmp_path, [f"{LONG} Again."], project, **{off: False})

    assert found.cleaned == {"prefixes" if off == "near" else "near": 1}
    assert compared == ([] if off == "near" else [1])


# Other processes


MIXED = [
    {"prompt": f"{LONG} A"},
    {"prompt": f"{LONG} B", "split": "test"},
    {"prompt": "Write to ann@example.org.", "answers": ["Ask bob@example.org."]},
    {"prompt": "Schreib an ann@example.org, das ist der einzige Weg.", "split": "test"},
    {"prompt": "cafÃ©   ", "demonstration": " A\x07ha "},
    {"prompt": "\u200b"},
    {"prompt": "cafÃ©"},
    {"prompt": "Was ist der Unterschied zwischen einem Hund und einer Katze?"},
    {"prompt": "Who wrote this long novel about a whale and a captain?", "language": "xx"},
]


@pytest.mark.parametrize("answers", [False, True])
def test_other_processes_clean_as_this_one_does(tmp_path, monkeypatch, answers):
    alone, beside = make_project(slug="alone"), make_project(slug="beside")
    here = bring(tmp_path, MIXED, alone, answers=answers)
    monkeypatch.setattr(cleaning, "FEWEST", 1)
    monkeypatch.setattr(processes, "spare", lambda: 2)
    monkeypatch.setattr(cleaning, "BATCH", 2)
    there = bring(tmp_path, MIXED, beside, answers=answers)

    assert vars(here) == vars(there)
    assert {"personal", "repair", "empty", "languages", "prefixes"} <= here.cleaned.keys()
    assert stored(alone) == stored(beside)


def stored(project) -> list:
    prompts = Prompt.objects.filter(project=project).order_by("digest")
    return [
        (
            *(getattr(prompt, name) for name in ("digest", "messages", "split", "language")),
            sorted(prompt.bands.values_list("band", flat=True)),
            [answer.text for answer in prompt.candidates.order_by("slot")],
            [one.text for one in prompt.demonstrations.all()],
        )
        for prompt in prompts
    ]
