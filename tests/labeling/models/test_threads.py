"""The migration that adds threads, and its way back, on a database with rankings."""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from labeling.judging import reviews
from labeling.models import RankedCandidate, Ranking, Review, Seen
from tests.factories import make_person, make_project, make_ranking, make_task
from tests.migrations import migrated_back

pytestmark = pytest.mark.django_db(transaction=True)


def before_threads() -> tuple[str, str]:
    graph = MigrationLoader(connection).graph
    [own] = [node for node in graph.nodes if node[1].endswith("_threads")]
    return next(parent.key for parent in graph.node_map[own].parents if parent.key[0] == own[0])


def kept(rankings, answers) -> tuple[list, list]:
    names = ("pk", "task", "judge", "labeler", "outcome", "revision", "current", "created_at")
    of_answers = answers.order_by("pk").values_list("ranking", "candidate", "shown", "rank")
    return list(rankings.order_by("pk").values_list(*names)), list(of_answers)


def test_every_ranking_is_there_before_the_migration_and_after_it():
    project = make_project()
    task, lead = make_task(project, overlap=2), make_person(project, "lead")
    first, second = (make_ranking(task, make_person(project)) for _ in range(2))
    Ranking.objects.filter(pk=second.pk).update(prompted=True)
    reviews.review(lead, first, "disagree", "C is false.")
    before = kept(Ranking.objects, RankedCandidate.objects)

    with migrated_back(before_threads()) as old:
        models = [old.get_model("labeling", name) for name in ("Ranking", "RankedCandidate")]
        assert kept(*(model.objects for model in models)) == before

    assert kept(Ranking.objects, RankedCandidate.objects) == before
    assert not Ranking.objects.filter(prompted=True).exists(), "what is new is empty again"
    assert not Review.objects.exists()
    assert not Seen.objects.exists()
