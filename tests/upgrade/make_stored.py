"""Make the stored data of tests/upgrade: a data folder as Podium left it before its modules moved.

    PYTHONPATH=. .venv/bin/python tests/upgrade/make_stored.py /srv/podium tests/upgrade/stored

It was run once, with the product code of commit 1025479, on a host named podium-1. It refuses to
run with any other product code: data of a later version would prove nothing. Its imports stay as
they are.

Everything is made by the product's own functions, pages, commands and workers, on tiny models with
invented weights. The clock is set back, so that everything is old whenever the tests read it:
leases and heartbeats have ended, nothing happened "today".

`podium.tar.xz` holds the data folder (`var/`), what `make backup` wrote (`backup.tar`), and the
texts of tokens and links, which no database holds (`known.json`). record.py then recorded what
that version showed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

from django.utils import timezone

VERSION = "1025479"
PRODUCT = [
    "config",
    "people",
    "modelops",
    "labeling",
    "workers",
    "templates",
    "static",
    "requirements.txt",
]
ROOT = Path(__file__).resolve().parents[2]
OPENED = datetime(2026, 1, 5, 9, tzinfo=UTC)
DECADES = 36_500  # days: links and tokens that the tests use must not expire
PASSWORD = "correct horse battery"
SLUG = "harbour"
ANSWERS, LABELERS = 3, 3

QUESTIONS = [
    ("Why do ships float although iron sinks?", "train"),
    ("Write two lines about a lighthouse for my mother.", "train"),
    ("How does a tide table work?", "train"),
    ("What do seagulls eat in winter?", "train"),
    ("Explain a sextant to a child of ten.", "train"),
    ("Which knots does a beginner need?", "train"),
    ("Suggest a name for a small green boat.", "train"),
    ("How long does it take to cross the Baltic under sail?", "train"),
    ("Is it safe to drink rain water at sea?", "train"),
    ("Translate 'the harbour is closed' into French.", "train"),
    ("What is the difference between a bay and a gulf?", "validation"),
    ("How many people work on a container ship?", "validation"),
    ("Tell me a joke about anchors.", "test"),
    ("What does a pilot do in a port?", "test"),
]
RANKED_ELSEWHERE = [
    {
        "prompt": "How is salt won from the sea?",
        "split": "train",
        "labeler": "Old Annotator",
        "answers": [
            {"text": "By letting water dry in shallow ponds.", "model": "elsewhere-7b", "rank": 1},
            {"text": "Salt is white.", "model": "elsewhere-1b", "rank": 2},
            {"text": "It is white.", "model": "elsewhere-1b", "rank": 2},
        ],
    },
    {
        "prompt": "Why is the North Sea shallow?",
        "split": "train",
        "labeler": "Old Annotator",
        "answers": [
            {"text": "It lies on the continental shelf.", "model": "elsewhere-7b", "rank": 1},
            {"text": "Nobody knows.", "model": "elsewhere-1b", "rank": 2},
        ],
        "demonstration": (
            "The North Sea covers a part of the continental shelf that was land in the last "
            "ice age."
        ),
    },
]
BAD_LINES = ['{"prompt": ""}', '{"question": "not a known column"}']
GUIDELINES = "# Harbour guidelines\n\nPrefer answers that a **harbour master** would sign."


def main(var: Path, out: Path) -> None:
    refuse_another_version()
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PODIUM_VAR": str(var),
        "PODIUM_DEMO": "0",
        "PODIUM_DTYPE": "float32",
        "PODIUM_DEVICES": "cpu",
        "PODIUM_INVITATION_DAYS": str(DECADES),
        "EMAIL_URL": "memorymail://",
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
    }
    set_the_clock_back()
    make_folders(var)
    import django
    from django.core.management import call_command
    from django.db import connection

    without_other_processes()
    django.setup()
    call_command("migrate", verbosity=0)
    fill()
    backup = var.with_name("backup.tar")
    call_command("backup", str(backup))
    connection.close()  # SQLite brings what lies in its journal into the file
    pack(var, backup, out / "podium.tar.xz")


def refuse_another_version() -> None:
    changed = subprocess.run(
        ["git", "diff", "--quiet", VERSION, "--", *PRODUCT], cwd=ROOT
    ).returncode
    if changed:
        sys.exit(f"Check commit {VERSION} out first, and copy tests/upgrade there.")


def set_the_clock_back() -> None:
    """Before any of the product is imported: its modules take `now` by name."""
    real, difference = timezone.now, timezone.now() - OPENED
    timezone.now = lambda: real() - difference


def without_other_processes() -> None:
    """As tests do: no broker is asked, and static files are not gathered."""
    from django.conf import settings

    from config.celery import app

    app.conf.broker_url = "memory://localhost/"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }


def make_folders(var: Path) -> None:
    for name in ("models", "datasets", "uploads", "backups", "run", "cache"):
        (var / name).mkdir(parents=True)
    (var / "secret").write_text(
        "the-key-of-an-installation-that-exists-only-in-these-tests-and-guards-nothing\n"
    )


def pack(var: Path, backup: Path, file: Path) -> None:
    def nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(file, "w:xz", preset=9) as tar:
        tar.add(var, "var", filter=nobodys)
        tar.add(backup, "backup.tar", filter=nobodys)
        tar.add(var.with_name("known.json"), "known.json", filter=nobodys)


# The world


def fill() -> None:
    people = make_people()
    project = make_project(people)
    models = make_models(people, project)
    outside(people, project)
    first_round(people, project, models)
    judge(people, project)
    write_texts(people, project)
    datasets = freeze(people, project)
    train(people, project, models, datasets)
    wait(people, project, models, datasets)


def make_people() -> dict:
    from people import accounts, tokens
    from people.models import Token, User

    def person(name: str, state: str = User.State.ACTIVE, **fields) -> User:
        made, _password = accounts.create(
            None, f"{name.lower()}@harbour.example", PASSWORD, name=name, **fields
        )
        User.objects.filter(pk=made.pk).update(state=state)
        made.refresh_from_db()
        return made

    people = {
        "administrator": person("Root", is_staff=True, is_superuser=True),
        "admin": person("Carol", zone="Europe/Berlin"),
        "lead": person("Lea", sensitive=True),
        "researcher": person("Rita"),
        "labeler": person("Alice", keys={"skip": "z"}, desk={"columns": 2}, theme="dark"),
        "bob": person("Bob"),
        "dan": person("Dan"),
        "robot": person("Robot", simulated=True),
        "stranger": person("Sam"),
        "invited": person("Ines", state=User.State.INVITED),
    }
    accounts.pause(people["administrator"], person("Paul"))
    for name in ("administrator", "admin", "lead", "researcher", "labeler"):
        _token, text = tokens.make(
            people[name], f"Script of {people[name]}", list(Token.Scope.values), DECADES
        )
        remember(f"token of {name}", text)
    revoked, _text = tokens.make(people["admin"], "Lost laptop", ["read"], DECADES)
    tokens.revoke(people["admin"], revoked)
    return people


def remember(name: str, text: str) -> None:
    """Something that only its owner knows: the database holds its hash."""
    from django.conf import settings

    file = settings.VAR.with_name("known.json")
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | {name: text}, indent=1))


def make_project(people: dict):
    from people import projects
    from people.models import Membership

    admin = people["admin"]
    project = projects.create(
        admin,
        slug=SLUG,
        name="Harbour pilot",
        k=ANSWERS,
        overlap=LABELERS,
        guidelines=GUIDELINES,
        zone="Europe/Berlin",
        skips_to_set_aside=2,
        daily_limit=400,
    )
    roles = {
        "lead": "lead",
        "researcher": "researcher",
        "labeler": "labeler",
        "bob": "labeler",
        "dan": "labeler",
    }
    roles |= {"robot": "labeler"}
    for name, role in roles.items():
        projects.add_member(admin, project, people[name].email, role)
    projects.pause(admin, Membership.objects.get(user=people["robot"]))
    draft = projects.create(
        people["administrator"], slug="old-harbour", name="Old harbour", state="draft"
    )
    projects.change(people["administrator"], draft, state="archived")
    return project


def make_models(people: dict, project) -> dict:
    from django.conf import settings

    from modelops import registry
    from tests.workers import tiny

    sizes = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    sizes |= {"num_key_value_heads": 1, "tie_word_embeddings": True}
    folder = tiny.save(settings.VAR / "models" / "tiny-base", seed=0, **sizes)
    other = tiny.save(settings.VAR / "models" / "tiny-other", seed=1, **sizes)
    served = registry.register_served(
        people["admin"],
        project,
        "served-elsewhere",
        "https://models.harbour.example/v1",
        "harbour-8b",
    )
    return {
        "base": registry.register(None, "policy", "tiny-base", folder),
        "other": registry.register_local(people["admin"], project, "tiny-other", other),
        "served": served,
    }


def outside(people: dict, project) -> None:
    """Webhooks, invitations and e-mail: sent, waiting and failed."""
    from django.test.utils import setup_test_environment

    from people import invitations, mail, webhooks
    from people.models import Webhook

    setup_test_environment()
    admin = people["admin"]
    events = [event for event in Webhook.Event.values if event != Webhook.Event.RANKING_SUBMITTED]
    webhooks.make(
        admin, project, "https://192.0.2.7/podium", events
    )  # an address for documentation: never reached
    off, _secret = webhooks.make(admin, project, "https://192.0.2.8/podium", ["job.finished"])
    webhooks.switch_off(admin, off)
    with_answers = {"role": "labeler", "email": "nina@harbour.example"}
    browser(admin).post(f"/p/{SLUG}/people/", with_answers)
    mail.deliver()
    browser(admin).post(f"/p/{SLUG}/people/", {"role": "lead", "email": "omar@harbour.example"})
    used, _token = invitations.invite(admin, people["invited"].email, project)
    invitations.accept(people["invited"], used)
    gone, _token = invitations.invite(admin, "gone@harbour.example", project)
    invitations.withdraw(admin, gone)
    open_, token = invitations.invite(people["administrator"], "quentin@harbour.example", None)
    remember("invitation of quentin", token)


def browser(person):
    from django.test import Client

    client = Client()
    client.force_login(person, backend="people.sessions.Accounts")
    return client


def work(queue: str, most: int = 20) -> None:
    """What the workers of a queue do, until nothing waits."""
    from config.celery import app
    from modelops import jobs

    app.loader.import_default_modules()
    for _number in range(most):
        if not jobs.runnable(jobs.QUEUES[queue]).exists():
            return
        app.tasks[f"{queue}.work"]()
    raise AssertionError(f"jobs of {queue} still wait")


def done(job):
    job.refresh_from_db()
    assert job.state == "done", f"{job}: {job.error}"
    return job


def first_round(people: dict, project, models: dict) -> None:
    """Upload a file and import it without its bad rows, fill a template, sample answers."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    from labeling import filling
    from modelops import jobs
    from modelops.models import Job

    lines = [
        json.dumps(
            {"prompt": text, "split": split, "author": f"author {number}", "use_case": "question"}
        )
        for number, (text, split) in enumerate(QUESTIONS)
    ]
    lines += BAD_LINES + [json.dumps(row) for row in RANKED_ELSEWHERE]
    file = SimpleUploadedFile("questions.jsonl", "\n".join(lines).encode())
    admin = browser(people["admin"])
    checked = admin.post(f"/p/{SLUG}/prompts/upload", {"format": "prompts", "file": file})
    work("default")
    form = admin.get(checked.url).context["form"]
    asked = {field.name: field.value() for field in form if field.value() is not False}
    imported = admin.post(checked.url, asked | {"skip_bad": "on", "import": "1"})
    work("default")
    done(Job.objects.get(pk=imported.url.rstrip("/").split("/")[-1]))

    template = filling.create(
        people["admin"], project, "Ports", "Name three things to see in {port}."
    )
    filling.make(
        people["admin"],
        template,
        [{"port": "Bergen"}, {"port": "Porto"}, {"city": "none"}],
        split="train",
    )

    asked = {"k": ANSWERS, "max_tokens": 10, "batch": 16, "temperature": 1.0}
    sampled = jobs.request(people["admin"], project, "sample", asked, model_version=models["base"])
    work("sampling")
    done(sampled)


def ranks_by_length(assignment, turned: bool = False, tie: bool = False) -> dict[str, str]:
    """What a form says where longer answers are better; of a tie the last two."""
    letters = "abcdefghi"
    order = sorted(
        assignment.order, key=lambda pk: (len(assignment.texts[pk]), pk), reverse=not turned
    )
    ranks = {pk: number for number, pk in enumerate(order, start=1)}
    if tie:
        ranks[order[-1]] = ranks[order[-2]]
    return {f"rank-{letters[place]}": str(ranks[pk]) for place, pk in enumerate(assignment.order)}


def form_of(assignment, **fields) -> dict:
    """What a form holds, as the product reads it."""
    from django.http import QueryDict

    from labeling import forms

    data = QueryDict(mutable=True)
    for name, value in fields.items():
        data.setlist(name.replace("_", "-"), value if isinstance(value, list) else [value])
    return forms.typed(data, assignment)


def rank_next(person, project, **fields):
    """The person's next task, ranked; the place and its ranking."""
    from labeling import assignment as assignments
    from labeling import forms, ranking

    assignment = assignments.next_for(project.memberships.get(user=person))
    turned, tie = fields.pop("turned", False), fields.pop("tie", False)
    ranks = {} if "outcome" in fields else ranks_by_length(assignment, turned, tie)
    typed = form_of(assignment, seconds="31.5", **{**ranks, **fields})
    return assignment, ranking.submit(assignment, forms.judgment(typed), draft=typed)


def judge(people: dict, project) -> None:
    from labeling import assignment as assignments
    from labeling import drafts, erasure, export, forms, gold, ranking, settling
    from labeling.models import RankingTask
    from people import deliveries

    project.refresh_from_db()
    alice, bob, lea, dan, carol = (
        people[name] for name in ("labeler", "bob", "lead", "dan", "admin")
    )

    # eight tasks are ranked by all three
    rank_next(
        alice,
        project,
        rating_a="6",
        rating_b="3",
        rating_c="1",
        flags_c=["hallucination", "opinion"],
    )
    rank_next(
        alice, project, tie=True, note="Two of them are the same to me.", labels=["ambiguous"]
    )
    rank_next(alice, project, outcome="all_bad", note="None of these is an answer.")
    rank_next(alice, project, outcome="cannot_judge")
    place, first = rank_next(alice, project)
    ranking.revise(
        place,
        forms.judgment(form_of(place, note="On second thought.", **ranks_by_length(place, True))),
    )
    place, wrong = rank_next(alice, project, note="Sent too early.")
    ranking.undo(wrong)
    typed = form_of(place, note="Sent again after an undo.", **ranks_by_length(place))
    place.refresh_from_db()
    ranking.submit(place, forms.judgment(typed), draft=typed)
    for number in range(2):
        rank_next(alice, project, tie=bool(number))
    for number in range(8):
        rank_next(bob, project, turned=number % 2 == 0)
        rank_next(lea, project, note=f"Lea's note {number}.")

    # what Dan judged is frozen, then erased
    for _number in range(2):
        rank_next(dan, project, note="Dan was here.")
    export.freeze_now(carol, project, note="With Dan's judgments")
    erasure.erase(carol, project, dan, "asked for by the person")
    work("default")

    # a task that two people skip is set aside; Alice's next one is begun and not finished
    for person in (alice, bob):
        assignments.skip(
            assignments.next_for(project.memberships.get(user=person)), "knowledge: not my port"
        )
    begun = assignments.next_for(project.memberships.get(user=alice))
    draft = form_of(
        begun, note="Half a thought, kept as a draft.", rating_a="5", **ranks_by_length(begun)
    )
    assignments.save_draft(begun, draft)

    tasks = list(
        RankingTask.objects.filter(project=project, free_places=0, row=None).order_by("pk")
    )
    paper = ranking.sheet(tasks[0], carol)
    gold.make(
        carol, tasks[0], forms.judgment(form_of(paper, note="The key.", **ranks_by_length(paper)))
    )
    paper = ranking.sheet(tasks[1], carol)
    drafts.save(
        tasks[1],
        carol,
        "gold",
        form_of(paper, note="A key in the making.", **ranks_by_length(paper)),
    )
    paper = ranking.sheet(tasks[4], lea)
    settling.settle(
        lea, tasks[4], forms.judgment(form_of(paper, note="Lea decides.", **ranks_by_length(paper)))
    )
    deliveries.deliver()


def write_texts(people: dict, project) -> None:
    """Demonstrations and prompts in each state of their making."""
    from labeling import writing

    alice, bob, lea, carol = (people[name] for name in ("labeler", "bob", "lead", "admin"))
    writing.ask_demonstrations(carol, project, 6, "train", from_best=True)
    writing.ask_prompts(carol, project, 3, "Something that a passenger asks.")
    membership = {person: project.memberships.get(user=person) for person in (alice, bob, lea)}

    for number in range(3):
        own = writing.next_for(membership[alice])
        own = writing.submit(own, f"Alice's ideal answer number {number}.", 120)
        writing.accept(lea, own, own.text)
    own = writing.submit(writing.next_for(membership[bob]), "Bob's first attempt.", 60)
    writing.return_(lea, own, "Say where the numbers come from.")
    own = writing.submit(writing.next_for(membership[alice]), "Nothing to do with the question.", 5)
    writing.reject(lea, own, "Not this one.")
    writing.submit(writing.next_for(membership[lea]), "Lea's answer waits for a review.", 80)
    own = writing.next_for(membership[alice])
    writing.save(own, "Alice has begun to write this", 20)


def freeze(people: dict, project) -> dict:
    from labeling import export
    from modelops import jobs, recipes
    from modelops.models import Dataset

    notes = {
        "demonstrations": "What people wrote",
        "prompts": "All prompts",
        "text": "Plain text",
        "judgments": "All judgments",
    }
    made = {
        kind: export.freeze_now(
            people["researcher"], project, kind, note, licence="cc-by-4.0", apart=False
        )
        for kind, note in notes.items()
    }
    adjudicated = export.freeze_now(
        people["lead"], project, note="Adjudicated alone", adjudicated=True, apart=False
    )
    for format, file in (("conversational", "jsonl"), ("folder", "zip"), ("trl", "parquet")):
        recipe = vars(recipes.read("render", {"format": format, "file": file}))
        jobs.request(people["researcher"], project, "render", recipe, dataset=made["judgments"])
    work("default")
    assert Dataset.objects.filter(withdrawn_at=None).count() == len(made) + 2, (
        "the one without Dan is there too"
    )
    return made | {"adjudicated": adjudicated}


SMALL = {"batch": 2, "lora_rank": 2, "max_length": 128, "learning_rate": 0.002}


def train(people: dict, project, models: dict, datasets: dict) -> None:
    """A reward model and a policy are trained to the end; another of each is left in the middle."""
    from modelops import jobs, registry
    from modelops.models import ModelVersion

    admin = people["admin"]
    links = {"model_version": models["base"], "dataset": datasets["judgments"]}
    job = jobs.request(admin, project, "reward", SMALL | {"max_steps": 4, "save_steps": 2}, **links)
    work("training")
    models["reward"] = ModelVersion.objects.get(job=done(job))
    job = jobs.request(
        admin, project, "sft", SMALL | {"max_steps": 4, "source": "better-half"}, **links
    )
    work("training")
    models["assistant"] = ModelVersion.objects.get(job=done(job))
    registry.promote(admin, project, models["assistant"])
    registry.promote(admin, project, models["reward"], "judge")

    asked = SMALL | {"max_steps": 60, "save_steps": 4, "epochs": 100.0}
    half(jobs.request(admin, project, "reward", asked, **links), stop=9)
    links |= {"reward_model": models["reward"], "model_version": models["assistant"]}
    asked = SMALL | {
        "max_steps": 20,
        "save_steps": 1,
        "eval_steps": 10,
        "epochs": 100.0,
        "max_tokens": 6,
    }
    half(
        jobs.request(
            admin, project, "ppo", asked | {"rollouts": 4, "penalise_cut": False}, **links
        ),
        stop=3,
    )


class Died(BaseException):
    """The worker, in the middle of its job: nothing after this is written."""


def half(job, stop: int) -> None:
    """Train up to about this step as a worker does that is then killed, and its trainer with it."""
    from django.conf import settings

    from modelops import jobs
    from workers import training
    from workers.machine import Held

    report = training.Report.on_step

    def step(self, event):
        report(self, event)
        if event["step"] >= stop:
            self.flush()
            raise Died

    training.Report.on_step = step
    claimed = jobs.claim_next(jobs.QUEUES["training"], job.pk, "cpu")
    try:
        with open(settings.MACHINE_LOCK, "a") as lock:
            training.run(claimed, Held(("cpu",), (lock.fileno(),)))
    except Died:
        pass
    finally:
        training.Report.on_step = report
    job.refresh_from_db()
    assert job.state == "running", f"{job}: {job.state} {job.error}"
    assert stop <= job.done < job.total, f"{job}: {job.done} of {job.total}"


def wait(people: dict, project, models: dict, datasets: dict) -> None:
    """Jobs that failed, were stopped, and wait."""
    from modelops import jobs, recipes
    from modelops.models import Job

    admin, links = people["admin"], {"dataset": datasets["judgments"]}
    failed = jobs.request(
        admin, project, "reward", SMALL, model_version=models["served"], priority=-1, **links
    )
    from workers import training
    from workers.machine import Held

    claimed = jobs.claim_next(jobs.QUEUES["training"], failed.pk, "cpu")
    with jobs.running(claimed):
        training.run(claimed, Held(("cpu",), ()))
    cancelled = jobs.request(admin, project, "dpo", SMALL, model_version=models["base"], **links)
    jobs.cancel(admin, cancelled)

    running = Job.objects.get(kind="reward", state="running")
    asked = {"k": 2, "max_tokens": 6, "split": "test", "batch": 4}
    jobs.request(admin, project, "sample", asked, model_version=models["assistant"], priority=5)
    imitate = SMALL | {"max_steps": 3, "source": "demonstrations"}
    jobs.request(
        admin,
        project,
        "sft",
        imitate,
        model_version=models["base"],
        dataset=datasets["demonstrations"],
        after=running,
    )
    jobs.request(
        people["researcher"], project, "freeze", {"kind": "judgments", "note": "", "apart": False}
    )
    recipe = vars(recipes.read("render", {"format": "csv", "file": "csv"}))
    jobs.request(people["researcher"], project, "render", recipe, dataset=datasets["judgments"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
