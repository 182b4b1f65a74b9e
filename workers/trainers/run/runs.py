"""One run of a trainer: the folder it owns, the parent it must not outlive, the result it leaves.
Imports no torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import json
import math
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelops import recipes, rows
from workers.modeling.processes import is_first, processes
from workers.parent_death import end_with_parent
from workers.trainers.run import events, model_card
from workers.trainers.run.events import Stop

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    # stderr becomes the job's log, which people read
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that wait by spinning make training on a busy machine more than ten times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
}
LOCK_PATIENCE = 20.0  # seconds: a trainer that lost its parent is gone after at most ten
CLAIM = "claim"  # the file that says whose the run is
CLAIM_SECONDS = 1.0  # between two looks at whether the job was given to another worker


@dataclasses.dataclass(frozen=True)
class Run:
    """What recipe.json asks for. `out` appears whole, by a rename, or not at all; `others` are
    further inputs' folders, or (weights) the file of labeler weights.
    """

    folder: Path
    kind: str
    recipe: Any
    model: Path
    dataset: Path
    out: Path
    others: dict[str, Path] = dataclasses.field(default_factory=dict)

    @property
    def beside(self) -> Path | None:
        """The dataset of demonstrations that a reward model is shifted to, if one was given."""
        return self.others.get("demonstrations")

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def rows(self) -> list[dict]:
        """The dataset's rows, judgments with the weights of their labelers where the run was given
        any. Raises Stop where it has none or a line of it is not JSON, and see weigh().
        """
        frozen = read_rows(self.dataset)
        return weigh(frozen, self.dataset, self.others["weights"]) if self.weighs else frozen

    @property
    def weighs(self) -> bool:
        return "weights" in self.others

    def demonstrations(self) -> list[dict]:
        """The rows of the dataset of demonstrations that the run was given besides; none without
        one. Raises Stop.
        """
        demonstrations = read_rows(self.beside) if self.beside else []
        if any(not {"messages", "text", "split"} <= row.keys() for row in demonstrations):
            raise Stop(
                f"The dataset {self.beside.name} holds no demonstrations: choose one that does."
            )
        return demonstrations

    def publish(self, write: Callable[[Path], list[dict]]) -> None:
        """Let `write` fill a folder and measure what it wrote, then add recipe, figures and card,
        and make the folder the run's result in one rename.

        Of processes that train together the first alone does so. Raises Stop where a figure is not
        a number.
        """
        if not is_first():
            return
        part = self.out.with_name(self.out.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        figures = write(part)
        if bad := [figure["name"] for figure in figures if not math.isfinite(figure["value"])]:
            raise Stop(
                f"The trained model's {bad[0]} is not a number, so it is not published: lower the "
                "learning rate, or "
                "choose float32, and start a new job."
            )
        settings = {"kind": self.kind, "settings": dataclasses.asdict(self.recipe)}
        (part / "recipe.json").write_text(json.dumps(settings, indent=2))
        (part / "metrics.json").write_text(json.dumps(figures, indent=2))
        (part / "README.md").write_text(model_card.text(self, figures))
        flush_tree(part)
        os.rename(part, self.out)
        flush(self.out.parent)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        self.report()

    def report(self) -> None:
        """Tell the final figures of a result that lies in `out`."""
        for figure in json.loads((self.out / "metrics.json").read_text()):
            events.emit("metric", **figure)
        events.emit("done", folder=str(self.out))


def read_rows(dataset: Path) -> list[dict]:
    """A dataset's rows. Raises Stop where it has none or a line of it is not JSON."""
    try:
        dataset_rows = list(rows.read(dataset))
    except OSError:
        raise Stop(
            f"The dataset {dataset.name} has no readable rows.jsonl: freeze it again."
        ) from None
    except ValueError:
        raise Stop(
            f"The dataset {dataset.name} has a broken line: verify it, or freeze it again."
        ) from None
    if not dataset_rows:
        raise Stop(f"The dataset {dataset.name} has no rows: freeze one that has.")
    return dataset_rows


def weigh(frozen: list[dict], dataset: Path, file: Path) -> list[dict]:
    """The rows with the weights of a file; the log says how many judgments have none there.

    Raises Stop where the file is of another dataset, or a row has no judgments.
    """
    stored = json.loads(file.read_text())
    if stored["dataset"] != dataset.name:
        raise Stop(
            f"The labeler weights are of dataset {stored['dataset'][:12]}, not of "
            f"{dataset.name[:12]}: choose others."
        )
    weights = stored["weights"]
    try:
        labelers = [judgment["labeler"] for row in frozen for judgment in row["judgments"]]
        weighted = [rows.weighted(row, weights) for row in frozen]
    except (KeyError, TypeError):
        raise Stop("Only a dataset of judgments has labelers to weigh.") from None
    without = [labeler for labeler in labelers if str(labeler) not in weights]
    events.log(
        f"Counts {len(labelers) - len(without)} judgments by the weights of "
        f"{len(weights)} labelers; {len(without)} judgments of {len(set(without))} labelers "
        "without a weight count 1."
    )
    return weighted


def see_one_device() -> None:
    """Hide all GPUs but the first from torch: transformers would share each batch out to all
    (nn.DataParallel).
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def begin(kind: str) -> Run:
    """Start a trainer's process: events, watch, lock, recipe. Exits 0 where the run already has its
    result.

    Call it before torch is imported, which takes seconds in which the parent may already die.
    """
    events.own_stdout()
    parser = argparse.ArgumentParser(
        description=f"Train: {kind}. Progress comes on stdout as JSON lines."
    )
    parser.add_argument(
        "recipe", type=Path, help="the run's recipe.json; checkpoints and the lock lie beside it"
    )
    parser.add_argument(
        "--watch-stdin", action="store_true", help="end when stdin does, as a child of a worker"
    )
    parser.add_argument("--claim", help="end when the file `claim` beside the recipe says another")
    options = parser.parse_args()
    if options.watch_stdin:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    if processes() > 1:
        end_with_parent(os.getppid())  # a launcher that is killed takes its processes with it
    else:
        see_one_device()
    if options.claim:
        told = (options.recipe.with_name(CLAIM), options.claim)
        threading.Thread(target=_end_with_claim, args=told, daemon=True).start()
    if is_first():
        lock(options.recipe.parent)
    else:
        events.say_errors_only()
    run = read(options.recipe, kind)
    os.environ.update(ENVIRONMENT)
    if run.recipe.dtype != "auto":
        os.environ["PODIUM_DTYPE"] = run.recipe.dtype  # for all that computes in this process
    warnings.simplefilter("ignore", FutureWarning)
    if run.out.exists():
        run.report()
        sys.exit(0)
    return run


def read(path: Path, kind: str) -> Run:
    """The run that recipe.json describes. Raises Stop where it is unreadable, of another kind, or
    asks for too much.
    """
    try:
        asked = json.loads(path.read_text())
        if asked["kind"] != kind:
            raise Stop(
                f"This recipe is for {asked['kind']}, not for {kind}: start that trainer instead."
            )
        recipe = recipes.read(kind, asked["settings"])
        model, dataset, out = (Path(asked[name]) for name in ("model", "dataset", "out"))
        others = {name: Path(folder) for name, folder in asked.get("others", {}).items()}
    except recipes.InvalidRecipe as error:
        raise Stop(
            f"The recipe's setting {error.field} {error.message}: correct it and start again."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stop(f"The recipe {path} cannot be read ({error!r}): start the job again.") from None
    if not (model / "config.json").is_file():
        raise Stop(
            f"There is no model in {model}: choose another model version, or restore its files."
        )
    return Run(path.parent, kind, recipe, model, dataset, out, others=others)


def lock(folder: Path, patience: float = LOCK_PATIENCE) -> None:
    """Own `folder` for the life of this process. Raises Stop where another process still does after
    `patience` seconds.
    """
    try:
        descriptor = os.open(
            folder / "lock", os.O_RDWR | os.O_CREAT, 0o644
        )  # never closed: that would unlock
    except OSError as error:
        raise Stop(
            f"The run's folder {folder} cannot be written ({error.strerror}): check that it exists."
        ) from None
    give_up = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise Stop(
                    "Another trainer still writes here: cancel it, or wait until it ends."
                ) from None
            time.sleep(0.2)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(3)  # no clean-up: a checkpoint without its marker is passed over by the next attempt


def _end_with_claim(file: Path, ours: str) -> None:
    """End once another worker has the job, or the run's folder is gone: the own worker may be
    frozen, and can't say so.
    """
    with suppress(OSError):
        while file.read_text() == ours:
            time.sleep(CLAIM_SECONDS)
    os._exit(3)


def flush(path: Path) -> None:
    """Have the system write a file or a folder's list of names to the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """flush() everything below `folder`, then `folder` itself."""
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)
