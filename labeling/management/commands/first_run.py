"""`manage.py first_run`: what a new installation starts with. Called at every start; what is there
is left alone.
"""

import os
import secrets
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.timezone import now

from labeling import imports, project_settings
from modelops import jobs, recipes, registry, store
from modelops.models import Job, ModelVersion
from people import audit
from people.models import Membership, Project, User

DEFAULT_FOLDER, DEFAULT_NAME = "smollm2-135m-instruct", "SmolLM2-135M-Instruct"
PROMPTS = Path(__file__).resolve().parents[2] / "fixtures" / "demo_prompts.jsonl"
FIRST_SAMPLES = {"max_tokens": 96, "batch": 16}  # small batches: the first task is there sooner
ROLES = {
    "admin@podium.local": Membership.Role.ADMIN,
    "labeler@podium.local": Membership.Role.LABELER,
    "labeler2@podium.local": Membership.Role.LABELER,
    "researcher@podium.local": Membership.Role.RESEARCHER,
}
GUIDELINES = """\
Rank the answers from the most to the least helpful to the person who wrote the prompt.

1. **Does it do what was asked?** An answer to another question, or one that ignores a constraint, \
comes low.
2. **Is it true?** An invented fact is worse than a missing one.
3. **Is it harmless?** Would you be comfortable if a company's assistant had said it?
4. **Is it clear?** Only then weigh tone, order and length. Longer is not better.

Answers that are equally good, or equally bad, share a rank. Skip a prompt that you can't judge, \
and say why.
"""


class Command(BaseCommand):
    help = (
        "Register the default model and, outside production, create the demo project. Does nothing "
        "twice."
    )

    def handle(self, **options) -> None:
        base = (
            ModelVersion.objects.filter(project=None, kind=ModelVersion.Kind.POLICY)
            .order_by("pk")
            .first()
        )
        if base is None:
            base = self.register_base()
        if settings.DEMO and not settings.PRODUCTION:
            self.make_demo(base)
        elif not User.objects.exists():
            self.stdout.write(
                "There is no account yet: .venv/bin/python manage.py createsuperuser makes the "
                "first."
            )

    def register_base(self) -> ModelVersion:
        folder, name = settings.VAR / "models" / DEFAULT_FOLDER, DEFAULT_NAME
        if settings.MODEL != "smollm2":
            folder = Path(settings.MODEL).resolve()
            name = folder.name
        try:
            return registry.register(None, ModelVersion.Kind.POLICY, name, folder)
        except (registry.NotRegistered, store.StoreFault, FileNotFoundError) as error:
            raise CommandError(f"The default model can't be registered: {error}") from error

    @transaction.atomic
    def make_demo(self, base: ModelVersion) -> None:
        """The demo project with its people, its prompts and a first sampling job, all of it or
        nothing.
        """
        if (
            Project.objects.filter(slug="demo").exists()
            or User.objects.filter(email__in=ROLES).exists()
        ):
            return
        project = project_settings.make(
            slug="demo", name="Demo: a helpful assistant", k=4, overlap=1, guidelines=GUIDELINES
        )
        passwords = {email: secrets.token_urlsafe(9) for email in ROLES}
        people = {email: self.add_person(project, email, passwords[email]) for email in ROLES}
        admin = people["admin@podium.local"]
        audit.record(None, "create demo", project, project)
        self.add_prompts(project, admin)
        recipe = FIRST_SAMPLES | {"k": project.rules.k}
        jobs.request(admin, project, "sample", recipe, model_version=base)
        write_accounts(passwords)

    def add_prompts(self, project: Project, admin: User) -> None:
        """Here and now, not by a worker: a sampling job answers the prompts that were there when it
        was asked for.
        """
        recipe = vars(
            recipes.read(Job.Kind.IMPORT, {"format": "prompts", "filename": PROMPTS.name})
        )
        job = Job.objects.create(
            project=project,
            kind=Job.Kind.IMPORT,
            state=Job.State.DONE,
            recipe=recipe,
            requested_by=admin,
            finished_at=now(),
        )
        result = imports.run(job, PROMPTS)
        Job.objects.filter(pk=job.pk).update(
            result=vars(result), done=result.prompts, total=result.prompts
        )

    def add_person(self, project: Project, email: str, password: str) -> User:
        role = ROLES[email]
        person = User.objects.create_user(
            email, password, name=email.split("@")[0], is_staff=role == "admin"
        )
        Membership.objects.create(project=project, user=person, role=role)
        return person


def write_accounts(passwords: dict[str, str]) -> None:
    """A file for this account alone, from which every start prints them."""
    file = settings.VAR / "demo-accounts.txt"
    scratch = file.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    scratch.write_text(
        "".join(f"  {email:<24}{password}\n" for email, password in passwords.items())
    )
    os.replace(scratch, file)
