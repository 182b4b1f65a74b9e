"""Groups of people, for whom tasks can be reserved."""

from django.db import models
from django.utils import timezone

from people.models import Project, User


class Group(models.Model):
    """People of one project who are given tasks that nobody else is given."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="groups")
    name = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="a_project_has_one_group_of_a_name"
            )
        ]

    def __str__(self) -> str:
        return self.name


class GroupMember(models.Model):
    """One person in one group.

    It names the account, not the membership: who is removed from the project and added again is in
    their groups as before.
    """

    group = models.ForeignKey(Group, models.CASCADE, related_name="members")
    user = models.ForeignKey(User, models.CASCADE, related_name="in_groups")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "user"], name="a_person_is_in_a_group_once")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.group}"
