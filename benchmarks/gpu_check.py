r"""What Podium says of GPUs, checked where it runs: in at most ten minutes, on one device, with
models that it makes.

    .venv/bin/python benchmarks/gpu_check.py --json figures.json \
        --model var/models/smollm2-135m-instruct

Each check prints *passed* or *failed* with a figure, or *not run* with the reason, which is never
passed. Half of them need no GPU. The exit code is 1 where any has failed. With `--model`, speed is
measured on that folder's model too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SECONDS = 540  # after which no further check is begun
NOWHERE = ("cpu",)
STEPS = {"max_steps": 4, "save_steps": 2, "learning_rate": 0.002, "batch": 4}
KINDS = {"sft": {"source": "best"}, "dpo": {}, "kto": {}, "reward": {"learning_rate": 0.005}}
TURN = [{"role": "user", "content": "Tell me about the sea and the sky, please."}]


class NotRun(Exception):
    """The check needs what is not here; the message says what."""


class Failed(Exception):
    """What was promised does not hold; the message says what was seen."""


def expect(holds: bool, seen: str) -> str:
    """`seen`, the figure of a check that passed. Raises Failed where the promise does not hold."""
    if not holds:
        raise Failed(seen)
    return seen


class Place:
    """A folder with a tiny model and a dataset that follows a planted rule, and the runs made
    there.
    """

    def __init__(self, folder: Path, model: Path | None):
        from tests.workers import tiny
        from tests.workers.trainers.test_child_process import write_dataset

        self.folder, self.large, self.count = folder, model, 0
        self.model = tiny.save(folder / "model")
        self.dataset = write_dataset(folder / "dataset")

    def run(self, kind: str, **settings) -> Path:
        """The folder of a new run of a trainer on the tiny model."""
        self.count += 1
        folder = self.folder / f"run-{self.count}"
        folder.mkdir()
        told = {
            "kind": kind,
            "settings": settings,
            "model": str(self.model),
            "dataset": str(self.dataset),
        }
        (folder / "recipe.json").write_text(json.dumps(told | {"out": str(folder / "out")}))
        return folder

    def start(self, kind: str, devices: tuple[str, ...], **settings) -> subprocess.Popen:
        """A trainer as a worker starts it; what it says on stderr is kept in its `said`."""
        from workers import training_job
        from workers.machine_lock import Held

        child = training_job.start(
            SimpleNamespace(kind=kind, recipe=settings),
            self.run(kind, **settings),
            Held(devices, ()),
        )
        child.said = []
        threading.Thread(target=child.said.extend, args=(child.stderr,), daemon=True).start()
        return child

    def train(self, kind: str, devices: tuple[str, ...], **settings) -> list[dict]:
        """The events of a trainer that runs to its end."""
        child = self.start(kind, devices, **settings)
        events = [json.loads(line) for line in child.stdout]
        if child.wait(timeout=60):
            wrong = [event["text"] for event in events if event["event"] == "error"] + child.said[
                -3:
            ]
            raise Failed(f"{kind} ended with code {child.returncode}: {' '.join(wrong)[:300]}")
        return events


def losses(events: list[dict]) -> list[float]:
    return [event["metrics"]["loss"] for event in events if event["event"] == "step"]


def apart(one: list[float], other: list[float]) -> float:
    """The greatest difference of two curves."""
    if len(one) != len(other) or not one:
        raise Failed(f"{len(one)} steps and {len(other)}")
    return max(abs(a - b) for a, b in zip(one, other))


def gpu() -> str:
    """The name of the first device that Podium may use. Raises NotRun without a GPU."""
    import torch

    from workers import machine_lock

    names = machine_lock.devices()
    if names == [machine_lock.CPU] or not torch.cuda.is_available():
        raise NotRun("no GPU here, or torch has no CUDA")
    return names[0]


def two_gpus() -> tuple[str, str]:
    from workers import machine_lock

    gpu()
    names = machine_lock.devices()
    if len(names) < 2:
        raise NotRun("a single GPU here")
    return names[0], names[1]


# --- without a GPU --------------------------------------------------------------------------------


def a_child_sees_its_devices(place: Place) -> str:
    from workers import training_job
    from workers.machine_lock import Held

    code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    launcher, seen = training_job.launcher, []
    training_job.launcher = lambda held, recipe: ["-c", code]
    try:
        for devices in (("5",), ("1", "3"), NOWHERE):
            child = training_job.start(
                SimpleNamespace(kind="sft", recipe={}), place.folder, Held(devices, ())
            )
            seen.append(child.stdout.readline().strip())
            training_job.stop(child)
    finally:
        training_job.launcher = launcher
    return expect(seen == ["5", "1,3", ""], " | ".join(seen))


def eight_gpus_take_eight_jobs(place: Place) -> str:
    from contextlib import ExitStack

    from django.test import override_settings

    from workers import machine_lock

    names = ",".join(map(str, range(8)))
    with override_settings(DEVICES=names, MACHINE_LOCK=place.folder / "lock"), ExitStack() as stack:
        held = [stack.enter_context(machine_lock.held(1)) for _ in range(9)]
    return expect(
        [str(one) for one in held] == [*names.split(","), "None"],
        f"{sum(map(bool, held))} of 9 jobs run",
    )


def two_processes_are_one(kind: str) -> Callable[[Place], str]:
    def check(place: Place) -> str:
        """KTO estimates its divergence on the answers of a pass; each process has its own."""
        settings = STEPS | KINDS[kind]
        two = losses(place.train(kind, ("cpu", "cpu"), **settings))
        one = losses(place.train(kind, NOWHERE, **settings | {"batch": 8}))
        difference = apart(one, two)
        return expect(
            difference < (0.02 if kind == "kto" else 1e-3), f"losses {difference:.1e} apart"
        )

    return check


def shards_are_saved_whole(place: Place) -> str:
    import torch
    from safetensors.torch import load_file

    settings = STEPS | {"source": "best", "lora": False}
    run = place.run("sft", **settings)
    config = ROOT / "workers" / "trainers" / "launch" / "fsdp.yaml"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command += ["--main_process_port", "0", "-m", "tests.workers.in_processes", str(run)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    expect(done.returncode == 0, done.stderr[-300:])
    place.train("sft", NOWHERE, **settings | {"batch": 8})
    whole = load_file(place.folder / f"run-{place.count}" / "out" / "model.safetensors")
    saved = load_file(run / "out" / "model.safetensors")
    difference = max((saved[name] - tensor).abs().max().item() for name, tensor in whole.items())
    expect(
        saved.keys() == whole.keys() and all(map(torch.is_tensor, saved.values())),
        "weights are missing",
    )
    return expect(difference < 2e-4, f"weights {difference:.1e} apart")


def several_processes_end_together(place: Place) -> str:
    import psutil

    from workers import training_job

    child = place.start(
        "sft", ("cpu", "cpu"), source="best", epochs=100.0, batch=2, max_steps=10000
    )
    if not any(json.loads(line)["event"] == "step" for line in child.stdout):
        raise Failed("it did not begin: " + " ".join(child.said[-3:]))
    family = psutil.Process(child.pid).children(recursive=True)
    for process in family:
        process.suspend()  # deaf to everything but a kill
    began = time.monotonic()
    training_job.stop(child)
    _, alive = psutil.wait_procs(family, timeout=20)
    alive = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    seconds = time.monotonic() - began
    return expect(
        len(family) >= 2 and not alive,
        f"{len(family)} processes, {len(alive)} left after {seconds:.1f} s",
    )


def too_large_is_refused(place: Place) -> str:
    import torch

    from modelops import recipes
    from workers.engines import memory
    from workers.trainers.run import memory_check
    from workers.trainers.run.events import Stop

    size, adapter = memory_check.Size.of(place.model), recipes.read("sft", {})
    room = memory_check.learning(size, adapter, torch.float32) + memory_check.activations(
        size, adapter, scores=True
    )
    available, memory.available = memory.available, lambda device: room
    try:
        memory_check.check(recipes.read("sft", {"lora": False}), [place.model])
    except Stop as refusal:
        return expect("train an adapter (lora)" in str(refusal), str(refusal))
    finally:
        memory.available = available
    raise Failed("it was not refused")


def attention_is_the_same(place: Place) -> str:
    values = {asked: logprobs_of(place, attention=asked) for asked in ("sdpa", "eager")}
    difference = apart(*values.values())
    return expect(difference < 1e-3, f"log-probabilities {difference:.1e} apart")


def logprobs_of(place: Place, **settings) -> list[float]:
    """Of a few answers, by the tiny model as a trainer loads it."""
    from transformers import AutoModelForCausalLM

    from workers.trainers.run import loop, runs

    run = runs.read(place.run("sft", **settings) / "recipe.json", "sft")
    model = loop.load(AutoModelForCausalLM, run).to(loop.best_device())
    answers = [(list(range(5, 5 + length)), list(range(40, 60))) for length in (3, 9, 30, 60)]
    return loop.logprobs(model, answers, pad=0)


# --- with one -------------------------------------------------------------------------------------


def the_device(place: Place) -> str:
    import torch

    gpu()
    about = torch.cuda.get_device_properties(0)
    return f"{about.name}, {about.total_memory / 2**30:.0f} GB, torch {torch.__version__}"


def counted_as_torch_counts(place: Place) -> str:
    from workers import machine_lock

    gpu()
    code = "import torch; print(torch.cuda.device_count())"
    environment = {
        name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"
    }
    count = int(
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        ).stdout
    )
    return expect(
        count == machine_lock.gpus(), f"{machine_lock.gpus()} by the driver, {count} by torch"
    )


def no_data_parallel(place: Place) -> str:
    from workers import training_job
    from workers.machine_lock import Held

    code = (
        "import tempfile, torch; from transformers import TrainingArguments as A; "
        "print(torch.cuda.device_count(), A(output_dir=tempfile.mkdtemp()).n_gpu)"
    )
    name, launcher = gpu(), training_job.launcher
    training_job.launcher = lambda held, recipe: ["-c", code]
    try:
        child = training_job.start(
            SimpleNamespace(kind="sft", recipe={}), place.folder, Held((name,), ())
        )
        seen = child.stdout.readline().split()
        training_job.stop(child)
    finally:
        training_job.launcher = launcher
    return expect(seen == ["1", "1"], f"devices seen, devices of the trainer: {' '.join(seen)}")


def answers(place: Place, device: str, dtype: str) -> list:
    """Greedy answers of the tiny model, 64 prompts of different lengths."""
    import torch

    from workers.engines.local import LocalEngine

    engine = LocalEngine(place.model, torch.device(device), dtype=dtype)
    asked = [
        [{"role": "user", "content": "Why do people sing? " * (1 + number % 7)}]
        for number in range(64)
    ]
    drawn = engine.sample(asked, list(range(64)), temperature=0.8, max_tokens=32, batch=48)
    engine.close()
    return drawn


def answers_are_the_processor_s(place: Place) -> str:
    gpu()
    here, there = (answers(place, device, "float32") for device in ("cuda", "cpu"))
    pairs = [(a, b) for one, other in zip(here, there) for a, b in zip(one.ids, other.ids)]
    same = sum(a == b for a, b in pairs) / len(pairs)
    return expect(same > 0.99, f"{same:.2%} of the tokens are the same, in float32")


def bfloat16_is_near(place: Place) -> str:
    import torch

    gpu()
    full = logprobs_of(place)
    os.environ["PODIUM_DTYPE"] = "bfloat16"
    try:
        half = logprobs_of(place)
    finally:
        os.environ["PODIUM_DTYPE"] = "float32"
    difference = apart(full, half) / 20  # tokens of an answer
    fast = torch.cuda.is_bf16_supported(including_emulation=False)
    return expect(
        difference < 0.05,
        f"{difference:.1e} nats a token apart; {'native' if fast else 'emulated'}",
    )


def trained_as_on_the_processor(kind: str) -> Callable[[Place], str]:
    def check(place: Place) -> str:
        settings = STEPS | KINDS[kind] | {"dtype": "float32"}
        name, began = gpu(), time.monotonic()
        there = losses(place.train(kind, (name,), **settings))
        seconds = time.monotonic() - began
        difference = apart(there, losses(place.train(kind, NOWHERE, **settings)))
        return expect(
            difference < 5e-3,
            f"losses {difference:.1e} apart in float32; {seconds:.0f} s on the GPU",
        )

    return check


def trained_in_bfloat16(place: Place) -> str:
    settings, name = STEPS | KINDS["sft"], gpu()
    half, full = (
        losses(place.train("sft", (name,), **settings, dtype=dtype))
        for dtype in ("bfloat16", "float32")
    )
    difference = apart(half, full)
    return expect(difference < 0.05, f"losses {difference:.1e} apart")


def flash_attention(place: Place) -> str:
    import importlib.util

    gpu()
    if importlib.util.find_spec("flash_attn") is None:
        raise NotRun("the package flash-attn is not installed")
    os.environ["PODIUM_DTYPE"] = "bfloat16"
    try:
        difference = (
            apart(*(logprobs_of(place, attention=asked) for asked in ("flash_attention_2", "sdpa")))
            / 20
        )
    finally:
        os.environ["PODIUM_DTYPE"] = "float32"
    return expect(difference < 0.05, f"{difference:.1e} nats a token apart from sdpa")


def one_synchronisation_a_token(place: Place) -> str:
    """torch warns of each; reading prompts and filling places up have a few of their own."""
    import torch

    from workers.engines.local import LocalEngine

    gpu()
    engine, steps = LocalEngine(place.model, torch.device("cuda")), []
    engine.ends = []
    asked = {"temperature": 0.8, "max_tokens": 64, "batch": 16}
    engine.sample([TURN] * 16, list(range(16)), **asked)  # warm
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            engine.sample([TURN] * 16, list(range(16)), **asked, tick=lambda: steps.append(1))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    count = sum("synchroniz" in str(warning.message) for warning in caught)
    engine.close()
    return expect(count <= 1.25 * len(steps), f"{count} in {len(steps)} steps")


def memory_comes_back(place: Place) -> str:
    """Of a trainer that is killed."""
    import torch

    from workers import training_job

    name = gpu()
    before = torch.cuda.mem_get_info()[0]
    child = place.start("sft", (name,), source="best", epochs=100.0, max_steps=10000)
    if not any(json.loads(line)["event"] == "step" for line in child.stdout):
        raise Failed("it did not begin: " + " ".join(child.said[-3:]))
    during = torch.cuda.mem_get_info()[0]
    training_job.stop(child)
    give_up = time.monotonic() + 10
    while (kept := before - torch.cuda.mem_get_info()[0]) > 2**26 and time.monotonic() < give_up:
        time.sleep(0.1)
    return expect(
        kept <= 2**26,
        f"{(before - during) / 2**20:.0f} MB while it ran, {kept / 2**20:.0f} MB after",
    )


def the_floor_is_a_floor(place: Place) -> str:
    """What a job is refused by is less than what it really takes, and not by much of the weights'
    part.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from modelops import recipes
    from tests.workers import tiny
    from workers.trainers.run import memory_check

    gpu()
    folder, words = place.folder / "larger", tiny.tokenizer()
    sizes = {
        "hidden_size": 512,
        "intermediate_size": 1536,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
    }
    LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    recipe, size = recipes.read("sft", {"lora": False}), memory_check.Size.of(folder)
    floor = memory_check.learning(size, recipe, torch.float32) + memory_check.activations(
        size, recipe, scores=True
    )
    torch.cuda.reset_peak_memory_stats()
    model = LlamaForCausalLM.from_pretrained(folder).cuda()
    adam = torch.optim.AdamW(model.parameters())
    for _ in range(2):
        ids = torch.randint(len(words), (1, memory_check.FLOOR_TOKENS), device="cuda")
        model(ids, labels=ids).loss.backward()
        adam.step()
        adam.zero_grad()
    peak = torch.cuda.max_memory_allocated()
    return expect(floor <= peak, f"floor {floor / 2**20:.0f} MB, taken {peak / 2**20:.0f} MB")


def speed(place: Place) -> str:
    import torch

    from workers.engines.local import LocalEngine

    gpu()
    if place.large is None:
        raise NotRun("no --model")
    engine = LocalEngine(place.large, torch.device("cuda"), dtype="bfloat16")
    engine.ends = []
    asked = {"temperature": 0.8, "max_tokens": 64, "batch": 64}
    engine.sample([TURN] * 64, list(range(64)), **asked)  # warm
    began = time.monotonic()
    drawn = engine.sample([TURN] * 64, list(range(64)), **asked)
    rate = sum(sample.tokens for sample in drawn) / (time.monotonic() - began)
    engine.close()
    return f"{rate:,.0f} tokens/s in bfloat16, 64 answers of 64 tokens"


# --- with two -------------------------------------------------------------------------------------


def two_gpus_are_one(spread: str) -> Callable[[Place], str]:
    def check(place: Place) -> str:
        names = two_gpus()
        settings = STEPS | KINDS["sft"] | {"dtype": "float32", "lora": False}
        two = losses(place.train("sft", names, **settings, spread=spread))
        one = losses(place.train("sft", names[:1], **settings | {"batch": 8}))
        difference = apart(one, two)
        return expect(difference < 5e-3, f"losses {difference:.1e} apart")

    return check


CHECKS: dict[str, Callable[[Place], str]] = {
    "a child sees exactly its devices": a_child_sees_its_devices,
    "eight devices take eight jobs": eight_gpus_take_eight_jobs,
    **{f"two processes learn as one: {kind}": two_processes_are_one(kind) for kind in KINDS},
    "a model in shards is saved whole": shards_are_saved_whole,
    "several processes end together": several_processes_end_together,
    "what can't fit is refused before it loads": too_large_is_refused,
    "attention: sdpa as eager": attention_is_the_same,
    "the device": the_device,
    "devices are counted without torch": counted_as_torch_counts,
    "no nn.DataParallel": no_data_parallel,
    "answers on the GPU as on the processor": answers_are_the_processor_s,
    "log-probabilities in bfloat16": bfloat16_is_near,
    **{
        f"trained on the GPU as on the processor: {kind}": trained_as_on_the_processor(kind)
        for kind in KINDS
    },
    "trained in bfloat16": trained_in_bfloat16,
    "attention: flash_attention_2": flash_attention,
    "one synchronisation a decoded token": one_synchronisation_a_token,
    "a killed trainer's memory comes back": memory_comes_back,
    "the memory's floor is a floor": the_floor_is_a_floor,
    "sampling speed": speed,
    "two GPUs learn as one: copies": two_gpus_are_one("copies"),
    "two GPUs learn as one: shards": two_gpus_are_one("shards"),
}


def outcome(check: Callable[[Place], str], place: Place, left: float) -> tuple[str, str]:
    """passed, failed or not run; and the figure or the reason."""
    if left <= 0:
        return "not run", f"the first {SECONDS} s are over"
    try:
        return "passed", check(place)
    except NotRun as reason:
        return "not run", str(reason)
    except Failed as seen:
        return "failed", str(seen)
    except Exception as error:
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}"[:300]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="a model's folder, to measure speed on")
    parser.add_argument("--only", default="", help="only checks whose name holds this")
    parser.add_argument("--json", type=Path, help="write the outcomes here")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        place = Place(Path(folder), options.model)
        results = {}
        for name, check in CHECKS.items():
            if options.only not in name:
                continue
            state, figure = outcome(check, place, SECONDS - (time.monotonic() - began))
            results[name] = {"state": state, "figure": figure}
            print(f"{state:8}  {name:52}{figure}", flush=True)
    states = [result["state"] for result in results.values()]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("passed", "failed", "not run")
    )
    print(f"{counts}, in {time.monotonic() - began:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    sys.exit(1 if "failed" in states else 0)


def prepare(folder: Path) -> None:
    """Django with a data folder of its own; computing in float32 with one thread, unless a check
    says otherwise.
    """
    os.environ |= {
        "PODIUM_VAR": str(folder / "var"),
        "PODIUM_DTYPE": "float32",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    import django

    django.setup()


if __name__ == "__main__":
    main()
