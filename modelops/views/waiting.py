"""The page of whoever waits for what a job makes: how far it is, or why it failed."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise

from modelops.api.shared import RETRY_AFTER
from modelops.models import Job

Text = str | Promise


@dataclass(frozen=True)
class Wait:
    """What the page says: of a job that is under way, of none, and of one that failed."""

    title: Text
    what: str  # is made
    under_way: Text
    not_yet: Text
    failed: Text
    why: Text  # a job makes it
    button: Text
    back: tuple[str, Text]  # where the reader comes from: an address, and its name


def wait_for(request: HttpRequest, job: Job | None, wait: Wait) -> HttpResponse:
    """202 while the job is under way, and its progress alone where htmx asks for it; else 409, with
    the reason if it failed, and a button that asks for a job by a POST to this page.
    """
    if job and job.state == Job.State.DONE:  # what it made is gone again
        job = None
    context = {"job": job, "wait": wait}
    if job and job.live:
        template = "modelops/jobs/_wait.html" if request.htmx else "modelops/jobs/wait.html"
        page = render(request, template, context, status=202)
        page["Retry-After"] = RETRY_AFTER["Retry-After"]
        return page
    if request.htmx:
        return refreshed()
    return render(request, "modelops/jobs/wait.html", context, status=409)


def refreshed() -> HttpResponse:
    """The waiting is over: the browser loads the page anew."""
    return HttpResponse(status=204, headers={"HX-Refresh": "true"})
