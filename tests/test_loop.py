"""The whole loop over HTTP with the real processes and a tiny model: from prompts to the model that samples the next round."""

import json

import pytest

from benchmarks import loop
from benchmarks.person import Site
from tests.system.conftest import running_podium, tiny_model  # noqa: F401
from tests.system.podium import wait_for

pytestmark = [pytest.mark.system, pytest.mark.torch]


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    lines = [json.loads(line) for line in loop.Plan().prompts.read_text(encoding="utf-8").splitlines()]
    train, test = ([line for line in lines if line["split"] == split] for split in ("train", "test"))
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


def test_the_loop_turns(running_podium, plan):  # noqa: F811
    password = running_podium.accounts()["admin@podium.local"]
    figures = loop.loop(running_podium.url, "admin@podium.local", password, plan)

    assert figures["rankings"] == 2 * 18
    assert 0.5 < figures["agreement_between_judges"] <= 1, "two judges by one rule agree more often than not"
    assert figures["real_pairs"] > figures["control_pairs"] > 0
    for side in ("real", "control"):
        assert 0 <= figures[f"{side}_reward_accuracy_low"] <= figures[f"{side}_reward_accuracy"] <= 1
        assert figures[f"{side}_win_low"] <= figures[f"{side}_win_share"] <= figures[f"{side}_win_high"]
    assert loop.table(figures).count("control:") == 3

    admin = Site(running_podium.url, "admin@podium.local", password)
    made = running_podium.sql(
        "select v.id, v.name, v.kind, v.sha256, p.name, d.digest, j.kind from modelops_modelversion v "
        "join modelops_modelversion p on p.id = v.parent_id join modelops_dataset d on d.id = v.dataset_id "
        "join modelops_job j on j.id = v.job_id join people_project o on o.id = v.project_id where o.slug = 'real' order by v.id"
    )
    assert [(kind, job) for _, _, kind, _, _, _, job in made] == [("reward", "reward"), ("policy", "dpo")]
    assert all(len(sha) == 64 for _, _, _, sha, _, _, _ in made)
    newest = made[-1][0]
    admin.post(f"/p/real/models/{newest}/promote", {"alias": "champion"})
    assert loop.base_model(admin, "real") == newest, "the promoted model is proposed for the next round"

    before = running_podium.sql("select count(*) from labeling_rankingtask")[0][0]
    job = admin.start("real", "sample", model_version=newest, k=4, max_tokens=8, split="train", rank="on")
    admin.wait("real", job, 120)
    assert running_podium.sql("select count(*) from labeling_rankingtask")[0][0] == before + 12
    assert wait_for(running_podium.is_well, 20)
