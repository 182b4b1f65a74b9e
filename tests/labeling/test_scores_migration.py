"""The migration that copies ratings and flags to scores, forward and back, on the tables as they
were.
"""

import importlib

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

COPY = importlib.import_module("labeling.migrations.0023_copy_ratings_and_flags")
BEFORE = [
    ("labeling", "0022_criteria"),
    ("people", "0010_drop_labeling_settings"),
    ("modelops", "0009_metric_method"),
]
AFTER = [("labeling", "0023_copy_ratings_and_flags")]
TWINS = ["Rude & loud", "rude, loud"]  # two texts of one key
LONG = "Grüß Gott 😀 " * 8
# What was said of each answer of a ranking: (rating, flags).
SAID = [
    [(7, []), (None, ["opinion"]), (1, ["opinion", *TWINS]), (None, [])],
    [(None, []), (None, []), (None, []), (None, [])],
    [(4, [LONG, "?"]), (4, []), (None, ["was asked once"]), (2, [])],
]


@pytest.fixture
def migrate(transactional_db):
    """A function that migrates to these targets, and returns the models as they were then."""

    def to(targets):
        MigrationExecutor(connection).migrate(targets)
        return MigrationExecutor(connection).loader.project_state(targets).apps

    yield to
    to(MigrationExecutor(connection).loader.graph.leaf_nodes())


@pytest.fixture
def filled(migrate, monkeypatch):
    """Two projects with the same rankings, whose copying takes several batches."""
    monkeypatch.setattr(COPY, "BATCH", 4)
    apps = migrate(BEFORE)
    for slug, flags in (("one", ["opinion", *TWINS]), ("other", [])):
        fill(apps, slug, flags)
    return apps


def fill(apps, slug, flags):
    def make(model, app="labeling", /, **fields):
        return apps.get_model(app, model).objects.create(**fields)

    project = make("Project", "people", slug=slug, name=slug)
    make("ProjectRules", project=project, flags=flags)
    version = make("ModelVersion", "modelops", project=project, kind="policy", name=slug)
    job = make("Job", "modelops", project=project, kind="sample", state="done")
    prompt = make("Prompt", project=project, messages=[], digest=slug, split="train")
    task = make("RankingTask", project=project, prompt=prompt, job=job)
    candidates = [
        make("Candidate", prompt=prompt, model_version=version, job=job, slot=slot, text="text")
        for slot in range(4)
    ]
    for number, said in enumerate(SAID):
        ranking = make("Ranking", task=task, judge=f"{number:032}", current=number > 0)
        for shown, (rating, names) in enumerate(said):
            make(
                "RankedCandidate",
                ranking=ranking,
                candidate=candidates[shown],
                shown=shown,
                rating=rating,
                flags=names,
            )


def columns(apps, slug):
    """Ratings and flags as the columns hold them."""
    ranked = apps.get_model("labeling", "RankedCandidate").objects
    rows = ranked.filter(ranking__task__project__slug=slug).order_by("ranking", "shown")
    values = list(rows.values_list("rating", "flags"))
    return [values[start : start + 4] for start in range(0, len(values), 4)]


def scores(apps, slug):
    """Ratings and flags as the scores hold them."""
    said = [[[None, []] for _answer in ranking] for ranking in SAID]
    candidates = apps.get_model("labeling", "Candidate").objects.filter(prompt__digest=slug)
    place = dict(candidates.values_list("pk", "slot"))
    stored = apps.get_model("labeling", "Score").objects.filter(criterion__project__slug=slug)
    for score in stored.order_by("pk").select_related("criterion", "ranking"):
        answer = said[int(score.ranking.judge.hex)][place[score.candidate_id]]
        if score.criterion.kind == "scale":
            answer[0] = score.value
        else:
            assert score.value is True
            answer[1].append(score.criterion.question)
    return [[tuple(answer) for answer in ranking] for ranking in said]


@pytest.mark.parametrize("slug", ["one", "other"])
def test_each_rating_and_each_flag_is_found_again_and_goes_back(migrate, filled, slug):
    apps = migrate(AFTER)
    assert scores(apps, slug) == SAID

    apps.get_model("labeling", "RankedCandidate").objects.update(rating=None, flags=[])
    assert columns(migrate(BEFORE), slug) == SAID
    assert scores(migrate(AFTER), slug) == SAID


def test_each_flag_has_a_key_of_its_own_and_its_exact_text(migrate, filled):
    criteria = (
        migrate(AFTER).get_model("labeling", "Criterion").objects.filter(preset="InstructGPT")
    )
    keys = dict(criteria.filter(project__slug="one").values_list("question", "key"))

    assert keys == {
        "Overall quality": "rating",
        "opinion": "opinion",
        "Rude & loud": "rude-loud",
        "rude, loud": "rude-loud-2",
        LONG: "gru-gott-gru-gott-gru-gott-gru-gott-gru",
        "?": "flag",
        "was asked once": "was-asked-once",
    }


def test_the_rules_keep_the_criteria(migrate, filled):
    apps = migrate(AFTER)
    criteria = apps.get_model("labeling", "Criterion").objects.filter(project__slug="one")
    asked = apps.get_model("labeling", "ProjectRules").objects.get(project__slug="one").asked

    assert asked["rating"] == criteria.get(kind="scale").pk
    assert asked["flags"] == dict(criteria.filter(kind="yes-no").values_list("question", "pk"))
    assert asked["criteria"] == []


def test_what_can_not_go_back_is_counted(migrate, filled, capsys):
    apps = migrate(AFTER)
    ranking = apps.get_model("labeling", "Ranking").objects.first()
    own = apps.get_model("labeling", "Criterion").objects.create(
        project=ranking.task.project, key="why", scope="ranking", kind="text", question="Why?"
    )
    apps.get_model("labeling", "Score").objects.create(ranking=ranking, criterion=own, value="So.")

    assert columns(migrate(BEFORE), "one") == SAID
    assert "1 scores and 0 spans have no column" in capsys.readouterr().err


def test_a_flag_that_was_named_twice_counts_once(migrate, filled):
    ranked = filled.get_model("labeling", "RankedCandidate").objects
    ranked.filter(flags=["opinion"]).update(flags=["opinion", "opinion"])

    assert scores(migrate(AFTER), "one") == SAID
