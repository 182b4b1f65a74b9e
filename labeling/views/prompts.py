"""Prompts: find them, look at one with its answers, add more."""

from __future__ import annotations

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Count, Prefetch, QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from labeling import imports
from labeling.imports.forms import LABELS, ConfirmForm, UploadForm
from labeling.imports.uploads import discard
from labeling.models import Candidate, ExternalLabeler, Prompt, Ranking, RankingTask, TemplateRow
from labeling.queue.sensitive import mark_sensitive
from labeling.text.conversations import as_stored
from labeling.views.quality import with_skips
from modelops.models import Job
from people import idempotency
from people.access import ADMINS, member
from people.request_limits import takes_upload

PER_PAGE = 50


@member(*ADMINS)
@require_GET
def prompt_list(request: HttpRequest) -> HttpResponse:
    published = Prompt.objects.filter(project=request.project, published=True)
    asked = {name: request.GET.get(name, "") for name in ("q", "split", "use_case", "gold")}
    page = Paginator(chosen(published, **asked), PER_PAGE).get_page(request.GET.get("page"))
    uses = (
        published.exclude(use_case="")
        .order_by("use_case")
        .values_list("use_case", flat=True)
        .distinct()
    )
    count_answers(page.object_list)
    context = {
        "page": page,
        "asked": asked,
        "splits": Prompt.Split.values,
        "uses": uses,
        "filtered": any(asked.values()),
        "query": "".join(f"{urlencode({name: value})}&" for name, value in asked.items() if value),
        "set_aside": RankingTask.objects.filter(
            project=request.project, state=RankingTask.State.SET_ASIDE
        ).count(),
    }
    return render(request, "labeling/prompts/prompts.html", context)


def chosen(
    prompts: QuerySet[Prompt], q: str, split: str, use_case: str, gold: str
) -> QuerySet[Prompt]:
    if q:
        prompts = prompts.filter(messages__icontains=as_stored(q))
    if split in Prompt.Split.values:
        prompts = prompts.filter(split=split)
    if use_case:
        prompts = prompts.filter(use_case=use_case)
    if gold:
        prompts = prompts.filter(
            pk__in=RankingTask.objects.filter(purpose=RankingTask.Purpose.GOLD).values("prompt")
        )
    return prompts.order_by("pk")


def count_answers(prompts) -> None:
    """Hang the number of answers on each prompt of a page: one query."""
    counted = Candidate.objects.filter(prompt__in=[prompt.pk for prompt in prompts])
    answers = dict(
        counted.values_list("prompt").annotate(Count("pk")).values_list("prompt", "pk__count")
    )
    for prompt in prompts:
        prompt.answers = answers.get(prompt.pk, 0)


@member(*ADMINS)
@require_GET
def prompt(request: HttpRequest, pk: int) -> HttpResponse:
    """A prompt with its answers, who wrote them and how they were ranked: for admins' eyes only."""
    one = get_object_or_404(Prompt, project=request.project, published=True, pk=pk)
    judged = (
        Ranking.objects.filter(current=True).select_related("labeler").prefetch_related("ranked")
    )
    tasks = one.tasks.order_by("-pk").prefetch_related(
        with_skips(),
        Prefetch("rankings", judged, to_attr="judged"),
        Prefetch(
            "candidates",
            Candidate.objects.select_related("model_version").order_by("slot"),
            to_attr="shown",
        ),
    )
    context = {
        "prompt": one,
        "filled": TemplateRow.objects.select_related("template").filter(prompt=one).first(),
        "tasks": with_names([with_ranks(task) for task in tasks]),
        "loose": loose(one),
        "demonstrations": one.demonstrations.select_related("labeler"),
    }
    return render(request, "labeling/prompts/prompt.html", context)


@member(*ADMINS)
@require_POST
def prompt_sensitive(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(
        Prompt.objects.select_related("project"), project=request.project, published=True, pk=pk
    )
    mark_sensitive(request.user, one, bool(request.POST.get("sensitive")))
    return redirect("prompt", request.project.slug, pk)


def with_ranks(task):
    """Hang on each answer the rank that each judge gave it, in the judges' order; an answer key is
    nobody's judgment.
    """
    task.by_people = sum(judged.kind not in Ranking.FOR_ALL for judged in task.judged)
    for answer in task.shown:
        answer.ranks = [rank for judged in task.judged for rank in ranks_of(judged, answer.pk)]
    return task


def with_names(tasks: list[RankingTask]) -> list[RankingTask]:
    """Hang on each imported judgment the name of who judged elsewhere: one query."""
    imported = [
        judged for task in tasks for judged in task.judged if judged.kind == Ranking.Kind.IMPORTED
    ]
    names = ExternalLabeler.objects.in_bulk({judged.judge for judged in imported})
    for judged in imported:
        judged.by = names.get(judged.judge)
    return tasks


def ranks_of(ranking: Ranking, candidate: int) -> list[int]:
    """The rank of one answer, counted as in sport: 1, 2, 2, 4."""
    ranks = {one.candidate_id: one.rank for one in ranking.ranked.all() if one.rank is not None}
    return (
        [1 + sum(rank < ranks[candidate] for rank in ranks.values())] if candidate in ranks else []
    )


def loose(one: Prompt) -> QuerySet[Candidate]:
    """Answers that are in no ranking task."""
    return one.candidates.filter(tasks=None).select_related("model_version").order_by("job", "slot")


@takes_upload
@member(*ADMINS)
def upload(request: HttpRequest) -> HttpResponse:
    """Keep a file and have it checked; nothing is imported before somebody has seen what would be."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        key = form.cleaned_data["key"]
        result, new = idempotency.once(
            request.user, key, lambda: {"job": form.request_check(request.user, request.project).pk}
        )
        if not new:
            discard(form.path)
        return redirect("prompts-confirm", request.project.slug, result["job"])
    return render(
        request, "labeling/imports/upload.html", {"form": form}, status=422 if form.errors else 200
    )


@member(*ADMINS)
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """What a file would bring: its first rows, and a dry run's counts. Then check it otherwise, or
    import it.
    """
    job = import_or_404(request, pk)
    form = ConfirmForm(job, request.POST or None)
    if request.method == "POST" and form.is_valid():
        again = "check" in request.POST
        key = form.cleaned_data["key"]
        result, _new = idempotency.once(
            request.user, key, lambda: {"job": form.request(request.user, dry_run=again).pk}
        )
        return redirect("prompts-confirm" if again else "job", request.project.slug, result["job"])
    context = looked_at(job) | {"form": form}
    return render(
        request, "labeling/imports/confirm.html", context, status=422 if form.errors else 200
    )


def looked_at(job: Job) -> dict:
    path = settings.VAR / job.recipe["path"]
    found = job.result.get("check")
    return {
        "job": job,
        "rows": imports.preview(path, job.recipe["format"]) if path.exists() else [],
        "gone": not path.exists(),
        "found": found,
        "steps": steps(found or {}),
    }


def steps(found: dict) -> list[dict]:
    """What each step of the cleaning came to, with its examples."""
    examples = found.get("examples", {})
    return [
        {"name": LABELS.get(name, name), "count": count, "examples": examples.get(name, [])}
        for name, count in found.get("cleaned", {}).items()
    ]


@member(*ADMINS)
@require_GET
def bad_rows(request: HttpRequest, pk: int) -> HttpResponse:
    """The rows that an import left out, each with the reason."""
    job = import_or_404(request, pk)
    path = imports.bad_rows_of(settings.VAR / job.recipe["path"], job.pk)
    if not path.is_file():
        raise Http404
    name = f"{request.project.slug}-job-{job.pk}-bad-rows.jsonl"
    return FileResponse(
        open(path, "rb"), as_attachment=True, filename=name, content_type="application/x-ndjson"
    )


def import_or_404(request: HttpRequest, pk: int) -> Job:
    job = get_object_or_404(Job, project=request.project, kind=Job.Kind.IMPORT, pk=pk)
    if not job.recipe.get("path"):
        raise Http404
    return job
