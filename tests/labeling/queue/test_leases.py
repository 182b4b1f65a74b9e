"""An open page keeps its lease without touching the draft."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.timezone import now

from labeling.models import Assignment
from labeling.queue import claims, leases
from people.models import Membership
from tests.factories import make_person, make_project, make_task

pytestmark = pytest.mark.django_db


def test_a_renewal_leaves_the_draft_of_another_window_alone(client_for):
    project = make_project()
    alice = make_person(project)
    make_task(project, texts=["a", "b"])
    held = claims.claim(Membership.objects.get(user=alice))
    leases.save_draft(held, {"note": "newer"})
    Assignment.objects.filter(pk=held.pk).update(leased_until=now() + timedelta(seconds=5))

    answer = client_for(alice).post(
        reverse("rank-draft", args=[project.slug, held.pk]), {"renew": "1"}
    )

    held.refresh_from_db()
    assert answer.status_code == 200
    assert held.draft == {"note": "newer"}
    assert held.leased_until > now() + timedelta(minutes=5)
