"""Judgments that several tests of exports freeze."""

import pytest

from tests.factories import make_model, make_prompt, make_ranking, make_task


@pytest.fixture
def judged(project, alice, bob):
    """A task on which two agree, one on which they don't, and a tie that one person made."""
    agreed, disputed = make_task(project), make_task(project)
    for task, ranks in ((agreed, [1, 2, 3, 4]), (disputed, [4, 3, 2, 1])):
        make_ranking(task, alice)
        make_ranking(task, bob, ranks=ranks)
    tied = make_task(
        project,
        prompt=make_prompt(project, use_case="chat", language="de"),
        model=make_model(project, "tied"),
    )
    make_ranking(tied, alice, ranks=[1, 1, 2, 3])
    return agreed, disputed, tied
