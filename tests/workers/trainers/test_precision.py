"""Whatever number format a model learns in: scores, losses and figures are float32, and a figure is
its model's.
"""

import dataclasses
import importlib
import json
import math
from pathlib import Path

import pytest
import torch

from tests.workers import tiny
from tests.workers.trainers import test_child_process
from workers.modeling import prefix_packing, tokens, weights
from workers.trainers import reward, sft
from workers.trainers.run import checkpoints, loop, marks, metrics, runs
from workers.trainers.run.events import Stop

pytestmark = [pytest.mark.torch, pytest.mark.bf16]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a tiny model and a dataset."""
    folder = tmp_path_factory.mktemp("precision")
    tiny.save(folder / "model")
    test_child_process.write_dataset(folder / "dataset", prompts=30)
    return folder


@pytest.fixture(autouse=True)
def bfloat16(monkeypatch):
    """Everything that computes here is asked to in bfloat16."""
    monkeypatch.setenv("PODIUM_DTYPE", "bfloat16")


def make_run(place: Path, name: str, kind: str, model: Path | None = None, **settings) -> runs.Run:
    folder = test_child_process.make_run(place, name, kind, model, **settings)
    return runs.read(folder / "recipe.json", kind)


def figures_of(run: runs.Run) -> dict:
    return {
        (m["name"], m["slice"]): m["value"]
        for m in json.loads((run.out / "metrics.json").read_text())
    }


def is_bfloat16(values: torch.Tensor) -> bool:
    """Would rounding to bfloat16 change nothing?"""
    return torch.equal(values, values.bfloat16().float())


# --- the reward model -----------------------------------------------------------------------------

REWARD = {"max_steps": 3, "learning_rate": 0.003, "batch": 4}


@pytest.mark.parametrize("lora", [True, False])
@pytest.mark.parametrize("together", [True, False], ids=["packed", "padded"])
def test_rewards_reach_the_loss_in_float32(place, monkeypatch, lora, together):
    if not together:
        monkeypatch.setattr(prefix_packing, "FAMILIES", set())
    seen = []

    def loss(scores, *args, **how):
        seen.append(scores.detach().clone())
        return ranking_loss(scores, *args, **how)

    ranking_loss = reward.ranking_loss
    monkeypatch.setattr(reward, "ranking_loss", loss)

    reward.train(make_run(place, f"loss-{lora}-{together}", "reward", lora=lora, **REWARD))

    assert len(seen) >= 3
    assert all(scores.dtype == torch.float32 for scores in seen)
    assert not any(is_bfloat16(scores) for scores in seen)


def scores_of(folder: Path, row: dict, shift: float = 0.0) -> list[float]:
    """The reward of each of the row's answers as anybody would compute it with transformers, in
    float32.
    """
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = tokens.load_tokenizer(folder)
    texts = [
        tokenizer.apply_chat_template(
            [*row["messages"], {"role": "assistant", "content": answer["text"]}], tokenize=False
        )
        for answer in row["answers"]
    ]
    ids = [torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]]) for text in texts]
    with torch.inference_mode():
        return [model(input_ids=each).logits.item() - shift for each in ids]


@pytest.fixture(scope="module")
def trained(place):
    """A reward run in bfloat16."""
    run = make_run(place, "trained", "reward", **REWARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PODIUM_DTYPE", "bfloat16")
        reward.train(run)
    return run


def test_the_figures_of_a_reward_model_are_those_of_its_folder_in_float32(place, trained):
    rows = [
        json.loads(line) for line in (place / "dataset" / "rows.jsonl").read_text().splitlines()
    ]
    right, costs, number = 0, [], 0
    for row in (row for row in rows if row["split"] != "train"):
        scores, ranks = scores_of(trained.out, row), row["judgments"][0]["ranks"]
        ahead = [
            scores[w] - scores[l]
            for w in range(4)
            for l in range(4)
            if ranks[w] < ranks[l] and row["answers"][w]["text"] != row["answers"][l]["text"]
        ]
        right, number = right + sum(d > 0 for d in ahead), number + len(ahead)
        costs.append(sum(math.log1p(math.exp(-d)) for d in ahead) / len(ahead))

    told = figures_of(trained)
    assert told["pairs", "held-out"] == number
    assert told["accuracy", "held-out"] == pytest.approx(right / number, abs=1e-9)
    assert told["loss", "held-out"] == pytest.approx(sum(costs) / len(costs), abs=2e-6)


def test_the_shift_is_the_mean_score_of_the_training_answers_by_the_published_model(place, trained):
    rows = [
        json.loads(line) for line in (place / "dataset" / "rows.jsonl").read_text().splitlines()
    ]
    config = json.loads((trained.out / "config.json").read_text())
    train = [row for row in rows if row["split"] == "train"]
    scores = [score for row in train for score in scores_of(trained.out, row)]
    assert figures_of(trained)["reward_shift", "train"] == config["reward_shift"]
    assert config["reward_shift"] == pytest.approx(sum(scores) / len(scores), abs=2e-6)


def test_best_of_n_chooses_by_scores_in_float32(place, trained):
    from workers.engines.answers import Sample
    from workers.engines.best_of import Scorer

    row = json.loads((place / "dataset" / "rows.jsonl").read_text().splitlines()[0])
    shift = json.loads((trained.out / "config.json").read_text())["reward_shift"]
    samples = [Sample(answer["text"], 0, "stop", 0.0) for answer in row["answers"]]
    rewards = Scorer(trained.out).rewards([row["messages"]] * 4, samples)
    assert rewards == pytest.approx(scores_of(trained.out, row, shift), abs=2e-6)


# --- policies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sft", "dpo", "kto"])
def test_trl_takes_the_log_softmax_in_float32_of_scores_in_bfloat16(place, monkeypatch, kind):
    """Read off the model that TRL's trainer calls: had it stayed in bfloat16, it would be off by
    about 0.01.
    """
    module, seen = importlib.import_module(f"trl.trainer.{kind}_trainer"), []

    def add(model, **how):
        original(model, **how)
        fused = model.forward

        def forward(*args, fused_lm_head=False, labels=None, **more):
            if not fused_lm_head:
                return fused(*args, labels=labels, **more)
            output = fused(*args, fused_lm_head=True, labels=labels, **more)
            with torch.no_grad():
                batch = {
                    name: more[name] for name in ("input_ids", "attention_mask") if name in more
                }
                seen.append((output.log_probs.detach(), fused(**batch).logits, labels))
            return output

        model.forward = forward

    original = module.add_fused_lm_head
    monkeypatch.setattr(module, "add_fused_lm_head", add)

    run = make_run(place, f"softmax-{kind}", kind, max_steps=1)
    importlib.import_module(f"workers.trainers.{kind}").train(run)

    assert seen
    for logprobs, logits, labels in seen:
        assert (logprobs.dtype, logits.dtype) == (torch.float32, torch.bfloat16)
        learned, aims = labels[:, 1:] != -100, labels[:, 1:].clamp(min=0)
        exact = logits[:, :-1].double().log_softmax(-1).gather(2, aims[..., None])[..., 0]
        assert (logprobs - exact)[learned].abs().max() < 1e-5


ANSWERS = [([5, 6, 7, 8], [9, 10, 11]), ([20, 21], [300, 301, 302, 303]), ([7] * 9, [40, 41])]


@torch.inference_mode()
def logprobs(model) -> torch.Tensor:
    """Of each answer after its prompt, summed over tokens, as the model alone computes it."""
    values = []
    for prompt, answer in ANSWERS:
        each = (
            model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        )
        values.append(each.gather(1, torch.tensor(answer)[:, None]).sum())
    return torch.stack(values)


def base_model(folder: Path, dtype: torch.dtype, tied: bool) -> Path:
    from transformers import AutoModelForCausalLM

    tiny.save(folder, tie_word_embeddings=tied)
    AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_in_two_rounds_the_published_model_is_the_one_before_with_its_adapter(place, dtype, tied):
    """At a learning rate at which bfloat16 would round most of what was learned away."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    name = f"{str(dtype).removeprefix('torch.')}-{tied}"
    before = base_model(place / f"base-{name}", dtype, tied)
    for turn in (1, 2):
        run = make_run(
            place, f"round-{turn}-{name}", "sft", before, max_steps=3, learning_rate=3e-4
        )
        sft.train(run)
        start = AutoModelForCausalLM.from_pretrained(before, dtype=torch.float32)
        at_start = logprobs(start)
        learned = logprobs(PeftModel.from_pretrained(start, run.out / "adapter"))
        published = AutoModelForCausalLM.from_pretrained(run.out, dtype="auto")

        effect = (learned - at_start).abs().max()
        assert published.dtype == torch.float32
        assert published.config.tie_word_embeddings == tied
        assert effect > 1e-3
        assert (logprobs(published) - learned).abs().max() < 0.01 * effect
        before = run.out


@pytest.mark.parametrize("lora", [True, False], ids=["adapter", "all-weights"])
def test_the_figures_of_a_policy_are_those_of_its_folder_in_float32(place, lora):
    """The mean negative log-likelihood of the best answers' tokens, one after another, with
    transformers alone.
    """
    from transformers import AutoModelForCausalLM

    from modelops import rows

    base = base_model(place / f"measured-base-{lora}", torch.bfloat16, tied=False)
    run = make_run(
        place, f"measured-{lora}", "sft", base, max_steps=2, learning_rate=1e-4, lora=lora
    )
    sft.train(run)

    model = AutoModelForCausalLM.from_pretrained(run.out, dtype=torch.float32)
    tokenizer, total, count = tokens.load_tokenizer(run.out), 0.0, 0
    for row in rows.read(place / "dataset"):
        if row["split"] == "test":
            text = row["answers"][rows.best(row)]["text"]
            prompt, answer = tokens.answered(tokenizer, row["messages"], text, 512)
            with torch.inference_mode():
                each = (
                    model(torch.tensor([prompt + answer]))
                    .logits[0, len(prompt) - 1 : -1]
                    .log_softmax(-1)
                )
            total -= each.gather(1, torch.tensor(answer)[:, None]).sum().item()
            count += len(answer)
    assert figures_of(run)["loss", "test"] == pytest.approx(total / count, abs=2e-6)
    assert 0 < figures_of(run)["bfloat16_share", "weights"] == weights.share_kept(base, run.out) < 1


def test_what_a_gpu_does_not_hold_in_float32_is_measured_on_the_processor(
    place, monkeypatch, capsys
):
    from transformers import LlamaForCausalLM

    move = LlamaForCausalLM.to

    def to(model, device):
        if torch.device(device).type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return move(model, device)

    monkeypatch.setattr(LlamaForCausalLM, "to", to)
    monkeypatch.setattr(loop, "best_device", lambda: torch.device("cuda"))
    model = loop.in_float32(LlamaForCausalLM, place / "model")

    assert (model.device.type, model.dtype, model.training) == ("cpu", torch.float32, False)
    assert "measured on the processor" in capsys.readouterr().out


def test_the_share_that_bfloat16_keeps_is_counted_in_the_weights(tmp_path):
    from safetensors.torch import save_file

    draw = torch.Generator().manual_seed(0)
    exact = torch.randn(200, 200, generator=draw)
    half = exact.bfloat16()
    change = torch.randn(200, 200, generator=draw)

    def share(before, after) -> float:
        for name, tensor in (("before", before), ("after", after)):
            (tmp_path / name).mkdir(exist_ok=True)
            save_file(
                {"layer.weight": tensor, f"{name}.head": tensor + 1},
                tmp_path / name / "model.safetensors",
            )
        return weights.share_kept(tmp_path / "before", tmp_path / "after")

    assert share(half, half.float()) == 1
    assert (
        share(half, half.float() * (1 + 2**-10)) == 0
    )  # a quarter of the distance to the next number
    assert share(half, half.float() + change) == pytest.approx(1, abs=1e-3)
    assert share(exact, exact + 2**-9 * change) == pytest.approx(
        1, abs=0.05
    )  # rounded up as often as down


# --- no numbers any more --------------------------------------------------------------------------


def lose_weights(parameter):
    parameter.data.fill_(math.nan)


def lose_gradients(parameter):
    parameter.register_hook(lambda gradient: gradient * math.inf)


CASES = [(kind, lose_weights) for kind in ("sft", "dpo", "kto", "reward")] + [
    ("sft", lose_gradients)
]


@pytest.mark.parametrize(
    ("kind", "lose"), CASES, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_loss_that_is_no_number_stops_a_job_and_the_last_good_checkpoint_stays(
    place, monkeypatch, kind, lose
):
    from safetensors.torch import load_file

    class Planted(loop.Progress):
        def on_step_begin(self, args, state, control, model=None, **_):
            if state.global_step == 2:
                lose(next(parameter for parameter in model.parameters() if parameter.requires_grad))

    monkeypatch.setenv("PODIUM_DTYPE", "float32")
    monkeypatch.setattr(loop, "Progress", Planted)
    run = make_run(place, f"lost-{kind}-{lose.__name__}", kind, max_steps=4, save_steps=1)

    with pytest.raises(Stop) as stopped:
        importlib.import_module(f"workers.trainers.{kind}").train(run)

    name = "gradient norm" if lose is lose_gradients else "loss"
    assert str(stopped.value) == (
        f"The {name} of step 3 is not a finite number: lower the learning rate, or choose float32 "
        "as the number "
        "format, and start a new job; the checkpoint of step 2 is kept."
    )
    last = marks.newest(run.checkpoints)
    assert last.name == "checkpoint-2"
    assert all(
        weight.isfinite().all() for weight in load_file(last / "adapter_model.safetensors").values()
    )
    assert not run.out.exists()


def test_ppo_stops_too_and_keeps_the_round_before(place, monkeypatch):
    from workers.trainers import ppo

    turns = iter(range(100))

    def step(learner, found, rows):
        losses = original(learner, found, rows)
        if next(turns) == 3:  # the second step of the second round
            next(iter(ppo.trained(learner.models.policy).values())).grad.fill_(math.nan)
        return losses

    original = ppo.Learner.step
    monkeypatch.setattr(ppo.Learner, "step", step)
    run = make_ppo_run(place, "lost-ppo", max_steps=3, eval_steps=0)

    with pytest.raises(Stop, match="gradient norm of step 2 .* the checkpoint of step 1 is kept"):
        ppo.train(run)

    state = torch.load(marks.newest(run.checkpoints) / "state.pt", weights_only=True)
    assert all(weight.isfinite().all() for weight in state["policy"].values())
    assert not run.out.exists()


def make_ppo_run(place: Path, name: str, **settings) -> runs.Run:
    """On a reward model made by hand, with rounds of two steps."""
    judge = place / "judge"
    if not judge.exists():
        tiny.save_reward(judge)
    sizes = {"rollouts": 8, "batch": 4, "max_tokens": 4, "max_length": 64, "save_steps": 1}
    run = make_run(place, name, "ppo", **sizes, penalise_cut=False, **settings)
    return dataclasses.replace(run, others={"reward_model": judge})


def test_the_figures_of_ppo_are_those_of_what_it_published(place, monkeypatch):
    """Read while bfloat16 is asked for: the policy that is measured lies in the folder, and nothing
    is in bfloat16.
    """
    from workers.modeling.device import best_dtype
    from workers.trainers import ppo

    seen = []

    def results(models, *rest):
        seen.append((models.policy, models.reference, best_dtype()))
        return original(models, *rest)

    original = ppo.results
    monkeypatch.setattr(ppo, "results", results)
    run = make_ppo_run(place, "measured-ppo", max_steps=2, learning_rate=0.01)
    ppo.train(run)

    policy, start, dtype = seen[0]
    assert dtype == torch.float32
    for model, folder in ((policy, run.out), (start, run.model)):
        stored = load_weights(folder)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert all(
            torch.equal(parameter.cpu(), stored[name])
            for name, parameter in model.named_parameters()
        )


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_model_whose_figures_are_no_numbers_is_not_published(place):
    run = make_run(place, "broken", "sft")
    with pytest.raises(Stop, match="loss is not a number, so it is not published"):
        run.publish(lambda _folder: [metrics.plain("loss", "train", math.nan)])
    assert not run.out.exists()


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_under_an_adapter_holds_the_adapter_and_its_optimiser_alone(place):
    """Twice the adapter for Adam's two numbers a weight; the base's weights would be ten times as
    much.
    """

    class Kept(runs.Run):
        def publish(self, write):
            """Nothing, so that the checkpoints stay."""

    run = make_run(place, "small", "sft", max_steps=1, lora_rank=1)
    sft.train(Kept(**vars(run)))

    last = marks.newest(run.checkpoints)
    adapter = (last / "adapter_model.safetensors").stat().st_size
    assert not list(last.glob("model*.safetensors"))
    assert (last / "optimizer.pt").stat().st_size < 2 * adapter + 20_000  # names and settings
    assert adapter + 20_000 < (place / "model" / "model.safetensors").stat().st_size / 4


@pytest.fixture
def clock(monkeypatch):
    """The time that a schedule sees, in seconds, set by the test."""

    class Clock:
        seconds = 1000.0

        def monotonic(self):
            return self.seconds

    clock = Clock()
    monkeypatch.setattr(checkpoints, "time", clock)
    return clock


def test_a_checkpoint_is_due_by_the_time_and_writing_takes_at_most_a_tenth_of_it(clock):
    schedule, written = checkpoints.Schedule(0, minutes=10), []
    for step in range(1, 2001):  # of ten seconds each; a checkpoint takes five minutes
        clock.seconds += 10
        if schedule.is_due(step):
            written.append(step)
            clock.seconds += 300
            schedule.wrote()

    assert written[0] == 60  # ten minutes
    assert {later - step for step, later in zip(written, written[1:])} == {300}  # fifty minutes


def test_a_checkpoint_is_due_by_steps_where_a_recipe_names_them(clock):
    schedule = checkpoints.Schedule(20, minutes=10)
    assert [step for step in range(1, 61) if schedule.is_due(step)] == [20, 40, 60]
