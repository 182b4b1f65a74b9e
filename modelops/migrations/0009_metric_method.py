"""How a figure was computed, and one final figure of a name and slice in each job.

Where an earlier version stored a final figure twice, the newest is kept: the others are of an
attempt that a later one replaced.
"""

import logging

from django.db import migrations, models
from django.db.models import Exists, OuterRef, Q

log = logging.getLogger(__name__)


def keep_newest(apps, schema_editor):
    final = apps.get_model("modelops", "Metric").objects.using(schema_editor.connection.alias)
    final = final.filter(step=None)
    newer = final.filter(
        job=OuterRef("job"), name=OuterRef("name"), slice=OuterRef("slice"), pk__gt=OuterRef("pk")
    )
    removed, _by_model = final.filter(Exists(newer)).delete()
    if removed:
        log.warning("Removed %d final figures that a newer one of their job replaces.", removed)


class Migration(migrations.Migration):

    dependencies = [
        ("modelops", "0008_alias_plural"),
    ]

    operations = [
        migrations.AddField(
            model_name="metric",
            name="method",
            field=models.CharField(
                blank=True, help_text="How its interval was computed.", max_length=120
            ),
        ),
        migrations.RunPython(keep_newest, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="metric",
            constraint=models.UniqueConstraint(
                condition=Q(step=None),
                fields=("job", "name", "slice"),
                name="a_final_figure_is_reported_once",
            ),
        ),
    ]
