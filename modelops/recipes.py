"""What each kind of job can be told: one dataclass a kind, one sentence a setting. Standard library
only.

The sentence beside a field is the only description of that setting: the start form's help text and
the documentation are made from it. A recipe is stored as JSON beside the result it led to.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    pattern: tuple[str, str] | None = None,
    usual: tuple[float, float] | None = None,
) -> Any:
    """A field of a recipe: its default, its one sentence, and the values it may take.

    Bounds are inclusive. `pattern` is a regular expression for the whole of a text, and what it
    allows in words. `usual` is what the default of a training recipe stands for: with an adapter,
    and where all weights are trained. A setting whose default is an empty list holds texts.
    """
    about = {
        "help": help,
        "low": low,
        "high": high,
        "choices": choices,
        "pattern": pattern,
        "usual": usual,
    }
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=type(default), metadata=about)
    return dataclasses.field(default=default, metadata=about)


def default_of(field: dataclasses.Field[Any]) -> Any:
    """What a setting is where nothing is said of it."""
    if field.default_factory is dataclasses.MISSING:
        return field.default
    return field.default_factory()


def rate(adapter: float, whole: float, help: str = "") -> Any:
    """A learning rate whose default follows the switch `lora`: one that suits an adapter ruins a
    whole model.
    """
    help = help or (
        "Peak learning rate; it warms up for a tenth of the steps, then falls to a tenth along "
        "a cosine."
    )
    words = f"{help} 0 takes {adapter:g} for an adapter, {whole:g} for all weights."
    return setting(0.0, words, low=0, high=1, usual=(adapter, whole))


class InvalidRecipe(ValueError):
    """A setting is missing, unknown or out of its bounds; `field` names it."""

    def __init__(self, field: str, message: str):
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


def labeler_weights() -> Any:
    """The setting that names labeler weights: modelops/weights.py."""
    return setting(
        "",
        (
            "Id, or its start, of labeler weights of the dataset: each judgment then counts by the "
            "weight of its labeler."
        ),
    )


A_SPLIT = ("", "train", "validation", "test")
DTYPES = ("auto", "float32", "bfloat16", "float16")
BY_MAPPING = "mapping"  # the format of a file that is read by the setting `mapping`
FORMATS_IN = (
    "open-assistant",
    "summarize-from-feedback",
    "label-studio",
    "argilla",
    "listwise",
    "pairs",
    "labelled",
    "prompt-completion",
    "prompt-only",
    "self-instruct-predictions",
    "self-instruct",
    "alpaca",
    "alpaca-eval",
    "alpaca-eval-outputs",
    "alpaca-farm",
    "alpaca-farm-human",
    "arena-100k",
    "arena-140k",
    "arena-55k",
    "auto-j",
    "capybara",
    "capybara-dpo",
    "chat",
    "chat-dpo",
    "chat-kto",
    "chatbot-arena",
    "dolly",
    "dpo-conversations",
    "fine-grained-rlhf",
    "h4-messages",
    "helpsteer2",
    "helpsteer2-preference",
    "helpsteer3",
    "hh-chosen-only",
    "lima",
    "llama-factory-dpo",
    "llama-factory-kto",
    "mt-bench",
    "nectar",
    "nemo-rl",
    "oasst2-messages",
    "openai-preference",
    "orca-dpo",
    "pandalm",
    "pku-saferlhf",
    "potato",
    "reward-bench",
    "rm-static",
    "sharegpt",
    "sharegpt-dpo",
    "sharegpt-kto",
    "shp",
    "stepwise-supervision",
    "transcript-preference",
    "tulu3-preference",
    "ultrafeedback",
    "ultrafeedback-argilla",
    "ultrafeedback-argilla-cleaned",
    "ultrafeedback-binarized",
    "webgpt",
    "hh-rlhf",
    "trl",
    "trl-implicit",
    "trl-unpaired",
    "rows",
    "prompts",
    BY_MAPPING,
)
FORMATS_OUT = (
    "conversational",
    "trl",
    "trl-implicit",
    "unpaired",
    "prompt-completion",
    "prompt-only",
    "hh-rlhf",
    "listwise",
    "label-studio",
    "helpsteer",
    "fine-grained",
    "csv",
    "metadata",
    "rows",
    "folder",
)


@dataclasses.dataclass(frozen=True)
class ImportRecipe:
    path: str = setting("", "The uploaded file, below the data folder.")
    stored: str = setting("", "The sha256 of what was uploaded, in the store.")
    format: str = setting(
        "prompts",
        "What a line of the file holds.",
        choices=FORMATS_IN,
    )
    mapping: dict[str, Any] = setting(
        {}, "Which field of a row is what, where the format is `mapping`."
    )
    leave_out: list[str] = setting([], "Fields that stay behind, each with all that lies below it.")
    keep: list[str] = setting(
        [], "Fields that are kept in the prompt's metadata, each with all that lies below it."
    )
    filename: str = setting("", "The file's own name, as it was uploaded.")
    split: str = setting("", "Split of the rows that name none.", choices=A_SPLIT)
    dry_run: bool = setting(False, "Check and count only.")
    skip_bad: bool = setting(False, "Leave bad rows out, and write them to a file.")
    repair: bool = setting(True, "Repair text that was decoded wrongly, and compose accents.")
    controls: bool = setting(True, "Remove control characters and invisible ones.")
    spaces: bool = setting(True, "Remove spaces and empty lines around texts.")
    personal: bool = setting(
        True, "Mask e-mail addresses, phone, card and ID numbers, and keys in the training split."
    )
    answers: bool = setting(
        False,
        "Do all this to answers too: what people judge is then no longer what the model wrote.",
    )
    prefixes: bool = setting(
        True, "Leave out prompts that begin like an earlier one, for 160 characters."
    )
    near: bool = setting(True, "Leave out prompts that are nearly like an earlier one.")
    languages: bool = setting(True, "Tell the language of prompts that name none.")
    per_author: int = setting(200, "Most prompts of one author; 0: no limit.", low=0, high=10**6)
    fewest_tokens: int = setting(
        0, "Leave out prompts that are shorter, in tokens (about).", low=0, high=10**6
    )
    most_tokens: int = setting(
        0, "Leave out prompts that are longer, in tokens (about); 0: no limit.", low=0, high=10**6
    )


@dataclasses.dataclass(frozen=True)
class UndoRecipe:
    import_job: int = setting(0, "The job of the import that goes.", low=1, high=2**53)


A_REPOSITORY = (
    r"(\w[\w.-]{0,95}/)?\w[\w.-]{0,95}",
    "an id at the Hub, like Qwen/Qwen2.5-0.5B-Instruct",
)
A_REVISION = (r"[\w./-]{0,200}", "a branch, a tag or a commit")


def revision() -> Any:
    return setting("", "A branch, a tag or a commit; empty: the newest one.", pattern=A_REVISION)


@dataclasses.dataclass(frozen=True)
class PullDataRecipe:
    repo: str = setting(
        "", "The dataset's id at the Hub, like Anthropic/hh-rlhf.", pattern=A_REPOSITORY
    )
    revision: str = revision()
    file: str = setting(
        "", "Path of the file in the dataset; empty: the only one that can be imported."
    )


@dataclasses.dataclass(frozen=True)
class PullModelRecipe:
    repo: str = setting(
        "", "The model's id at the Hub, like Qwen/Qwen2.5-0.5B-Instruct.", pattern=A_REPOSITORY
    )
    revision: str = revision()
    name: str = setting(
        "",
        "Its name here; empty: its id at the Hub.",
        pattern=(r".{0,100}", "at most 100 characters"),
    )


@dataclasses.dataclass(frozen=True)
class PushRecipe:
    repo: str = setting(
        "", "Id that the dataset gets at the Hub: owner/name.", pattern=A_REPOSITORY
    )
    private: bool = setting(True, "Only the owner and who is let in can read it.")


@dataclasses.dataclass(frozen=True)
class SampleRecipe:
    k: int = setting(4, "Answers sampled for each prompt.", low=1, high=9)
    temperature: float = setting(
        0.8,
        "Spread of the draws; 0 always takes the likeliest token. Small models ramble above 0.8.",
        low=0,
        high=2,
    )
    top_p: float = setting(
        0.95,
        "Draw only from the likeliest tokens that together hold this much probability.",
        low=0.01,
        high=1,
    )
    top_k: int = setting(
        50,
        "Draw only from this many of the likeliest tokens; 0 takes all of them.",
        low=0,
        high=1000,
    )
    min_p: float = setting(
        0.0,
        (
            "Draw only tokens at least this many times as likely as the likeliest; 0 takes all of "
            "them."
        ),
        low=0,
        high=1,
    )
    repetition_penalty: float = setting(
        1.0,
        "Makes tokens that stand in the prompt or the answer already less likely; 1 does nothing.",
        low=1,
        high=2,
    )
    max_tokens: int = setting(128, "Longest answer, in tokens.", low=1, high=4096)
    least_prompt: float = setting(
        0.5,
        "Least share of a prompt that must remain where the model's context is too short for it "
        "and the longest answer; "
        "a job that would keep less is refused.",
        low=0,
        high=1,
    )
    stop: str = setting(
        "", "Texts that end an answer before them, one a line; \\n in one stands for a line break."
    )
    seed: int = setting(
        1,
        "Start of the random draws: the same seed gives the same answers, in float32 in any batch; "
        "in bfloat16 and "
        "float16 a batch of another size may round two nearly equal tokens the other way.",
        low=0,
        high=2**31 - 1,
    )
    batch: int = setting(64, "Answers drawn together in one call of the model.", low=1, high=512)
    dtype: str = setting(
        "auto",
        "Number format of a model that runs here; auto: what PODIUM_DTYPE says, else bfloat16 "
        "where the machine "
        "computes in it.",
        choices=DTYPES,
    )
    split: str = setting(
        "all",
        "Which prompts to answer.",
        choices=("all", "train", "validation", "test", "held-out"),
    )
    unanswered: bool = setting(
        False, "Only prompts that no earlier job has answered: a new round's fresh ones."
    )
    best_of: int = setting(
        1,
        "Draws for each answer; the one that the reward model scores highest is kept (best-of-n).",
        low=1,
        high=64,
    )
    rank: bool = setting(True, "Make a ranking task from each prompt's answers.")
    others: str = setting(
        "",
        "Names of other versions that answer too, one a line: a prompt's answers are dealt to all.",
    )

    @property
    def stops(self) -> list[str]:
        return [line.replace("\\n", "\n") for line in self.stop.splitlines() if line]


@dataclasses.dataclass(frozen=True)
class FreezeRecipe:
    kind: str = setting(
        "judgments",
        (
            "What a row is: a ranked task, an answer that a person wrote, a prompt, or plain text "
            "(a prompt and what was written to it)."
        ),
        choices=("judgments", "demonstrations", "prompts", "text"),
    )
    since: str = setting(
        "", "Only what was decided or written on this day or later, in the project's zone."
    )
    until: str = setting("", "Only what was decided or written on this day or before.")
    use_case: str = setting("", "Only prompts of this use case.")
    language: str = setting("", "Only prompts in this language.")
    models: str = setting("", "Only tasks in which one of these model versions answers.")
    without: str = setting("", "Leave out what these labelers decided or wrote.")
    judges: str = setting(
        "",
        (
            "Only judgments by judges of these kinds: person, model, script, unknown, one a line; "
            "none: all."
        ),
        pattern=(
            "((person|model|script|unknown)(\n|$))*",
            "kinds of judges, one a line: person, model, script, unknown",
        ),
    )
    purpose: str = setting(
        "training",
        (
            "Which tasks: those for training, or the gold tasks, to study how people judge; the "
            "answer keys stay out."
        ),
        choices=("training", "gold"),
    )
    agreement: float = setting(
        0.0,
        (
            "Leave out tasks whose labelers agree on a smaller share of their pairs, or that only "
            "one ranked; 0 keeps all."
        ),
        low=0,
        high=1,
    )
    answers: str = setting(
        "written",
        (
            "Of demonstrations and text: what people wrote, or what a reward model chose among "
            "several draws (rejection sampling)."
        ),
        choices=("written", "chosen"),
    )
    adjudicated: bool = setting(
        False, "Only what a lead settled where people disagreed, in place of what they said."
    )
    ties: bool = setting(True, "Keep rankings that tie answers; a tie makes no pair.")
    apart: bool = setting(
        True, "Leave out training rows whose prompt is nearly like one of the held-out rows."
    )
    licence: str = setting(
        "",
        "Under which terms the rows may be used, as the dataset's card says it: cc-by-4.0, other.",
    )
    note: str = setting("", "A line to remember this dataset by.")
    replaces: str = setting(
        "", "The withdrawn dataset whose rankings, but for the erased ones, are frozen anew."
    )


@dataclasses.dataclass(frozen=True)
class RenderRecipe:
    """One file of a dataset, made once. The dataset itself is the job's."""

    format: str = setting(
        "conversational",
        "How an example is written.",
        choices=FORMATS_OUT,
    )
    file: str = setting(
        "jsonl",
        "What file it comes in.",
        choices=("jsonl", "jsonl.gz", "jsonl.zst", "parquet", "csv", "json", "zip"),
    )
    split: str = setting("", "Only this split.", choices=A_SPLIT)
    pairs: str = setting(
        "all",
        (
            "Which pairs a ranking makes: all of them, neighbours in rank, or the best against "
            "each other one."
        ),
        choices=("all", "adjacent", "best"),
    )
    judged: str = setting(
        "each",
        (
            "Every labeler's judgment by itself, or one a task: the order of the mean ranks, with "
            "how many stand behind it."
        ),
        choices=("each", "consensus"),
    )
    metadata: bool = setting(
        False, "Add who judged, which model wrote, ranks, ratings, flags, time and agreement."
    )
    weights: str = labeler_weights()
    bom: bool = setting(
        False, "Begin a table with a byte order mark, without which Excel misreads accents."
    )
    formulas: bool = setting(
        False,
        (
            "Leave cells of a table that begin with = + - @ as they are: a spreadsheet may run "
            "them. Otherwise an apostrophe stands before them."
        ),
    )


@dataclasses.dataclass(frozen=True)
class CompareRecipe:
    """How a dataset differs from an earlier one. The later one is the job's."""

    before: str = setting("", "The id of the earlier dataset.")


@dataclasses.dataclass(frozen=True)
class TrainRecipe:
    """What every trainer can be told.

    The rates for an adapter are about ten times those for all weights, or more where the loss
    compares two models. For all weights they are those of the papers: Touvron et al. 2023 (SFT,
    2e-5; reward model, 1e-5), Rafailov et al. 2023 (DPO, 1e-6), Ethayarajh et al. 2024 (KTO, 5e-7
    to 5e-6), Ouyang et al. 2022 (PPO, about 1e-5).
    """

    epochs: float = setting(1.0, "Passes over the training split.", low=0.01, high=100)
    learning_rate: float = rate(1e-4, 2e-5)
    batch: int = setting(4, "Rows in one optimiser step.", low=1, high=1024)
    max_length: int = setting(
        512,
        (
            "Longest prompt and answer together, in tokens; longer prompts lose the start of what "
            "follows their system turn."
        ),
        low=16,
        high=32768,
    )
    least_prompt: float = setting(
        0.5,
        (
            "Least share of a prompt that must remain where it is cut; a job that would keep less "
            "is refused."
        ),
        low=0,
        high=1,
    )
    lora: bool = setting(
        True, "Train a small adapter and merge it at the end, in place of all weights."
    )
    lora_rank: int = setting(16, "Rank of the adapter.", low=1, high=256)
    max_steps: int = setting(
        0, "Stop after this many optimiser steps; 0 goes on to the end.", low=0, high=10**7
    )
    save_steps: int = setting(
        0, "Optimiser steps between two checkpoints; 0 goes by the time instead.", low=0, high=10**6
    )
    save_minutes: float = setting(
        10.0,
        "Minutes between two checkpoints where save_steps is 0: so much work may be lost. More "
        "where writing them would "
        "take over a tenth of the time.",
        low=0,
        high=1440,
    )
    devices: str = setting(
        "1",
        "GPUs that train together, each on `batch` rows of a step: a number, or all.",
        pattern=("[1-9][0-9]{0,2}|all", "a number from 1, or `all`"),
    )
    spread: str = setting(
        "copies",
        (
            "What each of several GPUs holds: a copy of the model, or a shard of its weights "
            "(FSDP), for one whose training does not fit a GPU."
        ),
        choices=("copies", "shards"),
    )
    attention: str = setting(
        "auto",
        (
            "How attention is computed; auto: sdpa where the model has it. flash_attention_2 needs "
            "a GPU, the package flash-attn, and a dtype of 16 bits."
        ),
        choices=("auto", "sdpa", "flash_attention_2", "eager"),
    )
    seed: int = setting(
        1, "Start of every random choice: order, dropout, new weights.", low=0, high=2**31 - 1
    )
    dtype: str = setting(
        "auto",
        "Number format of the matrix products, and of frozen weights under an adapter; auto: what "
        "PODIUM_DTYPE says, "
        "else bfloat16 where the machine computes in it. float16 needs a GPU.",
        choices=DTYPES,
    )
    tokens_at_once: int = setting(
        0,
        "Most tokens of one forward pass, padding with them, or of one row that has more: fewer "
        "need less memory, and "
        "change nothing else; 0 takes what is usual on the device.",
        low=0,
        high=10**7,
    )
    gradient_checkpointing: str = setting(
        "auto",
        "Compute activations again in the backward pass in place of keeping them, which needs less "
        "memory and more "
        "time; auto: on GPUs.",
        choices=("auto", "on", "off"),
    )

    def __post_init__(self) -> None:
        """A default that follows the switch becomes the number it stands for: the job's page shows
        what was used.
        """
        for field in dataclasses.fields(self):
            usual = field.metadata["usual"]
            if usual and getattr(self, field.name) == field.default:
                object.__setattr__(self, field.name, usual[0] if self.lora else usual[1])


@dataclasses.dataclass(frozen=True)
class RewardRecipe(TrainRecipe):
    spread: str = setting("copies", "Each device holds the whole model.", choices=("copies",))
    learning_rate: float = rate(1e-4, 1e-5)
    preset: str = setting(
        "own",
        (
            "paper: one epoch, 64 prompts a step, all weights, the learning rate of Ouyang et al. "
            "2022 scaled to the model's size."
        ),
        choices=("own", "paper"),
    )
    heads: int = setting(
        1,
        "Scoring heads on the same body, data and loss: the reward is their mean, and how far they "
        "differ comes from "
        "their random starts alone; it does not say how unsure the model is.",
        low=1,
        high=64,
    )
    ties: str = setting(
        "dropped",
        (
            "What a tie teaches: nothing, as in the paper, or that two answers are about as good, "
            "by one of two models."
        ),
        choices=("dropped", "rao-kupper", "davidson"),
    )
    tie_share: float = setting(
        0.3,
        "How likely two equally good answers are to tie, where ties are modelled.",
        low=0.01,
        high=0.99,
    )
    margin: float = setting(
        0.0,
        (
            "How far apart rewards must lie for each step (1 to 3) of a stated strength of "
            "preference; 0 leaves it out."
        ),
        low=0,
        high=10,
    )
    smoothing: float = setting(
        0.0, "Share of judgments taken to be the wrong way round.", low=0, high=0.49
    )
    weighted: bool = setting(
        True, "Count each judgment by its weight, that is by its labeler's reliability."
    )
    demonstrations: str = setting(
        "",
        (
            "Id, or its start, of a dataset of demonstrations whose mean reward becomes 0; without "
            "one the mean training answer's does."
        ),
    )
    weights: str = labeler_weights()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights and not self.weighted:
            raise InvalidRecipe("weights", "have no effect where `weighted` is off")


@dataclasses.dataclass(frozen=True)
class SFTRecipe(TrainRecipe):
    source: str = setting(
        "best",
        "What to imitate: the best-ranked answers, all in the better half of a ranking, "
        "the demonstrations people wrote, or plain text.",
        choices=("best", "better-half", "demonstrations", "text"),
    )
    packing: bool = setting(
        False, "Fill each row to its longest with examples one after another, cut where it ends."
    )
    mix: str = setting(
        "",
        (
            "Other datasets to draw from by turns, as id:weight with commas between; the chosen "
            "one weighs 1."
        ),
    )
    weights: str = labeler_weights()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights and self.source not in ("best", "better-half"):
            raise InvalidRecipe("weights", f"have no effect on the source {self.source}")


@dataclasses.dataclass(frozen=True)
class DPORecipe(TrainRecipe):
    learning_rate: float = rate(1e-4, 1e-6)
    beta: float = setting(
        0.1,
        "How strongly the fine-tuned model is held near the one it starts from.",
        low=0.001,
        high=10,
    )
    alpha: float = setting(
        0.0,
        "Share of the instruction loss on the winners; the rest is the loss on the comparisons.",
        low=0,
        high=1,
    )
    pairs: str = setting(
        "all",
        (
            "Which pairs of a ranking to learn from: all of them, neighbours in rank, or the best "
            "against each other one."
        ),
        choices=("all", "adjacent", "best"),
    )


@dataclasses.dataclass(frozen=True)
class KTORecipe(TrainRecipe):
    learning_rate: float = rate(1e-4, 1e-6)
    batch: int = setting(8, "Rows in one optimiser step.", low=2, high=1024)
    beta: float = setting(
        0.1,
        "How strongly the fine-tuned model is held near the one it starts from.",
        low=0.001,
        high=10,
    )
    labels: str = setting(
        "half",
        "Which answers are good and which bad: the halves of a ranking, the first and the rest, or "
        "ratings above and "
        "below 4.",
        choices=("half", "best", "ratings"),
    )
    weights: str = labeler_weights()


@dataclasses.dataclass(frozen=True)
class PPORecipe(TrainRecipe):
    epochs: float = setting(8.0, "Passes over the training prompts.", low=0.01, high=1000)
    learning_rate: float = rate(
        1e-4,
        1e-5,
        "Learning rate of the policy; it warms up from a tenth of it over ten rounds, or a quarter "
        "of them if that is "
        "fewer, then stays.",
    )
    value_learning_rate: float = rate(1e-4, 1e-5, "The same of the value model.")
    rollouts: int = setting(
        64, "Answers drawn, scored and learned from in one round.", low=2, high=4096
    )
    batch: int = setting(8, "Answers in one optimiser step.", low=1, high=1024)
    inner_epochs: int = setting(1, "Passes over the answers of a round.", low=1, high=16)
    max_tokens: int = setting(128, "Longest answer, in tokens.", low=1, high=4096)
    max_steps: int = setting(
        0, "Stop after this many rounds; 0 goes on to the end.", low=0, high=10**7
    )
    devices: str = setting("1", "PPO learns on a single device.", pattern=("1", "1"))
    spread: str = setting("copies", "Each device holds the whole model.", choices=("copies",))
    attention: str = setting(
        "auto",
        "How attention is computed; auto: sdpa where the model has it.",
        choices=("auto", "sdpa", "eager"),
    )
    save_steps: int = setting(
        0, "Rounds between two checkpoints; 0 goes by the time instead.", low=0, high=10**6
    )
    beta: float = setting(
        0.02,
        "What a nat of divergence from the model it starts from costs, in units of the reward.",
        low=0,
        high=100,
    )
    kl_target: float = setting(
        0.0,
        "Raise and lower beta, the faster the fewer the rounds, so that an answer's divergence "
        "comes to this many nats "
        "and stays there; 0 keeps beta.",
        low=0,
        high=1000,
    )
    kl_stop: float = setting(
        0.0,
        "End the run once an answer's mean divergence passes this many nats, and publish no policy "
        "that has; 0 never "
        "does. Twice kl_target leaves room.",
        low=0,
        high=10000,
    )
    eval_steps: int = setting(
        5,
        "Rounds between two evaluations on held-out prompts: of the evaluated policies, the one "
        "that scores highest "
        "becomes the result; 0 takes the last.",
        low=0,
        high=10**6,
    )
    clip: float = setting(
        0.2,
        "How far one round may change a token's probability before its gradient ends, as a share.",
        low=0.01,
        high=1,
    )
    value_clip: float = setting(
        0.2,
        "How far one round may move a value before its gradient ends, in units of the reward.",
        low=0.01,
        high=1000,
    )
    gae_lambda: float = setting(
        0.95,
        "How much advantages trust what came of an answer over what the value model expects.",
        low=0,
        high=1,
    )
    whiten_rewards: bool = setting(
        False,
        "Divide the rewards of a round by their spread, for reward models of an unknown scale.",
    )
    penalise_cut: bool = setting(
        True,
        "Give answers that were cut at the longest length a fixed reward in place of the reward "
        "model's, if that is "
        "not lower still.",
    )
    cut_reward: float = setting(-1.0, "That fixed reward.", low=-1000, high=1000)
    gamma: float = setting(
        27.8,
        "Weight of the likelihood of a rehearsal dataset, if there is one, beside the reward: the "
        "pretraining mix. Its "
        "gradient is clipped by itself.",
        low=0,
        high=1000,
    )
    average: float = setting(
        0.0,
        (
            "Decay, a round, of the moving average of the policies that becomes the result; 0 "
            "takes the policy itself."
        ),
        low=0,
        high=0.9999,
    )


RECIPES = {
    "import": ImportRecipe,
    "undo": UndoRecipe,
    "pull_data": PullDataRecipe,
    "pull_model": PullModelRecipe,
    "push": PushRecipe,
    "sample": SampleRecipe,
    "freeze": FreezeRecipe,
    "render": RenderRecipe,
    "compare": CompareRecipe,
    "reward": RewardRecipe,
    "sft": SFTRecipe,
    "dpo": DPORecipe,
    "kto": KTORecipe,
    "ppo": PPORecipe,
}


def read(kind: str, values: dict[str, Any]) -> Any:
    """The recipe of `kind` with `values` over its defaults. Raises InvalidRecipe at the first field
    that is wrong.
    """
    recipe = RECIPES[kind]
    fields = {field.name: field for field in dataclasses.fields(recipe)}
    for name in values:
        if name not in fields:
            raise InvalidRecipe(name, "is not a setting of this kind of job")
    return recipe(**{name: _checked(fields[name], value) for name, value in values.items()})


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    kind: type[Any] = type(default_of(field))
    pattern = field.metadata["pattern"]
    if type(value) is int and (kind is float or pattern):
        value = kind(value)
    if type(value) is not kind:
        raise InvalidRecipe(field.name, f"must be a {kind.__name__}")
    if kind is list and not all(isinstance(item, str) for item in value):
        raise InvalidRecipe(field.name, "must be a list of texts")
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if low is not None and not low <= value <= high:  # a NaN fails this too
        raise InvalidRecipe(field.name, f"must lie between {low:g} and {high:g}")
    if pattern and not re.fullmatch(pattern[0], value):
        raise InvalidRecipe(field.name, f"must be {pattern[1]}")
    if choices and value not in choices:
        raise InvalidRecipe(field.name, "must be one of " + ", ".join(choices))
    return value
