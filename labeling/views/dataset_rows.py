"""The rows of a dataset: a page of them, and one in whole."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.exports import dataset_card, row_pages
from labeling.queue import seen
from labeling.views import judged_rows
from labeling.views.datasets import of_project
from modelops import datasets
from modelops.models import Dataset
from people.access import READERS, member

PER_PAGE = 10


class RowsForm(forms.Form):
    """Which rows are shown, and from where on."""

    q = forms.CharField(label=gettext_lazy("Find in the rows"), required=False, max_length=200)
    split = forms.ChoiceField(label=gettext_lazy("Split"), required=False)
    start = forms.IntegerField(required=False, min_value=0, max_value=row_pages.LARGEST_FILE)
    end = forms.IntegerField(required=False, min_value=0, max_value=row_pages.LARGEST_FILE)

    def __init__(self, dataset: Dataset, data: dict[str, Any]):
        super().__init__(data, auto_id="filter-%s")
        splits = [(split, split) for split in dataset_card.splits(dataset)]
        self.fields["split"].choices = [("", gettext_lazy("all")), *splits]

    def asked(self) -> dict[str, str]:
        """The filters that ask for something, for links."""
        return {name: self.data[name] for name in ("q", "split") if self.data.get(name)}

    def page(self, dataset: Dataset) -> row_pages.RowPage:
        """The page that a valid form asks for. Raises NoSuchRow or datasets.Withheld."""
        cleaned = self.cleaned_data
        backward = cleaned["end"] is not None
        start = cleaned["end"] if backward else cleaned["start"] or 0
        wanted = row_pages.Filter(split=cleaned["split"], search=cleaned["q"])
        return row_pages.page(dataset, PER_PAGE, start, wanted, backward)


@member(*READERS)
@require_GET
@never_cache
def dataset_rows(request: HttpRequest, pk: int) -> HttpResponse:
    """Rows of the dataset, ten at a time."""
    dataset = get_object_or_404(of_project(request.project), pk=pk)
    form = RowsForm(dataset, request.GET.dict())
    if not form.is_valid():
        raise Http404
    try:
        page = form.page(dataset)
    except row_pages.NoSuchRow as error:
        raise Http404(str(error)) from error
    except datasets.Withheld as error:
        return withheld(request, dataset, error)
    seen.note_rows(request.user, dataset, [row for _start, row in page.rows])
    context = {
        "dataset": dataset,
        "form": form,
        "page": page,
        "rows": [
            judged_rows.shown(row, whole=False, place=_place(dataset, start, row))
            for start, row in page.rows
        ],
        "asked": form.asked(),
        "query": urlencode(form.asked()),
        "looked_at": row_pages.LOOKED_AT,
    }
    return render(request, "labeling/exports/rows.html", context)


@member(*READERS)
@require_GET
@never_cache
def dataset_row(request: HttpRequest, pk: int, start: int) -> HttpResponse:
    """One row in whole, or, to fold it in a list, in brief."""
    dataset = get_object_or_404(of_project(request.project), pk=pk)
    try:
        row = row_pages.row_at(dataset, start)
    except row_pages.NoSuchRow as error:
        raise Http404(str(error)) from error
    except datasets.Withheld as error:
        return withheld(request, dataset, error)
    seen.note_rows(request.user, dataset, [row])
    whole = "brief" not in request.GET
    shown = judged_rows.shown(row, whole, place=_place(dataset, start, row))
    template = "judgments/_judged.html" if request.htmx else "exports/row.html"
    return render(request, f"labeling/{template}", {"dataset": dataset, "row": shown})


def _place(dataset: Dataset, start: int, row: dict[str, Any]) -> judged_rows.Place:
    address = reverse("dataset-row", args=[dataset.project.slug, dataset.pk, start])
    title = format_html("<code>{}</code>", row["prompt_id"][:12]) if row.get("prompt_id") else ""
    return judged_rows.place(f"row-{start}", title or _("Row"), address)


def withheld(request: HttpRequest, dataset: Dataset, error: datasets.Withheld) -> HttpResponse:
    context = {"dataset": dataset, "reason": str(error)}
    return render(request, "labeling/exports/withheld.html", context, status=410)
