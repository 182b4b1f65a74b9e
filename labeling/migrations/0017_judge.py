import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

KINDS = [
    ("labeler", "by a labeler here"),
    ("imported", "by a judge elsewhere"),
    ("simulated", "by a script"),
    ("gold", "the answer key of a gold task, by an admin"),
    ("adjudicated", "settled by a lead, where people disagreed"),
]


class Migration(migrations.Migration):
    """Labelers of imported files become judges of unknown kind: nobody has said what they are."""

    dependencies = [
        ("labeling", "0016_truncated"),
        ("modelops", "0008_alias_plural"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameModel("ExternalLabeler", "Judge"),
        migrations.RenameField("judge", "judge", "uuid"),
        migrations.AlterField(
            "judge",
            "name",
            models.CharField(
                blank=True,
                help_text="Empty with an account, which has its own.",
                max_length=200,
            ),
        ),
        migrations.AddField(
            "judge",
            "kind",
            models.CharField(
                choices=[
                    ("person", "person: counts in agreement and quality"),
                    ("model", "model: for example GPT-4 in UltraFeedback"),
                    ("script", "script: a program that follows a rule"),
                    ("unknown", "unknown: not known to be a person"),
                ],
                default="unknown",
                max_length=7,
            ),
        ),
        migrations.AddField(
            "judge",
            "stated",
            models.BooleanField(
                default=False,
                help_text=(
                    "An import or an admin said of what kind it is. Unknown may be said, too."
                ),
            ),
        ),
        migrations.AddField(
            "judge",
            "account",
            models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="judge",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            "judge",
            "model_version",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="modelops.modelversion",
            ),
        ),
        migrations.AddConstraint(
            "judge",
            models.CheckConstraint(
                condition=Q(stated=True) | Q(kind="unknown"),
                name="a_judge_is_unknown_until_its_kind_is_stated",
            ),
        ),
        migrations.AddConstraint(
            "judge",
            models.CheckConstraint(
                condition=Q(account=None) | Q(kind__in=["person", "script"]),
                name="an_account_judges_as_a_person_or_a_script",
            ),
        ),
        migrations.AddConstraint(
            "judge",
            models.CheckConstraint(
                condition=Q(account=None) | Q(name=""),
                name="a_judge_with_an_account_has_the_name_of_the_account",
            ),
        ),
        migrations.AddConstraint(
            "judge",
            models.CheckConstraint(
                condition=Q(model_version=None) | Q(kind="model"),
                name="only_a_model_judges_as_a_model_version",
            ),
        ),
        migrations.AlterField(
            "formdraft",
            "kind",
            models.CharField(choices=KINDS, help_text="What the form makes.", max_length=12),
        ),
        migrations.AlterField(
            "ranking",
            "kind",
            models.CharField(choices=KINDS, default="labeler", max_length=12),
        ),
    ]
