from datetime import timedelta

import django.db.models.deletion
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import migrations, models
from django.utils import timezone

BATCH = 500


def list_sessions(apps, schema_editor):
    """List the sessions that there are. Each was seen, at the latest, when it was saved last."""
    Session, User = apps.get_model("sessions", "Session"), apps.get_model("people", "User")
    LoginSession = apps.get_model("people", "LoginSession")
    decoder, age = SessionStore(), timedelta(seconds=settings.SESSION_COOKIE_AGE)
    users = set(User.objects.values_list("pk", flat=True))
    listed = []
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        user = str(decoder.decode(session.session_data).get("_auth_user_id", ""))
        if user.isdigit() and int(user) in users:
            seen_at = session.expire_date - age
            listed.append(
                LoginSession(session_id=session.pk, user_id=int(user), seen_at=seen_at)
            )
    LoginSession.objects.bulk_create(listed, BATCH)


class Migration(migrations.Migration):

    dependencies = [
        ("sessions", "0001_initial"),
        ("people", "0011_lead_adjudicates"),
    ]

    operations = [
        migrations.CreateModel(
            name="LoginSession",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.GenericIPAddressField(help_text="The last one; none where the server named none.", null=True)),
                ("agent", models.CharField(blank=True, help_text="As it calls itself.", max_length=300)),
                ("seen_at", models.DateTimeField(help_text="Within ten minutes of the last request.")),
                ("session", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="login", to="sessions.session")),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="logins", to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.RunPython(list_sessions, migrations.RunPython.noop),
    ]
