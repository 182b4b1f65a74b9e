"""Each kind of job, described once: what it is told, what it works on, what it makes.

Forms, pages, the API, workers and the loop read it here. A new kind is a class below, besides its
member of Job.Kind, its recipe (recipes.py) and its work (workers/); CONTRIBUTING.md has the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from modelops import recipes, registry
from modelops.models import Dataset, Job, ModelVersion
from people.models import Project

KEPT_CHECKPOINT = "checkpoint"  # in a training's result: its step, and its sha256 in the store
LINKS = ("model_version", "dataset", "reward_model", "rehearsal")  # the fields of Job that link


class JobKind:
    """A kind of job. What a subclass leaves out is as it stands here."""

    kind: ClassVar[Job.Kind]
    queue = "default"  # whose workers take it
    startable = True  # there is a form to start it
    start_page = ""  # the name of the URL of that form, where it has a page of its own
    researchers = False  # a researcher may ask for it, and watch it
    shared = False  # whoever may read its dataset may watch it: what it makes is for all of them
    sentence: str | Promise = ""  # what it does, above its form

    links: tuple[str, ...] = ()  # of LINKS: what it works on, asked for before the settings
    last_links: tuple[str, ...] = ()  # the same, asked for after the settings, and not required
    model_label: str | Promise = _("Model to start from")
    datasets: tuple[Dataset.Kind, ...] = (Dataset.Kind.JUDGMENTS,)  # that it can work on
    dataset_label: str | Promise = _("Dataset to learn from")

    makes: ModelVersion.Kind | None = None  # the kind of model that it registers
    stem = ""  # of the names of the versions that it registers: "assistant 3"
    curve = ""  # the metric whose course is shown in lists
    about_template = ""  # what it works on, as lists and its page say it
    result_template = ""  # what came of it, and where that leads

    @property
    def recipe(self) -> type:
        """The dataclass of its settings."""
        return recipes.RECIPES[self.kind]

    def models(self, project: Project) -> QuerySet[ModelVersion]:
        """The model versions that it can start from, newest first."""
        return registry.policies(project)


class Import(JobKind):
    kind = Job.Kind.IMPORT
    startable = False  # it starts with an upload
    about_template = "modelops/jobs/_about_import.html"
    result_template = "modelops/jobs/_result_import.html"


class Undo(JobKind):
    kind = Job.Kind.UNDO
    startable = False  # it starts from the page of an import
    about_template = "modelops/jobs/_about_undo.html"
    result_template = "modelops/jobs/_result_undo.html"


class PullData(JobKind):
    kind = Job.Kind.PULL_DATA
    sentence = _(
        "A file of a dataset of the Hugging Face Hub is downloaded and checked; then you see what "
        "it would bring, and import it."
    )
    about_template = "modelops/jobs/_about_pull.html"
    result_template = "modelops/jobs/_result_pull_data.html"


class PullModel(JobKind):
    kind = Job.Kind.PULL_MODEL
    sentence = _(
        "A model of the Hugging Face Hub is downloaded and registered. Its weights must be "
        "safetensors; code that comes with it is left out."
    )
    about_template = "modelops/jobs/_about_pull.html"
    result_template = "modelops/jobs/_result_pull_model.html"


class Push(JobKind):
    kind = Job.Kind.PUSH
    sentence = _(
        "A frozen dataset goes to the Hugging Face Hub with its card: prompts, answers and "
        "judgments, labelers as numbers. Podium needs HF_TOKEN in its environment."
    )
    links = ("dataset",)
    datasets = tuple(Dataset.Kind)
    dataset_label = _("Dataset to push")
    about_template = "modelops/jobs/_about_push.html"
    result_template = "modelops/jobs/_result_push.html"


class Sample(JobKind):
    kind = Job.Kind.SAMPLE
    queue = "sampling"
    sentence = _(
        "The model answers every prompt K times; complete sets of answers become ranking tasks at "
        "once."
    )
    links = ("model_version",)
    last_links = ("reward_model",)
    model_label = _("Model that answers")
    about_template = "modelops/jobs/_about_sample.html"
    result_template = "modelops/jobs/_result_sample.html"

    def models(self, project: Project) -> QuerySet[ModelVersion]:
        return registry.answering(project)


class Freeze(JobKind):
    kind = Job.Kind.FREEZE
    start_page = "freeze"  # which shows what would come of it
    researchers = True
    sentence = _(
        "What people have decided so far becomes a dataset that never changes. Ranking goes on "
        "meanwhile."
    )
    about_template = "modelops/jobs/_about_freeze.html"
    result_template = "modelops/jobs/_result_freeze.html"


class Render(JobKind):
    kind = Job.Kind.RENDER
    startable = False  # it starts with a download
    researchers = shared = True
    about_template = "modelops/jobs/_about_render.html"
    result_template = "modelops/jobs/_result_render.html"


class Compare(JobKind):
    kind = Job.Kind.COMPARE
    startable = False  # it starts on the page of a dataset
    researchers = shared = True
    about_template = "modelops/jobs/_about_compare.html"
    result_template = "modelops/jobs/_result_compare.html"


class Training(JobKind):
    """What every trainer has in common: it makes a policy from a model and a dataset."""

    queue = "training"
    links = ("model_version", "dataset")
    makes = ModelVersion.Kind.POLICY
    stem = "assistant"
    curve = "loss"
    about_template = "modelops/jobs/_about_training.html"
    result_template = "modelops/jobs/_result_training.html"


class Reward(Training):
    kind = Job.Kind.REWARD
    sentence = _(
        "A model learns to score answers as people rank them. It is measured on prompts that it "
        "never saw."
    )
    makes = ModelVersion.Kind.REWARD
    stem = "reward"

    def models(self, project: Project) -> QuerySet[ModelVersion]:
        return registry.trainable(project)


class SFT(Training):
    kind = Job.Kind.SFT
    sentence = _(
        "The model learns to write like the best-ranked answers, like the demonstrations, or like "
        "plain text."
    )
    datasets = tuple(Dataset.Kind)


class DPO(Training):
    kind = Job.Kind.DPO
    sentence = _(
        "The model learns to prefer what people preferred, while it stays near the one it starts "
        "from."
    )


class KTO(Training):
    kind = Job.Kind.KTO
    sentence = _(
        "The model learns from answers that are good or bad by themselves, while it stays near the "
        "one it starts from."
    )


class PPO(Training):
    kind = Job.Kind.PPO
    sentence = _(
        "The model answers prompts, a reward model scores the answers, and the model learns to "
        "write what scores high while it stays near the one it starts from."
    )
    links = ("model_version", "dataset", "reward_model", "rehearsal")
    datasets = (Dataset.Kind.PROMPTS, Dataset.Kind.JUDGMENTS)
    dataset_label = _("Dataset whose prompts are answered")
    curve = ""  # its reward says more than its loss


KINDS: dict[str, JobKind] = {
    description.kind: description()
    for description in (
        Import,
        Undo,
        PullData,
        PullModel,
        Push,
        Sample,
        Freeze,
        Render,
        Compare,
        Reward,
        SFT,
        DPO,
        KTO,
        PPO,
    )
}
STARTABLE = [kind for kind, description in KINDS.items() if description.startable]
TRAINED = [kind for kind, description in KINDS.items() if description.queue == "training"]
COMPUTING = ("sampling", "training")  # the queues whose jobs compute on devices
QUEUES: dict[str, set[str]] = {
    queue: {kind for kind, description in KINDS.items() if description.queue == queue}
    for queue in ("sampling", "training", "default")
}
# Where a project says what a setting of a kind is at first: {kind: its values for a project}. An
# app above, which knows these settings of projects, adds its function.
PROJECT_DEFAULTS: dict[str, Callable[[Project], dict]] = {}
