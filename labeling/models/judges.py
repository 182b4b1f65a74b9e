"""Who judges: people, models and scripts, with an account here or named in an imported file."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from modelops.models import ModelVersion
from people.models import User


class Judge(models.Model):
    """Somebody or something whose judgments are here. `Ranking.judge` holds its UUID.

    Each account has a judge with the account's UUID. A judge of an imported file has the UUID of
    its name in that file, and is the same in all projects.
    """

    class Kind(models.TextChoices):
        PERSON = "person", _("person: counts in agreement and quality")
        MODEL = "model", _("model: for example GPT-4 in UltraFeedback")
        SCRIPT = "script", _("script: a program that follows a rule")
        UNKNOWN = "unknown", _("unknown: not known to be a person")

    uuid = models.UUIDField(primary_key=True)
    name = models.CharField(
        max_length=200, blank=True, help_text=_("Empty with an account, which has its own.")
    )
    kind = models.CharField(max_length=7, choices=Kind, default=Kind.UNKNOWN)
    stated = models.BooleanField(
        default=False,
        help_text=_("An import or an admin said of what kind it is. Unknown may be said, too."),
    )
    account = models.OneToOneField(User, models.CASCADE, null=True, related_name="judge")
    model_version = models.ForeignKey(ModelVersion, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(stated=True) | Q(kind="unknown"),
                name="a_judge_is_unknown_until_its_kind_is_stated",
            ),
            models.CheckConstraint(
                condition=Q(account=None) | Q(kind__in=["person", "script"]),
                name="an_account_judges_as_a_person_or_a_script",
            ),
            models.CheckConstraint(
                condition=Q(account=None) | Q(name=""),
                name="a_judge_with_an_account_has_the_name_of_the_account",
            ),
            models.CheckConstraint(
                condition=Q(model_version=None) | Q(kind="model"),
                name="only_a_model_judges_as_a_model_version",
            ),
        ]

    def __str__(self) -> str:
        return self.name if self.account_id is None else str(self.account)


IMPORTED_JUDGES = uuid.UUID("5f0ad1c4-7f0e-5f2b-9d3b-6a4f5a0b8c11")


def imported_judge(name: str) -> uuid.UUID:
    """The judge's UUID: the same name gives the same judge in every installation."""
    return uuid.uuid5(IMPORTED_JUDGES, name)


def kind_of_account(user: User) -> str:
    return Judge.Kind.SCRIPT if user.simulated else Judge.Kind.PERSON
