"""The exported JSON Lines train TRL's own trainers, unchanged."""

import pytest

from labeling import formats
from labeling.shapes import View
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
            "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": f"Say {n}"}],
            "split": "train",
            "answers": [{"text": text} for text in ("yes, of course", "no", "")],
            "judgments": judged,
        }
        for n in range(8)
    ]
    (folder / "rows.jsonl").write_text("".join(rows.canonical(line) + "\n" for line in lines))
    file = folder / "preferences.jsonl"
    with open(file, "wb") as out:
        formats.json_lines(formats.examples(folder, "conversational", "train", View(), "0"), out)
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny.save(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.mark.parametrize("name", ["Reward", "DPO"])
def test_trl_trains_two_steps(preferences, model, name, tmp_path):
    import trl
    from datasets import load_dataset

    data = load_dataset("json", data_files=str(preferences), split="train", cache_dir=str(tmp_path / "cache"))
    config = getattr(trl, f"{name}Config")(
        output_dir=str(tmp_path / "out"), max_steps=2, per_device_train_batch_size=4, report_to="none",
        use_cpu=True, bf16=False, gradient_checkpointing=False, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = getattr(trl, f"{name}Trainer")(model=model, args=config, train_dataset=data)

    trained = trainer.train()

    assert trained.global_step == 2
    assert 0 < trained.training_loss < 10
