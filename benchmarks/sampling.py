"""How fast answers come: one padded batch across prompts and samples, beside one `generate` call for each sample.

Both run in this process, on the same model and settings: the one call a sample on the first eight prompts, the engine
on those same eight and on all.

    python benchmarks/sampling.py --model var/models/smollm2-135m-instruct --data FOLDER --json figures.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
K, MAX_TOKENS, BATCH, FEW = 4, 64, 64, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "var" / "models" / "smollm2-135m-instruct")
    parser.add_argument("--data", type=Path, help="a folder with self-instruct's user_oriented_instructions.jsonl")
    parser.add_argument("--quick", action="store_true", help="32 prompts")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    conversations = prompts(options.data)[: 32 if options.quick else None]
    from workers.engines.local import LocalEngine  # seconds to import: after the arguments are known to be good

    figures = measure(LocalEngine(options.model), conversations)
    for name, value in figures.items():
        print(f"{name:36}{value:10.1f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def prompts(data: Path | None) -> list[list[dict]]:
    """The folder's instructions, each with its inputs; without a folder, Podium's own prompts."""
    file = next(data.rglob("user_oriented_instructions.jsonl")) if data else ROOT / "benchmarks" / "loop_prompts.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    texts = [text for line in lines for text in ([line["prompt"]] if "prompt" in line else instructed(line))]
    return [[{"role": "user", "content": text}] for text in texts]


def instructed(task: dict) -> list[str]:
    inputs = [instance["input"] for instance in task["instances"]]
    return ["\n\n".join(part for part in (task["instruction"], given) if part) for given in inputs]


def measure(engine, conversations: list[list[dict]]) -> dict[str, float]:
    few = conversations[:FEW]
    timed(engine, few[:1], 1)  # the first call warms up
    return {
        "prompts": len(conversations),
        "tokens_per_second_one_call_a_sample": timed(engine, few, 1),
        "tokens_per_second_same_prompts": timed(engine, few, BATCH),
    } | whole(engine, conversations)


def timed(engine, conversations: list[list[dict]], batch: int) -> float:
    return whole(engine, conversations, batch)["tokens_per_second"]


def whole(engine, conversations: list[list[dict]], batch: int = BATCH) -> dict[str, float]:
    """K answers to each conversation, `batch` answers a call."""
    rows = [messages for messages in conversations for _ in range(K)]
    started, drawn = time.perf_counter(), 0
    for at in range(0, len(rows), batch):
        part = rows[at : at + batch]
        drawn += sum(one.tokens for one in engine.sample(part, list(range(at, at + len(part))), max_tokens=MAX_TOKENS))
        print(f"\r{at + len(part)} of {len(rows)}", end="", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - started
    print(file=sys.stderr)
    return {"answers": len(rows), "tokens": drawn, "seconds": seconds, "tokens_per_second": drawn / seconds}


if __name__ == "__main__":
    main()
