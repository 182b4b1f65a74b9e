"""The best of several answers as a policy of its own: draw n, and keep the one that a reward model
scores highest.

Best-of-n, or rejection sampling, as in Nakano et al. 2021 (WebGPT), section 3.2.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from workers.engines.answers import Engine, Sample, row_seed
from workers.modeling import scoring, tokens, weights
from workers.modeling.device import best_device

SCORED_TOGETHER = 32  # answers, unless n is more
LONGEST = 4096  # prompt and answer, in tokens, where the model's context is longer


class Scorer:
    """A reward model's folder, loaded once. Raises OSError where it holds no whole model,
    ValueError where none that scores.
    """

    def __init__(self, folder: str | Path):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if not any("SequenceClassification" in name for name in config.architectures or []):
            raise ValueError(f"{folder} holds no reward model")
        self.tokenizer = tokens.load_tokenizer(folder)
        # In float32 on any device: the scores decide between answers that are nearly as good.
        model = weights.load(AutoModelForSequenceClassification, folder, torch.float32)
        self.model = model.to(best_device()).eval()
        self.model.config.pad_token_id = self.tokenizer.pad_token_id
        self.longest = min(LONGEST, getattr(config, "max_position_embeddings", None) or LONGEST)

    def rewards(self, conversations: list[list[dict]], samples: list[Sample]) -> list[float]:
        """The reward of each answer to its conversation, shifted as the model was when it was
        trained.

        Answers to one conversation are read after the same prompt. One that was cut at its longest
        length is read without an end.
        """
        pad = self.tokenizer.pad_token_id
        places = defaultdict(list)
        for place, messages in enumerate(conversations):
            places[json.dumps(messages)].append(place)
        rows = [[] for _ in samples]
        for mine in places.values():
            texts, ended = (
                [samples[place].text for place in mine],
                [samples[place].ended for place in mine],
            )
            fitted = tokens.fitted(
                self.tokenizer, conversations[mine[0]], texts, self.longest, ended
            )
            for place, (prompt, answer) in zip(mine, fitted.rows):
                rows[place] = tokens.without_end_pads(prompt + answer, pad)
        shift = getattr(self.model.config, "reward_shift", 0.0)
        return [score - shift for score in scoring.score(self.model, rows, pad)]


class BestOf:
    """An engine around another one, whose answers are each the best of `n`."""

    def __init__(self, engine: Engine, scorer: Scorer, n: int):
        self.engine, self.scorer, self.n = engine, scorer, n

    def close(self) -> None:
        """Release both models' memory."""
        self.engine.close()
        self.scorer = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def stream(
        self,
        conversations: list[list[dict]],
        seeds: list[int],
        *,
        tick: Callable[[], None] = lambda: None,
        **settings,
    ) -> Iterator[tuple[int, Sample]]:
        """As the engine's own; a conversation's answer comes once its `n` are drawn and scored,
        with its reward.
        """
        asked = [messages for messages in conversations for _ in range(self.n)]
        each = [seed_of(seed, turn) for seed in seeds for turn in range(self.n)]
        drawn: dict[int, dict[int, Sample]] = defaultdict(dict)
        whole: list[int] = []
        for place, sample in self.engine.stream(asked, each, tick=tick, **settings):
            number, turn = divmod(place, self.n)
            drawn[number][turn] = sample
            whole += [number] if len(drawn[number]) == self.n else []
            if len(whole) * self.n >= SCORED_TOGETHER:
                yield from self._best(
                    conversations, {number: drawn.pop(number) for number in whole}
                )
                whole.clear()
                tick()
        if whole:
            yield from self._best(conversations, {number: drawn.pop(number) for number in whole})

    def _best(
        self, conversations: list[list[dict]], drawn: dict[int, dict[int, Sample]]
    ) -> Iterator:
        """Each number with its best sample; of equal ones the first that was asked for, in whatever
        order they came.
        """
        samples = [
            (number, by_turn[turn]) for number, by_turn in drawn.items() for turn in range(self.n)
        ]
        rewards = self.scorer.rewards(
            [conversations[number] for number, _ in samples], [sample for _, sample in samples]
        )
        scored = [replace(sample, reward=value) for (_, sample), value in zip(samples, rewards)]
        for place, number in enumerate(drawn):
            yield (
                number,
                max(
                    scored[place * self.n : (place + 1) * self.n], key=lambda sample: sample.reward
                ),
            )


def seed_of(seed: int, turn: int) -> int:
    """The seed (63 bits) of one of the draws for an answer; the first has the answer's own."""
    return row_seed(seed, "", turn) if turn else seed
