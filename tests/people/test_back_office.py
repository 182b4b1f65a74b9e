"""Django's admin: everything can be looked up, what happened can't be changed."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse

from people import invitations
from people.models import AuditEvent, User
from tests.factories import make_person, make_ranking, make_task

pytestmark = pytest.mark.django_db
LISTS = [
    reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for model in admin.site._registry
]

PAGES = [
    reverse("admin:index"),
    reverse("admin:axes_accessattempt_changelist"),
    "/",
    "/login/",
    "/account/",
    "/accounts/",
    "/accounts/invite",
    "/password/",
    "/password/sent",
    "/password/a/b/",
    "/join/gone/",
    "/p/demo/loop/",
    "/p/demo/people/",
]


@pytest.fixture
def root(client_for):
    return client_for(make_person(is_staff=True))


@pytest.mark.parametrize("address", LISTS)
def test_every_list_opens_and_can_be_searched(root, project, alice, address):
    make_ranking(make_task(project), alice)

    assert root.get(address).status_code == 200
    assert root.get(address + "?q=1").status_code == 200


def test_lists_are_named_in_english(root):
    page = root.get(reverse("admin:index")).content.decode()

    assert ">Aliases</a>" in page
    assert ">Deliveries</a>" in page
    assert not re.search(r">[A-Z]\w*(ss|ys)</a>", page)


def test_rules_that_nest_without_end_are_refused(root, project):
    address = reverse("admin:people_project_change", args=[project.pk])
    [rules, *_others] = root.get(address).context["inline_admin_formsets"]
    counts = {"rules-TOTAL_FORMS": 1, "rules-INITIAL_FORMS": 1}
    key = {"rules-0-id": rules.formset.forms[0].instance.pk, "rules-0-project": project.pk}
    page = root.post(address, counts | key | {"rules-0-flags": "[" * 100_000})

    [rules, *_others] = page.context["inline_admin_formsets"]
    assert rules.formset.errors[0]["flags"] == ["This nests too deeply."]


def test_a_ranking_can_be_looked_at_and_not_changed(root, project, alice):
    ranking = make_ranking(make_task(project), alice)
    address = reverse("admin:labeling_ranking_change", args=[ranking.pk])

    assert root.get(address).status_code == 200
    assert root.post(address, {"outcome": "all_bad"}).status_code == 403


def test_who_is_no_administrator_is_sent_away(client_for, carol):
    assert client_for(carol).get(reverse("admin:index")).status_code == 302


def test_a_correction_leaves_an_event(root, alice):
    fields = {"email": "alice@example.org", "name": "Alice A.", "zone": "UTC", "shortcuts": "on"}
    root.post(reverse("admin:people_user_change", args=[alice.pk]), fields)

    assert User.objects.get(pk=alice.pk).name == "Alice A."
    assert AuditEvent.objects.get(verb="change user").data == {"fields": ["name"]}


@pytest.mark.parametrize("address", PAGES)
def test_no_page_needs_an_inline_script_or_style(client_for, project, carol, address):
    User.objects.filter(pk=carol.pk).update(is_staff=True)
    carol.refresh_from_db()
    invitations.invite(carol, "dora@example.org", project)
    page = client_for(carol).get(address)
    policy = page["Content-Security-Policy"]

    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert not re.search(
        r"<style|\sstyle=|\son\w+=|<script(?![^>]*(src=|type=\"application/json\"))",
        page.content.decode(),
    )
