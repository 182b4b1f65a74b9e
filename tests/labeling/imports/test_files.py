"""Files come in whole or not at all."""

import json

import pytest

from labeling import imports
from labeling.models import Candidate, Demonstration, Prompt, RankedCandidate, Ranking
from modelops import jobs
from modelops.models import Job
from tests.factories import make_project

pytestmark = pytest.mark.django_db


def load(tmp_path, lines, format="prompts", project=None):
    file = tmp_path / "file.jsonl"
    file.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    job = jobs.request(
        None, project or make_project(), "import", {"format": format, "filename": "file.jsonl"}
    )
    return job, imports.run(job, file)


def tree(replies, **message):
    root = {
        "role": "prompter",
        "text": "Why is the sky blue?",
        "lang": "en",
        "replies": replies,
    } | message
    return {"message_tree_id": "t1", "prompt": root}


def reply(text, rank=None, replies=(), model=None):
    return {
        "role": "assistant",
        "text": text,
        "rank": rank,
        "replies": list(replies),
        "model_name": model,
    }


def test_prompts_come_in_with_their_fields(tmp_path):
    lines = [
        {
            "prompt": "Hello",
            "author": "ann",
            "use_case": "chat",
            "split": "test",
            "demonstration": "Good day.",
        },
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "  Caf\u0065\u0301? \r\n"},
            ]
        },
    ]
    job, result = load(tmp_path, lines)

    hello, cafe = Prompt.objects.order_by("pk")
    assert (result.prompts, result.duplicates) == (2, 0)
    assert (hello.split, hello.use_case, hello.published, hello.job) == ("test", "chat", True, job)
    assert "ann" not in hello.author
    assert len(hello.author) == 64
    assert cafe.last_turn == "Caf\u00e9?"
    assert Demonstration.objects.get().text == "Good day."


def test_duplicates_are_counted_within_and_across_files(tmp_path):
    project = make_project()
    load(tmp_path, [{"prompt": "One"}], project=project)

    _, result = load(
        tmp_path, [{"prompt": "One"}, {"prompt": "Two"}, {"prompt": " Two "}], project=project
    )

    assert (result.prompts, result.duplicates, Prompt.objects.count()) == (1, 2, 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "an object"),
        ('{"text": "x"}', "an object"),
        ('{"prompt": ""}', "content"),
        ('{"prompt": 5}', "content"),
        ('{"prompt": "x", "split": "holdout"}', "split"),
        ('{"messages": []}', "turns"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "user"),
        ('{"messages": [{"role": "boss", "content": "x"}]}', "role"),
        ('{"prompt": "x", "author": ["a"]}', "author"),
        (
            '{"prompt": "x", "answers": [{"text": "a", "rank": "1"}, {"text": "b", "rank": 2}]}',
            "rank",
        ),
    ],
)
def test_a_bad_line_is_named_and_nothing_comes_in(tmp_path, line, reason):
    with pytest.raises(imports.BadFile) as caught:
        load(tmp_path, [{"prompt": "fine"}, line])

    [(number, text)] = caught.value.lines
    assert number == 2
    assert reason in text
    assert not Prompt.objects.exists()


def test_one_author_in_two_splits_is_an_error(tmp_path):
    lines = [
        {"prompt": "a", "author": "x", "split": "train"},
        {"prompt": "b", "author": "x", "split": "test"},
    ]
    with pytest.raises(imports.BadFile, match="line 2"):
        load(tmp_path, lines)


def test_one_author_falls_into_one_split(tmp_path):
    load(tmp_path, [{"prompt": f"p{n}", "author": "same"} for n in range(20)])

    assert Prompt.objects.values("split").distinct().count() == 1


def test_an_author_stays_in_one_split_within_and_across_files(tmp_path):
    project = make_project()
    lines = [{"prompt": "a", "author": "x"}, {"prompt": "b", "author": "x", "split": "test"}]
    load(tmp_path, lines, project=project)
    load(tmp_path, [{"prompt": "c", "author": "x"}], project=project)

    assert set(Prompt.objects.values_list("split", flat=True)) == {"test"}
    with pytest.raises(imports.BadFile, match="line 1: this author"):
        load(tmp_path, [{"prompt": "d", "author": "x", "split": "train"}], project=project)


@pytest.mark.parametrize(
    ("line", "format"),
    [
        (tree([{"role": "assistant", "rank": 0}, reply("b", rank=1)]), "open-assistant"),
        (tree(["not an object"]), "open-assistant"),
        (tree([reply("a", rank=0), reply("b", rank=1)], lang=5), "open-assistant"),
        (tree([reply("a", rank=0, model="m" * 101), reply("b", rank=1)]), "open-assistant"),
        ({"instruction": "x", "instances": [{"input": "", "output": [1]}]}, "self-instruct"),
        ('{"prompt": ' + "9" * 5000 + "}", "prompts"),
    ],
)
def test_what_does_not_fit_its_format_is_named_too(tmp_path, line, format):
    with pytest.raises(imports.BadFile, match="line 1"):
        load(tmp_path, [line], format)


def test_half_a_surrogate_pair_is_replaced(tmp_path):
    load(tmp_path, ['{"prompt": "a\\ud800b"}'])

    assert Prompt.objects.get().last_turn == "a?b"


def test_what_a_cancelled_import_left_hidden_is_no_duplicate(tmp_path, monkeypatch):
    monkeypatch.setattr(imports.store, "INSERTED", 2)
    project = make_project()
    file = tmp_path / "file.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"p{n}"}) for n in range(6)))

    def cancel(done, total):
        raise jobs.Cancelled

    jobs.request(None, project, "import", {})
    claimed = jobs.claim_next({Job.Kind.IMPORT})
    with jobs.running(claimed):
        imports.run(claimed, file, beat=cancel)
    result = imports.run(jobs.request(None, project, "import", {}), file)

    assert (result.prompts, result.duplicates) == (6, 0)
    assert Prompt.objects.filter(published=True).count() == 6


def test_an_empty_file_is_an_error(tmp_path):
    with pytest.raises(imports.BadFile, match="nothing to import"):
        load(tmp_path, ["", "  "])


def test_an_import_that_was_killed_half_way_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(imports.store, "INSERTED", 2)
    file = tmp_path / "file.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"p{n}"}) for n in range(5)))
    job = jobs.request(None, make_project(), "import", {})

    def die(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imports.run(job, file, beat=die)
    assert not Prompt.objects.filter(published=True).exists()
    result = imports.run(job, file)

    assert (result.prompts, result.duplicates) == (5, 0)
    assert Prompt.objects.filter(published=True).count() == 5


def test_the_ranked_replies_of_a_tree_become_imported_rankings(tmp_path):
    follow_up = {
        "role": "prompter",
        "text": "And at night?",
        "replies": [reply("Dark.", rank=1), reply("Stars.", rank=0)],
    }
    best = reply("Rayleigh scattering.", rank=0, replies=[follow_up], model="model-a")
    _, result = load(
        tmp_path,
        [tree([reply("Paint.", rank=2), best, reply("unranked"), reply("Sea.", rank=2)])],
        "open-assistant",
    )

    assert (result.prompts, result.answers, result.rankings) == (2, 5, 2)
    ranks = RankedCandidate.objects.filter(
        ranking__task__prompt__messages__0__content="Why is the sky blue?"
    )
    first = {
        ranked.candidate.text: ranked.rank
        for ranked in ranks
        if len(ranked.ranking.task.prompt.messages) == 1
    }
    assert first == {"Paint.": 2, "Rayleigh scattering.": 1, "Sea.": 2}
    assert Prompt.objects.values("split").distinct().count() == 1, "a tree is one author"
    assert set(Ranking.objects.values_list("kind", flat=True)) == {"imported"}
    assert Candidate.objects.get(text="Rayleigh scattering.").model_version.external


def test_self_instruct_tasks_become_prompts(tmp_path):
    lines = [{"instruction": "Shorten.", "instances": [{"input": "A long text", "output": "Text"}]}]
    load(tmp_path, lines, "self-instruct")

    assert Prompt.objects.get().last_turn == "Shorten.\n\nA long text"
    assert Demonstration.objects.get().text == "Text"


def test_the_job_names_the_bad_line(tmp_path, settings):
    from workers import dataset_jobs

    settings.VAR = tmp_path
    (tmp_path / "bad.jsonl").write_text("{}")
    job = jobs.request(None, make_project(), "import", {"path": "bad.jsonl"})
    with jobs.running(jobs.claim_next({Job.Kind.IMPORT})) as _:
        dataset_jobs.run(job)

    job.refresh_from_db()
    assert job.state == "failed"
    assert "line 1" in job.error
