"""The client looks at the data: judged tasks, frozen rows, and what differs."""

import pytest
from podium_client import Podium

from labeling.exports import freeze
from people import tokens
from tests.factories import make_ranking, make_task

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_script_reads_judged_tasks_rows_and_what_differs(live_server, project, alice, carol):
    first = make_task(project)
    make_ranking(first, alice)
    before = freeze.freeze_now(None, project)
    second = make_task(project)
    make_ranking(second, alice)
    after = freeze.freeze_now(None, project)
    _token, text = tokens.make(carol, "script", ["read"], 1)

    with Podium(live_server.url, text) as podium:
        demo = podium.project("demo")
        tasks = list(demo.tasks.judged(limit=1, ties=False))
        rows = list(demo.datasets.rows(after.pk, limit=1))

        assert [task["task"] for task in tasks] == [second.pk, first.pk]
        assert {row["row"]["prompt_id"] for row in rows} == {
            task.prompt.digest for task in (first, second)
        }
        assert demo.datasets.compare(after.pk, before.pk) == {"ready": True, "job": None}
        assert demo.datasets.difference(after.pk, before.pk)["rows"] == {
            "same": 1,
            "changed": 0,
            "added": 1,
            "gone": 0,
        }
        [added] = demo.datasets.different(after.pk, before.pk, "added")
        assert added["after"]["row"]["prompt_id"] == second.prompt.digest
