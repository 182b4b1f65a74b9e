"""Model versions: register, promote by alias, and walk their lineage."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from modelops import store
from modelops.hashing import Watch, add_file, unwatched
from modelops.models import Alias, Job, Metric, ModelVersion
from people import audit
from people.models import Project, User, Webhook
from people.webhooks import registry


class NotRegistered(Exception):
    """The folder can't be registered; the text says why."""


class NameTaken(NotRegistered):
    """There is a version of this name already."""


def artifact_digest(folder: Path, watch: Watch = unwatched) -> str:
    """sha256 over the names and the sha256 of every file that makes the model: weights,
    configuration, tokenizer. Raises what `watch` raises.
    """
    return _digest_of(
        {
            file.name: add_file(hashlib.sha256(), file, watch).hexdigest()
            for file in folder.iterdir()
            if file.is_file()
        }
    )


def _digest_of(files: Mapping[str, str]) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{files[name]}\n".encode())
    return whole.hexdigest()


def path(version: ModelVersion) -> Path:
    """Its folder on this host. Raises store.StoreFault."""
    return store.local(version.folder)


def verified(version: ModelVersion, watch: Watch = unwatched) -> Path:
    """Its folder on this host, after all of its files were compared with what was registered.

    Raises store.StoreFault, also where a file was changed, OSError, and what `watch` raises.
    """
    if digest := store.digest_of(version.folder):
        return store.verified(digest, watch)
    folder = path(version)  # of a version before the store had models
    if artifact_digest(folder, watch) != version.sha256:
        raise store.Damaged(
            _("its files are not those that were registered: bring them back, or register it anew.")
        )
    return folder


def register(
    project: Project | None,
    kind: str,
    name: str,
    folder: Path,
    *,
    actor: User | None = None,
    watch: Watch = unwatched,
    **links,
) -> ModelVersion:
    """A new version from a folder of safetensors, whose files are put into the store.

    Raises NotRegistered for a folder without weights or a taken name, store.StoreFault, and what
    `watch` raises while the files are read.
    """
    if not any(folder.glob("*.safetensors")):
        raise NotRegistered(_("%(folder)s holds no .safetensors file.") % {"folder": folder})
    refuse_taken(project, name)
    fields = _stored(folder, watch)  # gigabytes are read: before the transaction
    try:
        with transaction.atomic():
            refuse_taken(project, name)
            version = ModelVersion.objects.create(
                project=project, kind=kind, name=name, **fields, **links
            )
            audit.record(actor, "register", version, project, name=name, sha256=version.sha256)
    except IntegrityError as error:
        raise NameTaken(_("There is a version named %(name)s already.") % {"name": name}) from error
    return version


def _stored(folder: Path, watch: Watch) -> dict[str, str]:
    """Put the files into the store; the fields of a version that has them."""
    digest = store.put(folder, watch)
    files = store.listing(digest).files
    of_model = {name: sha256 for name, (_size, sha256) in files.items() if "/" not in name}
    return {"folder": store.place(digest), "sha256": _digest_of(of_model)}


def fill_store() -> int:
    """Bring the models of versions before the store had them into it, as far as they lie on this
    host unchanged. Returns how many. On one file system nothing is copied.

    Raises store.StoreFault.
    """
    moved = 0
    for version in ModelVersion.objects.exclude(folder="").exclude(folder__startswith="store/"):
        folder = settings.VAR / version.folder
        if not folder.is_dir() or artifact_digest(folder) != version.sha256:
            continue
        place = _stored(folder, unwatched)["folder"]
        moved += ModelVersion.objects.filter(pk=version.pk).update(folder=place)
        if _made_by_a_job(folder.resolve()):
            shutil.rmtree(folder)
    return moved


def register_local(actor: User, project: Project, name: str, folder: Path) -> ModelVersion:
    """A model that already lies on this machine, below one of the allowed roots."""
    folder = folder.resolve()
    if not any(folder.is_relative_to(root) for root in settings.MODEL_ROOTS):
        roots = ", ".join(str(root) for root in settings.MODEL_ROOTS)
        raise NotRegistered(
            _("Models are taken from below %(roots)s only (PODIUM_MODEL_ROOTS).") % {"roots": roots}
        )
    if not folder.exists():
        raise NotRegistered(_("There is no folder %(folder)s.") % {"folder": folder})
    if not folder.is_dir():
        raise NotRegistered(
            _("%(file)s is a file: name the folder in which it lies.") % {"file": folder}
        )
    if _made_by_a_job(folder):
        raise NotRegistered(
            _("A job made %(folder)s: it is a version of its own project already.")
            % {"folder": folder}
        )
    return register(project, ModelVersion.Kind.POLICY, name, folder, actor=actor)


def register_served(
    actor: User, project: Project, name: str, address: str, served_as: str
) -> ModelVersion:
    """A model that a server of OpenAI's protocol answers for. Its key stays in the environment
    (ENGINE_KEYS).
    """
    if not (reached := urlsplit(address)).hostname or reached.username or reached.query:
        raise NotRegistered(_("This is not the address of a server: https://models.example/v1"))
    if reached.scheme != "https" and not {reached.hostname, reached.netloc} & set(
        settings.ENGINE_HOSTS
    ):
        raise NotRegistered(_("Only https is asked, but for the hosts in PODIUM_ENGINE_HOSTS."))
    try:
        with transaction.atomic():
            refuse_taken(project, name)
            fields = {
                "kind": ModelVersion.Kind.POLICY,
                "address": address.rstrip("/"),
                "served_as": served_as,
            }
            version = ModelVersion.objects.create(project=project, name=name, **fields)
            audit.record(
                actor,
                "register",
                version,
                project,
                name=name,
                address=version.address,
                served_as=served_as,
            )
    except IntegrityError as error:
        raise NameTaken(_("There is a version named %(name)s already.") % {"name": name}) from error
    return version


def _made_by_a_job(folder: Path) -> bool:
    """Results of training lie in the store, or wait for it among the models; each belongs to its
    own project alone.
    """
    if store.is_at(folder):
        return True
    models = (settings.VAR / "models").resolve()
    return any(
        path.parent == models and path.name.startswith("job-") for path in (folder, *folder.parents)
    )


def external(project: Project, name: str) -> ModelVersion:
    """The version that stands for a model known only by its answers, made when first met."""
    ours = visible(project).filter(name=name).exclude(folder="", project=project)
    label = f"{name} (external)" if ours.exists() else name
    version, _new = ModelVersion.objects.get_or_create(
        project=project, name=label, defaults={"kind": ModelVersion.Kind.POLICY}
    )
    return version


def best_of(project: Project, version: ModelVersion, n: int, judge: ModelVersion) -> ModelVersion:
    """The version that stands for the best of `n` answers of another by a reward model, made when
    first met.
    """
    name = f"{version.name}, best of {n} by {judge.name}"
    if len(name) > ModelVersion._meta.get_field("name").max_length:
        name = f"version {version.pk}, best of {n} by version {judge.pk}"
    best, _new = ModelVersion.objects.get_or_create(
        project=project, name=name, defaults={"kind": ModelVersion.Kind.POLICY, "parent": version}
    )
    return best


def refuse_taken(project: Project | None, name: str) -> None:
    """A name is unique in its project, and none reuses a shared base's."""
    taken = Q(project=None) if project else Q()
    if ModelVersion.objects.filter(taken, name=name).exists():
        raise NameTaken(_("There is a version named %(name)s already.") % {"name": name})


def next_name(project: Project, stem: str) -> str:
    """`stem 1`, `stem 2`, …: the first that is free."""
    taken = set(visible(project).filter(name__startswith=f"{stem} ").values_list("name", flat=True))
    number = next(n for n in range(1, len(taken) + 2) if f"{stem} {n}" not in taken)
    return f"{stem} {number}"


def visible(project: Project) -> QuerySet[ModelVersion]:
    """The project's versions and the shared bases."""
    return ModelVersion.objects.filter(Q(project=project) | Q(project=None))


def answering(project: Project) -> QuerySet[ModelVersion]:
    """Versions that can write answers, here or at their servers, newest first."""
    reached = ~Q(folder="") | ~Q(address="")
    return visible(project).filter(reached, kind=ModelVersion.Kind.POLICY).order_by("-pk")


def policies(project: Project) -> QuerySet[ModelVersion]:
    """Versions that have their weights here and write answers, newest first."""
    return visible(project).filter(kind=ModelVersion.Kind.POLICY).exclude(folder="").order_by("-pk")


def trainable(project: Project) -> QuerySet[ModelVersion]:
    """Versions that have their weights here, newest first: a reward model may go on from an earlier
    one.
    """
    return visible(project).exclude(folder="").order_by("-pk")


def reward_models(project: Project) -> QuerySet[ModelVersion]:
    """Versions that can score answers, newest first."""
    return visible(project).filter(kind=ModelVersion.Kind.REWARD).exclude(folder="").order_by("-pk")


@transaction.atomic
def promote(actor: User, project: Project, version: ModelVersion, name: str = "champion") -> Alias:
    """Point the alias at this version; where it pointed before is kept in the audit trail."""
    before = (
        Alias.objects.filter(project=project, name=name)
        .values_list("model_version__name", flat=True)
        .first()
    )
    alias, _new = Alias.objects.update_or_create(
        project=project, name=name, defaults={"model_version": version}
    )
    audit.record(
        actor, "promote", version, project, alias=name, version=version.name, before=before
    )
    about = {"model": version.pk, "name": version.name, "alias": name}
    registry.emit(project, Webhook.Event.VERSION_PROMOTED, f"models/{version.pk}", **about)
    return alias


def champion(project: Project) -> ModelVersion | None:
    """The version that samples the next round: the promoted one, else the newest base."""
    alias = (
        Alias.objects.filter(project=project, name="champion")
        .select_related("model_version")
        .first()
    )
    return (
        alias.model_version
        if alias
        else policies(project).filter(project=None).first() or policies(project).first()
    )


def lineage(version: ModelVersion) -> list[ModelVersion]:
    """The version and its ancestors, youngest first."""
    line = []
    while version is not None:
        line.append(version)
        version = version.parent
    return line


def judges(line: list[ModelVersion]) -> list[ModelVersion]:
    """The reward models from which versions of a lineage learned."""
    return [step.job.reward_model for step in line if step.job and step.job.reward_model]


def final_metrics(job: Job | None) -> list[Metric]:
    return list(Metric.objects.filter(job=job, step=None).order_by("slice", "name")) if job else []
