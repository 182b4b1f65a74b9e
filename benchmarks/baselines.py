r"""One preference dataset learned three ways: a bag of words, a small recurrent network, and the
fine-tuned transformer.

Each gives an answer a score, and learns from the same training prompts that the preferred answer's
is the higher; the held-out pairs are then asked for accuracy, log loss and F1, side by side, with
intervals that draw whole conversations. The longer answer stands beside them, which learns nothing.
Nothing is chosen by a look at the held-out prompts: the settings of all three stand below.

    python benchmarks/baselines.py --data FOLDER \
        --model var/models/smollm2-135m-instruct --json figures.json

With `--folds 5` each conversation is held out once, and the others are learned from; `--keep
FOLDER` keeps what each fold has come to, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import math
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from workers.trainers.run import runs  # noqa: E402

os.environ.update(runs.ENVIRONMENT)  # before torch is loaded

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.functional import logsigmoid  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence  # noqa: E402

from benchmarks import human_rankings  # noqa: E402
from modelops import rows  # noqa: E402
from modelops.rows import HELD_OUT  # noqa: E402
from workers.modeling import tokens  # noqa: E402
from workers.trainers import reward  # noqa: E402
from workers.trainers.data import comparisons  # noqa: E402
from workers.trainers.data.comparisons import Group  # noqa: E402
from workers.trainers.run import metrics  # noqa: E402

Scores = list[list[float]]  # of each group's texts

BAG = {"vocabulary": 20000, "decay": 1e-3, "steps": 200}
NETWORK = {"vocabulary": 20000, "size": 64, "longest": 256, "epochs": 5, "learning_rate": 2e-3}
LEARNED = ("bag_of_words", "recurrent", "transformer")
MODELS = (*LEARNED, "longer_answer")
FIGURES = ("accuracy", "log_loss", "f1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="Open-Assistant trees, or a frozen dataset's folder",
    )
    parser.add_argument(
        "--model", type=Path, default=ROOT / "var" / "models" / "smollm2-135m-instruct"
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=1,
        help="parts, each held out once; 1: the dataset's own splits",
    )
    parser.add_argument(
        "--keep", type=Path, help="each fold's scores are kept here, and found again"
    )
    parser.add_argument(
        "--quick", action="store_true", help="eight optimiser steps of the transformer"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="podium-baselines-") as scratch:
        keep = options.keep or Path(scratch)
        found = compare(
            Path(scratch), options.data, options.model.resolve(), options.quick, options.folds, keep
        )
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


def compare(
    scratch: Path, data: Path, model: Path, quick: bool, folds: int = 1, keep: Path | None = None
) -> dict:
    """Learn three ways; the figures of the held-out pairs by name."""
    frozen = (data / "rows.jsonl").exists()
    dataset = (
        data if frozen else human_rankings.freeze(scratch, next(data.rglob("en_100_tree.jsonl")))[0]
    )
    found, scores = [], {name: [] for name in MODELS}
    for fold in range(folds):
        held_out, of_it = held_out_of(
            scratch, fold_of(dataset, folds, fold, scratch), model, quick, keep, fold
        )
        found += held_out
        for name in MODELS:
            scores[name] += of_it[name]
    asked = sum(len(group.pairs) for group in found)
    return {"held_out_pairs": asked, "held_out_prompts": len(found)} | {
        f"{name}_{figure}": value
        for name in MODELS
        for figure, value in measured(found, scores[name]).items()
        if name in LEARNED or "log_loss" not in figure  # a length is no log-odds
    }


def fold_of(dataset: Path, folds: int, fold: int, scratch: Path) -> Path:
    """The dataset with one part of its conversations as the test split; whole trees go together, by
    their first turn.
    """
    if folds == 1:
        return dataset
    folder = scratch / f"fold-{fold}"
    folder.mkdir()
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as out:
        for row in rows.read(dataset):
            split = "test" if part_of(row["messages"], folds) == fold else "train"
            out.write(json.dumps(row | {"split": split}) + "\n")
    return folder


def part_of(messages: list[dict], folds: int) -> int:
    return int(root(messages), 16) % folds


def root(messages: list[dict]) -> str:
    """Which conversation this is a branch of."""
    return hashlib.sha256(messages[0]["content"].encode()).hexdigest()


def held_out_of(
    scratch: Path, dataset: Path, model: Path, quick: bool, keep: Path | None, fold: int
):
    """(held-out groups, their scores by model's name), learned now or kept by an earlier run."""
    found = comparisons.of_rows(list(rows.read(dataset)))
    out = [place for place, group in enumerate(found) if group.split in HELD_OUT]
    kept = (keep or scratch) / f"scores-{fold}{'-quick' if quick else ''}.json"
    if not kept.exists():
        own = kept.with_suffix(
            ""
        )  # the fold's trainer resumes there, and finds no other fold's model
        own.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(learned(own, dataset, found, model, quick)))
        shutil.rmtree(own)
    scores = json.loads(kept.read_text())
    groups_out = [found[place] for place in out]
    of_it = {name: [scores[name][place] for place in out] for name in MODELS}
    print(f"fold {fold + 1}: " + brief(groups_out, of_it), file=sys.stderr, flush=True)
    return groups_out, of_it


def learned(
    own: Path, dataset: Path, found: list[Group], model: Path, quick: bool
) -> dict[str, Scores]:
    return {
        "longer_answer": [[float(length) for length in group.lengths()] for group in found],
        "bag_of_words": bag_of_words(found),
        "recurrent": recurrent(found),
        "transformer": transformer(own, dataset.resolve(), found, model, quick),
    }


def brief(found: list[Group], scores: dict[str, Scores]) -> str:
    """The accuracies so far in a line."""
    asked = sum(len(group.pairs) for group in found)
    right = {
        name: sum(metrics.picks(s, g.pairs) for g, s in zip(found, scores[name])) for name in MODELS
    }
    return (
        ", ".join(f"{name} {hits / asked:.3f}" for name, hits in right.items())
        + f" of {asked} pairs"
    )


# The three ways


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def training(found: list[Group]) -> list[Group]:
    return [group for group in found if group.split == "train"]


def vocabulary(found: list[Group], size: int) -> dict[str, int]:
    """The words that most answers of the training prompts have, by their place."""
    seen = Counter(
        word for group in training(found) for text in group.texts for word in set(words(text))
    )
    return {word: place for place, (word, count) in enumerate(seen.most_common(size)) if count > 1}


def bag_of_words(found: list[Group]) -> Scores:
    """Logistic regression on the difference of two answers' tf-idf vectors (the prompt's own would
    cancel out).
    """
    places = vocabulary(found, BAG["vocabulary"])
    rarity = rarities(found, places)
    bags = [[bag(text, places, rarity) for text in group.texts] for group in found]
    differences = torch.stack(
        [
            bags[i][w] - bags[i][l]
            for i, group in enumerate(found)
            if group.split == "train"
            for w, l in group.pairs
        ]
    )
    weight = torch.zeros(len(places), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=BAG["steps"], line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = -logsigmoid(differences @ weight).mean() + BAG["decay"] * weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return [[float(vector @ weight.detach()) for vector in group] for group in bags]


def rarities(found: list[Group], places: dict[str, int]) -> torch.Tensor:
    """Smoothed inverse document frequencies in the training prompts' answers."""
    texts = [set(words(text)) for group in training(found) for text in group.texts]
    seen = Counter(word for text in texts for word in text)
    return torch.tensor([math.log((1 + len(texts)) / (1 + seen[word])) + 1 for word in places])


def bag(text: str, places: dict[str, int], rarity: torch.Tensor) -> torch.Tensor:
    """An answer's tf-idf vector, of length 1; dense, as a few thousand pairs fit."""
    vector = torch.zeros(len(places))
    for word, count in Counter(words(text)).items():
        if word in places:
            vector[places[word]] = 1 + math.log(count)
    vector *= rarity
    return vector / vector.norm().clamp(min=1e-9)


class Network(nn.Module):
    """Word vectors, a GRU, and a score from its last state."""

    def __init__(self, vocabulary: int, size: int):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, size)
        self.read = nn.GRU(size, size, batch_first=True)
        self.score = nn.Linear(size, 1)

    def forward(self, texts: list[torch.Tensor]) -> torch.Tensor:
        """The score of each text, a tensor of word ids."""
        lengths = torch.tensor([len(text) for text in texts])
        padded = self.embed(pad_sequence(texts, batch_first=True))
        _, last = self.read(
            pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        )
        return self.score(last[0])[:, 0]


def recurrent(found: list[Group]) -> Scores:
    """A small network on the end of the prompt and the answer, with the reward trainer's loss."""
    places = vocabulary(found, NETWORK["vocabulary"])
    read = [[encoded(group, text, places) for text in group.texts] for group in found]
    learned = [(read[i], group.pairs) for i, group in enumerate(found) if group.split == "train"]
    torch.manual_seed(1)
    draw = random.Random(1)
    network = Network(len(places) + 2, NETWORK["size"])
    optimiser = torch.optim.AdamW(network.parameters(), lr=NETWORK["learning_rate"])
    for _ in range(NETWORK["epochs"]):
        draw.shuffle(learned)
        for texts, pairs in learned:
            scores = network(texts)
            margins = torch.stack([scores[w] - scores[l] for w, l in pairs])
            optimiser.zero_grad()
            (-logsigmoid(margins).mean()).backward()
            optimiser.step()
    with torch.inference_mode():
        return [network(texts).tolist() for texts in read]


def encoded(group: Group, text: str, places: dict[str, int]) -> torch.Tensor:
    """Word ids of half a length of prompt, a mark, and the answer; 0 is an unknown word."""
    half = NETWORK["longest"] // 2
    asked = [places.get(word, -1) + 1 for word in words(group.messages[-1]["content"])][-half:]
    said = [places.get(word, -1) + 1 for word in words(text)][: NETWORK["longest"] - half]
    return torch.tensor([*asked, len(places) + 1, *said])


def transformer(own: Path, dataset: Path, found: list[Group], model: Path, quick: bool) -> Scores:
    """Podium's own reward trainer, without its figures of the training split, which take as long as
    a third of it.
    """
    from transformers import AutoModelForSequenceClassification

    run = runs.read(human_rankings.write_recipe(own / "run", dataset, model, quick), "reward")
    reward.TRAIN_PROMPTS_SCORED = 1
    if not run.out.exists():  # else it was stopped while it scored
        with contextlib.redirect_stdout(Told()):
            reward.train(run)
    judge = AutoModelForSequenceClassification.from_pretrained(run.out, dtype=torch.float32)
    out = [place for place, group in enumerate(found) if group.split in HELD_OUT]
    scores = dict(
        zip(out, scored(judge, tokens.load_tokenizer(run.out), [found[place] for place in out]))
    )
    return [scores.get(place, []) for place in range(len(found))]


def scored(judge, tokenizer, found: list[Group]) -> Scores:
    pad, longest = tokenizer.pad_token_id, human_rankings.SETTINGS["max_length"]
    answers = [
        [
            tokens.without_end_pads(prompt + answer, pad)
            for prompt, answer in group.answers(tokenizer, longest)
        ]
        for group in found
    ]
    return reward.by_prompt(answers, judge, pad)[0]


class Told(io.StringIO):
    """Shows the trainer's steps, each with its time: they are what takes long."""

    def write(self, text: str) -> int:
        if text.startswith('{"event": "step"'):
            step = json.loads(text)
            loss = step["metrics"]["loss"]
            print(
                f"{time.strftime('%H:%M:%S')} step {step['step']} of {step['total']}, loss {loss}",
                file=sys.stderr,
            )
        return len(text)


# What came of it


def measured(found: list[Group], scores: Scores) -> dict:
    """Accuracy, log loss and F1 of the held-out pairs, each with the ends of its interval; branches
    of a tree are drawn together.
    """
    trees = defaultdict(list)
    for group, values in zip(found, scores):
        trees[root(group.messages)].append(tally(group, values))
    result = {}
    for name in FIGURES:
        hits, counts = zip(
            *(map(sum, zip(*(prompt[name] for prompt in tree))) for tree in trees.values())
        )
        low, high = metrics.interval(hits, counts)
        result |= {name: sum(hits) / sum(counts), f"{name}_low": low, f"{name}_high": high}
    return result


def tally(group: Group, scores: list[float]) -> dict[str, tuple[float, int]]:
    """(sum, count) of each figure over one prompt's pairs; a ratio of sums is the figure.

    For F1 a pair is asked in the order of its answers: does the earlier one win?
    """
    right = [scores[w] > scores[l] for w, l in group.pairs]
    earlier = [w < l for w, l in group.pairs]
    true = sum(hit and first for hit, first in zip(right, earlier))
    wrong = sum(not hit for hit in right)  # each is a false yes or a false no
    loss = metrics.pair_loss(scores, group.pairs) * len(group.pairs)
    return {
        "accuracy": (metrics.picks(scores, group.pairs), len(group.pairs)),
        "log_loss": (loss, len(group.pairs)),
        "f1": (2 * true, 2 * true + wrong),
    }


def table(found: dict) -> str:
    """Models down, figures across."""
    lines = [f"{'':16}" + "".join(f"{name.replace('_', ' '):>28}" for name in FIGURES)]
    for model in MODELS:
        cells = (cell(found, f"{model}_{name}") for name in FIGURES)
        lines.append(f"{model.replace('_', ' '):16}" + "".join(f"{text:>28}" for text in cells))
    return "\n".join([*lines, f"{found['held_out_pairs']} held-out pairs"])


def cell(found: dict, name: str) -> str:
    if name not in found:
        return "-"
    return f"{found[name]:.3f} [{found[name + '_low']:.3f}, {found[name + '_high']:.3f}]"


if __name__ == "__main__":
    main()
