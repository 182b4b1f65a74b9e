"""A project's home: for an admin the loop, for others their work."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from labeling.loop import status
from labeling.loop.lineage import shown, with_figures
from modelops.job_report import with_sparks
from modelops.models import Job
from modelops.views.jobs import of_project
from people.access import ADMINS, Role, member

HOMES = {Role.ADMIN: "loop", Role.RESEARCHER: "datasets"}
JOBS_SHOWN = MODELS_SHOWN = 8


@member()
@require_GET
def project(request: HttpRequest) -> HttpResponse:
    return redirect(HOMES.get(request.membership.role, "rank"), request.project.slug)


@member(*ADMINS)
@require_GET
def loop_page(request: HttpRequest) -> HttpResponse:
    """The loop as stations, what runs, and the versions that came of it."""
    jobs = of_project(request.project).order_by("-pk")
    live = list(jobs.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])[:JOBS_SHOWN])
    ended = list(
        jobs.exclude(pk__in=[job.pk for job in live])[
            : max(3, JOBS_SHOWN - len(live)) - len(live) // 2
        ]
    )
    context = {
        "loop": status.of_project(request.project),
        "jobs": with_sparks(live + ended[:4]),
        "live": live,
        "versions": with_figures(list(shown(request.project).exclude(folder="")[:MODELS_SHOWN])),
    }
    return render(request, "labeling/loop/loop.html", context)
