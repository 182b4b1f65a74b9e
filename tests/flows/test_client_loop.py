"""The Python client does in a script what the pages do, with the real processes and a tiny model: a
project, an import, sampled answers, three labelers, a dataset, a reward model and a fine-tuned one,
promoted; and the file taken home.
"""

import json

import pytest
from podium_client import Podium, Problem, Refused

pytestmark = [pytest.mark.system, pytest.mark.torch]
PATIENCE = 240
SHORT = {"max_length": 96, "batch": 4, "max_steps": 2, "lora": False}


@pytest.fixture(scope="module")
def admin(running_podium):
    token = running_podium.manage(
        "token", "admin@podium.local", "--scope", "admin", "--scope", "label"
    ).split()[-1]
    with Podium(running_podium.url, token) as podium:
        yield podium


def labelers(podium, admin, project, count):
    """So many people with accounts, each at work with a token of their own."""
    for number in range(count):
        email = f"scripted-{number}@example.org"
        admin.create_account(email, simulated=True)
        project.members.add(email)
        yield Podium(podium.url, podium.manage("token", email, "--scope", "label").split()[-1])


def longest_first(task) -> str:
    """An order of the answers, by letters; equally long ones tie."""
    by_length = {}
    for answer in task["answers"]:
        by_length.setdefault(len(answer["text"]), []).append(answer["letter"])
    return ">".join(
        "=".join(letters) for _length, letters in sorted(by_length.items(), reverse=True)
    )


def test_a_script_turns_the_loop(running_podium, admin, tmp_path):
    project = admin.create_project("scripted", "Scripted", k=3, overlap=3)
    file = tmp_path / "prompts.jsonl"
    prompts = [
        {"prompt": f"Tell me about bird {n}.", "split": "train" if n < 6 else "test"}
        for n in range(8)
    ]
    file.write_text("\n".join(json.dumps(one) for one in prompts))

    check = project.imports.upload(file)
    found = project.jobs.wait(check["id"], PATIENCE)["result"]["check"]
    assert found["prompts"] == 8 - sum(
        found["cleaned"].get(step, 0) for step in ("near", "prefixes")
    )
    project.jobs.wait(
        project.imports.confirm(check["id"], near=False, prefixes=False)["id"], PATIENCE
    )
    assert len(list(project.prompts(split="test"))) == 2

    project.jobs.wait(project.jobs.start("sample", {"max_tokens": 12})["id"], PATIENCE)
    assert len(list(project.tasks())) == 8

    people = list(labelers(running_podium, admin, project, 3))
    assert [one.project("scripted").work.rank_all(longest_first) for one in people] == [8, 8, 8]
    with pytest.raises(Problem, match="403"):
        people[0].project("scripted").change(name="Mine")

    dataset = project.jobs.wait(project.datasets.freeze(note="by script")["id"], PATIENCE)[
        "dataset_made"
    ]
    counts = project.datasets.read(dataset)["counts"]
    assert (counts["rows"], counts["judgments"]) == (8, 24)
    pairs = project.datasets.download(dataset, "conversational", tmp_path / "pairs.jsonl", PATIENCE)
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    assert len(rows) == counts["pairs"]
    assert all(
        len(row["chosen"][0]["content"]) > len(row["rejected"][0]["content"]) for row in rows
    )

    reward = project.jobs.start("reward", {"max_length": 96, "batch": 4}, dataset=dataset)
    judge = project.jobs.wait(reward["id"], PATIENCE)["model_made"]
    assert {one["name"] for one in project.jobs.metrics(reward["id"], final=True)} >= {
        "accuracy",
        "pairs",
    }
    tuned = project.jobs.wait(project.jobs.start("dpo", SHORT, dataset=dataset)["id"], PATIENCE)[
        "model_made"
    ]

    assert project.models.promote(tuned)["model_version"] == tuned
    told = project.models.read(tuned)
    assert (told["aliases"], told["dataset"], told["rankings"]) == (["champion"], dataset, 24)
    assert project.models.read(judge)["kind"] == "reward"
    with pytest.raises(Refused, match="learned from this dataset"):
        project.datasets.delete(dataset)
    round_two = project.jobs.start("sample", {"max_tokens": 4, "split": "train"})
    assert round_two["model_version"] == tuned, "the champion answers the next round"
    project.jobs.wait(round_two["id"], PATIENCE)
