"""vLLM as a child of sampling.py: the model is loaded once, and batches are answered on request.

It runs in an environment of its own, where vLLM is and Podium is not. A request is a line of JSON
on stdin, `prompts` (token ids), `answers` (of each prompt) and `tokens` (of each answer); the reply
is a line on stdout, `tokens` (all that were drawn) and `seconds`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

HOW = {"temperature": 0.8, "top_p": 0.95, "top_k": 50}  # as in sampling.py
MEMORY = "2"  # GiB of keys and values: several times what the batches need


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("dtype")
    parser.add_argument("--rows", type=int, required=True, help="answers drawn at once")
    parser.add_argument(
        "--longest", type=int, required=True, help="tokens of a prompt and its answer"
    )
    options = parser.parse_args()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what vLLM prints is not a reply
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", MEMORY)
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import vllm

    engine = vllm.LLM(
        model=options.model,
        dtype=options.dtype,
        max_num_seqs=options.rows,
        max_model_len=options.longest,
        disable_log_stats=True,
    )
    print(json.dumps({"version": vllm.__version__}), file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(engine, json.loads(line))), file=replies, flush=True)


def answer(engine, request: dict) -> dict[str, float]:
    """Draw full-length answers to each prompt, none of it remembered from the request before."""
    from vllm import SamplingParams

    engine.reset_prefix_cache()
    how = SamplingParams(n=request["answers"], max_tokens=request["tokens"], ignore_eos=True, **HOW)
    prompts = [{"prompt_token_ids": ids} for ids in request["prompts"]]
    started = time.perf_counter()
    outputs = engine.generate(prompts, how, use_tqdm=False)
    seconds = time.perf_counter() - started
    drawn = sum(len(sample.token_ids) for output in outputs for sample in output.outputs)
    return {"tokens": drawn, "seconds": seconds}


if __name__ == "__main__":
    main()
