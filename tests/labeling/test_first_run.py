"""What a new installation starts with, once."""

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from labeling.models import Prompt
from modelops.models import Job, ModelVersion
from people.models import AuditEvent, Project, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def var(settings, tmp_path):
    folder = tmp_path / "models" / "small"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    settings.MODEL, settings.DEMO, settings.PRODUCTION = str(folder), True, False
    return tmp_path


def first_run():
    call_command("first_run")


def test_a_stranger_finds_a_model_a_project_prompts_and_a_job():
    first_run()

    assert ModelVersion.objects.get().name == "small"
    assert Project.objects.get().slug == "demo"
    assert Prompt.objects.filter(published=True).count() >= 60
    assert Job.objects.get(kind="sample").model_version.project is None


@pytest.mark.parametrize(
    "page", ["loop", "jobs", "prompts", "models", "datasets", "members", "settings", "rank"]
)
def test_the_demo_admin_can_open_every_page(client_for, page):
    first_run()
    admin = client_for(User.objects.get(email="admin@podium.local"))

    assert admin.get(reverse(page, args=["demo"])).status_code == 200
    for job in Job.objects.all():
        assert admin.get(reverse("job", args=["demo", job.pk])).status_code == 200


def test_a_second_run_adds_nothing():
    first_run()
    tables = (User, Project, ModelVersion, Prompt, Job, AuditEvent)
    before = [table.objects.count() for table in tables]

    first_run()

    assert [table.objects.count() for table in tables] == before


def test_a_demo_project_that_was_deleted_stays_deleted():
    first_run()
    Job.objects.all().delete()
    Project.objects.all().delete()

    first_run()

    assert not Project.objects.exists()


def test_the_passwords_are_in_a_private_file_and_work(var):
    first_run()

    file = var / "demo-accounts.txt"
    accounts = dict(line.split() for line in file.read_text().splitlines())
    assert file.stat().st_mode & 0o077 == 0
    assert all(
        User.objects.get(email=email).check_password(password)
        for email, password in accounts.items()
    )


@pytest.mark.parametrize(("demo", "production"), [(False, False), (True, True)])
def test_no_demo_where_none_is_wanted(settings, demo, production):
    settings.DEMO, settings.PRODUCTION = demo, production

    first_run()

    assert not User.objects.exists()
    assert ModelVersion.objects.exists()


def test_a_model_without_weights_is_named(settings, tmp_path):
    settings.MODEL = str(tmp_path)

    with pytest.raises(CommandError, match="can't be registered"):
        first_run()
