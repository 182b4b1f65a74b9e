"""A labeler learns no more through the API than in the page: not who wrote an answer, nor what
others said of it.
"""

import re
from datetime import timedelta

import pytest
from django.utils.timezone import now

from labeling.judging import judgment
from labeling.models import Assignment, Candidate, Prompt, Ranking, RankingTask, Thread
from labeling.quality import gold
from labeling.queue import claims
from labeling.writing import requests
from people.models import User
from tests.factories import make_job, make_model, make_person, make_prompt, make_task
from tests.labeling.api.hands import AT, RANKS, fields_of

pytestmark = pytest.mark.django_db

TELLS = r"zebra|giraffe|tiger|77\.77|stop77|7700\d\d|bob|p-secret"
KEY = judgment.Judgment(
    {letter: judgment.Verdict(rank=place) for place, letter in enumerate("abcd", 1)}
)


@pytest.fixture
def telltale(project, carol):
    """Two tasks, one of them gold, whose rows have names and numbers that can't be overlooked."""
    model = make_model(project, name="zebra-7b", pk=770_001)
    tasks = []
    for number in range(2):
        job = make_job(project, pk=770_010 + number, model_version=model)
        prompt = make_prompt(
            project,
            f"Question {number}?",
            pk=770_020 + number,
            use_case="giraffe",
            source="tiger.jsonl",
        )
        tasks.append(
            make_task(
                project,
                prompt=prompt,
                model=model,
                job=job,
                pk=770_030 + number,
                overlap=3,
                priority=5,
            )
        )
    for number, candidate in enumerate(Candidate.objects.order_by("pk")):
        hidden = {
            "logprob": -77.77,
            "reward": 77.77,
            "seed": 770_050 + number,
            "finish_reason": "stop77",
            "tokens": 770_060,
        }
        Candidate.objects.filter(pk=candidate.pk).update(**hidden)
    gold.make(carol, tasks[1], KEY)
    return tasks


@pytest.fixture
def far_candidates(telltale):
    """The candidates' ids lie far from every other number."""
    for task in telltale:
        answers = list(task.candidates.order_by("slot"))
        Ranking.objects.filter(task=task).delete()
        task.candidates.clear()
        for number, one in enumerate(answers):
            Candidate.objects.filter(pk=one.pk).delete()
            one.pk = 770_070 + 10 * (task.pk % 2) + number
            one.save(force_insert=True)
            task.candidates.add(one)


def responses(hands, person):
    """Everything that a labeler is sent in a day's work, and what they are refused."""
    first = hands.post("assignments")
    yield first
    yield hands.get("assignments/current")
    one = first.json()["id"]
    at = f"assignments/{one}"
    yield hands.post(f"{at}/draft", {"order": "A>B", "note": "mine"})
    yield hands.post(f"{at}/heartbeat")
    yield hands.post(f"{at}/ahead")
    yield hands.post(f"{at}/submit", {"order": "A>B"})
    yield hands.post(f"{at}/submit", RANKS | {"ratings": {"Q": 1}})
    done = hands.post(f"{at}/submit", RANKS, key="one")
    yield done
    yield hands.post(f"{at}/submit", RANKS, key="one")
    yield hands.post(f"{at}/submit", RANKS)
    ranking_id = done.json()["id"]
    yield hands.get("rankings")
    yield hands.get("rankings", search="Question", current="true")
    yield hands.get(
        "rankings", model_version=770_001, task=770_030, purpose="gold", use_case="giraffe"
    )
    yield hands.get(f"rankings/{ranking_id}")
    yield hands.get(f"rankings/{ranking_id}/reviews")
    thread = hands.post(f"{at}/thread", {"text": "Is it meant so?"})
    yield thread
    yield hands.get("threads")
    yield hands.get(f"threads/{thread.json()['id']}")
    yield hands.post(f"threads/{thread.json()['id']}/messages", {"text": "So."})
    yield hands.post(f"threads/{thread.json()['id']}/close")
    yield hands.post(f"rankings/{ranking_id}/draft", {"order": "D>C", "note": "hm"})
    revised = hands.post(f"rankings/{ranking_id}/revise", {"order": "D>C>B>A"})
    yield revised
    yield hands.post(f"rankings/{ranking_id}/revise", {"order": "D>C>B>A"})
    yield hands.post("rankings/undo", {"ranking": revised.json()["id"]})
    yield hands.post("rankings/undo", {"ranking": ranking_id})
    yield hands.get("assignments/pace")
    yield hands.get("guidelines")
    yield hands.post(f"{at}/skip", {"reason": "other"})
    yield hands.post("assignments")
    last = Assignment.objects.get(labeler=person, state="leased")
    yield hands.post(f"assignments/{last.pk}/return")
    Assignment.objects.filter(pk=last.pk).update(state="skipped")
    yield hands.post("assignments")
    yield hands.get("assignments/current")
    yield hands.post("writings/take")
    text = hands.get("writings/mine").json()["results"][0]["id"]
    yield hands.post(f"writings/{text}/save", {"text": "so", "seconds": 3})
    yield hands.post(f"writings/{text}/heartbeat")
    yield hands.post(f"writings/{text}/submit", {"text": ""})
    yield hands.post(f"writings/{text}/submit", {"text": "Because."})
    yield hands.get("writings/mine")
    yield from refused(hands)


def refused(hands):
    for path in (
        "prompts",
        "candidates",
        "tasks",
        "tasks/reserved",
        "groups",
        "demonstrations",
        "reviews",
        "ring",
        "writings/counts",
        "disputes",
    ):
        yield hands.get(path)
    for path in (
        "prompts/770020",
        "prompts/770020/candidates",
        "tasks/770030",
        "candidates?prompt=770020",
    ):
        yield hands.get(path)
    yield hands.get(f"rankings/{Ranking.objects.exclude(labeler__name='Alice').latest('pk').pk}")
    others = Ranking.objects.exclude(labeler__name="Alice").latest("pk").pk
    yield hands.get(f"rankings/{others}/reviews")
    yield hands.post(f"rankings/{others}/reviews", {"verdict": "agree"})
    for thread in Thread.objects.exclude(labeler__name="Alice"):
        yield hands.get(f"threads/{thread.pk}")
        yield hands.post(f"threads/{thread.pk}/messages", {"text": "Mine?"})
        yield hands.post(f"threads/{thread.pk}/close")
    for verb in ("gold", "not-gold", "reserve", "retire", "put-back", "settle", "unsettle"):
        yield hands.post(f"tasks/770030/{verb}", RANKS)


@pytest.fixture
def day(labeler, hands_of, bob, alice, carol, project, telltale, monkeypatch):
    """All of it, the gold task first, after a colleague has judged and said so."""
    monkeypatch.setattr(claims, "drawn", lambda percent: True)
    other = hands_of(bob)
    done = other.rank(note="bob thinks so", ratings={"A": 7})
    other.post(f"assignments/{done['assignment']}/thread", {"text": "bob asks"})
    project.rules.gold_share = 50
    project.rules.save()
    requests.ask_demonstrations(carol, project, 1, "train")
    return list(responses(labeler, alice))


def said(response) -> str:
    return response.content.decode() + str(response.headers)


def test_no_response_tells_who_wrote_an_answer_or_how_hard_a_task_is(far_candidates, day):
    assert len(day) > 40
    for response in day:
        asked = response.request
        assert not re.search(TELLS, said(response).lower()), (asked["PATH_INFO"], said(response))


def test_what_is_for_others_is_refused_or_not_found(labeler, hands_of, bob, telltale):
    done = hands_of(bob).rank()
    hands_of(bob).post(f"assignments/{done['assignment']}/thread", {"text": "bob asks"})

    assert {response.status_code for response in refused(labeler)} <= {403, 404}


def keys_of(value) -> set[str]:
    """Every field of a body, at any depth."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if not isinstance(value, dict):
        return set()
    return set(value) | set().union(*map(keys_of, value.values()))


def test_no_response_has_a_field_that_only_others_may_read(day):
    hidden = {
        "candidate",
        "candidates",
        "model_version",
        "model",
        "job",
        "task",
        "prompt",
        "purpose",
        "kind",
        "judge",
    }
    hidden |= {
        "overlap",
        "free_places",
        "priority",
        "score",
        "logprob",
        "seed",
        "tokens",
        "finish_reason",
        "slot",
    }
    hidden |= {"reserved", "reserved_for_member", "reserved_for_group"}
    writings = {"kind"}  # of a text that is wanted: an answer, or a prompt
    for response in day:
        shown = keys_of(response.json()) if response.content else set()
        allowed = writings if "/writings" in response.request["PATH_INFO"] else set()
        assert not shown & (hidden - allowed), response.request["PATH_INFO"]


def test_a_gold_task_looks_like_any_other(labeler, telltale):
    ordinary, golden = telltale[0], telltale[1]
    sheets = []
    for task in (ordinary, golden):
        Assignment.objects.all().delete()
        RankingTask.objects.exclude(pk=task.pk).update(sort_key=None, free_places=0)
        one = Assignment.objects.create(
            task=task,
            project=task.project,
            labeler=User.objects.get(name="Alice"),
            place=0,
            order=list(task.candidates.values_list("pk", flat=True)),
            leased_until=now() + timedelta(minutes=5),
        )
        sheets.append(labeler.get("assignments/current").json())
        assert sheets[-1]["id"] == one.pk

    assert keys_of(sheets[0]) == keys_of(sheets[1])


def test_each_labeler_has_an_order_of_their_own(hands_of, project):
    make_task(project, texts=list("abcdefghi"), overlap=6)
    orders = set()
    for _ in range(6):
        sheet = hands_of(make_person(project)).claim()
        orders.add(tuple(answer["text"] for answer in sheet["answers"]))

    assert len(orders) > 1


def test_a_lead_sees_judgments_without_names_prompts_or_answers(hands_of, bob, project, telltale):
    hands_of(bob).rank(note="a remark")
    lead = hands_of(make_person(project, "lead", "lena"))
    [seen] = lead.get("rankings").json()["results"]

    assert (seen["note"], seen["kind"]) == ("a remark", "labeler")
    assert not set(seen) & {"messages", "candidates", "prompt", "answers"}
    assert "answers" not in lead.get(f"rankings/{seen['id']}").json()
    assert str(User.objects.get(name="Bob").uuid) not in str(seen)
    asked = lead.get("rankings", kind="gold", model_version=1)
    assert fields_of(asked) == {"kind", "model_version"}, "no such filter for a lead"


def test_prompts_that_are_not_published_are_nobody_s_to_see(admin, telltale):
    Prompt.objects.update(published=False)

    assert admin.get("prompts").json()["results"] == []
    assert admin.get("candidates").json()["results"] == []
    assert admin.get("prompts/770020").status_code == 404
    assert admin.client.get(f"{AT}tasks").json()["results"] == []


@pytest.mark.parametrize(
    ("role", "knows"), [("labeler", False), ("lead", False), ("researcher", True), ("admin", True)]
)
def test_who_ranks_is_not_told_how_many_tasks_are_gold(hands_of, project, role, knows):
    hands = hands_of(make_person(project, role))
    every_project = hands.client.get("/api/v1/projects").json()["results"]

    for shown in (every_project[0], hands.client.get("/api/v1/projects/demo").json()):
        assert ("gold_share" in shown) == knows
        assert shown["lease_minutes"] == 30
