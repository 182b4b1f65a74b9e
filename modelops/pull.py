"""A model of the Hub becomes a model version: its files are downloaded, then registered."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from modelops import hub, jobs, recipes, registry
from modelops.jobs import JobFailed
from modelops.models import Job, ModelVersion
from modelops.progress import Transfer

LOADED = (".safetensors", ".json", ".txt", ".model", ".jinja")  # weights, configuration, tokenizer
READ = ("readme", "license", "licence", "notice")  # what people may have to know of it


def run(job: Job) -> None:
    """Run a job that pulls a model. Raises JobFailed, registry.NotRegistered, and what a beat
    raises. Done again, it goes on with the files that are here.
    """
    folder = settings.VAR / "models" / f"job-{job.pk}"
    if hasattr(job, "model_made"):
        shutil.rmtree(folder, ignore_errors=True)
        return
    recipe = recipes.read(job.kind, job.recipe)
    name = recipe.name or recipe.repo
    try:
        _refuse_taken(job, name)  # before gigabytes arrive
        if not folder.exists():
            _download(job, recipe, folder)
        made = _register(job, name, folder)
        shutil.rmtree(folder)  # its files are in the store
    except registry.NotRegistered:  # nor would it be after a resume
        shutil.rmtree(folder, ignore_errors=True)
        raise
    job.result = job.result | {"model": made.pk}


def _refuse_taken(job: Job, name: str) -> None:
    if registry.visible(job.project).filter(name=name).exists():
        raise registry.NameTaken(_("There is a version named %(name)s already.") % {"name": name})


def _register(job: Job, name: str, folder: Path) -> ModelVersion:
    transfer = Transfer(job, job.result["bytes"])
    transfer.finish()
    transfer.begin(_("checking"))
    return registry.register(
        job.project,
        ModelVersion.Kind.POLICY,
        name,
        folder,
        actor=job.requested_by,
        watch=transfer.alive,
        job=job,
    )


def _download(job: Job, recipe: recipes.PullModelRecipe, folder: Path) -> None:
    repository = hub.look_up("model", recipe.repo, job.result.get("commit") or recipe.revision)
    chosen, left_out = parts(repository)
    job.result = {
        "repo": repository.id,
        "commit": repository.commit,
        "files": len(chosen),
        "bytes": sum(file.size for file in chosen),
        "left_out": [file.path for file in left_out],
    }
    keep(job)
    arriving = folder.with_name(f".pull-{job.pk}")
    arriving.mkdir(parents=True, exist_ok=True)
    hub.refuse_too_large((file, arriving / file.name) for file in chosen)
    transfer = Transfer(job, job.result["bytes"])
    for file in chosen:
        hub.download(repository, file, arriving / file.name, transfer)
    transfer.finish()
    arriving.rename(folder)


def keep(job: Job) -> None:
    """Store the result so far: a later attempt goes on with the same commit."""
    if not jobs.owned(job).update(result=job.result):
        raise jobs.LostClaim


def parts(repository: hub.Repository) -> tuple[list[hub.File], list[hub.File]]:
    """(the files that make the model, those that are left out). Raises JobFailed where it is none
    that can be loaded here.
    """
    top = [file for file in repository.files if "/" not in file.path]
    weights = [file for file in top if file.name.endswith(".safetensors")]
    named = [file for file in weights if file.name.startswith("model")]
    if not weights:
        raise JobFailed(
            _("%(repo)s has no .safetensors files: no other weights are loaded here.")
            % {"repo": repository.id}
        )
    if not any(file.name == "config.json" for file in top):
        raise JobFailed(
            _("%(repo)s has no config.json: it is no whole model.") % {"repo": repository.id}
        )
    doubled = [file for file in weights if named and file not in named]  # the same in another form
    chosen = [file for file in top if _is_part(file.name.lower()) and file not in doubled]
    return chosen, [file for file in repository.files if file not in chosen]


def _is_part(name: str) -> bool:
    return name.endswith(LOADED) or name.startswith(READ)
