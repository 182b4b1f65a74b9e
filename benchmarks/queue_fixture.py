"""A project with many open tasks and some labelers, in the database that the settings name; run in
a process of its own.

python -m benchmarks.queue_fixture fill 100000 32
python -m benchmarks.queue_fixture reserve
python -m benchmarks.queue_fixture violations
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SLUG, PASSWORD = "bench", "only-for-the-benchmark"
K, OVERLAP = 4, 3
PEOPLE = 32  # unless another number is asked for
PARAGRAPHS = 97  # different ones; prime, so that the answers of a task differ
WORDS = [
    "answer",
    "because",
    "data",
    "error",
    "label",
    "loop",
    "memory",
    "model",
    "prompt",
    "query",
    "reward",
    "token",
]


def email(person: int) -> str:
    return f"person{person}@example.org"


def paragraph(number: int, words: int = 120) -> str:
    """The same text whenever it is asked for."""
    return " ".join(random.Random(number).choices(WORDS, k=words))


def fill(size: int, labelers: int) -> None:
    """A database of `size` open tasks and so many labelers: on SQLite made once and then copied, on
    PostgreSQL made anew.
    """
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    call_command("collectstatic", interactive=False, verbosity=0)
    if connection.vendor == "postgresql":
        call_command("migrate", verbosity=0)
        call_command("flush", interactive=False, verbosity=0)
        return make(size, labelers)
    name = Path(settings.DATABASES["default"]["NAME"])
    cached = name.with_name(f"fixture-{labelers}-{schema()}.sqlite3")
    for stale in (name, *name.parent.glob(f"{name.name}-*")):
        stale.unlink(missing_ok=True)
    if not cached.exists():
        for older in name.parent.glob("fixture-*"):
            older.unlink()
        call_command("migrate", verbosity=0)
        make(size, labelers)
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        name.rename(cached)
    shutil.copy(cached, name)
    with open(name, "rb+") as copied:
        os.fsync(
            copied.fileno()
        )  # or the first checkpoint would wait for gigabytes to reach the disk


def schema() -> str:
    """Changes with any migration and with this file, so that an old fixture is not taken for
    today's.
    """
    files = [*sorted(ROOT.glob("*/migrations/*.py")), Path(__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def make(size: int, labelers: int = PEOPLE) -> None:
    """Prompts, answers and tasks by INSERT … SELECT: a million in some minutes."""
    from django.db import connection, transaction

    from labeling.models import RankingTask
    from labeling.queue.order import publish
    from modelops.models import Job, ModelVersion

    project = people(labelers)
    version = ModelVersion.objects.create(project=project, kind="policy", name="writer")
    job = Job.objects.create(project=project, kind="sample", state="done", model_version=version)
    with transaction.atomic(), connection.cursor() as cursor:
        for statement, values in statements(size, project.pk, version.pk, job.pk):
            cursor.execute(statement, values)
        publish(RankingTask.objects.filter(project=project))
    connection.cursor().execute("ANALYZE")


def people(count: int):
    """The project and its labelers, who all have one password: hashing it takes longest."""
    from django.contrib.auth.hashers import make_password

    from labeling import project_settings
    from people.models import Membership, User

    project = project_settings.make(slug=SLUG, name="Bench", k=K, overlap=OVERLAP)
    hashed = make_password(PASSWORD)
    users = User.objects.bulk_create(
        User(email=email(person), password=hashed) for person in range(count)
    )
    Membership.objects.bulk_create(Membership(project=project, user=user) for user in users)
    return project


def statements(size: int, project: int, version: int, job: int):
    """(SQL, values) that fill the tables."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s) "
    yield "CREATE TEMPORARY TABLE paragraph (number integer PRIMARY KEY, text text)", []
    for number in range(PARAGRAPHS):
        yield "INSERT INTO paragraph VALUES (%s, %s)", [number, paragraph(number)]
    asked = '[{"role": "user", "content": "' + paragraph(-1, words=40) + '"}]'
    yield (
        "INSERT INTO labeling_prompt (id, project_id, messages, source, author, use_case, "
        "language, split, digest, "
        "published, sensitive, job_id, created_at) "
        + numbers
        + "SELECT i, %s, %s, '', '', '', '', 'train', "
        "CAST(i AS varchar), true, false, %s, CURRENT_TIMESTAMP FROM n",
        [size, project, asked, job],
    )
    for slot in range(K):
        yield (
            "INSERT INTO labeling_candidate (id, prompt_id, model_version_id, job_id, slot, text, "
            "finish_reason, "
            "duplicate, truncated, created_at) "
            + numbers
            + "SELECT i * %s + %s, i, %s, %s, %s, text, 'stop', false, false, CURRENT_TIMESTAMP "
            "FROM n JOIN paragraph ON number = (i + %s) %% %s",
            [size, K, slot, version, job, slot, slot, PARAGRAPHS],
        )
    yield (
        "INSERT INTO labeling_rankingtask (id, project_id, prompt_id, job_id, purpose, state, "
        "priority, overlap, "
        "free_places, created_at) "
        + numbers
        + "SELECT i, %s, i, %s, 'training', 'open', 0, %s, 0, CURRENT_TIMESTAMP FROM n",
        [size, project, job, OVERLAP],
    )
    yield (
        "INSERT INTO labeling_rankingtask_candidates (rankingtask_id, candidate_id) "
        "SELECT prompt_id, id FROM labeling_candidate",
        [],
    )
    yield "DROP TABLE paragraph", []


def reserve_half() -> None:
    """Reserve every second task for people who are not among the labelers: half of these tasks for
    one person, half for a group.
    """
    from django.db import connection
    from django.db.models import F
    from django.db.models.functions import Mod

    from labeling.models import Group, GroupMember, RankingTask
    from people.models import Membership, Project, User

    project = Project.objects.get(slug=SLUG)
    person, member = (User.objects.create(email=f"other{n}@example.org") for n in range(2))
    Membership.objects.bulk_create(
        Membership(project=project, user=user) for user in (person, member)
    )
    group = Group.objects.create(project=project, name="Others")
    GroupMember.objects.create(group=group, user=member)
    tasks = RankingTask.objects.filter(project=project).annotate(quarter=Mod(F("pk"), 4))
    tasks.filter(quarter=0).update(reserved_for_user=person)
    tasks.filter(quarter=2).update(reserved_for_group=group)
    connection.cursor().execute("ANALYZE")


def violations() -> int:
    """Tasks with more labelers than their overlap, or whose free places don't add up."""
    from django.db.models import Count, F, Q

    from labeling.models import Assignment, RankingTask

    touched = RankingTask.objects.filter(pk__in=Assignment.objects.values("task"))
    held = Count("assignments", filter=Q(assignments__state__in=Assignment.HOLDING))
    return touched.annotate(held=held).exclude(held=F("overlap") - F("free_places")).count()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "reserve":
        reserve_half()
    else:
        print(violations())
