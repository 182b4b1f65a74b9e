"""Criteria, scores and spans through the API: asked, said, refused, and kept from others."""

from datetime import timedelta

import pytest

from labeling import erasure, project_settings
from labeling.judging import criteria
from labeling.models import Criterion, Ranking, Score, Span
from labeling.models.criteria import Immutable
from people.models import AuditEvent
from tests.factories import make_person, make_ranking, make_task, ratings_of
from tests.labeling.api.hands import AT, RANKS, code_of, fields_of

pytestmark = pytest.mark.django_db

STEPS = [{"value": -1, "label": "poor"}, {"value": 0, "label": ""}, {"value": 3, "label": "good"}]
HELPFULNESS = {"key": "helpfulness", "kind": "scale", "question": "Helpful?", "labels": STEPS}
TRUE = {"key": "true", "kind": "yes-no", "question": "Is all of it true?"}
TONE = {"key": "tone", "kind": "choice", "question": "Tone?", "labels": ["kind", "cold"]}
WHY = {"key": "why", "kind": "text", "scope": "ranking", "question": "Why?"}
FAMILY = "👩‍👩‍👧"  # five code points
TEXTS = [f"Grüße: {FAMILY}.", "e\u0301t\u0301", "three", "four"]  # combining accents


@pytest.fixture
def ask(carol, project):
    """A function that asks this in the project."""
    return lambda *asked: [
        criteria.create(carol, project, **{"scope": "answer", "required": False} | fields)
        for fields in asked
    ]


@pytest.fixture
def task(project):
    return make_task(project, texts=TEXTS)


@pytest.fixture
def letter_of(labeler, task):
    """The letter under which the labeler sees each text."""
    return {answer["text"]: answer["letter"] for answer in labeler.claim()["answers"]}


def add(hands, fields):
    return hands.post("criteria", fields)


def change(hands, key, **changes):
    return hands.client.patch(
        f"{AT}criteria/{key}",
        changes,
        content_type="application/json",
        headers={"If-Match": "*"},
    )


def submit(labeler, **said):
    return labeler.post(f"assignments/{labeler.claim()['id']}/submit", RANKS | said)


# Criteria


@pytest.mark.parametrize("fields", [HELPFULNESS, TRUE, TONE, WHY], ids=lambda one: one["kind"])
def test_an_admin_asks_something_new(admin, labeler, fields):
    made = add(admin, fields)

    assert made.status_code == 201
    assert (
        made.json()
        == {
            "scope": "answer",
            "labels": [],
            "required": False,
            "revision": 1,
            "name": fields["key"],
            "asked": True,
            "preset": "",
            "retired_at": None,
        }
        | fields
    )
    assert labeler.get(f"criteria/{fields['key']}").json() == made.json()
    assert AuditEvent.objects.get(verb="add criterion").data == {"name": fields["key"]}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (HELPFULNESS | {"key": "two words"}, "key"),
        (HELPFULNESS | {"key": "rating"}, "key"),
        (HELPFULNESS | {"labels": []}, "labels"),
        (HELPFULNESS | {"labels": STEPS[::-1]}, "labels"),
        (HELPFULNESS | {"labels": [STEPS[0], STEPS[0]]}, "labels"),
        (HELPFULNESS | {"labels": [{"value": 1.5}, {"value": 2}]}, "labels"),
        (HELPFULNESS | {"labels": [{"value": True}, {"value": 2}]}, "labels"),
        (HELPFULNESS | {"labels": [{"value": 1, "label": "x" * 101}, {"value": 2}]}, "labels"),
        (HELPFULNESS | {"labels": [{"value": 1, "name": "x"}, {"value": 2}]}, "labels"),
        (HELPFULNESS | {"labels": ["poor", "good"]}, "labels"),
        (TONE | {"labels": ["kind"]}, "labels"),
        (TONE | {"labels": ["kind", "kind "]}, "labels"),
        (TONE | {"labels": ["kind", " "]}, "labels"),
        (TONE | {"labels": ["kind", 3]}, "labels"),
        (TRUE | {"labels": ["yes"]}, "labels"),
        (WHY | {"scope": "all"}, "scope"),
        (WHY | {"kind": "number"}, "kind"),
        (WHY | {"question": ""}, "question"),
    ],
)
def test_what_can_not_be_asked_is_refused_at_its_field(admin, fields, field):
    refused = add(admin, fields)

    assert refused.status_code in (400, 422)
    assert fields_of(refused) == {field}
    assert not Criterion.objects.filter(preset="").exists()


def test_a_key_is_asked_once(admin):
    add(admin, WHY)

    assert fields_of(add(admin, WHY | {"question": "Why so?"})) == {"key"}


def test_a_change_is_a_new_revision_and_what_was_said_keeps_its_question(
    admin, labeler, task, carol
):
    add(admin, WHY)
    submit(labeler, scores={"why": "So."})
    changed = change(admin, "why", question="Why is the first one best?")

    assert (changed.status_code, changed.json()["name"]) == (200, "why@2")
    assert admin.get("criteria/why").json() == changed.json()
    [said] = labeler.get("rankings").json()["results"]
    assert said["scores"] == {"why": "So."}
    assert Score.objects.get().criterion.question == "Why?"
    revised = labeler.post(f"rankings/{said['id']}/revise", RANKS | {"scores": {"why@2": "Hm."}})
    assert revised.json()["scores"] == {"why@2": "Hm."}
    assert AuditEvent.objects.get(verb="change criterion").data == {
        "name": "why@2",
        "fields": ["question"],
    }


def test_a_change_to_the_same_changes_nothing(admin):
    add(admin, WHY)

    assert change(admin, "why", question="Why?").json()["revision"] == 1
    assert not AuditEvent.objects.filter(verb="change criterion").exists()


def test_a_change_needs_the_etag_that_was_read(admin):
    add(admin, WHY)
    path, kind = f"{AT}criteria/why", "application/json"
    read = admin.client.get(path)
    first, second = (
        admin.client.patch(path, {"required": wanted}, kind, headers={"If-Match": read["ETag"]})
        for wanted in (True, False)
    )

    assert (first.status_code, second.status_code) == (200, 412)
    assert admin.client.patch(path, {"required": False}, kind).status_code == 428


def test_what_is_on_the_screen_while_it_changes_counts_for_its_question(
    admin, labeler, task, monkeypatch
):
    add(admin, WHY)
    sheet = labeler.claim()
    change(admin, "why", question="Why so?", required=True)
    late = {"scores": {"why": "So."}}
    assert fields_of(submit(labeler, **late)) == {"scores.why@2"}
    admin.post("criteria/why/retire")
    monkeypatch.setattr(criteria, "LATE", timedelta(0))
    assert fields_of(submit(labeler, **late)) == {"scores.why"}
    monkeypatch.undo()

    done = labeler.post(f"assignments/{sheet['id']}/submit", RANKS | late).json()
    assert done["scores"] == {"why": "So."}
    assert Score.objects.get().criterion.question == "Why?"


def test_what_is_retired_is_asked_no_more_and_can_come_back(
    admin, labeler, task, project, monkeypatch
):
    monkeypatch.setattr(criteria, "LATE", timedelta(0))
    add(admin, WHY | {"required": True})
    retired = admin.post("criteria/why/retire")
    again = admin.post("criteria/why/retire")

    assert (retired.status_code, again.status_code) == (200, 200)
    assert (retired.json()["asked"], labeler.claim()["asks"]["criteria"]) == (False, [])
    assert fields_of(submit(labeler, scores={"why": "So."})) == {"scores.why"}
    assert submit(labeler).status_code == 201
    assert change(admin, "why", question="?").status_code == 409
    assert add(admin, WHY).json()["name"] == "why@2"
    assert AuditEvent.objects.filter(verb="retire criterion").count() == 1


def test_criteria_are_listed_with_those_of_the_preset(admin, carol, project):
    project_settings.change(carol, project, flags=["opinion", "Too long"])
    add(admin, WHY)
    listed = {one["key"]: one for one in admin.get("criteria", limit=50).json()["results"]}
    own = [one["key"] for one in listed.values() if not one["preset"]]
    asked = [one["key"] for one in listed.values() if one["preset"] and one["asked"]]

    assert (own, sorted(asked)) == (["why"], ["opinion", "rating", "too-long"])
    assert listed["opinion"]["question"] == "Expresses opinion"
    assert listed["too-long"]["question"] == "Too long"
    assert [step["value"] for step in listed["rating"]["labels"]] == [1, 2, 3, 4, 5, 6, 7]
    found = admin.get("criteria", kind="text", retired=False).json()["results"]
    assert [one["key"] for one in found] == ["why"]


@pytest.mark.parametrize("verb", ["change", "retire"])
def test_the_settings_switch_the_preset(admin, project, verb):
    answer = (
        change(admin, "rating", required=True)
        if verb == "change"
        else admin.post("criteria/rating/retire")
    )

    assert (answer.status_code, code_of(answer)) == (409, "refused")


def test_a_criterion_with_scores_can_not_be_changed_in_place(labeler, task, ask):
    [why] = ask(WHY)
    submit(labeler, scores={"why": "So."})
    why.question = "Who?"

    with pytest.raises(Immutable):
        why.save()


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("labeler", 200, 403),
        ("lead", 200, 403),
        ("researcher", 200, 403),
        ("admin", 200, 201),
        (None, 404, 404),
    ],
)
def test_all_members_read_what_is_asked_and_admins_change_it(
    hands_of, project, ask, role, reads, writes
):
    ask(WHY)
    hands = hands_of(make_person(project if role else None, role or "labeler", "somebody"))

    assert hands.get("criteria").status_code == reads
    assert hands.get("criteria/why").status_code == reads
    assert add(hands, TONE).status_code == writes
    done = 200 if writes == 201 else writes
    assert change(hands, "why", required=True).status_code == done
    assert hands.post("criteria/why/retire").status_code == done


# Scores


def test_a_form_says_what_it_asks(labeler, task, ask):
    ask(HELPFULNESS, TONE | {"required": True}, WHY)

    assert labeler.claim()["asks"]["criteria"] == [
        {
            "key": "helpfulness",
            "name": "helpfulness",
            "scope": "answer",
            "kind": "scale",
            "question": "Helpful?",
            "required": False,
            "options": [
                {"name": "-1", "label": "poor"},
                {"name": "0", "label": ""},
                {"name": "3", "label": "good"},
            ],
        },
        {
            "key": "tone",
            "name": "tone",
            "scope": "answer",
            "kind": "choice",
            "question": "Tone?",
            "required": True,
            "options": [{"name": "kind", "label": "kind"}, {"name": "cold", "label": "cold"}],
        },
        {
            "key": "why",
            "name": "why",
            "scope": "ranking",
            "kind": "text",
            "question": "Why?",
            "required": False,
            "options": [],
        },
    ]


SCORES = {
    "helpfulness": {"A": -1, "B": 0, "C": 3},
    "true": {"A": False, "D": True},
    "tone": {"B": "cold"},
    "why": "B is\nshort.",
}


def test_scores_of_each_kind_are_kept_as_they_were_said(labeler, task, ask, alice):
    ask(HELPFULNESS, TRUE, TONE, WHY)
    done = submit(labeler, scores=SCORES, ratings={"A": 7}).json()

    assert done["scores"] == SCORES
    assert labeler.get(f"rankings/{done['id']}").json()["scores"] == SCORES
    assert ratings_of(Ranking.objects.get()) == [7, None, None, None]
    order = Ranking.objects.get().assignment.order
    stored = Score.objects.filter(criterion__key="helpfulness").order_by("pk")
    assert list(stored.values_list("candidate", "value")) == list(zip(order, [-1, 0, 3]))


def test_a_draft_keeps_scores_and_spans(labeler, task, ask):
    ask(HELPFULNESS, TRUE, TONE, WHY)
    sheet = labeler.claim()
    spans = [{"answer": "A", "label": "wrong", "start": 0, "end": 2}]
    labeler.post(f"assignments/{sheet['id']}/draft", {"scores": SCORES, "spans": spans})

    draft = labeler.claim()["draft"]
    assert (draft["scores"], draft["spans"]) == (SCORES, spans)


def test_a_revision_and_an_undo_bring_scores_back(labeler, task, ask):
    ask(WHY)
    first = submit(labeler, scores={"why": "So."}).json()
    second = labeler.post(f"rankings/{first['id']}/revise", RANKS | {"scores": {"why": "No."}})
    assert second.json()["scores"] == {"why": "No."}
    undone = labeler.post("rankings/undo", {"ranking": second.json()["id"]}).json()
    assert undone["ranking"]["scores"] == {"why": "So."}
    undone = labeler.post("rankings/undo", {"ranking": first["id"]}).json()
    assert undone["assignment"]["draft"]["scores"] == {"why": "No."}, "what was typed last"


@pytest.mark.parametrize(
    ("scores", "field"),
    [
        ({"unknown": 1}, "scores.unknown"),
        ({"helpfulness": 1}, "scores.helpfulness"),
        ({"why": {"A": "So."}}, "scores.why"),
        ({"why": ""}, "scores.why"),
        ({"why": " \x00"}, "scores.why"),
        ({"why": 3}, "scores.why"),
        ({"why": "x" * 10_001}, "scores.why"),
        ({"helpfulness": {"A": 1}}, "scores.helpfulness.A"),
        ({"helpfulness": {"A": 3.0}}, "scores.helpfulness.A"),
        ({"helpfulness": {"A": "3"}}, "scores.helpfulness.A"),
        ({"helpfulness": {"A": False}}, "scores.helpfulness.A"),
        ({"helpfulness": {"A": None}}, "scores.helpfulness.A"),
        ({"helpfulness": {"A": [3]}}, "scores.helpfulness.A"),
        ({"helpfulness": {"E": 3}}, "scores.helpfulness.E"),
        ({"helpfulness": {"AB": 3}}, "scores.helpfulness.AB"),
        ({"true": {"A": 1}}, "scores.true.A"),
        ({"tone": {"A": "warm"}}, "scores.tone.A"),
        ({"tone": {"A": {"B": "warm"}}}, "scores.tone.A"),
        ("so", "scores"),
    ],
)
def test_what_can_not_be_said_is_refused_at_its_field(labeler, task, ask, scores, field):
    ask(HELPFULNESS, TRUE, TONE, WHY)
    refused = submit(labeler, scores=scores)

    assert (refused.status_code, fields_of(refused)) == (400, {field})
    assert not Ranking.objects.exists()


@pytest.mark.parametrize(
    ("scores", "field"),
    [
        ({}, "scores.tone.A"),
        ({"tone": dict.fromkeys("ABD", "kind")}, "scores.tone.C"),
        ({"tone": dict.fromkeys("ABCD", "kind")}, "scores.why"),
    ],
)
def test_what_is_required_must_be_said(labeler, task, ask, scores, field):
    ask(TONE | {"required": True}, WHY | {"required": True})

    assert fields_of(submit(labeler, scores=scores)) == {field}
    assert fields_of(submit(labeler, scores=scores, verdict="all_bad", order="")) == {field}
    assert submit(labeler, verdict="cannot_judge", order="").status_code == 201


def test_an_answer_key_says_scores_too(admin, project, ask):
    ask(WHY | {"required": True})
    task = make_task(project, texts=["one", "two"])
    key = {"order": "A>B", "scores": {"why": "Key."}}

    assert fields_of(admin.post(f"tasks/{task.pk}/gold", key | {"scores": {}})) == {"scores.why"}
    assert admin.post(f"tasks/{task.pk}/gold", key).status_code < 300
    assert Score.objects.get().ranking.kind == "gold"


def test_an_adjudication_says_scores_and_spans_too(admin, alice, bob, project, ask):
    ask(WHY)
    task = make_task(project, texts=["one", "two"], overlap=2)
    for person, ranks in ((alice, (1, 2)), (bob, (2, 1))):
        make_ranking(task, person, ranks)
        task.refresh_from_db()
    said = {"order": "A>B", "scores": {"why": "Both are right."}}
    said["spans"] = [{"answer": "B", "label": "wrong", "start": 0, "end": 2}]
    admin.post(f"tasks/{task.pk}/settle", said)

    settled = admin.get(f"tasks/{task.pk}/settle").json()["settled"]
    assert {name: settled[name] for name in said} == said
    assert Score.objects.get().ranking.kind == "adjudicated"


def test_an_erasure_takes_scores_and_spans(labeler, hands_of, alice, bob, carol, project, ask):
    ask(WHY)
    make_task(project, texts=["one", "two"], overlap=2)
    span = {"answer": "A", "label": "wrong", "start": 0, "end": 1}
    for hands, said in ((labeler, "Alice says so."), (hands_of(bob), "Bob says so.")):
        hands.rank(order="A>B", scores={"why": said}, spans=[span], ratings={"A": 1})
    erasure.erase(carol, project, alice, "asked for it")

    assert {score.ranking.labeler for score in Score.objects.all()} == {bob}
    assert {span.ranking.labeler for span in Span.objects.all()} == {bob}
    assert Score.objects.count() == 2


# Spans


@pytest.mark.parametrize(
    ("text", "start", "end", "part"),
    [
        (TEXTS[0], 7, 12, FAMILY),
        (TEXTS[0], 0, 13, TEXTS[0]),
        (TEXTS[0], 8, 9, "\u200d"),
        (TEXTS[1], 1, 2, "\u0301"),
        (TEXTS[1], 0, 4, TEXTS[1]),
    ],
)
def test_a_span_counts_code_points(labeler, letter_of, text, start, end, part):
    span = {"answer": letter_of[text], "label": "wrong", "start": start, "end": end}
    done = submit(labeler, spans=[span]).json()

    assert done["spans"] == [span]
    stored = Span.objects.get()
    assert stored.candidate.text[stored.start : stored.end] == part


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end": 14}, "spans.0.end"),
        ({"start": 5, "end": 5}, "spans.0.end"),
        ({"start": 6, "end": 5}, "spans.0.end"),
        ({"start": -1}, "spans.0.start"),
        ({"end": 1.5}, "spans.0.end"),
        ({"label": ""}, "spans.0.label"),
        ({"label": "x" * 41}, "spans.0.label"),
        ({"answer": "E"}, "spans.0.answer"),
        ({"note": "n"}, "spans.0.note"),
    ],
)
def test_a_span_lies_in_its_answer(labeler, letter_of, changes, field):
    span = {"answer": letter_of[TEXTS[0]], "label": "wrong", "start": 0, "end": 13} | changes
    refused = submit(labeler, spans=[span])

    assert (refused.status_code, fields_of(refused)) == (400, {field})
    assert not Ranking.objects.exists()


def test_a_span_is_marked_once_but_may_overlap_others(labeler, letter_of):
    span = {"answer": letter_of["three"], "label": "wrong", "start": 0, "end": 3}
    assert fields_of(submit(labeler, spans=[span, span])) == {"spans.1.start"}

    spans = [span, span | {"end": 4}, span | {"label": "rude"}, span | {"start": 2}]
    done = submit(labeler, spans=spans)
    assert sorted(map(str, done.json()["spans"])) == sorted(map(str, spans))


# Who sees them


def test_others_scores_are_seen_as_their_rankings_are(hands_of, labeler, bob, project, task, ask):
    ask(WHY)
    done = submit(labeler, scores={"why": "So."}).json()
    lead, researcher = (
        hands_of(make_person(project, role, role)) for role in ("lead", "researcher")
    )

    assert hands_of(bob).get(f"rankings/{done['id']}").status_code == 404
    for hands in (lead, researcher):
        assert hands.get(f"rankings/{done['id']}").json()["scores"] == {"why": "So."}
