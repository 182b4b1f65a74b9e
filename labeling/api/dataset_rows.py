"""The rows of a dataset, and how two datasets differ."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.datasets import OfDataset, awaited, visible
from labeling.api.judged_tasks import RowAnswer, RowJudgment
from labeling.api.shared import KeyPaging, Turn, key_field, limit_field, with_query
from labeling.exports import difference, row_pages
from labeling.exports.difference import CHANGED, NOWHERE, STATES, ComparedRow
from labeling.models import Judge, Prompt
from labeling.queue import seen
from modelops.api.jobs import JobBody
from modelops.api.shared import under_way
from modelops.models import Dataset
from people.access import READERS
from people.api import strict
from people.api.base import ActionMixin, ActionResult, Answer, Listing
from people.api.filters import MOST_ID


class FrozenJudgment(RowJudgment):
    """A judgment of a frozen row."""

    labeler = serializers.IntegerField(help_text="The number of its judge in this dataset.")
    judge_kind = serializers.ChoiceField(
        Judge.Kind.choices, required=False, help_text="Where an imported judge is no person."
    )
    weight = serializers.FloatField()


class FrozenRow(serializers.Serializer):
    """A frozen row, as its line says it. Which fields it has depends on the dataset's kind."""

    prompt_id = serializers.CharField(required=False)
    messages = Turn(many=True, required=False)
    split = serializers.ChoiceField(Prompt.Split.choices)
    use_case, language = (serializers.CharField(required=False, allow_blank=True) for _ in range(2))
    answers = RowAnswer(many=True, required=False)
    judgments = FrozenJudgment(many=True, required=False)
    text = serializers.CharField(required=False, allow_blank=True)
    finish_reason = serializers.CharField(required=False)


class PlacedRow(serializers.Serializer):
    """A row, and the byte of the file where it starts."""

    start = serializers.IntegerField()
    row = FrozenRow()


class RowsQuery(serializers.Serializer):
    """Which rows, and from which byte of the file on, or before which."""

    search = serializers.CharField(
        required=False, default="", max_length=200, help_text="Words in any of its texts."
    )
    split = serializers.ChoiceField(Prompt.Split.choices, required=False, default="")
    start, end = key_field(row_pages.LARGEST_FILE), key_field(row_pages.LARGEST_FILE)
    limit = limit_field()


class Rows(Listing, OfDataset):
    """The rows of a dataset, in the order of the file.

    A page looks through a fixed number of rows: it may hold fewer than `limit`, or none, and name
    a `next` page all the same.
    """

    roles, serializer_class, pagination_class = {"GET": READERS}, PlacedRow, KeyPaging
    filter_backends = ()
    refuses = {"GET": (410,)}

    def parameters(self) -> set[str]:
        return set(RowsQuery().fields)

    @extend_schema(parameters=[RowsQuery])
    def get(self, request: Request, *args, **kwargs) -> Response:
        asked = strict.read(RowsQuery(data=request.query_params.dict()))
        backward = "end" in asked
        start = asked["end"] if backward else asked.get("start", 0)
        wanted = row_pages.Filter(asked["split"], asked["search"])
        try:
            page = row_pages.page(self.dataset, asked["limit"], start, wanted, backward)
        except row_pages.NoSuchRow as error:
            field = "end" if backward else "start"
            raise serializers.ValidationError({field: [str(error)]}) from error
        seen.note_rows(self.actor, self.dataset, [row for _start, row in page.rows])
        body = {
            "next": with_query(request, ("start", "end"), start=page.following),
            "previous": with_query(request, ("start", "end"), end=page.preceding),
            "results": [{"start": start, "row": row} for start, row in page.rows],
        }
        return Response(body)


# What differs


class CompareInput(serializers.Serializer):
    """The dataset to compare with."""

    before = serializers.IntegerField(
        min_value=1, max_value=MOST_ID, help_text="The id of the earlier dataset."
    )


class ComparedBody(serializers.Serializer):
    """Whether it is known what differs, or the job that compares the datasets."""

    ready = serializers.BooleanField()
    job = JobBody(allow_null=True)


class ComparedJudgments(serializers.Serializer):
    """A judgment of the earlier row, the later one, or both."""

    state = serializers.ChoiceField(("same", *STATES))
    before, after = (FrozenJudgment(allow_null=True) for _ in range(2))


class DifferentRow(serializers.Serializer):
    """A row that differs. Its rows hold no judgments: these stand beside each other."""

    state = serializers.ChoiceField(STATES)
    before, after = (PlacedRow(allow_null=True) for _ in range(2))
    fields_changed = serializers.ListField(
        child=serializers.CharField(), help_text="But for judgments."
    )
    judgments = ComparedJudgments(many=True)


def counts(help_text: str) -> serializers.DictField:
    return serializers.DictField(child=serializers.IntegerField(), help_text=help_text)


class DifferenceBody(serializers.Serializer):
    """What differs: counts by state, then rows of one state."""

    rows = counts("Rows by state: same, changed, added, gone.")
    judgments = counts("Judgments by state.")
    next = serializers.URLField(allow_null=True)
    results = DifferentRow(many=True)


class DifferenceQuery(CompareInput):
    """What to compare with, and which rows to show."""

    state = serializers.ChoiceField(STATES, required=False, default=CHANGED)
    first = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=MOST_ID, help_text="From 0."
    )
    limit = limit_field()


class Comparing(OfDataset):
    def earlier(self, pk: int) -> Dataset:
        """The earlier dataset. Raises ValidationError, or datasets.Withheld."""
        before = visible(self.project).filter(pk=pk).first()
        try:
            if before is None:
                raise difference.NotComparable(_("This project has no dataset with this id."))
            difference.refuse(before, self.dataset)
        except difference.NotComparable as error:
            raise serializers.ValidationError({"before": [str(error)]}) from error
        return before


class Compare(ActionMixin, Comparing):
    """Find what differs from an earlier dataset, unless it is known: large ones by a job."""

    roles, scopes = {"POST": READERS}, {"POST": "read"}
    archived = True
    input, output, status = CompareInput, ComparedBody, 200
    also, refuses = {"POST": {202: ComparedBody}}, {"POST": (410,)}

    def act(self, data: dict[str, Any]) -> ActionResult:
        before = self.earlier(data["before"])
        if difference.is_ready(before, self.dataset):
            return {"ready": True, "job": None}
        answer = under_way(difference.request(self.actor, before, self.dataset))
        body = {"ready": False, "job": JobBody(answer.body).data}
        return Answer(body, answer.status, location=answer.location)


class DifferenceView(Comparing):
    """What differs from an earlier dataset: counts, then rows, by state.

    A row is known again by its prompt and the texts of its answers, a judgment by its row and its
    judge. Large datasets are compared by a job that `compare` starts: 202 while the job runs, 409
    before it was requested.
    """

    roles, serializer_class = {"GET": READERS}, DifferenceBody
    also, refuses = {"GET": {202: JobBody}}, {"GET": (409, 410)}

    def parameters(self) -> set[str]:
        return set(DifferenceQuery().fields)

    @extend_schema(parameters=[DifferenceQuery])
    def get(self, request: Request, *args, **kwargs) -> Response:
        asked = strict.read(DifferenceQuery(data=request.query_params.dict()))
        before = self.earlier(asked["before"])
        if not difference.is_ready(before, self.dataset):
            return awaited(
                difference.latest_job(before, self.dataset),
                _("These datasets are large: have them compared first, by a POST to compare."),
            )
        comparison = difference.make(before, self.dataset)
        places, first = comparison.places(asked["state"]), asked["first"]
        shown = places[first : first + asked["limit"]]
        rows = difference.read_rows(before, self.dataset, asked["state"], shown)
        for dataset, side in ((before, "before"), (self.dataset, "after")):
            seen.note_rows(
                self.actor, dataset, [row for compared in rows if (row := getattr(compared, side))]
            )
        following = first + len(shown)
        body = {
            "rows": comparison.rows,
            "judgments": comparison.judgments,
            "next": with_query(
                request, ("first",), first=following if following < len(places) else None
            ),
            "results": [_as_body(row) for row in rows],
        }
        return Response(body)


def _as_body(row: ComparedRow) -> dict[str, Any]:
    return {
        "state": row.state,
        "before": _placed(row.start_before, row.before),
        "after": _placed(row.start_after, row.after),
        "fields_changed": row.fields,
        "judgments": [vars(judgment) for judgment in row.judgments],
    }


def _placed(start: int, row: dict[str, Any] | None) -> dict[str, Any] | None:
    if start == NOWHERE or row is None:
        return None
    return {
        "start": start,
        "row": {name: value for name, value in row.items() if name != "judgments"},
    }
