"""Jobs: start, watch, stop, resume."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from modelops import jobs, recipes, registry
from modelops.api.jobs import JobBody, MetricBody
from modelops.forms.jobs import JobForm
from modelops.job_report import final_table, metric_charts, recipe_rows
from modelops.kinds import KINDS, STARTABLE
from modelops.models import Job
from people import idempotency
from people.access import ADMINS, READERS, member
from people.models import Project

PER_PAGE = 50
LOG_TAIL = 200
STOP_POLLING = 286  # htmx asks no more after this status


def of_project(project: Project) -> QuerySet[Job]:
    """A project's jobs with all that a row of a list shows."""
    return Job.objects.filter(project=project).select_related(
        "model_version", "dataset", "reward_model", "requested_by", "model_made"
    )


def job_or_404(request: HttpRequest, pk: int) -> Job:
    return get_object_or_404(of_project(request.project), pk=pk)


# Lists


@member(*ADMINS)
@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    listed = of_project(request.project).order_by("-pk")
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    if kind in Job.Kind.values:
        listed = listed.filter(kind=kind)
    if state in Job.State.values:
        listed = listed.filter(state=state)
    page = Paginator(listed, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "kind": kind,
        "state": state,
        "kinds": Job.Kind.choices,
        "states": Job.State.values,
    }
    return render(
        request,
        "modelops/jobs/jobs.html",
        context | {"live": [job for job in page if job.live], "start": STARTABLE},
    )


@member(*ADMINS)
@require_GET
def jobs_live(request: HttpRequest) -> HttpResponse:
    """The cells of a list's live jobs, to be put in their places; the last answer says to ask no
    more.
    """
    pks = [pk for pk in request.GET.getlist("id") if pk.isdecimal()][:PER_PAGE]
    listed = list(of_project(request.project).filter(pk__in=pks))
    status = 200 if any(job.live for job in listed) else STOP_POLLING
    return render(request, "modelops/jobs/_jobs_live.html", {"jobs": listed}, status=status)


# One job


@member(*ADMINS)
@require_GET
@vary_on_headers("HX-Request")
def job(request: HttpRequest, pk: int) -> HttpResponse:
    """A job's page, or only what changes while it runs when htmx asks. When it has ended, the page
    loads anew.
    """
    job = job_or_404(request, pk)
    if not request.htmx:
        return render(
            request, "modelops/jobs/job.html", live(job) | log(job) | {"recipe": recipe_rows(job)}
        )
    response = render(request, "modelops/jobs/_job_live.html", live(job))
    if not job.live:
        response["HX-Refresh"] = "true"
    return response


def live(job: Job) -> dict:
    return {"job": job, "charts": metric_charts(job), "final": final_table(job)}


@member(*ADMINS)
@require_GET
def job_log(request: HttpRequest, pk: int) -> HttpResponse:
    """The lines that came after those that the page has."""
    after = request.GET.get("after", "")
    return render(
        request,
        "modelops/jobs/_log.html",
        log(job_or_404(request, pk), int(after) if after.isdecimal() else 0),
    )


def log(job: Job, after: int = 0) -> dict:
    lines = list(job.log.filter(pk__gt=after).order_by("-pk")[:LOG_TAIL])[::-1]
    return {"job": job, "log": lines, "after": lines[-1].pk if lines else after}


@member(*ADMINS)
@require_GET
def job_json(request: HttpRequest, pk: int) -> JsonResponse:
    """The same as data, for scripts: as the API shows the job, with the figures of its result."""
    job = job_or_404(request, pk)
    model = getattr(job, "model_made", None)
    figures = MetricBody(registry.final_metrics(job), many=True).data
    return JsonResponse(
        {**JobBody(job).data, "metrics": figures, "model_name": model.name if model else ""}
    )


@member(*READERS)
def job_new(request: HttpRequest, kind: str) -> HttpResponse:
    """Start a job of this kind."""
    if kind not in STARTABLE:
        raise Http404
    if KINDS[kind].start_page:
        return redirect(KINDS[kind].start_page, request.project.slug, preserve_request=True)
    if request.membership.role not in ADMINS:
        raise PermissionDenied
    form = JobForm(request.project, kind, request.POST or None, initial=asked(request))
    if request.method == "POST" and form.is_valid():
        try:
            result, _new = idempotency.once(
                request.user,
                form.cleaned_data["key"],
                lambda: {"job": form.request(request.user).pk},
            )
            return after_start(request, result["job"])
        except recipes.InvalidRecipe as error:
            form.add_error(error.field, error.message)
    context = {"form": form, "kind": kind, "label": Job.Kind(kind).label}
    return render(
        request, "modelops/jobs/job_new.html", context, status=422 if form.errors else 200
    )


def asked(request: HttpRequest) -> dict:
    """?model=, ?dataset= and the like, chosen beforehand."""
    given = {
        "model_version": request.GET.get("model"),
        "dataset": request.GET.get("dataset"),
        "reward_model": request.GET.get("reward"),
        "split": request.GET.get("split"),
    }
    return {name: value for name, value in given.items() if value}


def after_start(request: HttpRequest, pk: int) -> HttpResponse:
    slug = request.project.slug
    if request.membership.role in ADMINS:
        return redirect("job", slug, pk)
    messages.success(request, _("The dataset is being frozen: it will appear here in a moment."))
    return redirect("datasets", slug)


@member(*ADMINS)
@require_POST
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    jobs.cancel(request.user, job_or_404(request, pk))
    return redirect("job", request.project.slug, pk)


@member(*ADMINS)
@require_POST
def job_resume(request: HttpRequest, pk: int) -> HttpResponse:
    jobs.resume(request.user, job_or_404(request, pk))
    return redirect("job", request.project.slug, pk)
