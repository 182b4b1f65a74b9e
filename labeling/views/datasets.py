"""Datasets: choose what to freeze, look at what is frozen, delete it."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling.exports import dataset_card, difference, downloads, forms, losses, preview
from labeling.exports.forms import AboutForm, FreezeForm
from labeling.models import DatasetRanking
from modelops import datasets, recipes
from modelops.models import Dataset, Job
from modelops.views.jobs import after_start
from people import idempotency
from people.access import ADMINS, READERS, member, sees_names
from people.models import Project

COMPARED_WITH = 100  # the newest datasets that its page offers to compare it with
MADE = Count("models_made", distinct=True) + Count("jobs_reading__model_made", distinct=True)


def of_project(project: Project) -> QuerySet[Dataset]:
    return Dataset.objects.filter(project=project).select_related(
        "job__requested_by", "project", "successor"
    )


def back_to(dataset: Dataset) -> tuple[str, str]:
    """(address, name) of the dataset's page, for the pages that belong to it."""
    address = reverse("dataset", args=[dataset.project.slug, dataset.pk])
    return address, _("Dataset %(short)s") % {"short": dataset.short}


@member(*READERS)
@require_GET
def dataset_list(request: HttpRequest) -> HttpResponse:
    freezes = Job.objects.filter(project=request.project, kind=Job.Kind.FREEZE)
    own = freezes.filter(requested_by=request.user).order_by("-pk").first()
    project_datasets = of_project(request.project).annotate(models=MADE).order_by("-pk")
    return render(
        request,
        "labeling/exports/datasets.html",
        {
            "datasets": project_datasets,
            "freezing": freezes.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING]),
            "failed": own if own and own.state == Job.State.FAILED else None,
        },
    )


@member(*READERS)
@require_GET
def dataset(request: HttpRequest, pk: int) -> HttpResponse:
    frozen = get_object_or_404(of_project(request.project), pk=pk)
    return _page(request, frozen, AboutForm(instance=frozen))


def _page(
    request: HttpRequest, frozen: Dataset, form: AboutForm, status: int = 200
) -> HttpResponse:
    context = {
        "dataset": frozen,
        "form": form,
        "fine_tunes": [Job.Kind.SFT, Job.Kind.DPO, Job.Kind.KTO],
        "rankings": DatasetRanking.objects.filter(dataset=frozen).count(),
        "models": datasets.learned_from(frozen).select_related("job"),
        "formats": [
            (name, format, losses.listed(name, frozen.kind))
            for name, format in downloads.offered(frozen).items()
        ],
        "splits": [
            (split, frozen.counts["splits"][split]) for split in dataset_card.splits(frozen)
        ],
        "figures": [
            (name, frozen.counts[name])
            for name in ("agreement", "ties", "longer_wins")
            if name in frozen.counts
        ],
        "earlier": [] if frozen.withdrawn_at else difference.earlier(frozen)[:COMPARED_WITH],
        "plots": dataset_card.plots(frozen, whole=True).values(),
        "query": [
            (name, value) for name, value in frozen.query.items() if name not in dataset_card.HIDDEN
        ],
        "snippet": "\n".join(
            dataset_card.snippet(frozen, f"{request.project.slug}-{frozen.short}-folder")
        ),
    }
    return render(request, "labeling/exports/dataset.html", context, status=status)


@member(*READERS)
@require_POST
def dataset_about(request: HttpRequest, pk: int) -> HttpResponse:
    """Change the note and the licence."""
    frozen = get_object_or_404(of_project(request.project), pk=pk)
    form = AboutForm(request.POST, instance=get_object_or_404(Dataset, pk=pk))
    if not form.is_valid():
        return _page(request, frozen, form, status=422)
    if datasets.edit(request.user, frozen, **form.cleaned_data):
        messages.success(request, _("Note and licence are changed."))
    return redirect("dataset", request.project.slug, pk)


@member(*ADMINS)
@require_POST
def dataset_delete(request: HttpRequest, pk: int) -> HttpResponse:
    frozen = get_object_or_404(of_project(request.project), pk=pk)
    try:
        datasets.delete(request.user, frozen)
    except datasets.InUse as why:
        messages.error(request, str(why))
        return redirect("dataset", request.project.slug, pk)
    messages.success(request, _("Dataset %(short)s is deleted.") % {"short": frozen.short})
    return redirect("datasets", request.project.slug)


# Freezing


@member(*READERS)
def freeze(request: HttpRequest) -> HttpResponse:
    """Choose what to freeze, see what would come of it, and have a job do it."""
    names = sees_names(request.membership)
    form = FreezeForm(request.project, request.POST or None, names=names)
    if request.method == "POST" and form.is_valid() and "look" not in request.POST:
        key = form.cleaned_data["key"]
        result, _new = idempotency.once(
            request.user, key, lambda: {"job": form.request(request.user).pk}
        )
        return after_start(request, result["job"])
    shown = preview.preview(request.project, forms.recipe_of(form), names)
    status = 422 if form.errors else 200
    return render(
        request, "labeling/exports/freeze.html", {"form": form, "preview": shown}, status=status
    )


@member(*READERS)
@require_GET
def freeze_preview(request: HttpRequest) -> HttpResponse:
    """What would come of the form as it stands; with a mistake in it, nothing yet."""
    names = sees_names(request.membership)
    form = FreezeForm(request.project, request.GET, names=names)
    if not form.is_valid():
        return HttpResponse(status=204)
    shown = preview.preview(request.project, recipes.read(Job.Kind.FREEZE, form.recipe()), names)
    return render(request, "labeling/exports/_freeze_preview.html", {"preview": shown})
