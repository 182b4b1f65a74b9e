from django.conf import settings
from django.db import migrations

BATCH = 500


def forwards(apps, schema_editor):
    """Each account gets its judge, with the account's UUID."""
    accounts = apps.get_model("people", "User").objects.order_by("pk")
    Judge = apps.get_model("labeling", "Judge")
    last = 0
    while batch := list(
        accounts.filter(pk__gt=last).values_list("pk", "uuid", "simulated")[:BATCH]
    ):
        Judge.objects.bulk_create(
            Judge(
                uuid=uuid, account_id=pk, kind="script" if simulated else "person", stated=True
            )
            for pk, uuid, simulated in batch
        )
        last = batch[-1][0]


def backwards(apps, schema_editor):
    """Only labelers of imported files had a row before."""
    apps.get_model("labeling", "Judge").objects.exclude(account=None).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0017_judge"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
