"""How two datasets differ: counted right, shown right, made once, by a job where they are large."""

from dataclasses import astuple

import pytest

from labeling.exports import difference, freeze
from labeling.exports.difference import judged_in
from labeling.models import DatasetLabeler, Ranking, RankingTask, Seen
from modelops import datasets, jobs
from modelops import rows as frozen
from modelops.models import Job
from people import pseudonyms
from tests.factories import (
    make_imported_ranking,
    make_judge,
    make_person,
    make_prompt,
    make_ranking,
    make_task,
)
from tests.pages import one_line
from tests.worker import work as worked
from workers import dataset_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def researcher(client_for, project):
    return client_for(make_person(project, "researcher", "rita"))


def fresh(task):
    return RankingTask.objects.get(pk=task.pk)


@pytest.fixture
def pair(project, alice, bob):
    """Before: four tasks of alice. After: the first is the same; on the second bob judged, too; on
    the third alice thought again; the fourth is gone; a fifth is new.
    """
    same, joined, revised, gone = (
        make_task(project, prompt=make_prompt(project, f"Question {n}?"), overlap=2)
        for n in range(4)
    )
    for task in (same, joined, revised, gone):
        make_ranking(task, alice)
    before = freeze.freeze_now(None, project)
    make_ranking(fresh(joined), bob, (2, 1, 3, 4))
    thought_again = Ranking.objects.get(task=revised)
    Ranking.objects.filter(pk=thought_again.pk).update(current=False)
    again = make_ranking_again(fresh(revised), alice, (4, 3, 2, 1))
    assert again.revision == 2
    Ranking.objects.filter(task=gone).update(current=False)
    make_ranking(make_task(project, prompt=make_prompt(project, "Question new?")), bob)
    return before, freeze.freeze_now(None, project)


def make_ranking_again(task, person, ranks):
    Ranking.objects.filter(task=task, labeler=person).update(revision=1)
    ranking = Ranking(task=task, labeler=person, judge=person.uuid, revision=2)
    ranking.save()
    for candidate, rank in zip(task.candidates.order_by("slot"), ranks, strict=True):
        ranking.ranked.create(candidate=candidate, shown=candidate.slot, rank=rank)
    return ranking


def test_rows_and_judgments_are_counted(pair):
    found = difference.make(*pair)

    assert found.rows == {"same": 1, "changed": 2, "added": 1, "gone": 1}
    assert found.judgments == {"same": 2, "changed": 1, "added": 2, "gone": 1}


def prompt_of(row):
    return row["messages"][0]["content"] if row else None


def test_the_rows_that_differ_are_named(pair):
    found = difference.make(*pair)
    named = {
        state: {
            (prompt_of(row.before), prompt_of(row.after))
            for row in difference.read_rows(*pair, state, found.places(state)[:])
        }
        for state in difference.STATES
    }

    assert named == {
        "changed": {("Question 1?",) * 2, ("Question 2?",) * 2},
        "added": {(None, "Question new?")},
        "gone": {("Question 3?", None)},
    }


def test_each_judge_s_judgments_stand_beside_each_other(pair):
    found = difference.make(*pair)
    changed = difference.read_rows(*pair, "changed", found.places("changed")[:])
    by_prompt = {prompt_of(row.after): row for row in changed}
    states = {prompt: [one.state for one in row.judgments] for prompt, row in by_prompt.items()}

    assert states == {"Question 1?": ["same", "added"], "Question 2?": ["changed"]}
    [revised] = by_prompt["Question 2?"].judgments
    # answers are sorted by text: bad, fair, good, poor
    assert (revised.before["ranks"], revised.after["ranks"]) == ([4, 2, 1, 3], [1, 3, 4, 2])


def test_the_other_way_round_what_was_added_is_gone(pair):
    before, after = pair
    found = difference.make(after, before)

    assert found.rows == {"same": 1, "changed": 2, "added": 1, "gone": 1}
    assert found.judgments == {"same": 2, "changed": 1, "added": 1, "gone": 2}


def renumbered(project, dataset, named=True):
    """The same judgments as the dataset's, its two labelers' numbers exchanged."""
    lines = [
        frozen.canonical(
            row | {"judgments": [one | {"labeler": 1 - one["labeler"]} for one in row["judgments"]]}
        )
        for row in frozen.read(datasets.path(dataset))
    ]
    digest, folder = datasets.write(lines)
    other, _new = datasets.register(project, "judgments", digest, folder)
    for labeler in DatasetLabeler.objects.filter(dataset=dataset) if named else ():
        DatasetLabeler.objects.get_or_create(
            dataset=other, judge=labeler.judge, number=1 - labeler.number
        )
    return other


def test_numbers_of_labelers_do_not_matter(pair, project):
    """In each dataset a judge may have another number: who it is counts."""
    before, after = pair

    found = difference.make(after, renumbered(project, after))
    assert found.rows == {"same": 4, "changed": 0, "added": 0, "gone": 0}
    expected = {"same": 2, "changed": 1, "added": 2, "gone": 1}
    assert difference.make(before, renumbered(project, after)).judgments == expected


def test_where_the_numbers_of_one_are_unknown_judgments_are_compared_by_what_they_say(
    pair, project
):
    """Alice's revision is then a judgment that changed, as before; nothing else does."""
    before, after = pair
    unnamed = renumbered(project, after, named=False)

    for found in (difference.make(before, unnamed), difference.make(unnamed, before)):
        assert (found.judgments["same"], found.judgments["changed"]) == (2, 1)
    rows = difference.make(after, unnamed).rows
    assert rows == {"same": 4, "changed": 0, "added": 0, "gone": 0}


def dataset_of(project, kind, *rows):
    digest, folder = datasets.write([frozen.canonical(row) for row in rows], kind)
    counts = {"rows": len(rows), "splits": {}, "pairs": 0, "judgments": 0}
    return datasets.register(project, kind, digest, folder, counts)[0]


def text(prompt, answer, split="train", **fields):
    return {"prompt_id": prompt, "split": split, "text": answer} | fields


def test_texts_are_known_again_by_their_prompt_and_their_words(project):
    before = dataset_of(project, "text", text("a", "x"), text("b", "y"), text("b", "z"))
    after = dataset_of(
        project, "text", text("a", "x", "test"), text("b", "y"), text("b", "new"), text("", "x")
    )
    found = difference.make(before, after)

    assert found.rows == {"same": 1, "changed": 1, "added": 2, "gone": 1}
    [changed] = difference.read_rows(before, after, "changed", found.places("changed")[:])
    assert changed.fields == ["split"]


def test_rows_that_are_there_several_times_are_counted_each(project):
    """Twice the same before, three times after: one is added, none changed."""
    before = dataset_of(project, "text", text("a", "x"), text("a", "x"))
    after = dataset_of(project, "text", text("a", "x"), text("a", "x"), text("a", "x"))

    assert difference.make(before, after).rows == {"same": 2, "changed": 0, "added": 1, "gone": 0}
    assert difference.make(after, before).rows == {"same": 2, "changed": 0, "added": 0, "gone": 1}


def test_of_two_alike_the_same_ones_are_paired_first(project):
    rows = [text("a", "x", "train"), text("a", "x", "test")]
    before, after = dataset_of(project, "text", *rows), dataset_of(project, "text", rows[1])

    assert difference.make(before, after).rows == {"same": 1, "changed": 0, "added": 0, "gone": 1}


def said(labeler, *ranks, **fields):
    return {"labeler": labeler, "kind": "imported", "ranks": list(ranks)} | fields


@pytest.mark.parametrize(
    ("before", "after", "states"),
    [
        ([said(0, 1, 2)], [said(5, 1, 2)], ["same"]),
        ([said(0, 1, 2)], [said(5, 2, 1)], ["changed"]),
        ([said(0, 1, 2), said(1, 2, 1)], [said(5, 2, 1)], ["same", "gone"]),
        ([said(0, 2, 1)], [said(5, 1, 2), said(6, 2, 1)], ["same", "added"]),
    ],
)
def test_judgments_of_unknown_judges_are_compared_by_what_they_say(before, after, states):
    compared = judged_in({"judgments": before}, {"judgments": after}, {}, {})

    assert [one.state for one in compared] == states


def test_it_is_made_once_and_read_again(pair, monkeypatch):
    first = difference.make(*pair)
    monkeypatch.setattr(difference, "_write", None)

    assert astuple(difference.make(*pair)) == astuple(first)


def test_places_are_read_a_slice_at_a_time(project):
    before = dataset_of(project, "text", text("a", "x"))
    after = dataset_of(project, "text", *(text("b", str(n)) for n in range(25)))
    added = difference.make(before, after).places("added")

    assert len(added) == 25
    assert added[10:12] == added[:][10:12]
    assert added[24] == added[:][24]
    assert len({start for _before, start in added[:]}) == 25
    assert added[30:40] == []


def test_what_is_on_disk_must_be_what_was_frozen(pair):
    before, after = pair
    with open(datasets.path(after) / "rows.jsonl", "a") as file:
        file.write("{}\n")
    with pytest.raises(datasets.Withheld, match="changed on disk"):
        difference.make(before, after)


def test_only_different_datasets_of_one_kind_are_compared(project, pair):
    before, _after = pair
    other = dataset_of(project, "text", text("a", "x"))
    for first, second in ((before, before), (before, other)):
        with pytest.raises(difference.NotComparable):
            difference.make(first, second)


def test_a_withdrawn_dataset_is_not_compared_though_it_was(pair, researcher):
    before, after = pair
    difference.make(before, after)
    datasets.withdraw(None, before, "erased")
    before.refresh_from_db()
    with pytest.raises(datasets.Withheld, match="erased"):
        difference.make(before, after)
    page = researcher.get(f"/p/demo/datasets/{after.pk}/difference/?before={before.pk}")
    assert page.status_code == 410
    assert "erased" in page.content.decode()


# Pages


def address(pair, **asked):
    before, after = pair
    more = "".join(f"&{name}={value}" for name, value in asked.items())
    return f"/p/demo/datasets/{after.pk}/difference/?before={before.pk}{more}"


def test_the_page_shows_counts_first_then_the_rows(researcher, pair):
    page = researcher.get(address(pair))
    html = one_line(page)

    assert page.context["table"] == [("Rows", [1, 2, 1, 1]), ("Judgments", [2, 1, 2, 1])]
    assert html.index("Judgments</th>") < html.index("<article")
    assert {row.turns[0][2] for row in page.context["rows"]} == {"Question 1?", "Question 2?"}
    assert "<del>C &gt; B &gt; D &gt; A</del>" in html
    assert "Question new?" in one_line(researcher.get(address(pair, show="added")))
    assert "Question 3?" in one_line(researcher.get(address(pair, show="gone")))


def test_marks_say_what_became_of_a_judgment(researcher, pair):
    rows = researcher.get(address(pair)).context["rows"]
    marks = {
        row.turns[0][2]: [(judgment.mark, judgment.was) for judgment in row.judgments]
        for row in rows
    }

    assert marks == {
        "Question 1?": [("added", ""), ("", "")],
        "Question 2?": [("changed", "C > B > D > A")],
    }


def test_datasets_that_are_the_same_say_so(researcher, project):
    rows = [text("a", "x"), text("b", "y")]
    pair = dataset_of(project, "text", *rows), dataset_of(project, "text", *reversed(rows))

    assert "All rows and judgments are the same." in one_line(researcher.get(address(pair)))


@pytest.mark.parametrize(
    "asked", ["", "?before=x", "?before=0", "?before=999999", "?before=1&show=x"]
)
def test_what_is_not_there_is_not_found(researcher, pair, asked):
    before, after = pair
    asked = asked.replace("before=1", f"before={before.pk}")
    page = researcher.get(f"/p/demo/datasets/{after.pk}/difference/{asked}")

    assert page.status_code == 404


def work(job: Job) -> None:
    """What the worker does."""
    claimed = jobs.claim(job.pk, {job.kind})
    with jobs.running(claimed):
        dataset_jobs.run(claimed)


def test_a_large_one_is_made_by_a_job_that_is_asked_for(
    client_for, carol, researcher, pair, monkeypatch
):
    monkeypatch.setattr(difference, "SMALL", 1)
    at = address(pair)
    assert researcher.get(at).status_code == 409

    for _ in range(2):
        assert researcher.post(at).url == at
    job = Job.objects.get(kind="compare")
    assert researcher.get(at).status_code == 202
    assert researcher.get(at, headers={"HX-Request": "true"}).status_code == 202

    work(job)
    waited = researcher.get(at, headers={"HX-Request": "true"})
    assert waited["HX-Refresh"] == "true"
    assert researcher.get(at).context["table"][0] == ("Rows", [1, 2, 1, 1])
    job.refresh_from_db()
    assert job.result["rows"] == {"same": 1, "changed": 2, "added": 1, "gone": 1}
    assert at in one_line(client_for(carol).get(f"/p/demo/jobs/{job.pk}/"))


def test_a_job_shows_how_far_it_is_and_can_be_cancelled_to_the_end(pair, passing):
    done = worked(difference.request(None, *pair))
    beats, read = len(passing.counts), sum(passing.counts)
    assert (done.state, done.done, done.total) == ("done", read, read)

    difference.path(*pair).unlink()
    for passing.cancel_at in (1, beats):
        passing.counts.clear()
        assert worked(difference.request(None, *pair)).state == "cancelled"
        assert not difference.path(*pair).exists()


def test_a_dataset_offers_the_others_of_its_kind(researcher, project, pair):
    before, after = pair
    dataset_of(project, "text", text("a", "x"))

    for one, other in (pair, pair[::-1]):
        page = researcher.get(f"/p/demo/datasets/{one.pk}/")
        assert list(page.context["earlier"]) == [other]


def test_who_reads_frozen_judgments_of_others_gets_no_place_on_the_task(
    client_for, carol, pair, project
):
    """Of the prompts that are shown, those tasks whose judgments the dataset holds."""
    other = make_task(project, prompt=make_prompt(project, "Not in it"))
    client_for(carol).get(address(pair, show="added"))
    added = RankingTask.objects.get(prompt__messages__0__content="Question new?")
    assert list(Seen.objects.values_list("person", "task")) == [(carol.pk, added.pk)]

    client_for(carol).get(f"/p/demo/datasets/{pair[1].pk}/rows/")
    shown = RankingTask.objects.filter(rankings__datasets__dataset=pair[1]).distinct()
    assert set(Seen.objects.values_list("task", flat=True)) == {task.pk for task in shown}
    assert not Seen.objects.filter(task=other).exists()


def test_rows_name_labelers_by_their_numbers_alone(client_for, carol, project, pair):
    make_imported_ranking(make_task(project), make_judge("person", "Dr. Telltale"))
    frozen_now = freeze.freeze_now(None, project)
    start = 0
    for at in ("", f"{start}/"):
        html = client_for(carol).get(f"/p/demo/datasets/{frozen_now.pk}/rows/{at}").content.decode()
        main = html[html.index("<main") :]
        assert "Labeler 0" in main
        for name in ("Alice", "Telltale"):
            assert name not in main
    assert pseudonyms.of(project, carol.uuid) not in html
