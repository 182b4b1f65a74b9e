"""Filters that choose what a job's kind shows: `{% load kinds %}`."""

from django import template

from modelops.kinds import KINDS
from modelops.models import Job

register = template.Library()


@register.filter
def about_template(job: Job) -> str:
    """The template that says what the job works on."""
    return KINDS[job.kind].about_template


@register.filter
def result_template(job: Job) -> str:
    """The template that says what came of the job."""
    return KINDS[job.kind].result_template
