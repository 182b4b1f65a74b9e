"""How two datasets differ: counts first, then the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.exports import difference
from labeling.exports.difference import ADDED, CHANGED, GONE, STATES, ComparedJudgment, ComparedRow
from labeling.queue import seen
from labeling.views import judged_rows
from labeling.views.dataset_rows import withheld
from labeling.views.datasets import back_to, of_project
from labeling.views.keys import key_in
from modelops import datasets
from modelops.models import Dataset
from modelops.views.waiting import Wait, refreshed, wait_for
from people.access import READERS, member

PER_PAGE = 10


@member(*READERS, archived=True)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def dataset_difference(request: HttpRequest, pk: int) -> HttpResponse:
    """What differs in the dataset from another one. A job compares large ones, after a POST."""
    after = get_object_or_404(of_project(request.project), pk=pk)
    before = get_object_or_404(of_project(request.project), pk=key_in(request, "before"))
    try:
        difference.refuse(before, after)
        if difference.is_ready(before, after):
            return _shown(request, before, after, difference.make(before, after))
    except difference.NotComparable as error:
        raise Http404(str(error)) from error
    except datasets.Withheld as error:
        return withheld(request, before if before.withdrawn_at else after, error)
    if request.method == "POST":  # a second one finds the job of the first
        difference.request(request.user, before, after)
        return redirect(request.get_full_path())
    return wait_for(request, difference.latest_job(before, after), _wait(before, after))


def _wait(before: Dataset, after: Dataset) -> Wait:
    return Wait(
        title=_("What differs"),
        what=f"{before.short} → {after.short}",
        under_way=_("The datasets are being compared"),
        not_yet=_("The datasets have to be compared first"),
        failed=_("The datasets could not be compared"),
        why=_("They are large: a worker compares them once, then everybody can see what differs."),
        button=_("Compare"),
        back=back_to(after),
    )


def _shown(
    request: HttpRequest, before: Dataset, after: Dataset, comparison: difference.Difference
) -> HttpResponse:
    if request.method == "POST":
        return redirect(request.get_full_path())
    if request.htmx:  # it waited for the job
        return refreshed()
    first = next((state for state in STATES if comparison.rows[state]), CHANGED)
    state = request.GET.get("show", first)
    if state not in STATES:
        raise Http404
    page = Paginator(comparison.places(state), PER_PAGE).get_page(request.GET.get("page"))
    rows = difference.read_rows(before, after, state, page.object_list)
    for dataset, side in ((before, "before"), (after, "after")):
        seen.note_rows(
            request.user, dataset, [row for compared in rows if (row := getattr(compared, side))]
        )
    context = {
        "before": before,
        "after": after,
        "table": [
            (_("Rows"), [comparison.rows[name] for name in ("same", *STATES)]),
            (_("Judgments"), [comparison.judgments[name] for name in ("same", *STATES)]),
        ],
        "tabs": [(name, TITLES[name], comparison.rows[name]) for name in STATES],
        "show": state,
        "page": page,
        "rows": [shown(row) for row in rows],
        "query": urlencode({"before": before.pk, "show": state}) + "&",
        "same": not any(comparison.rows[name] for name in STATES),
    }
    return render(request, "labeling/exports/difference.html", context)


TITLES = {
    CHANGED: gettext_lazy("Changed"),
    ADDED: gettext_lazy("Added"),
    GONE: gettext_lazy("Gone"),
}


def shown(compared: ComparedRow) -> judged_rows.ShownRow:
    """A row that differs: as it is now, its judgments marked, what differs first."""
    judgments = sorted(compared.judgments, key=lambda judgment: judgment.state == "same")
    row: dict[str, Any] = {} | (compared.after or compared.before or {})
    if "judgments" in row:
        row["judgments"] = [judgment.after or judgment.before for judgment in judgments]
    plain = judged_rows.shown(
        row,
        whole=False,
        by=[_by(judgment) for judgment in judgments],
        starts=(compared.start_before, compared.start_after),
        fields=[_field(compared, name) for name in compared.fields],
        state=compared.state,
    )
    marked = [_marked(*pair) for pair in zip(judgments, plain.judgments, strict=True)]
    return replace(plain, judgments=marked)


def _by(compared: ComparedJudgment) -> judged_rows.By:
    if compared.after is not None:
        return judged_rows.by_number(compared.after)
    by = judged_rows.by_number(compared.before)
    return replace(by, who=_("%(who)s of the earlier dataset") % {"who": by.who})


def _field(compared: ComparedRow, name: str) -> tuple[str, str, str]:
    """(name, before, after) of a field that changed; empty texts where it is no text."""
    values = [(side or {}).get(name) for side in (compared.before, compared.after)]
    if all(isinstance(value, str) for value in values):
        return name, values[0] or "–", values[1] or "–"
    return name, "", ""


def _marked(
    compared: ComparedJudgment, plain: judged_rows.ShownJudgment
) -> judged_rows.ShownJudgment:
    if compared.state == "same":
        return plain
    if compared.before is None or compared.after is None:
        return replace(plain, mark=compared.state, remarks=[_mark(compared.state), *plain.remarks])
    was = judged_rows.order(compared.before)
    names = [
        name
        for name in sorted(compared.before.keys() | compared.after.keys())
        if name != "labeler" and compared.before.get(name) != compared.after.get(name)
    ]
    changed = _("changed: %(names)s") % {"names": ", ".join(names)}
    return replace(
        plain,
        mark=CHANGED,
        was=was if was != plain.order else "",
        remarks=[changed, *plain.remarks],
    )


def _mark(state: str) -> str:
    return _("added") if state == ADDED else _("gone")
