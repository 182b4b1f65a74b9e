"""Every address answers as the table says, for every role."""

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from labeling import imports, project_settings
from labeling.judging import criteria
from labeling.models import ImportMapping, PromptTemplate, Writing
from modelops.models import Dataset, Job
from people.webhooks import registry
from tests.factories import make_job, make_model, make_person, make_ranking, make_task

pytestmark = pytest.mark.django_db
ROLES = ("admin", "researcher", "lead", "labeler", "stranger")
ADMIN = (200, 403, 403, 403, 404)
READER = (200, 200, 403, 403, 404)
RANKER = (200, 403, 200, 200, 404)
LEAD = (200, 403, 200, 403, 404)
GET = {
    "loop": ADMIN,
    "members": (200, 403, 200, 403, 404),
    "settings": ADMIN,
    "criteria": ADMIN,
    "criterion": ADMIN,
    "prompts": READER,
    "prompts-upload": ADMIN,
    "prompts-confirm": ADMIN,
    "prompt": READER,
    "judgments": READER,
    "judgment": READER,
    "set-aside": ADMIN,
    "task-gold": ADMIN,
    "prompts-bad-rows": ADMIN,
    "prompts-undo": ADMIN,
    "templates": ADMIN,
    "template": ADMIN,
    "jobs": ADMIN,
    "jobs-live": (286, 403, 403, 403, 404),
    "job": ADMIN,
    "job-json": ADMIN,
    "job-log": ADMIN,
    "job-new": ADMIN,
    "job-answers": ADMIN,
    "models": ADMIN,
    "model": ADMIN,
    "model-register": ADMIN,
    "model-serve": ADMIN,
    "datasets": READER,
    "dataset": READER,
    "dataset-rows": (410, 410, 403, 403, 404),
    "dataset-row": (410, 410, 403, 403, 404),
    "dataset-difference": (404, 404, 403, 403, 404),  # from nothing
    "freeze": READER,
    "freeze-preview": (204, 204, 403, 403, 404),
    "member-erase": ADMIN,
    "dataset-download": (410, 410, 403, 403, 404),
    "rank": RANKER,
    "guidelines": RANKER,
    "history": RANKER,
    "threads": RANKER,
    "rank-keys": RANKER,
    "webhooks": ADMIN,
    "webhook": ADMIN,
    "write": RANKER,
    "reviews": LEAD,
    "review": LEAD,
    "disputes": LEAD,
    "task-settle": LEAD,
    "ask-demonstrations": ADMIN,
    "ask-prompts": ADMIN,
    "project": (302, 302, 302, 302, 404),
}
POST_ADMIN = (302, 403, 403, 403, 404)
POST = {
    "criteria-preset": POST_ADMIN,
    "criteria-reason": POST_ADMIN,
    "criterion-retire": POST_ADMIN,
    "job-cancel": POST_ADMIN,
    "job-resume": POST_ADMIN,
    "model-promote": POST_ADMIN,
    "task-unsettle": (302, 403, 302, 403, 404),
    "task-put-back": POST_ADMIN,
    "task-retire": POST_ADMIN,
    "task-not-gold": POST_ADMIN,
    "leave": (302, 302, 302, 302, 404),
    "member-role": POST_ADMIN,
    "member-pause": POST_ADMIN,
    "member-unpause": POST_ADMIN,
    "dataset-about": (302, 302, 403, 403, 404),
    "dataset-delete": POST_ADMIN,
    "dataset-key": (200, 403, 403, 403, 404),
    "member-remove": POST_ADMIN,
    "wishes-withdraw": POST_ADMIN,
    "template-delete": POST_ADMIN,
    "mapping-delete": POST_ADMIN,
    "prompt-sensitive": POST_ADMIN,
    "webhook-switch": POST_ADMIN,
    "webhook-ping": POST_ADMIN,
    "webhook-remove": POST_ADMIN,
    "delivery-again": POST_ADMIN,
    "webhook-renew": (200, 403, 403, 403, 404),
}
ELSEWHERE = {"task-gold-draft", "task-settle-draft"}  # test_form_drafts.py
ELSEWHERE |= {
    "rank-submit",
    "rank-draft",
    "rank-skip",
    "rank-undo",
    "rank-ahead",
    "rank-revise",
    "rank-desk",
}
ELSEWHERE |= {"rank-thread", "thread", "thread-close"}  # labeling/views/test_threads.py
WRITING = {"write-save", "write-submit", "write-back"}  # test_writing.py
ENTRANCE = {"join", "invitation-renew", "invitation-withdraw"}  # people/test_invitations.py
SITE = {"home", "login", "logout", "account", "password_change", "password_changed", "components"}
SITE |= {"session-end", "sessions-end-others"}  # people/test_sessions.py
SITE |= {"password-reset", "password-reset-sent", "password-new"}
TOKENS = {
    "tokens",
    "token-revoke",
    "api-openapi",
    "api-docs",
}  # people/test_tokens_page.py, people/test_api.py
STAFF = {"hosts", "projects-new", "accounts", "account-new", "account-edit", "account-invite"}
STAFF_POST = {"account-pause", "account-activate", "account-password", "account-unlock"}


def names(patterns=None) -> set[str]:
    """Every page's name; the back office has its own, and the API's endpoints have none."""
    found = set()
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver) and pattern.namespace != "admin":
            found |= names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and pattern.name:
            found.add(pattern.name)
    return found


def test_every_address_is_in_one_of_the_tables():
    assert (
        names()
        == set(GET)
        | set(POST)
        | ELSEWHERE
        | WRITING
        | ENTRANCE
        | SITE
        | TOKENS
        | STAFF
        | STAFF_POST
    )


@pytest.fixture
def people(project):
    members = {role: make_person(project, role, role) for role in ROLES[:-1]}
    return members | {"stranger": make_person(name="stranger")}


@pytest.fixture
def arguments(project, people, settings):
    """What each address is about."""
    task = make_task(project, model=make_model(project, folder="models/m", sha256="0" * 64))
    dataset = Dataset.objects.create(
        project=project,
        kind="judgments",
        digest="f" * 64,
        folder="datasets/gone",
        counts={"rows": 1, "splits": {}, "pairs": 0},
    )
    job = Job.objects.get()
    wish = Writing.objects.create(
        project=project, kind="prompt", brief="b", state="submitted", labeler=people["lead"]
    )
    about = {
        "review": wish.pk,
        "prompt": task.prompt_id,
        "prompt-sensitive": task.prompt_id,
        "dataset": dataset.pk,
        "dataset-download": dataset.pk,
    }
    about |= dict.fromkeys(["dataset-about", "dataset-delete", "dataset-key"], dataset.pk)
    about |= dict.fromkeys(["dataset-rows", "dataset-row", "dataset-difference"], dataset.pk)
    about |= dict.fromkeys(["task-put-back", "task-retire", "task-gold", "task-not-gold"], task.pk)
    about |= dict.fromkeys(
        ["job", "job-json", "job-log", "job-answers", "job-cancel", "job-resume"], job.pk
    )
    about |= dict.fromkeys(["model", "model-promote"], job.model_version_id)
    ranked = make_task(project, overlap=0)
    about |= dict.fromkeys(["task-settle", "task-unsettle"], ranked.pk)
    judged = make_task(project)
    make_ranking(judged, people["labeler"])
    about["judgment"] = judged.pk
    upload = Job.objects.create(
        project=project, kind="import", recipe={"path": "upload", "format": "prompts"}
    )
    imports.bad_rows_of(settings.VAR / "upload", upload.pk).write_text("{}")
    about |= dict.fromkeys(["prompts-confirm", "prompts-bad-rows"], upload.pk)
    about["prompts-undo"] = make_job(project, "import").pk
    template = PromptTemplate.objects.create(
        project=project, name="stories", text="A story for {audience}."
    )
    about |= dict.fromkeys(["template", "template-delete"], template.pk)
    saved = ImportMapping.objects.create(project=project, name="ours", mapping={"prompt": "q"})
    about["mapping-delete"] = saved.pk
    hook, _secret = registry.make(people["admin"], project, "https://example.org", ["job.finished"])
    about |= dict.fromkeys(
        ["webhook", "webhook-switch", "webhook-ping", "webhook-remove", "webhook-renew"], hook.pk
    )
    about |= {"delivery-again": registry.ping(people["admin"], hook).pk}
    asked = criteria.create(people["admin"], project, key="k", kind="yes-no", question="?")
    about |= dict.fromkeys(["criterion", "criterion-retire"], asked.pk)
    member = people["labeler"].memberships.get().pk
    about |= dict.fromkeys(
        ["member-role", "member-pause", "member-unpause", "member-remove", "member-erase"], member
    )
    with_pk = {name: {"pk": pk} for name, pk in about.items()}
    with_pk["dataset-row"] |= {"start": 0}
    return with_pk | {"job-new": {"kind": "sample"}}


def answer(client_for, person, method, name, arguments) -> int:
    address = reverse(name, kwargs={"slug": "demo"} | arguments.get(name, {}))
    return getattr(client_for(person), method)(address).status_code


@pytest.mark.parametrize(("name", "expected"), GET.items())
def test_pages(client_for, people, arguments, name, expected):
    assert (
        tuple(answer(client_for, people[role], "get", name, arguments) for role in ROLES)
        == expected
    )


@pytest.mark.parametrize(("name", "expected"), POST.items())
def test_deeds(client_for, people, arguments, name, expected):
    roles = reversed(ROLES)  # the admin last: what they do must not change the others' answers
    assert (
        tuple(answer(client_for, people[role], "post", name, arguments) for role in roles)
        == expected[::-1]
    )


@pytest.mark.parametrize("name", POST)
def test_a_deed_is_no_link(client_for, people, arguments, name):
    assert answer(client_for, people["admin"], "get", name, arguments) == 405


@pytest.mark.parametrize("name", [*GET, *POST])
def test_a_visitor_is_asked_to_log_in(arguments, name):
    address = reverse(name, kwargs={"slug": "demo"} | arguments.get(name, {}))

    assert Client().get(address).url == f"/login/?next={address}"


@pytest.mark.parametrize("name", sorted(STAFF | STAFF_POST))
def test_pages_of_the_site_are_for_its_administrators(client_for, people, name):
    root, about = make_person(is_staff=True), people["lead"].pk
    address = reverse(name, args=[about] if name in STAFF_POST | {"account-edit"} else [])
    method = "post" if name in STAFF_POST else "get"

    assert getattr(client_for(people["admin"]), method)(address).status_code == 403
    assert getattr(client_for(root), method)(address).status_code in (200, 302)


def test_another_projects_rows_are_not_found(client_for, people, arguments, project):
    other = make_person(name="other")
    elsewhere = project_settings.create(other, slug="elsewhere", name="Elsewhere")
    for name in (
        "prompt",
        "judgment",
        "prompts-confirm",
        "prompts-undo",
        "job",
        "job-json",
        "model",
        "dataset",
        "dataset-rows",
        "dataset-row",
        "dataset-download",
        "webhook",
    ):
        address = reverse(name, kwargs={"slug": elsewhere.slug} | arguments[name])
        assert client_for(other).get(address).status_code == 404
