"""The sampling benchmark asks vLLM, which runs in another environment, through two pipes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import sampling

PEER = Path(sampling.__file__).with_name("vllm_peer.py")
STUB = """
from types import SimpleNamespace as Record
__version__ = "0.1"

class SamplingParams(Record):
    pass

class LLM:
    def __init__(self, **settings):
        print("vLLM talks a lot")
        self.settings, self.remembers = settings, False

    def reset_prefix_cache(self):
        self.remembers = False

    def generate(self, prompts, how, use_tqdm):
        assert not self.remembers, "what it read before would help it"
        assert how.ignore_eos and set(prompts[0]) == {"prompt_token_ids"}
        self.remembers = True
        print("and again")
        sample = Record(token_ids=[7] * how.max_tokens)
        return [Record(outputs=[sample] * how.n) for _ in prompts]
"""


@pytest.fixture
def asked(tmp_path):
    """Sends requests to the peer with a vLLM of a few lines; its replies."""
    (tmp_path / "vllm.py").write_text(STUB)

    def ask(*requests):
        done = subprocess.run(
            [sys.executable, PEER, "model", "float32", "--rows", "8", "--longest", "99"],
            input="".join(json.dumps(request) + "\n" for request in requests),
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


def test_each_request_is_answered_with_all_tokens_and_nothing_remembered(asked):
    first = {"prompts": [[1, 2], [3]], "answers": 4, "tokens": 5}
    second = {"prompts": [[1, 2]], "answers": 1, "tokens": 2}

    hello, *replies = asked(first, second)

    assert hello == {"version": "0.1"}
    assert [reply["tokens"] for reply in replies] == [2 * 4 * 5, 2]
    assert all(reply["seconds"] >= 0 for reply in replies)


def test_vllm_gets_as_many_threads_and_the_libraries_beside_its_python(tmp_path, monkeypatch):
    python = tmp_path / "bin" / "python"
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libiomp5.so").touch()

    monkeypatch.setattr(sampling.os, "sched_getaffinity", lambda process: {1, 4, 6, 9})

    found = sampling.peer_environment(python, threads=3)

    assert found["OMP_NUM_THREADS"] == "3"
    assert found["VLLM_CPU_OMP_THREADS_BIND"] == "1,4,6"
    assert str((tmp_path / "lib" / "libiomp5.so").resolve()) in found["LD_PRELOAD"].split(":")
