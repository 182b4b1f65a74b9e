"""Frozen rows on disk: write, register, reopen, withdraw, delete."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.timezone import now
from django.utils.translation import gettext as _

from modelops import jobs, parquet, rendered, rows, store
from modelops.hashing import Watch, add_file, unwatched
from modelops.models import Dataset, Job, ModelVersion
from people import audit
from people.models import Project, User, Webhook
from people.webhooks import registry

log = logging.getLogger(__name__)


class Withheld(Exception):
    """The dataset's files are gone, were changed or were withdrawn; its rows can't be read.

    `members` are for the API's problem details: the dataset that replaces it, if one does.
    """

    def __init__(self, message: str, successor: Dataset | None = None):
        super().__init__(message)
        self.members = {"successor": successor.pk} if successor else {}


class InUse(Exception):
    """The dataset can't be deleted: the text names what was made of it, or is being made."""


def path(dataset: Dataset) -> Path:
    """The folder of its rows, on this host. Raises Withheld if the store has it no more, or
    store.StoreFault if it can't be asked.
    """
    try:
        return store.local(dataset.folder)
    except store.Gone as error:
        raise no_file(dataset) from error
    except store.Damaged as error:
        raise _changed(dataset) from error


def renders(dataset: Dataset) -> Path:
    """Where the files made for downloads lie; they can be made again at any time."""
    return settings.VAR / "renders" / str(dataset.pk)


# Writing


def render(file: Path, write: Callable[[BinaryIO], None]) -> None:
    """Make a file below renders() by `write`. It is never seen half written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".new-", delete=False) as out:
        try:
            write(out)
            out.flush()
            os.fsync(out.fileno())
            os.replace(out.name, file)
        finally:
            Path(out.name).unlink(missing_ok=True)


def write(
    lines: Iterable[str],
    kind: str = Dataset.Kind.JUDGMENTS,
    schema: dict | None = None,
    watch: Watch = unwatched,
) -> tuple[str, str]:
    """Write canonical lines into the store; returns their sha256 and the place in the store. A
    `schema` says what the lines name; it is hashed ahead of them, as one line more. `watch` is
    called for each line, as it is written and again as Parquet takes it.

    The place appears whole or not at all; writing the same rows again finds it there. Raises
    store.StoreFault.
    """
    base = settings.VAR / "datasets"
    base.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=base, prefix=".new-"))
    sha, rare = hashlib.sha256(), set[str]()
    try:
        if schema:
            line = rows.canonical(schema) + "\n"
            (scratch / rows.SCHEMA).write_text(line, encoding="utf-8", newline="\n")
            sha.update(line.encode())
        with open(scratch / "rows.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for line in lines:
                rare |= parquet.rare_in(line)
                out.write(line + "\n")
                sha.update(line.encode() + b"\n")
                watch(len(line))
            out.flush()
            os.fsync(out.fileno())
        parquet.by_split(_watched(rows.read(scratch), watch), kind, scratch, rare)
        return sha.hexdigest(), store.place(store.put(scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _watched(items: Iterable[dict], watch: Watch) -> Iterator[dict]:
    for item in items:
        yield item
        watch(0)


def counts(folder: Path) -> dict:
    """Rows by split, judgments and comparisons of a judgments dataset."""
    splits, judgments, comparisons = Counter(), 0, 0
    for row in rows.read(folder):
        splits[row["split"]] += 1
        judgments += len(row.get("judgments", ()))
        comparisons += len(rows.row_pairs(row)) if "judgments" in row else 0
    return {
        "rows": sum(splits.values()),
        "splits": dict(splits),
        "judgments": judgments,
        "pairs": comparisons,
    }


def register(
    project: Project, kind: str, digest: str, place: str, counted: dict | None = None, **fields
) -> tuple[Dataset, bool]:
    """The dataset of these rows in this project, and whether it is new; `counted` is what counts()
    would count of them, and more, where that was counted while they were written.

    One that was withdrawn and whose very rows are frozen again, now of judgments that may be used,
    is there again.
    """
    fields |= {"folder": place, "counts": counted or counts(store.local(place)), "kind": kind}
    with transaction.atomic():
        dataset, new = Dataset.objects.get_or_create(
            project=project, digest=digest, defaults=fields
        )
        if new:
            _emit_frozen(dataset)
    if dataset.withdrawn_at:
        dataset.withdrawn_at, dataset.withdrawn_why, dataset.successor = None, "", None
        dataset.folder = place  # where they were is deleted
        dataset.save(update_fields=["withdrawn_at", "withdrawn_why", "successor", "folder"])
    return dataset, new


def relabel(actor: User | None, dataset: Dataset, **texts: str) -> list[str]:
    """Give a dataset that exists another note or licence; returns the names of what changed.

    What is left empty stays as it is.
    """
    return edit(actor, dataset, **{name: text for name, text in texts.items() if text})


@transaction.atomic
def edit(actor: User | None, dataset: Dataset, **changes: str) -> list[str]:
    """Give a dataset another note or licence, or none; returns the names of what changed.

    Rows and id never change. The audit trail holds both texts.
    """
    before = {name: getattr(dataset, name) for name in changes}
    changed = {name: text for name, text in changes.items() if text != before[name]}
    if not changed:
        return []
    for name, text in changed.items():
        setattr(dataset, name, text)
    dataset.save(update_fields=list(changed))
    change = {name: {"from": before[name], "to": text} for name, text in changed.items()}
    audit.record(
        actor, "relabel dataset", dataset, dataset.project, digest=dataset.digest, **change
    )
    return list(changed)


def _emit_frozen(dataset: Dataset) -> None:
    project = Project.objects.get(pk=dataset.project_id)  # as it is now: freezing takes its time
    about = {"dataset": dataset.pk, "digest": dataset.digest, "kind": dataset.kind}
    registry.emit(project, Webhook.Event.DATASET_FROZEN, f"datasets/{dataset.pk}", **about)


# Reading


def criteria(dataset: Dataset) -> list[dict]:
    """The criteria that its rows hold scores by; none where they hold none, or are gone."""
    try:
        [schema] = rows.read(path(dataset), rows.SCHEMA)
    except (FileNotFoundError, Withheld):
        return []
    return schema["criteria"]


def refuse_withdrawn(dataset: Dataset | None) -> None:
    """Raises Withheld for a dataset that was withdrawn, or deleted."""
    if dataset is None:
        raise Withheld(_("The dataset was deleted: start again with another one."))
    if dataset.withdrawn_at:
        message = _("Dataset %(short)s was withdrawn: %(why)s") % {
            "short": dataset.short,
            "why": dataset.withdrawn_why,
        }
        if dataset.successor:
            instead = _("Dataset %(digest)s replaces it.") % {"digest": dataset.successor.digest}
            message = f"{message.rstrip('.')}. {instead}"
        raise Withheld(message, dataset.successor)


def size(dataset: Dataset) -> int:
    """The bytes of its rows. Raises Withheld."""
    refuse_withdrawn(dataset)
    try:
        return (path(dataset) / "rows.jsonl").stat().st_size
    except FileNotFoundError:
        raise no_file(dataset) from None


def no_file(dataset: Dataset) -> Withheld:
    return Withheld(
        _("Dataset %(short)s has no file any more: restore it from a backup.")
        % {"short": dataset.short}
    )


def verify(dataset: Dataset | None, watch: Watch = unwatched) -> None:
    """Raises Withheld unless the rows on disk are the ones that gave the dataset its id, and what
    `watch` raises.
    """
    refuse_withdrawn(dataset)
    if _has_its_rows(dataset, watch):
        return
    if digest := store.digest_of(dataset.folder):
        try:
            store.verified(digest)  # what was changed in the cache of this host is fetched again
        except (store.Gone, store.Damaged) as error:
            raise _changed(dataset) from error
        if _has_its_rows(dataset, watch):
            return
    raise _changed(dataset)


def _has_its_rows(dataset: Dataset, watch: Watch) -> bool:
    folder = path(dataset)
    file, schema = folder / "rows.jsonl", folder / rows.SCHEMA
    if not file.exists():
        raise no_file(dataset)
    sha = hashlib.sha256(schema.read_bytes() if schema.exists() else b"")
    return add_file(sha, file, watch).hexdigest() == dataset.digest


def _changed(dataset: Dataset) -> Withheld:
    return Withheld(f"Dataset {dataset.short} was changed on disk: restore it from a backup.")


# Taking back


@transaction.atomic
def withdraw(actor: User | None, dataset: Dataset, why: str) -> list[ModelVersion]:
    """Nobody reads the rows again, and their files go; returns the model versions trained on them.

    The dataset's page stays, with the reason. Jobs that are at it are stopped. Twice is harmless.
    """
    trained = list(learned_from(dataset))
    fresh = Dataset.objects.filter(pk=dataset.pk, withdrawn_at=None)
    if fresh.update(withdrawn_at=now(), withdrawn_why=why):
        names = [version.name for version in trained]
        audit.record(
            actor,
            "withdraw dataset",
            dataset,
            dataset.project,
            digest=dataset.digest,
            why=why,
            models=names,
        )
        for job in _at_work(dataset):
            jobs.cancel(actor, job)
        dataset.weights.all().delete()  # of numbers that stand for people whose rows are gone
        made = rendered.forget(dataset)
        transaction.on_commit(lambda: _remove_files(dataset, made))
    return trained


@transaction.atomic
def delete(actor: User, dataset: Dataset) -> None:
    """Forget a dataset of which nothing was made. Raises InUse."""
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    if made := learned_from(dataset).values_list("name", flat=True):
        raise InUse(
            _("%(models)s learned from this dataset: it can't be deleted.")
            % {"models": ", ".join(made)}
        )
    if job := _at_work(dataset).first():
        raise InUse(
            _("A job is using this dataset (%(job)s): cancel it, or wait until it ends.")
            % {"job": job}
        )
    dataset.jobs_using.update(dataset=None)
    dataset.jobs_rehearsing.update(rehearsal=None)
    audit.record(actor, "delete dataset", dataset, dataset.project, digest=dataset.digest)
    gone = Dataset(pk=dataset.pk, digest=dataset.digest, folder=dataset.folder)
    made = rendered.forget(dataset)
    dataset.delete()
    transaction.on_commit(lambda: _remove_files(gone, made))


def learned_from(dataset: Dataset) -> QuerySet[ModelVersion]:
    """The versions whose trainers read its rows: as their dataset, or mixed in, rehearsed or
    shifted to.
    """
    return (
        ModelVersion.objects.filter(Q(dataset=dataset) | Q(job__further=dataset))
        .distinct()
        .order_by("pk")
    )


def _at_work(dataset: Dataset) -> QuerySet[Job]:
    reading = Q(dataset=dataset) | Q(rehearsal=dataset) | Q(further=dataset)
    return Job.objects.filter(reading, state__in=[Job.State.QUEUED, Job.State.RUNNING]).distinct()


def _remove_files(dataset: Dataset, made: list[str]) -> None:
    """Other projects may have frozen the same rows: then only the downloads go, of which the store
    holds what was `made`. What the store can't delete now, the clean-up does.
    """
    shutil.rmtree(renders(dataset), ignore_errors=True)
    try:
        rendered.remove(made)
        if not Dataset.objects.filter(folder=dataset.folder, withdrawn_at=None).exists():
            _remove_rows(dataset)
    except store.StoreFault as error:
        log.warning("The files of dataset %s are not deleted yet: %s", dataset.short, error)


def _remove_rows(dataset: Dataset) -> None:
    digest = store.digest_of(dataset.folder)
    if digest is None:
        shutil.rmtree(settings.VAR / dataset.folder, ignore_errors=True)
    else:
        store.delete(digest)


def fill_store() -> int:
    """Bring into the store what lies in this data folder: of versions before the store, and of a
    time when the store was here. Returns how many datasets. On one file system nothing is copied.

    Each is in the store before its files here go. Raises store.StoreFault.
    """
    places = Dataset.objects.filter(withdrawn_at=None).values_list("folder", flat=True)
    moved = 0
    for place in sorted(set(places)):
        folder = settings.VAR / place
        if not folder.is_dir() or store.is_at(folder):
            continue
        stored = store.place(store.put(folder))
        moved += Dataset.objects.filter(folder=place).update(folder=stored)
        shutil.rmtree(folder.parent if store.digest_of(place) else folder)
    return moved
