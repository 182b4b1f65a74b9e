"""The whole loop over HTTP with the real processes and a tiny model: from prompts to the model that
samples the next round.
"""

import json
from dataclasses import replace

import pytest

from benchmarks import loop
from benchmarks.ledger import Ledger
from benchmarks.person import Site
from tests.system.podium import wait_for

pytestmark = [pytest.mark.system, pytest.mark.torch]


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    lines = [
        json.loads(line) for line in loop.Plan().prompts.read_text(encoding="utf-8").splitlines()
    ]
    train, test = (
        [line for line in lines if line["split"] == split] for split in ("train", "test")
    )
    few = train[:12] + test[:6]
    file = tmp_path_factory.mktemp("loop") / "loop_prompts.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in few), encoding="utf-8")
    return loop.Plan(
        prompts=file,
        judges=2,
        max_tokens=16,
        reward={"max_length": 96, "batch": 4},
        dpo={"max_length": 96, "batch": 8, "max_steps": 3},
    )


def test_the_loop_turns(running_podium, plan):
    password = running_podium.accounts()["admin@podium.local"]
    figures = loop.loop(running_podium.url, "admin@podium.local", password, plan)

    assert figures["rankings"] == 2 * 18
    assert 0.5 < figures["agreement_between_judges"] <= 1, (
        "two judges by one rule agree more often than not"
    )
    assert figures["real_pairs"] > figures["control_pairs"] > 0
    for side in ("real", "control"):
        assert (
            0 <= figures[f"{side}_reward_accuracy_low"] <= figures[f"{side}_reward_accuracy"] <= 1
        )
        assert (
            figures[f"{side}_win_low"]
            <= figures[f"{side}_win_share"]
            <= figures[f"{side}_win_high"]
        )
    assert loop.table(figures).count("control:") == 3

    admin = Site(running_podium.url, "admin@podium.local", password)
    made = running_podium.sql(
        "select v.id, v.name, v.kind, v.sha256, p.name, d.digest, j.kind from "
        "modelops_modelversion v "
        "join modelops_modelversion p on p.id = v.parent_id join modelops_dataset d on d.id = "
        "v.dataset_id "
        "join modelops_job j on j.id = v.job_id join people_project o on o.id = v.project_id where "
        "o.slug = 'real' order by v.id"
    )
    assert [(kind, job) for _, _, kind, _, _, _, job in made] == [
        ("reward", "reward"),
        ("policy", "dpo"),
    ]
    assert all(len(sha) == 64 for _, _, _, sha, _, _, _ in made)
    newest = made[-1][0]
    admin.post(f"/p/real/models/{newest}/promote", {"alias": "champion"})
    assert loop.base_model(admin, "real") == newest, (
        "the promoted model is proposed for the next round"
    )

    before = running_podium.sql("select count(*) from labeling_rankingtask")[0][0]
    job = admin.start(
        "real", "sample", model_version=newest, k=4, max_tokens=8, split="train", rank="on"
    )
    admin.wait("real", job, 120)
    assert running_podium.sql("select count(*) from labeling_rankingtask")[0][0] == before + 12
    assert wait_for(running_podium.is_well, 20)


@pytest.mark.slow
def test_a_run_that_is_killed_half_way_goes_on_to_the_end_of_its_second_round(
    own_podium, plan, tmp_path
):
    fresh = tmp_path / "fresh.jsonl"
    lines = loop.Plan().fresh_prompts.read_text(encoding="utf-8").splitlines()
    fresh.write_text("\n".join(lines[:8]), encoding="utf-8")
    two = replace(plan, rounds=2, control=False, fresh_prompts=fresh, later_reward={"epochs": 0.5})
    own_podium.start()
    who = own_podium.url, "admin@podium.local", own_podium.accounts()["admin@podium.local"]

    with pytest.raises(Killed):
        loop.loop(*who, two, Deadly(tmp_path / "finished.json", "real: reward model 2, started"))
    figures = loop.loop(*who, two, Ledger(tmp_path / "finished.json"))

    assert figures["test_prompts"] == 6
    for stand in ("start", "round_1", "round_2"):
        assert (
            figures[f"{stand}_score_low"]
            <= figures[f"{stand}_score"]
            <= figures[f"{stand}_score_high"]
        )
    assert "round 2 minus round 1" in loop.table(figures)
    made = own_podium.sql(
        "select j.kind, v.name, p.name from modelops_modelversion v join modelops_job j on j.id = "
        "v.job_id "
        "join modelops_modelversion p on p.id = v.parent_id order by v.id"
    )
    assert [kind for kind, _, _ in made] == ["reward", "dpo", "reward", "dpo"], (
        "nothing is done twice"
    )
    assert [(made[2][2], made[3][2])] == [(made[0][1], made[1][1])], (
        "the second round goes on from the first's"
    )
    champion = "select m.id from modelops_modelversion m where m.name = ?"
    answered = own_podium.sql(
        "select r.split, count(distinct c.prompt_id) from labeling_candidate c join "
        "labeling_prompt r on r.id = c.prompt_id "
        f"where c.model_version_id = ({champion}) group by r.split order by r.split",
        made[1][1],
    )
    assert answered == [("test", 6), ("train", 8)], "of the training prompts only the fresh ones"


class Killed(BaseException):
    pass


class Deadly(Ledger):
    """Its run dies as soon as this stage is written down."""

    def __init__(self, file, last):
        super().__init__(file)
        self.last = last

    def once(self, stage, work):
        found = super().once(stage, work)
        if stage == self.last:
            raise Killed
        return found
