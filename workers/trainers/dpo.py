"""Fine-tune a policy directly on rankings: `python -m workers.trainers.dpo RUN/recipe.json`.

Direct preference optimisation (Rafailov et al. 2023) with TRL's DPOTrainer. The implicit reward of
an answer is β (log π(y|x) − log π_ref(y|x)), where π_ref is the model the run starts from; a pair's
loss is −log σ of the winner's implicit reward minus the loser's. With a mixture α the instruction
loss of the winner is learned as well:

    L = α L_instruction + (1 − α) L_feedback

where L_instruction is the mean negative log-likelihood of the winners' tokens and L_feedback the
loss above.
"""

from __future__ import annotations

from typing import Any

from workers.trainers.run import runs

if __name__ == "__main__":
    run = runs.begin("dpo")  # before the imports below, see there

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedModel, set_seed
from trl import DPOConfig, DPOTrainer

from workers.modeling import tokens
from workers.trainers import seq2seq
from workers.trainers.data import comparisons, truncation
from workers.trainers.data.comparisons import Group
from workers.trainers.run import events, loop

Answer = tuple[list[int], list[int]]  # token ids of a prompt and of what follows it


def train(run: runs.Run) -> None:
    """Everything from the frozen rows to the published model."""
    # 1. The data: token ids of each prompt's distinct answers.
    seq2seq.refuse(run)
    run = truncation.within_context(run)
    recipe = run.recipe
    tokenizer = tokens.load_tokenizer(run.model)
    pad = tokenizer.pad_token_id
    groups = comparisons.by_the_model_alone(comparisons.of_rows(run.rows(), recipe.pairs))
    groups, fitted, lost = comparisons.fit(run, groups, tokenizer)
    answers = [part.rows for part in fitted]

    # 2. The model, and what it thinks of every answer before it learns: TRL would ask again for
    # each pair.
    set_seed(recipe.seed)
    model = loop.load(AutoModelForCausalLM, run).to(loop.best_device())
    events.log(f"Reads {sum(map(len, answers))} answers with the model it starts from.")
    reference = [
        loop.logprobs(model, part, pad, recipe.tokens_at_once)
        for part in loop.with_progress(answers, "Reads the prompts")
    ]
    pairs = [pair for group in zip(groups, answers, reference) for pair in lessons(*group)]
    events.log(f"Learns from {len(pairs)} pairs.")

    # 3. The training.
    longest = max(
        2 * len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs
    )
    trainer = PairTrainer(
        model=model,
        args=loop.arguments(
            DPOConfig,
            run,
            rows=len(pairs),
            at_once=loop.rows_at_once(recipe.batch, longest, recipe.tokens_at_once),
            beta=recipe.beta,
            **mixture(recipe.alpha),
            max_length=None,  # comparisons.fit() has cut them
            precompute_ref_log_probs=True,
        ),
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
        peft_config=loop.adapter(recipe, "CAUSAL_LM"),
    )
    loop.train(trainer, run)
    model = loop.whole(trainer, run)
    if model is None:
        return  # the first process goes on by itself

    # 4. The result, and its figures.
    def measure(published: PreTrainedModel) -> list[dict]:
        rewards = implicit_rewards(run, published, answers, pad)
        return [
            *comparisons.accuracy(groups, rewards),
            *comparisons.loss(groups, rewards),
            *comparisons.counts(groups),
            *lost,
        ]

    loop.publish(model, tokenizer, run, measure)


def lessons(
    group: Group, answers: list[tuple[list[int], list[int]]], reference: list[float]
) -> list[dict]:
    """A training prompt's pairs in the columns that TRL's collator reads; none of a held-out
    prompt.

    A winner that was cut before its first word has nothing to learn: its mean loss is no number.
    """
    return [
        {
            "prompt_ids": answers[w][0],  # which is that of all answers of the group
            "chosen_ids": answers[w][1],
            "rejected_ids": answers[l][1],
            "ref_chosen_logps": reference[w],
            "ref_rejected_logps": reference[l],
        }
        for w, l in group.lessons
        if group.split == "train" and answers[w][1]
    ]


def mixture(alpha: float) -> dict:
    """TRL's names for the two losses and their shares; without a mixture only the one, as TRL has
    it by itself.
    """
    if alpha == 0:
        return {}
    return {"loss_type": ["sft", "sigmoid"], "loss_weights": [alpha, 1 - alpha]}


def implicit_rewards(
    run: runs.Run, published: PreTrainedModel, answers: list[list[Answer]], pad: int
) -> list[list[float]]:
    """The implicit reward of each prompt's answers, from both models in float32."""
    most = run.recipe.tokens_at_once

    def read(model: PreTrainedModel, doing: str) -> list[list[float]]:
        return [
            loop.logprobs(model, part, pad, most) for part in loop.with_progress(answers, doing)
        ]

    after = read(published, "Reads the prompts again")
    published.to("cpu")  # one at a time on the device
    start = loop.in_float32(type(published), run.model)
    before = read(start, "Reads the prompts as at the start")
    return [implicit(run.recipe.beta, *row) for row in zip(after, before)]


def implicit(beta: float, policy: list[float], reference: list[float]) -> list[float]:
    """Implicit rewards from the two models' log-probabilities of the same answers."""
    return [beta * (new - old) for new, old in zip(policy, reference)]


class PairTrainer(DPOTrainer):
    """TRL's trainer, given pairs that are already token ids and carry their reference
    log-probabilities.
    """

    def _prepare_dataset(self, dataset: Any, *_):
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *_):
        return dataset

    def create_model_card(self, *_, **__) -> None:
        """None: the result's own files say where it comes from."""


if __name__ == "__main__":
    train(run)
