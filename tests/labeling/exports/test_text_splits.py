"""A corpus and a project's prompts are split by one rule: no held-out prompt is trained on."""

import json

import pytest
from django.core.management import call_command

from labeling.exports.text_splits import TextSplits
from labeling.models import Prompt
from labeling.text import conversations
from labeling.text.conversations import Entry
from modelops import rows
from modelops.datasets import path
from modelops.models import Dataset
from tests.factories import make_prompt

pytestmark = pytest.mark.django_db
QUESTIONS = [f"What is the name of bird number {n}?" for n in range(40)]


@pytest.fixture
def corpus(tmp_path):
    """Freeze these texts for the project; returns the dataset."""

    def freeze(texts):
        file = tmp_path / "texts.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        before = set(Dataset.objects.values_list("pk", flat=True))
        call_command("freeze_text", str(file), project="demo")
        return Dataset.objects.exclude(pk__in=before).first() or Dataset.objects.get()

    return freeze


def splits(dataset):
    return {row["text"]: row["split"] for row in rows.read(path(dataset))}


def stored_splits():
    return {prompt.messages[0]["content"]: prompt.split for prompt in Prompt.objects.all()}


def bring(tmp_path, **fields):
    file = tmp_path / "prompts.jsonl"
    with open(file, "w") as out:
        for question in QUESTIONS:
            known = {name: of(question) for name, of in fields.items()}
            out.write(json.dumps({"prompt": question} | known) + "\n")
    call_command("import", str(file), project="demo", verbosity=0, no_cleaning=True)


@pytest.mark.parametrize("split", ["test", "validation"])
def test_the_text_of_a_held_out_prompt_is_never_trained_on(project, tmp_path, corpus, split):
    bring(tmp_path, split=lambda question: split)

    assert set(splits(corpus(QUESTIONS)).values()) == {split}


def test_it_goes_where_the_author_of_the_prompt_went(project, tmp_path, corpus):
    bring(tmp_path, author=lambda question: question[-3:])
    stored = stored_splits()
    assert len(set(stored.values())) > 1

    assert splits(corpus(QUESTIONS)) == stored


def test_a_prompt_that_comes_later_falls_where_its_text_did(project, tmp_path, corpus):
    frozen = splits(corpus(QUESTIONS))
    bring(tmp_path)

    assert set(frozen.values()) == {"train", "validation", "test"}
    assert frozen == stored_splits()


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("Name a bird.", "test"),
        ("  Name a bird.\r\n", "test"),
        ("Name a bird.\n\nA robin.", "test"),
        ("Be kind.\n\nHello\n\nHi\n\nAnd you?", "validation"),
        ("Hello\n\nHi\n\nAnd you?\n\nWell.", "validation"),
        ("Name a fish.\n\nA cod.\n\nName a bird.", "train"),
    ],
)
def test_a_text_is_known_by_the_prompt_that_it_is_or_begins_with(project, text, split):
    make_prompt(project, "Name a bird.", split="test")
    make_prompt(project, "Name a fish.", split="train")
    turns = [("system", "Be kind."), ("user", "Hello"), ("assistant", "Hi"), ("user", "And you?")]
    messages = [{"role": role, "content": said} for role, said in turns]
    make_prompt(project, messages=messages, split="validation")

    assert TextSplits(project).of(text) == split


def test_of_a_training_and_a_test_prompt_in_one_text_the_test_counts(project):
    make_prompt(project, "Name a bird.", split="train")
    make_prompt(project, "Name a bird.\n\nA robin.", split="test")

    assert TextSplits(project).of("Name a bird.\n\nA robin.\n\nA wren.") == "test"


def test_where_splits_moved_the_corpus_is_a_new_dataset(project, tmp_path, corpus, capsys):
    before = corpus(QUESTIONS)
    held = path(before) / "rows.jsonl"
    kept, as_it_was = before.digest, held.read_bytes()
    moved = sum(split != "test" for split in splits(before).values())
    bring(tmp_path, split=lambda question: "test")
    capsys.readouterr()
    after = corpus(QUESTIONS)

    assert (after.digest != kept, Dataset.objects.get(pk=before.pk).digest) == (True, kept)
    assert held.read_bytes() == as_it_was
    said = f"Dataset {before.short} holds the same texts, {moved} of them in another split"
    assert said in capsys.readouterr().err


def test_an_unchanged_corpus_is_the_same_dataset_and_nothing_is_said(project, corpus, capsys):
    corpus(["The sea.", "The sky."])
    capsys.readouterr()
    corpus(["The sea.", "The sky."])

    assert (Dataset.objects.count(), capsys.readouterr().err) == (1, "2 rows.\n")


def test_prompts_and_keys_share_one_rule():
    entry = Entry([{"role": "user", "content": "Why?"}])

    assert conversations.split_of(entry) == rows.split_of(entry.digest)
    assert conversations.split_of(Entry(entry.messages, author="ann")) == rows.split_of("ann")
