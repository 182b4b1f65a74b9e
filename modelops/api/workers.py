"""The workers of all hosts, for administrators of the site."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from modelops import hosts
from modelops.kinds import QUEUES
from modelops.models import Job, Worker
from people.api.base import Listing, SiteEndpoint


class WorkerBody(serializers.ModelSerializer):
    """A worker process, as it was when it started or when something about it last changed."""

    queues, devices = (serializers.ListField(child=serializers.CharField()) for _ in range(2))
    lives = serializers.BooleanField(
        allow_null=True, help_text="null: the broker, which knows, is not reached."
    )
    jobs = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="At work on its host, from its queues; another worker there may have them.",
    )

    class Meta:
        model = Worker
        fields = ["id", "name", "host", "pid", "queues", "devices", "code", "torch"]
        fields += ["started_at", "changed_at", "seen_at", "lives", "jobs"]
        read_only_fields = fields


class Workers(Listing, SiteEndpoint):
    """The workers of all hosts. A host is listed until nobody has seen it for PODIUM_KEEP_DAYS."""

    staff = True
    serializer_class = WorkerBody
    filterset_fields = ["host"]

    def get_queryset(self) -> QuerySet[Worker]:
        return Worker.objects.all()

    def represent(self, rows: list[Worker]) -> list[Any]:
        workers = hosts.with_liveness(rows)
        running = Job.objects.filter(
            state=Job.State.RUNNING, machine__in={worker.host for worker in workers}
        )
        jobs = list(running.order_by("pk").values_list("pk", "machine", "kind"))
        for worker in workers:
            kinds = {kind for queue in worker.queues for kind in QUEUES.get(queue, ())}
            worker.jobs = [
                pk for pk, machine, kind in jobs if machine == worker.host and kind in kinds
            ]
        return super().represent(workers)
