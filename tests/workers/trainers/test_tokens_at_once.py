"""A recipe's bound on the tokens of one forward pass: what a pass reads shrinks, and what is
learned stays.
"""

import contextlib
import importlib
import io
import json

import pytest
from transformers import LlamaModel

from tests.workers import tiny
from tests.workers.trainers.test_child_process import figures, losses, make_run, write_dataset
from workers.trainers.run import runs

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens-at-once")
    tiny.save(folder / "model")
    write_dataset(folder / "dataset", prompts=6)
    return folder


def train(place, kind, at_once, monkeypatch):
    """Two steps of a trainer: its events, and the most tokens that one pass read."""
    passes, forward = [], LlamaModel.forward

    def reads(model, input_ids=None, **more):
        passes.append(input_ids.numel())
        return forward(model, input_ids=input_ids, **more)

    settings = {"max_steps": 2, "learning_rate": 1e-3, "tokens_at_once": at_once}
    folder = make_run(place, f"{kind}-{at_once}", kind, **settings)
    out = io.StringIO()
    with monkeypatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(LlamaModel, "forward", reads)
        importlib.import_module(f"workers.trainers.{kind}").train(
            runs.read(folder / "recipe.json", kind)
        )
    return [json.loads(line) for line in out.getvalue().splitlines()], max(passes)


@pytest.mark.parametrize("kind", ["sft", "dpo", "reward"])
def test_fewer_tokens_at_once_teach_the_same(place, kind, monkeypatch):
    usual, most = train(place, kind, 0, monkeypatch)
    bounded, fewer = train(place, kind, 1, monkeypatch)

    assert fewer < most / 2
    assert losses(bounded) == pytest.approx(losses(usual), rel=1e-3)
    assert figures(bounded) == pytest.approx(figures(usual), rel=1e-3)


def test_kto_compares_the_answers_of_a_pass_so_that_fewer_tokens_only_need_less_memory(
    place, monkeypatch
):
    _, most = train(place, "kto", 0, monkeypatch)
    _, fewer = train(place, "kto", 1, monkeypatch)
    assert fewer < most / 2
