"""When checkpoints are written; each gets its marker once it is complete."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from workers.trainers.run import marks

WRITING = 0.1  # of the time at most, where checkpoints are written by the time


class Schedule:
    """When a checkpoint is due: every `steps` steps, or, where that is 0, by the time.

    At most `minutes` of work may then be lost, unless writing would take more than the share
    WRITING of the time: the weights of 8 billion parameters with their optimiser are 96 GB.
    """

    def __init__(self, steps: int, minutes: float):
        self.steps, self.pause = steps, 60 * minutes
        self.asked = self.written = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Is a checkpoint to be written after this step? In all processes that train together what
        the first says.
        """
        self.asked = time.monotonic()
        if self.steps:
            return step % self.steps == 0
        return agreed(self.asked - self.written >= self.pause)

    def wrote(self) -> None:
        """The checkpoint of the step that was asked for is written."""
        self.written = time.monotonic()
        self.pause = max(self.pause, (self.written - self.asked) / WRITING)


def agreed(answer: bool) -> bool:
    """The first process's answer: the clocks of those that train together differ, and all of them
    write at once.
    """
    state = PartialState()
    if state.num_processes == 1:
        return answer
    number = torch.tensor(int(answer), device=state.device)
    torch.distributed.broadcast(number, src=0)
    return bool(number.item())


class SaveOnSchedule(TrainerCallback):
    """Asks transformers for a checkpoint when one is due; that of the last step comes by itself."""

    def __init__(self, schedule: Schedule):
        self.schedule = schedule

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_
    ) -> None:
        control.should_save = control.should_save or self.schedule.is_due(state.global_step)

    def on_save(self, *_, **__) -> None:
        self.schedule.wrote()


class MarkComplete(TrainerCallback):
    """Writes a checkpoint's marker after transformers has written everything else of it."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_
    ) -> None:
        PartialState().wait_for_everyone()  # each process saves its own random state
        if state.is_world_process_zero:
            marks.mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")
