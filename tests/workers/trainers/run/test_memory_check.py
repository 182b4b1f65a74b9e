"""What clearly can't fit is refused before it is loaded, with what would help; and how attention is
computed.
"""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from modelops import jobs, recipes
from modelops.jobs import JobFailed
from modelops.models import Job
from tests.factories import make_prompt, register_model
from tests.workers import tiny
from tests.workers.trainers.test_child_process import losses, make_run, write_dataset
from workers import sampling_job
from workers.engines import memory
from workers.engines.local import auto_class
from workers.modeling import prefix_packing, weights
from workers.trainers.run import loop, memory_check, runs
from workers.trainers.run.events import Stop

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and a dataset."""
    folder = tmp_path_factory.mktemp("fit")
    tiny.save(folder / "model")
    write_dataset(folder / "dataset")
    return folder


@pytest.mark.parametrize(
    ("family", "task", "buffers"),
    [
        ("llama", "CAUSAL_LM", 0),
        ("gpt2", "CAUSAL_LM", 0),
        ("t5", "SEQ_2_SEQ_LM", 0),
        ("bart", "SEQ_2_SEQ_LM", 479),
    ],
)
def test_weights_and_adapter_are_counted_from_the_files_as_they_are_once_loaded(
    tmp_path, family, task, buffers
):
    from peft import get_peft_model

    folder = (
        tiny.save(tmp_path / "m") if family == "llama" else tiny.save_other(tmp_path / "m", family)
    )
    size = memory_check.Size.of(folder)
    model = auto_class(folder).from_pretrained(folder)

    assert size.weights == model.num_parameters() + buffers
    adapted = get_peft_model(model, loop.adapter(recipes.read("sft", {"lora_rank": 4}), task))
    assert 4 * size.adapter == adapted.num_parameters(only_trainable=True)


SIZE = memory_check.Size(weights=1000, adapter=10, layers=2, width=8, vocabulary=100)


@pytest.mark.parametrize(
    ("told", "frozen", "bytes_"),
    [
        ({"lora": False}, torch.float32, 16_000),
        ({"lora": False}, torch.bfloat16, 16_000),
        ({"lora_rank": 3}, torch.float32, 4_000 + 16 * 30),
        ({"lora_rank": 3}, torch.bfloat16, 2_000 + 16 * 30),
    ],
)
def test_what_learns_takes_its_weights_gradients_and_moments(told, frozen, bytes_):
    assert memory_check.learning(SIZE, recipes.read("sft", told), frozen) == bytes_


def test_the_floor_of_activations_is_one_short_row():
    assert memory_check.activations(SIZE, recipes.read("sft", {}), scores=True) == 128 * (
        2 * 2 * 8 + 4 * 100
    )
    assert (
        memory_check.activations(SIZE, recipes.read("sft", {"max_length": 16}), scores=False)
        == 16 * 2 * 2 * 8
    )


@pytest.mark.parametrize(
    ("room", "told", "words"),
    [
        (1.0, {"lora": True}, None),
        (1.0, {"lora": False}, "train an adapter (lora), or spread the weights over 2 GPUs"),
        (0.6, {"lora": True}, "its device has"),
        (0.0, {"lora": False}, "choose a smaller model."),
    ],
)
def test_a_job_that_clearly_can_t_fit_is_refused_with_the_settings_that_would_help(
    place, monkeypatch, room, told, words
):
    """`room` is a share of what training an adapter takes."""
    recipe = recipes.read("sft", told)
    size = memory_check.Size.of(place / "model")
    adapter = recipes.read("sft", {"lora": True})
    takes = memory_check.learning(size, adapter, torch.float32) + memory_check.activations(
        size, adapter, True
    )
    monkeypatch.setattr(memory, "available", lambda device: room * takes)
    if words is None:
        return memory_check.check(recipe, [place / "model"])
    with pytest.raises(Stop) as refusal:
        memory_check.check(recipe, [place / "model"])
    assert words in str(refusal.value)
    assert str(refusal.value).startswith("This job takes at least ")


def test_an_adapter_in_half_the_format_is_named_where_it_would_fit(place, monkeypatch):
    size = memory_check.Size.of(place / "model")
    recipe = recipes.read("sft", {"lora": True, "lora_rank": 1})
    half = memory_check.learning(size, recipe, torch.bfloat16) + memory_check.activations(
        size, recipe, True
    )
    monkeypatch.setattr(memory, "available", lambda device: half + 1)
    with pytest.raises(Stop, match=r"in bfloat16 \(lora, dtype\)"):
        memory_check.check(recipe, [place / "model"])


def test_ppo_counts_all_its_models(place, monkeypatch):
    recipe = recipes.read("ppo", {"lora": False})
    model = place / "model"
    size = memory_check.Size.of(model)
    room = 2 * memory_check.learning(size, recipe, torch.float32) + memory_check.activations(
        size, recipe, True
    )
    monkeypatch.setattr(memory, "available", lambda device: room)
    memory_check.check(recipe, [model, model])
    with pytest.raises(Stop):
        memory_check.check(recipe, [model, model], still=(model, model))


@pytest.mark.parametrize("kind", ["sft", "dpo", "kto", "reward"])
def test_no_trainer_loads_what_can_t_fit(place, monkeypatch, kind):
    import importlib

    monkeypatch.setattr(memory, "available", lambda device: 1000)
    monkeypatch.setattr(weights, "load", lambda *_, **__: pytest.fail("it was loaded"))
    run = make_run(place, f"too-large-{kind}", kind)
    with pytest.raises(Stop, match="and its device has 0.000954 MB: choose a smaller model"):
        importlib.import_module(f"workers.trainers.{kind}").train(
            runs.read(run / "recipe.json", kind)
        )


@pytest.mark.django_db
def test_a_sampling_job_is_refused_before_its_model_is_loaded(project, place, monkeypatch):
    version = register_model(project, place / "model", "large")
    make_prompt(project)
    jobs.request(None, project, Job.Kind.SAMPLE, {"dtype": "float32"}, model_version=version)
    job = jobs.claim_next({Job.Kind.SAMPLE})
    takes = 4 * memory.parameters(place / "model")
    for room, hint in ((0.6, "bfloat16 would fit"), (0.4, "choose a smaller model")):
        monkeypatch.setattr(memory, "available", lambda device, room=room: room * takes)
        with pytest.raises(
            JobFailed, match=f"large can't be loaded: its weights take .* free: {hint}"
        ):
            sampling_job.run(job)


def test_a_container_s_limit_counts_where_it_has_one(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "max")
    memory.MEMINFO.write_text("MemTotal:       2048 kB\nMemFree: 5 kB\n")
    assert memory.available(torch.device("cpu")) == 2048 * 1024
    for text, expected in (("max\n", 2048 * 1024), ("1000\n", 1000)):
        memory.CGROUP.write_text(text)
        assert memory.available(torch.device("cpu")) == expected


# --- attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "used"), [("auto", "sdpa"), ("sdpa", "sdpa"), ("eager", "eager")]
)
def test_attention_is_computed_as_the_recipe_says(place, asked, used):
    run = make_run(place, f"attention-{asked}", "sft", attention=asked)
    model = loop.load(AutoModelForCausalLM, runs.read(run / "recipe.json", "sft"))
    assert model.config._attn_implementation == used


def test_flash_attention_is_refused_where_there_is_no_gpu(place):
    run = make_run(place, "flash", "sft", attention="flash_attention_2")
    with pytest.raises(Stop, match="flash_attention_2 takes a GPU"):
        loop.load(AutoModelForCausalLM, runs.read(run / "recipe.json", "sft"))


def test_packed_scoring_gives_the_recipe_s_attention_back(place):
    run = make_run(place, "packed", "reward", attention="eager")
    model = loop.load(
        AutoModelForSequenceClassification, runs.read(run / "recipe.json", "reward"), num_labels=1
    )
    rows = [list(range(5, 30)), list(range(5, 28)) + [40]]

    scores = prefix_packing.logits(model.eval(), rows, [0, 0])

    assert model.config._attn_implementation == "eager"
    expected = torch.cat([model(torch.tensor([row])).logits for row in rows])
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=0)


def test_training_is_the_same_under_another_attention_and_the_result_names_none(place, capsys):
    from workers.trainers import sft

    steps = {}
    for asked in ("sdpa", "eager"):
        told = {"max_steps": 3, "learning_rate": 0.002, "attention": asked}
        run = make_run(place, f"same-{asked}", "sft", **told)
        sft.train(runs.read(run / "recipe.json", "sft"))
        steps[asked] = losses(
            [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:1] == "{"]
        )
        assert "attn" not in (run / "out" / "config.json").read_text()
    assert steps["sdpa"] == pytest.approx(steps["eager"], abs=1e-5)
