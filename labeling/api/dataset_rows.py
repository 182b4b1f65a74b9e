"""The rows of a dataset."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from labeling.api.datasets import OfDataset
from labeling.api.judged_tasks import RowAnswer, RowJudgment
from labeling.api.shared import KeyPaging, Turn, with_query
from labeling.exports import row_pages
from labeling.models import Judge, Prompt
from labeling.queue import seen
from people.access import READERS
from people.api import strict
from people.api.base import Listing

MOST = 100  # rows in a page
LARGEST_FILE = 2**62


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
    start, end = (
        serializers.IntegerField(
            required=False,
            min_value=0,
            max_value=LARGEST_FILE,
            help_text="Take them from `next` and `previous`: a row starts there.",
        )
        for _ in range(2)
    )
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MOST, default=20)


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
    def get(self, request, *args, **kwargs) -> Response:
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
