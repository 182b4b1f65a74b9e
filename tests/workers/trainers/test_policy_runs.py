"""Policies trained in other ways than by default: mixed losses, good and bad answers, plain text,
an encoder-decoder.
"""

import json

import pytest

from labeling.models import Candidate
from modelops import datasets, jobs, rows
from modelops.models import Job, ModelVersion
from tests.factories import make_prompt, register_model
from tests.workers import tiny
from tests.workers.trainers.test_child_process import (
    Child,
    figures,
    losses,
    make_run,
    write_dataset,
)

pytestmark = pytest.mark.torch

KTO = {"learning_rate": 0.002, "max_steps": 12, "save_steps": 4}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and a dataset."""
    folder = tmp_path_factory.mktemp("policies")
    tiny.save(folder / "model")
    write_dataset(folder / "dataset")
    return folder


def on(run, lines, **more):
    """The run, told to learn from these rows; `more` goes into its recipe.json."""
    dataset = run / "dataset"
    dataset.mkdir()
    (dataset / "rows.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    told = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(told | {"dataset": str(dataset)} | more))
    return run


def demonstration(text, split="train"):
    turn = [{"role": "user", "content": "Why do people sing?"}]
    return {"prompt_id": "1", "messages": turn, "split": split, "text": text}


def test_kto_learns_a_planted_rule_and_a_killed_run_ends_as_if_nothing_had_happened(place):
    whole = Child(make_run(place, "kto", "kto", **KTO)).end()
    run = make_run(place, "kto-killed", "kto", **KTO)
    first = Child(run)
    first.until("step", step=6)
    first.process.kill()
    first.process.wait()
    last = Child(run).end()

    assert figures(whole)["accuracy", "held-out"] > 0.8
    assert figures(whole)["good", "train"] > 20
    assert figures(last) == figures(whole)
    assert min(losses(last)) == 5


def test_plain_text_is_learned_packed_or_not(place):
    lines = [{"text": "Tell me about the sea and the sky.", "split": "train"}] * 8
    settings = {"source": "text", "learning_rate": 0.01, "max_length": 32, "epochs": 6.0}
    for packing in (False, True):
        found = Child(
            on(make_run(place, f"text-{packing}", "sft", packing=packing, **settings), lines)
        ).end()
        steps = losses(found)
        assert steps[max(steps)] < steps[1]
        assert figures(found)["loss", "train"] < steps[1]


def test_several_datasets_are_learned_and_the_first_is_measured(place):
    run = make_run(place, "mixed", "sft", source="demonstrations", epochs=1.0, lora=False)
    other = {"dataset": str(place / "dataset"), "source": "better-half", "weight": 4.0}

    events = Child(on(run, [demonstration("Because!")] * 4, mix=[other])).end()

    said = " ".join(event["text"] for event in events if event["event"] == "log")
    assert int(said.split("Learns from ")[1].split()[0]) > 4 + 36
    assert set(figures(events)) == {("loss", "train"), ("bfloat16_share", "weights")}


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_the_mixed_loss_is_the_instruction_loss_and_the_loss_on_the_comparisons_in_their_shares(
    place, alpha
):
    """Against the equation, token by token, on a policy that differs from its reference."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig

    from workers.modeling import tokens
    from workers.trainers import dpo

    model = AutoModelForCausalLM.from_pretrained(place / "model").eval()
    pairs = [
        {
            "prompt_ids": [5, 6, 7],
            "chosen_ids": [8, 9],
            "rejected_ids": [10],
            "ref_chosen_logps": -9.0,
            "ref_rejected_logps": -8.0,
        },
        {
            "prompt_ids": [11],
            "chosen_ids": [12, 13, 14],
            "rejected_ids": [15, 16],
            "ref_chosen_logps": -20.0,
            "ref_rejected_logps": -13.5,
        },
    ]
    from datasets import Dataset

    config = DPOConfig(
        output_dir=str(place / "none"),
        use_cpu=True,
        bf16=False,
        report_to="none",
        precompute_ref_log_probs=True,
        beta=0.5,
        max_length=None,
        remove_unused_columns=False,
        **dpo.mixture(alpha),
    )
    words = tokens.load_tokenizer(place / "model")
    trainer = dpo.PairTrainer(
        model=model, args=config, train_dataset=Dataset.from_list(pairs), processing_class=words
    )
    ours = trainer.compute_loss(trainer.model, trainer.data_collator(pairs))

    def said(prompt, answer):
        logits = (
            model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        )
        return logits.gather(1, torch.tensor(answer)[:, None])[:, 0]

    feedback, nll = [], []
    for pair in pairs:
        chosen, rejected = (
            said(pair["prompt_ids"], pair[name]) for name in ("chosen_ids", "rejected_ids")
        )
        margin = (chosen.sum() - pair["ref_chosen_logps"]) - (
            rejected.sum() - pair["ref_rejected_logps"]
        )
        feedback.append(-torch.log(torch.sigmoid(0.5 * margin)))
        nll += (-chosen).tolist()
    expected = alpha * sum(nll) / len(nll) + (1 - alpha) * sum(feedback).item() / len(feedback)
    assert ours.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["t5", pytest.param("bart", marks=pytest.mark.slow)])
def test_an_encoder_decoder_is_tuned_registered_and_sampled_from_like_any_model(
    project, tmp_path, kind
):
    from workers import sampling_job, training_job
    from workers.machine_lock import Held

    base = register_model(project, tiny.save_other(tmp_path / "base", kind))
    lines = [demonstration("Because they are happy!")] * 8 + [
        demonstration("It is music.", "test")
    ] * 2
    digest, folder = datasets.write(rows.canonical(line) for line in lines)
    dataset, _ = datasets.register(project, "demonstrations", digest, folder)
    told = {"source": "demonstrations", "epochs": 6.0, "learning_rate": 0.01, "max_length": 64}

    job = jobs.request(None, project, Job.Kind.SFT, told, model_version=base, dataset=dataset)
    with open(tmp_path / "lock", "w") as lock:
        training_job.run(jobs.claim_next({Job.Kind.SFT}), Held(("cpu",), (lock.fileno(),)))

    tuned = ModelVersion.objects.get(job=job)
    steps = list(
        job.metrics.filter(name="loss", step__isnull=False)
        .order_by("step")
        .values_list("value", flat=True)
    )
    assert (tuned.parent, tuned.kind, tuned.name) == (base, "policy", "assistant 1")
    assert steps[-1] < steps[0]
    assert {metric.slice for metric in job.metrics.filter(name="loss", step=None)} >= {
        "train",
        "test",
    }

    make_prompt(project, "Why do people sing?")
    draw = {"k": 2, "max_tokens": 8, "rank": False}
    jobs.request(None, project, Job.Kind.SAMPLE, draw, model_version=tuned)
    sampling_job.run(jobs.claim_next({Job.Kind.SAMPLE}))
    assert Candidate.objects.filter(model_version=tuned).count() == 2


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_what_compares_log_probabilities_refuses_an_encoder_decoder(place, kind):
    model = place / "bart"
    if not model.exists():
        tiny.save_other(model, "bart")
    child = Child(make_run(place, f"refused-{kind}", kind, model=model))
    assert "fine-tune it by sft" in child.until("error")["text"]
    assert child.process.wait(timeout=120) == 1
