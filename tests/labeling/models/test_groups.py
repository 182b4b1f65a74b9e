"""The migration that lets tasks be reserved, on a database with tasks, and its way back."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from labeling.models import QueuePosition, RankingTask
from labeling.queue import claims, groups, reservations
from people.models import Membership
from tests.factories import make_person, make_project, make_task

NAME = "reserved_tasks"


@pytest.fixture
def migrate(transactional_db):
    """Migrates to before the migration and returns the models as they were; the newest one is
    applied again at the end.
    """

    def back():
        graph = MigrationExecutor(connection).loader.graph
        [own] = [node for node in graph.nodes if node[0] == "labeling" and node[1].endswith(NAME)]
        parents = [parent.key for parent in graph.node_map[own].parents]
        before = [key for key in parents if key[0] == "labeling"]
        executor = MigrationExecutor(connection)
        executor.migrate(before)
        return MigrationExecutor(connection).loader.project_state(before).apps

    yield back
    forward()


def forward():
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_tasks_are_offered_to_everybody_before_the_migration_and_after_it(migrate):
    project = make_project()
    alice, bob = (Membership.objects.get(user=make_person(project)) for _ in range(2))
    first, second, third = (make_task(project, texts=["a", "b"]) for _ in range(3))
    group = groups.create(None, project, "Physicians", [bob])
    reservations.reserve(None, first, member=bob)
    reservations.reserve(None, second, group=group)
    held = claims.next_for(alice)
    assert held.task == third
    kept = list(RankingTask.objects.order_by("pk").values("pk", "sort_key", "turn", "free_places"))

    old = migrate()
    tasks = old.get_model("labeling", "RankingTask").objects.order_by("pk")
    assert list(tasks.values("pk", "sort_key", "turn", "free_places")) == kept
    positions = old.get_model("labeling", "QueuePosition").objects
    assert positions.get().sort_key == QueuePosition.FRONT, "what was reserved is open to alice now"

    forward()
    tasks = RankingTask.objects.order_by("pk")
    assert list(tasks.values("pk", "sort_key", "turn", "free_places")) == kept
    assert not tasks.exclude(reserved_for_user=None, reserved_for_group=None).exists()
    type(held).objects.filter(pk=held.pk).update(state="submitted", leased_until=None)
    assert claims.next_for(alice).task == first
