"""Pseudonyms of judges, for exports and statistics that must not name people."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

from people.models import Project


def of(project: Project, judge: UUID) -> str:
    """12 hexadecimal digits: the same for all judgments of one judge in a project, and different in
    every other project.
    """
    key = f"{project.pk}:{judge}"
    digest = salted_hmac("judge", key, secret=settings.SECRET_KEY, algorithm="sha256")
    return digest.hexdigest()[:12]
