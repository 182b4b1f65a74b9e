"""What labeling does when an account is made, when people pause somebody or archive a project."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet
from django.db.models.signals import post_save
from django.dispatch import receiver

from labeling.judging import criteria
from labeling.models import Assignment, Judge, ProjectRules, QueuePosition, Writing, kind_of_account
from labeling.queue import leases
from labeling.writing import drafts
from people.models import Project, User
from people.signals import archived, paused, willing


@receiver(post_save, sender=User)
def give_the_account_a_judge(
    sender: Any, instance: User, created: bool, update_fields: Collection[str] | None = None, **_
) -> None:
    """Each account has its judge from the start, so that a submitted ranking looks for none."""
    if created or update_fields is None or "simulated" in update_fields:
        about = {"account": instance, "kind": kind_of_account(instance), "stated": True}
        Judge.objects.update_or_create(uuid=instance.uuid, defaults=about)


@receiver(paused)
def return_what_they_hold(sender: Any, user: User, project: Project | None = None, **_) -> None:
    held = Assignment.objects.filter(labeler=user, state=Assignment.State.LEASED)
    give_back_all(held.filter(project=project) if project else held)
    texts = Writing.objects.filter(labeler=user, state=Writing.State.WRITING)
    for writing in texts.filter(project=project) if project else texts:
        drafts.give_back(writing)


@receiver(archived)
def return_leases(sender: Any, project: Project, **_) -> None:
    give_back_all(Assignment.objects.filter(project=project, state=Assignment.State.LEASED))


@receiver(willing)
def look_at_what_was_kept_from_them(sender: Any, user: User, **_) -> None:
    QueuePosition.objects.filter(labeler=user).update(sort_key=QueuePosition.FRONT)


def give_back_all(held: QuerySet[Assignment]) -> None:
    for assignment in held.select_related("labeler", "project"):
        leases.give_back(assignment)


@receiver(post_save, sender=ProjectRules)
def keep_the_preset(
    sender: Any,
    instance: Project,
    update_fields: Collection[str] | None = None,
    raw: bool = False,
    **_,
) -> None:
    """A project's ratings and flags have their criteria from the start."""
    if not raw and (update_fields is None or {"rating", "flags"} & set(update_fields)):
        criteria.keep_preset(instance.project)
