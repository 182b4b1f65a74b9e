"""What a judge is called where nobody needs to know who it is."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

from people.models import Project


def of(project: Project, judge: UUID) -> str:
    """The same for all judgments of one judge in this project, and another one in any other
    project.
    """
    key = f"{project.pk}:{judge}"
    return salted_hmac("judge", key, secret=settings.SECRET_KEY, algorithm="sha256").hexdigest()[
        :12
    ]
