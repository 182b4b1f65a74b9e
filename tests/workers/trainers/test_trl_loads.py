"""The exported JSON Lines train TRL's own trainers, unchanged."""

import json
import math

import pytest

from labeling.exports import formats
from labeling.exports.examples import View
from modelops import rows
from tests.workers import tiny

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def preferences(tmp_path_factory):
    """A downloaded file, made from frozen rows as the download view makes it."""
    folder = tmp_path_factory.mktemp("dataset")
    judged = [{"ranks": [1, 2, 2], "labeler": 0}]
    lines = [
        {
            "prompt_id": str(n),
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": f"Say {n}"},
            ],
            "split": "train",
            "answers": [{"text": text} for text in ("yes, of course", "no", "")],
            "judgments": judged,
        }
        for n in range(8)
    ]
    (folder / "rows.jsonl").write_text("".join(rows.canonical(line) + "\n" for line in lines))
    file = folder / "preferences.jsonl"
    with open(file, "wb") as out:
        formats.json_lines(formats.contents(folder, "conversational", "train", View(), "0"), out)
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny.save(tmp_path_factory.mktemp("model") / "tiny"))


def steps(trainer) -> list[float]:
    """The loss of each step; both read all pairs of the file at once, so that their order does not
    matter.
    """
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def make(trl, name, model, preferences, folder, **more):
    from datasets import load_dataset

    data = load_dataset(
        "json", data_files=str(preferences), split="train", cache_dir=str(folder / "cache")
    )
    assert len(data) == 16
    config = getattr(trl, f"{name}Config")(
        output_dir=str(folder / "out"),
        max_steps=2,
        per_device_train_batch_size=16,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        **more,
    )
    return getattr(trl, f"{name}Trainer")(model=model, args=config, train_dataset=data)


def test_trl_trains_a_policy_by_two_steps_from_no_preference_to_the_right_one(
    preferences, model, tmp_path
):
    import trl

    first, second = steps(make(trl, "DPO", model, preferences, tmp_path))

    assert first == pytest.approx(math.log(2), abs=1e-6)  # the policy is its reference
    assert second < first - 1e-3


def test_trl_trains_a_reward_model_by_two_steps_from_the_loss_of_the_files_own_pairs(
    preferences, model, tmp_path
):
    """The first loss is what transformers alone makes of the file's conversations under the same
    new head.
    """
    import torch
    import trl

    trainer = make(trl, "Reward", model, preferences, tmp_path)
    scorer, words = trainer.model.eval(), trainer.processing_class
    costs = []
    for line in preferences.read_text().splitlines():
        pair = json.loads(line)
        texts = [
            words.apply_chat_template(pair["prompt"] + pair[name], tokenize=False)
            for name in ("chosen", "rejected")
        ]
        assert texts[0] != texts[1]
        with torch.inference_mode():
            better, worse = (
                scorer(
                    torch.tensor([words(text, add_special_tokens=False)["input_ids"]])
                ).logits.item()
                for text in texts
            )
        costs.append(math.log1p(math.exp(worse - better)))

    first, second = steps(trainer)

    assert first == pytest.approx(sum(costs) / len(costs), abs=1e-5)
    assert second < first - 1e-3
