"""How fast answers come: the engine's batch across prompts and samples, beside transformers' `generate`.

All run in this process, on the same model and settings: on the first eight prompts `generate` once for each sample and
once for each prompt (`num_return_sequences`), the engine on those same eight and on all.

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
    by_generate(engine, few[:1], 1)  # the first call warms up
    return {
        "prompts": len(conversations),
        "tokens_per_second_one_call_a_sample": by_generate(engine, few * K, 1),
        "tokens_per_second_one_call_a_prompt": by_generate(engine, few, K),
        "tokens_per_second_same_prompts": whole(engine, few)["tokens_per_second"],
    } | whole(engine, conversations)


def by_generate(engine, conversations: list[list[dict]], samples: int) -> float:
    """Tokens a second of one `generate` call for each conversation; a row's padding after its end is not counted."""
    import torch

    from workers.trainers import tokens

    pad = engine.tokenizer.pad_token_id
    how = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 50, "max_new_tokens": MAX_TOKENS}
    started, drawn = time.perf_counter(), 0
    for messages in conversations:
        ids, _truncated = tokens.prompt_ids(engine.tokenizer, messages, 2**20)
        ids = torch.tensor([ids], device=engine.device)
        with torch.inference_mode():
            rows = engine.model.generate(
                ids, attention_mask=torch.ones_like(ids), num_return_sequences=samples, pad_token_id=pad, **how
            )
        drawn += sum(length_of(row, engine.ends) for row in rows[:, ids.shape[1] :].tolist())
    return drawn / (time.perf_counter() - started)


def length_of(row: list[int], ends: list[int]) -> int:
    """The tokens of an answer, its end included."""
    return next((place for place, token in enumerate(row, 1) if token in ends), len(row))


def whole(engine, conversations: list[list[dict]]) -> dict[str, float]:
    """K answers to each conversation, `BATCH` rows at a time."""
    rows = [messages for messages in conversations for _ in range(K)]
    started, drawn = time.perf_counter(), 0
    stream = engine.stream(rows, list(range(len(rows))), max_tokens=MAX_TOKENS, batch=BATCH)
    for done, (_number, answer) in enumerate(stream, 1):
        drawn += answer.tokens
        print(f"\r{done} of {len(rows)}", end="", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - started
    print(file=sys.stderr)
    return {"answers": len(rows), "tokens": drawn, "seconds": seconds, "tokens_per_second": drawn / seconds}


if __name__ == "__main__":
    main()
