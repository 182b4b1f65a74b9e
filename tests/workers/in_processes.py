"""Trainers in several processes of one CPU: `accelerate launch … -m tests.workers.in_processes RUN
…`, one run after another.

The first process writes each run's events to RUN/events.jsonl, and every process the hash of its
trained weights to RUN/rank-N. A run with RUN/stops-after is stopped once it has that checkpoint,
and then goes on from there.

Under an FSDP configuration the weights are in shards: torch does this on a CPU too, by gloo, but
accelerate alone believes that it takes GPUs.
"""

import hashlib
import importlib
import os
import sys
from pathlib import Path

from accelerate import PartialState, state
from accelerate.utils import DistributedType

from workers.modeling.processes import is_first
from workers.trainers.run import checkpoints, events, loop, runs

begin, train, on_save = (
    state.AcceleratorState.__init__,
    loop.train,
    checkpoints.MarkComplete.on_save,
)


class Stopped(Exception):
    """In the middle of a run."""


def shard(self, *args, fsdp_plugin=None, **more):
    begin(self, *args, fsdp_plugin=fsdp_plugin, **more)
    if fsdp_plugin is not None:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP


def trained(trainer, run):
    train(trainer, run)
    weights = hashlib.sha256()
    for name, parameter in loop.bare(trainer.model).named_parameters():
        weights.update(name.encode() + parameter.detach().numpy().tobytes())
    (run.folder / f"rank-{os.environ['RANK']}").write_text(weights.hexdigest())


def play(folder: Path):
    kind = next(
        kind
        for kind in ("sft", "dpo", "kto")
        if f'"{kind}"' in (folder / "recipe.json").read_text()
    )
    trainer = importlib.import_module(f"workers.trainers.{kind}")
    stop = folder / "stops-after"

    def saved(self, args, at, control, **more):
        on_save(self, args, at, control, **more)
        if stop.exists() and at.global_step == int(stop.read_text()):
            raise Stopped

    checkpoints.MarkComplete.on_save = saved
    if is_first():
        events._out = open(folder / "events.jsonl", "w")  # noqa: SIM115  as long as the process
    else:
        events.say_errors_only()
    try:
        trainer.train(runs.read(folder / "recipe.json", kind))
    except Stopped:
        PartialState().wait_for_everyone()
        stop.unlink(missing_ok=True)
        trainer.train(runs.read(folder / "recipe.json", kind))


if __name__ == "__main__":
    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        state.AcceleratorState.__init__ = shard
    else:
        loop.train = trained
    for folder in sys.argv[1:]:
        play(Path(folder))
