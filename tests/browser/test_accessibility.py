"""WCAG 2.2 AA: axe-core finds nothing to object to, on any page, in either theme, on a desk and on
a phone.
"""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.urls import reverse
from django.utils.timezone import now

from labeling import imports
from labeling.exports import freeze
from labeling.imports import prompt_templates
from labeling.models import Prompt, PromptTemplate, RankingTask
from labeling.views.styleguide import CARDS
from modelops import recipes
from modelops.models import Dataset, Job, ModelVersion, Worker
from people.models import Delivery, Letter, Membership, User, Webhook
from people.webhooks import registry
from tests.browser.hands import bare_numbers, make_tasks, wrong_plurals
from tests.factories import make_job, make_model, make_person, make_ranking, make_task

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
OF_A_PROJECT = [
    "rank",
    "history",
    "rank-keys",
    "guidelines",
    "loop",
    "members",
    "settings",
    "prompts",
    "prompts-upload",
    "judgments",
    "jobs",
    "models",
    "model-register",
    "datasets",
    "freeze",
    "set-aside",
    "disputes",
    "templates",
    "write",
    "reviews",
    "ask-prompts",
    "ask-demonstrations",
    "criteria",
    "webhooks",
]
OF_THE_SITE = [
    "home",
    "account",
    "password_change",
    "tokens",
    "accounts",
    "account-new",
    "hosts",
    "projects-new",
    "components",
]


@pytest.fixture
def admin(project):
    """Somebody who may open every page, in a project with something on each."""
    person = make_person(project, "admin", "carol", is_staff=True)
    make_model(project, folder="models/m", sha256="0" * 64)
    make_tasks(project, 2)
    make_upload(project)
    make_ranking(make_task(project), person, ranks=[1, 2, 2, 3])
    freeze.freeze_now(None, project)
    make_dispute(project)
    freeze.freeze_now(None, project)
    prompt_templates.create(person, project, "stories", "A story titled {title}.")
    make_webhook(project, person)
    Letter.objects.create(
        to="bob@example.org", subject="Hello", useful_until=now(), state="failed", attempts=2
    )
    Worker.objects.create(
        name="training@box-1",
        host="box-1",
        pid=7,
        queues=["training"],
        devices=["0", "1"],
        code="of-yesterday",
        torch="2.9.0",
        started_at=now(),
        changed_at=now(),
        seen_at=now(),
    )
    return person


def make_dispute(project):
    """A task that two people see differently."""
    task = make_task(project, overlap=2, job=make_job(project))
    make_ranking(task, make_person(project), ranks=[1, 2, 2, 3])
    task.refresh_from_db()
    make_ranking(task, make_person(project), ranks=[2, 1, 3, 4])


def make_webhook(project, admin):
    """A webhook with a delivery in each state."""
    hook, _secret = registry.make(
        admin, project, "https://example.org/hooks", ["job.finished", "task.complete"]
    )
    for state, fields in {
        "waiting": {},
        "delivered": {"next_at": None, "status": 200, "response": "ok", "seconds": 0.1},
        "failed": {"error": "The server answered 500.", "status": 500, "seconds": 0.2},
        "given_up": {"next_at": None, "error": "No such host."},
    }.items():
        Delivery.objects.filter(pk=registry.ping(admin, hook).pk).update(state=state, **fields)


def make_upload(project):
    """An upload that was checked, with a bad row and something to clean."""
    (settings.VAR / "upload").write_text('{"prompt": "Sky? "}\n{"prompt": ""}\n')
    recipe = {"path": "upload", "filename": "sky.jsonl", "dry_run": True}
    job = make_job(project, "import", recipe=vars(recipes.read("import", recipe)))
    job.result = {
        "check": imports.check(project, settings.VAR / "upload", recipes.read("import", recipe))
    }
    job.save()


def objections(page):
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_no_page_has_a_barrier(window, log_in, admin, picture, width, scheme):
    page = window(width, color_scheme=scheme)
    log_in(page, admin)
    barriers = {}
    for address in addresses():
        page.goto(address)
        picture(page, f"page{address.replace('/', '-')}{width}-{scheme}", full_page=True)
        if found := objections(page) + bare_numbers(page) + wrong_plurals(page):
            barriers[address] = found
    assert not barriers, "\n".join(
        f"{place}: {one}" for place, found in barriers.items() for one in found
    )


def addresses():
    yield from (reverse(name, args=["demo"]) for name in OF_A_PROJECT)
    yield from (reverse("job-new", args=["demo", kind]) for kind in ("sample", "reward"))
    yield reverse("model", args=["demo", ModelVersion.objects.first().pk])
    yield reverse("prompts-confirm", args=["demo", Job.objects.get(kind="import").pk])
    yield reverse("prompt", args=["demo", Prompt.objects.first().pk])
    before, after = Dataset.objects.order_by("pk")
    yield reverse("dataset", args=["demo", after.pk])
    yield reverse("dataset-rows", args=["demo", after.pk])
    yield reverse("dataset-row", args=["demo", after.pk, 0])
    yield reverse("dataset-difference", args=["demo", after.pk]) + f"?before={before.pk}"
    yield reverse(
        "judgment", args=["demo", RankingTask.objects.filter(rankings__current=True).first().pk]
    )
    yield reverse("member-erase", args=["demo", Membership.objects.first().pk])
    yield reverse("task-gold", args=["demo", RankingTask.objects.first().pk])
    yield reverse(
        "task-settle", args=["demo", RankingTask.objects.get(free_places=0, overlap=2).pk]
    )
    yield reverse("job", args=["demo", Job.objects.first().pk])
    yield reverse("template", args=["demo", PromptTemplate.objects.get().pk])
    yield reverse("webhook", args=["demo", Webhook.objects.first().pk])
    yield from (reverse(name) for name in OF_THE_SITE)
    yield from (f"{reverse('components')}?card={card}" for card in CARDS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_ranking_page_at_work_has_no_barrier(window, log_in, admin, scheme):
    page = window(color_scheme=scheme)
    log_in(page, admin)
    page.goto("/p/demo/rank/")
    page.keyboard.type("7ab=c")
    page.keyboard.press("x")
    assert objections(page) == []
    page.keyboard.press("Escape")
    for key in "vms?":
        page.keyboard.press(key)
        assert objections(page) == [], key


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_way_in_has_no_barrier(window, scheme):
    make_person(name="alice")
    page = window(color_scheme=scheme)
    for address in ("/login/", reverse("password-reset")):
        page.goto(address)
        assert objections(page) == []
    page.goto("/login/")
    page.fill("[name=username]", User.objects.get().email)
    page.fill("[name=password]", "wrong")
    with page.expect_navigation():
        page.click("main [type=submit]")
    assert objections(page) == []
