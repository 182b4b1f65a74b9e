"""The judges of imported files, for admins: their names and of what kind they are."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from labeling.models import Judge
from labeling.quality import judges
from people import pseudonyms
from people.access import ADMINS
from people.api.base import EditEndpoint, Endpoint, ListEndpoint


class JudgeBody(serializers.ModelSerializer):
    """Somebody or something that judged in an imported file. Only people count in agreement."""

    id = serializers.UUIDField(source="uuid", read_only=True)
    judge = serializers.SerializerMethodField(help_text="The pseudonym that rankings show.")
    name = serializers.CharField(max_length=200)
    rankings = serializers.SerializerMethodField(help_text="Current ones, in this project.")

    class Meta:
        model = Judge
        fields = ["id", "judge", "name", "kind", "stated", "rankings"]
        read_only_fields = ["stated"]

    def get_judge(self, judge: Judge) -> str:
        return pseudonyms.of(self.context["view"].project, judge.pk)

    def get_rankings(self, judge: Judge) -> int:
        return judge.counted


class OfProject(Endpoint):
    roles, serializer_class = {"GET": ADMINS}, JudgeBody

    def get_queryset(self) -> QuerySet:
        return judges.imported(self.project)

    def counted(self, rows: list[Judge]) -> list[Judge]:
        """The judges, each with the number of its rankings."""
        counts = judges.rankings_of(self.project, rows)
        for judge in rows:
            judge.counted = counts.get(judge.pk, 0)
        return rows


class Judges(OfProject, ListEndpoint):
    """The judges of imported files whose rankings are in this project."""

    filterset_fields = ["kind", "stated"]

    def represent(self, rows: list[Judge]) -> list[Any]:
        return super().represent(self.counted(rows))


class JudgeView(OfProject, EditEndpoint):
    """A judge of an imported file.

    The same name is the same judge in all projects: if another project holds rankings of it, only
    an administrator of the site can change it (409).
    """

    refuses = {"PATCH": (409,)}

    def represent(self, judge: Judge) -> Any:
        return super().represent(*self.counted([judge]))

    def edit(self, judge: Judge, changes: dict[str, Any]) -> None:
        judges.change(self.actor, judge, self.project, **changes)
