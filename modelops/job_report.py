"""What a job was told and what came of it, as its page and its model's page show them."""

from __future__ import annotations

from django.db.models import F, Max

from modelops import charts, recipes, registry
from modelops.kinds import KINDS
from modelops.models import Job, Metric

CHART_POINTS = 300
UNPLOTTED = ("epoch", "num_tokens", "step_time")
SLICES = ("held-out", "validation", "test", "train", "")
FIRST = ("accuracy", "longer_answer_accuracy", "loss")


def recipe_rows(job: Job) -> list[dict]:
    """Every setting with its value and its sentence."""
    fields = recipes.RECIPES[job.kind].__dataclass_fields__
    return [
        {
            "name": name,
            "value": value,
            "help": fields[name].metadata["help"] if name in fields else "",
        }
        for name, value in job.recipe.items()
    ]


def final_table(job: Job | None) -> list[tuple[str, list[Metric]]]:
    """The result's figures by slice, accuracy first and its yardstick beside it."""
    metrics = registry.final_metrics(job)
    slices = sorted(
        {metric.slice for metric in metrics}, key=lambda name: (place(SLICES, name), name)
    )
    of_slice = {name: [metric for metric in metrics if metric.slice == name] for name in slices}
    return [
        (name, sorted(group, key=lambda m: (place(FIRST, m.name), m.name)))
        for name, group in of_slice.items()
    ]


def place(order: tuple, name: str) -> int:
    return order.index(name) if name in order else len(order)


def metric_charts(job: Job) -> list[charts.Chart]:
    """A chart of each metric that came by step, drawn from at most CHART_POINTS of its points."""
    stepwise = Metric.objects.filter(job=job, step__isnull=False)
    last = stepwise.aggregate(last=Max("step"))["last"] or 0
    every = last // CHART_POINTS + 1
    lines: dict[str, list] = {}
    thinned = stepwise.alias(rest=F("step") % every).filter(rest=last % every).order_by("step")
    for name, step, value in thinned.values_list("name", "step", "value"):
        lines.setdefault(name, []).append((step, value))
    names = sorted(
        set(lines) - set(UNPLOTTED), key=lambda name: (name != "loss", "accurac" not in name, name)
    )
    return [chart for name in names if (chart := charts.chart(name, lines[name]))]


def with_sparks(jobs: list[Job]) -> list[Job]:
    """Hang the curve of its kind on each job that has one: one query."""
    shown = {job.pk: KINDS[job.kind].curve for job in jobs if KINDS[job.kind].curve}
    curves: dict[int, list[float]] = {pk: [] for pk in shown}
    metrics = Metric.objects.filter(job__in=shown, name__in=set(shown.values()), step__isnull=False)
    for pk, name, value in metrics.order_by("step").values_list("job_id", "name", "value"):
        if name == shown[pk]:
            curves[pk].append(value)
    for job in jobs:
        curve = curves.get(job.pk, [])
        job.losses, job.spark = curve, charts.spark(curve[:: len(curve) // 60 + 1])
    return jobs
