"""Prompts: find them, and look at one with its answers. Researchers read them without names."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.paginator import Paginator
from django.db.models import Count, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from labeling.judging.form import sport
from labeling.judging.judgment import MOST
from labeling.models import Candidate, Judge, Prompt, Ranking, RankingTask, TemplateRow
from labeling.queue import seen
from labeling.queue.sensitive import mark_sensitive
from labeling.text.conversations import as_stored
from labeling.views import judge_names
from labeling.views.set_aside import with_skips
from people.access import ADMINS, READERS, member, sees_names
from people.models import Project

PER_PAGE = 50


@member(*READERS)
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


def count_answers(prompts: Iterable[Prompt]) -> None:
    """Hang the number of answers on each prompt of a page: one query."""
    counted = Candidate.objects.filter(prompt__in=[prompt.pk for prompt in prompts])
    answers = dict(
        counted.values_list("prompt").annotate(Count("pk")).values_list("prompt", "pk__count")
    )
    for prompt in prompts:
        prompt.answers = answers.get(prompt.pk, 0)


@member(*READERS)
@require_GET
def prompt_page(request: HttpRequest, pk: int) -> HttpResponse:
    """A prompt with its answers, which model wrote them and how they were ranked.

    Admins see who judged and who skipped; researchers see pseudonyms.
    """
    names = sees_names(request.membership)
    prompt = get_object_or_404(Prompt, project=request.project, published=True, pk=pk)
    judged = (
        Ranking.objects.filter(current=True).select_related("labeler").prefetch_related("ranked")
    )
    tasks = prompt.tasks.order_by("-pk").prefetch_related(
        *([with_skips()] if names else []),
        Prefetch("rankings", judged, to_attr="judged"),
        Prefetch(
            "candidates",
            Candidate.objects.select_related("model_version").order_by("slot"),
            to_attr="shown",
        ),
    )
    shown = with_judges([with_ranks(task) for task in tasks], request.project, names)
    seen.note_rankings(request.user, (judged for task in shown for judged in task.judged))
    context = {
        "prompt": prompt,
        "filled": TemplateRow.objects.select_related("template").filter(prompt=prompt).first(),
        "tasks": shown,
        "loose": unused_answers(prompt),
        "demonstrations": prompt.demonstrations.select_related("labeler"),
    }
    return render(request, "labeling/prompts/prompt.html", context)


@member(*ADMINS)
@require_POST
def prompt_sensitive(request: HttpRequest, pk: int) -> HttpResponse:
    prompt = get_object_or_404(
        Prompt.objects.select_related("project"), project=request.project, published=True, pk=pk
    )
    mark_sensitive(request.user, prompt, bool(request.POST.get("sensitive")))
    return redirect("prompt", request.project.slug, pk)


def with_ranks(task: RankingTask) -> RankingTask:
    """Hang on each answer the rank that each judge gave it, in the judges' order; an answer key is
    nobody's judgment.
    """
    task.by_people = sum(judged.kind not in Ranking.FOR_ALL for judged in task.judged)
    task.can_be_ranked = len(task.shown) <= MOST
    ranks = [ranks_of(judged) for judged in task.judged]
    for answer in task.shown:
        answer.ranks = [of_judge[answer.pk] for of_judge in ranks if answer.pk in of_judge]
    return task


def with_judges(tasks: list[RankingTask], project: Project, names: bool) -> list[RankingTask]:
    """Hang on each judgment the name or the pseudonym of its judge as `who`: one query."""
    rankings = [ranking for task in tasks for ranking in task.judged]
    imported = {ranking.judge for ranking in rankings if ranking.kind == Ranking.Kind.IMPORTED}
    judges = Judge.objects.in_bulk(imported) if names else {}
    for ranking in rankings:
        ranking.who = judge_names.of(project, ranking, judges.get(ranking.judge), names)
    return tasks


def ranks_of(ranking: Ranking) -> dict[int, int]:
    """The ranks of the answers that have one, by their keys."""
    return sport(
        {
            ranked.candidate_id: ranked.rank
            for ranked in ranking.ranked.all()
            if ranked.rank is not None
        }
    )


def unused_answers(prompt: Prompt) -> QuerySet[Candidate]:
    """Answers that are in no ranking task."""
    return (
        prompt.candidates.filter(tasks=None).select_related("model_version").order_by("job", "slot")
    )
