"""A project and its rules are made and changed together, by whatever door."""

import ast
import json
from pathlib import Path

import pytest
from django.db import IntegrityError, connection
from django.urls import reverse

from labeling import project_settings
from labeling.models import ProjectRules
from labeling.models.rules import FLAGS
from people.access import Refused, membership_or_404
from people.models import AuditEvent, Project
from tests.factories import make_person, make_project, make_task

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {
    "k": 4,
    "overlap": 1,
    "completion": "depth",
    "skips_to_set_aside": 3,
    "ties": True,
    "rating": True,
    "flags": list(FLAGS),
    "span_labels": [],
    "notes": True,
    "strength": False,
    "lease_minutes": 30,
    "daily_limit": None,
    "gold_share": 0,
}


@pytest.fixture
def root():
    return make_person(name="root", is_staff=True)


def rules_of(slug: str) -> dict:
    rules = ProjectRules.objects.get(project__slug=slug)
    return {name: getattr(rules, name) for name in DEFAULTS}


def test_rules_hold_every_labeling_setting():
    assert list(DEFAULTS) == project_settings.SETTINGS


def test_the_page_makes_a_project_with_its_rules(client_for, root):
    form = {"name": "New", "slug": "new", "k": 6, "overlap": 3}
    client_for(root).post("/projects/new", form)

    assert rules_of("new") == DEFAULTS | {"k": 6, "overlap": 3}


def test_the_api_makes_a_project_with_its_rules(client_for, root):
    body = json.dumps({"name": "New", "slug": "new", "overlap": 2})
    answer = client_for(root).post("/api/v1/projects", body, content_type="application/json")

    assert answer.status_code == 201
    assert answer.json().items() >= {"slug": "new", **DEFAULTS, "overlap": 2}.items()
    assert rules_of("new") == DEFAULTS | {"overlap": 2}


def test_a_project_whose_rules_are_refused_is_not_made(root):
    with pytest.raises(IntegrityError):
        project_settings.create(root, slug="new", name="New", k=1)
    with pytest.raises(IntegrityError):
        project_settings.make(slug="new", name="New", gold_share=51)

    assert not Project.objects.exists()
    assert not AuditEvent.objects.exists()


def test_rules_of_a_project_that_is_refused_are_not_made(root):
    make_project(slug="taken")
    with pytest.raises(Refused):
        project_settings.create(root, slug="taken", name="New", k=3)

    assert [rules.project.slug for rules in ProjectRules.objects.all()] == ["taken"]


def test_one_change_of_both_is_one_event(carol, project):
    changes = {"name": "Other", "k": 5, "overlap": 1, "daily_limit": 9, "zone": "Europe/Berlin"}
    project_settings.change(carol, project, **changes)

    [event] = AuditEvent.objects.filter(verb="change project")
    assert event.data["fields"] == ["name", "k", "daily_limit", "zone"]
    assert rules_of("demo") == DEFAULTS | {"k": 5, "daily_limit": 9}
    assert Project.objects.filter(name="Other", zone="Europe/Berlin").exists()
    assert (project.name, project.rules.k) == ("Other", 5)


def test_a_setting_that_does_not_exist_is_refused(carol, project):
    with pytest.raises(AttributeError):
        project_settings.change(carol, project, name="Other", overlaps=2)

    assert not AuditEvent.objects.filter(verb="change project").exists()


def test_the_back_office_corrects_both_with_one_event(client_for, root, project):
    form = {"name": "Demo", "guidelines": "", "zone": "Europe/Berlin"}
    form |= {"rules-TOTAL_FORMS": 1, "rules-INITIAL_FORMS": 1, "rules-0-project": project.pk}
    form |= {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    rules = DEFAULTS | {"overlap": 2, "daily_limit": "", "flags": '["opinion"]', "strength": ""}
    form |= {f"rules-0-{name}": value for name, value in rules.items()}
    address = reverse("admin:people_project_change", args=[project.pk])
    answer = client_for(root).post(address, form)

    assert answer.status_code == 302, answer.context["errors"]
    assert rules_of("demo") == DEFAULTS | {"overlap": 2, "flags": ["opinion"]}
    [event] = AuditEvent.objects.filter(verb="change project")
    assert event.data == {"fields": ["zone", "overlap", "flags"]}


def test_the_back_office_lists_what_the_rules_say(client_for, root, django_assert_max_num_queries):
    for number in range(10):
        make_project(slug=f"p{number}", k=7)
    browser = client_for(root)
    with django_assert_max_num_queries(6):
        page = browser.get(reverse("admin:people_project_changelist")).content.decode()

    assert page.count('<td class="field-k">7</td>') == 10


def test_a_wrong_rule_is_refused_at_its_field(client_for, project, carol):
    form = {"name": "Demo", "zone": "UTC", "state": "open", **DEFAULTS, "daily_limit": ""}
    form |= {"k": 12, "gold_share": 51, "flags": "x" * 101}
    page = client_for(carol).post("/p/demo/settings/", form)

    assert page.status_code == 422
    assert list(page.context["form"].errors) == ["flags", "k", "gold_share"]
    assert rules_of("demo") == DEFAULTS


def test_labels_of_passages_are_set_by_page_and_api(client_for, project, carol):
    browser = client_for(carol)
    form = {"name": "Demo", "zone": "UTC", "state": "open", **DEFAULTS, "daily_limit": ""}
    page = browser.post(
        "/p/demo/settings/", form | {"span_labels": " hallucinated\r\n\r\nfalsch 💥\nhallucinated"}
    )
    assert page.status_code == 302
    assert rules_of("demo")["span_labels"] == ["hallucinated", "falsch 💥"]

    def patch(labels: list):
        body = json.dumps({"span_labels": labels})
        kind = "application/json"
        return browser.patch(
            "/api/v1/projects/demo", body, content_type=kind, headers={"If-Match": "*"}
        )

    assert patch([" unsafe ", "unsafe"]).json()["span_labels"] == ["unsafe"]
    assert patch(["x" * 41]).status_code == patch(list("abcdefghij")).status_code == 400
    assert rules_of("demo")["span_labels"] == ["unsafe"]


@pytest.mark.parametrize(
    "text",
    [pytest.param("x" * 41, id="too long"), pytest.param("\n".join("abcdefghij"), id="too many")],
)
def test_too_much_of_labels_is_refused_at_their_field(client_for, project, carol, text):
    form = {"name": "Demo", "zone": "UTC", "state": "open", **DEFAULTS, "daily_limit": ""}
    page = client_for(carol).post("/p/demo/settings/", form | {"span_labels": text})

    assert page.status_code == 422
    assert list(page.context["form"].errors) == ["span_labels"]


def test_a_membership_is_read_with_the_rules_in_one_query(
    project, alice, django_assert_num_queries
):
    with django_assert_num_queries(1):
        membership = membership_or_404(alice, "demo")
        assert membership.project.rules.k == 4


def test_no_request_of_a_labeler_asks_for_the_rules_by_themselves(client_for, project, alice):
    for _ in range(4):
        make_task(project)
    browser, sqls = client_for(alice), []

    def listen(execute, sql, *rest):
        sqls.append(sql)
        return execute(sql, *rest)

    def post(address: str, body: dict):
        sqls.clear()
        with connection.execute_wrapper(listen):
            answer = browser.post(address, json.dumps(body), content_type="application/json")
        assert answer.status_code < 300, answer.content
        assert any("labeling_projectrules" in sql for sql in sqls)
        assert not [sql for sql in sqls if 'FROM "labeling_projectrules"' in sql]
        return answer.json()

    work = "/api/v1/projects/demo/assignments"
    held = post(work, {})["id"]
    following = post(f"{work}/{held}/ahead", {})["id"]
    post(f"{work}/{held}/heartbeat", {})
    post(f"{work}/{held}/draft", {"order": "A>B"})
    ranking = post(f"{work}/{held}/submit", {"order": "A>B>C>D"})["id"]
    post("/api/v1/projects/demo/rankings/undo", {"ranking": ranking})
    post(f"{work}/{following}/skip", {"reason": "broken"})


def names_in(file: Path) -> set[str]:
    """The attributes, keyword arguments and words of texts in a module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            names.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(node.value.split("__"))
    return names


def test_people_knows_nothing_of_how_a_project_ranks():
    own = {field.name for field in Project._meta.get_fields() if field.concrete}
    assert own == {
        *("id", "slug", "name", "state", "guidelines", "zone", "awaited", "created_at"),
    }
    modules = [file for file in (ROOT / "people").rglob("*.py") if "migrations" not in file.parts]
    told = {file.name: names_in(file) & {*DEFAULTS, "rules"} for file in modules}
    assert len(modules) > 40
    assert {name: names for name, names in told.items() if names} == {}
