"""What labeling does when people pause somebody or archive a project: leases go back."""

from django.dispatch import receiver

from labeling import assignment, writing
from labeling.models import Assignment, Writing
from people.signals import archived, paused


@receiver(paused)
def return_what_they_hold(sender, user, project=None, **_) -> None:
    held = Assignment.objects.filter(labeler=user, state=Assignment.State.LEASED)
    give_back_all(held.filter(project=project) if project else held)
    texts = Writing.objects.filter(labeler=user, state=Writing.State.WRITING)
    for one in texts.filter(project=project) if project else texts:
        writing.give_back(one)


@receiver(archived)
def return_leases(sender, project, **_) -> None:
    give_back_all(Assignment.objects.filter(project=project, state=Assignment.State.LEASED))


def give_back_all(held) -> None:
    for one in held.select_related("labeler", "project"):
        assignment.give_back(one)
