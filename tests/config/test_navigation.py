"""The navigation offers each role its pages, in groups, and marks the one that is open."""

import re

import pytest
from django.urls import get_resolver, reverse

from config.navigation import GROUPS
from tests.factories import make_person
from tests.pages import one_line

pytestmark = pytest.mark.django_db
LABELER = {"Label": ["Rank", "Write", "Questions"]}
LEAD = {"Label": ["Rank", "Write", "Questions", "Review", "Disagreements"], "": ["People"]}
ADMIN = {
    "Label": ["Rank", "Write", "Questions", "Review", "Disagreements"],
    "Data": ["Prompts", "Judgments", "Datasets"],
    "Models": ["Loop", "Jobs", "Versions"],
    "": ["People", "Settings"],
}


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        ("labeler", LABELER),
        ("lead", LEAD),
        ("researcher", {"Data": ["Prompts", "Judgments", "Datasets"]}),
        ("admin", ADMIN),
    ],
)
def test_each_role_is_offered_its_pages(client_for, project, role, offered):
    browser = client_for(make_person(project, role, "someone"))
    page = browser.get(reverse("project", args=["demo"]), follow=True)

    groups = page.context["navigation"]
    assert {g["label"]: [link["label"] for link in g["links"]] for g in groups} == offered
    for group in groups:
        for link in group["links"]:
            assert browser.get(link["url"]).status_code == 200


@pytest.mark.parametrize(
    ("page", "marked"),
    [
        ("rank", "Rank"),
        ("history", "Rank"),
        ("ask-prompts", "Review"),
        ("set-aside", "Prompts"),
        ("judgments", "Judgments"),
        ("freeze", "Datasets"),
        ("model-serve", "Versions"),
        ("webhooks", "Settings"),
    ],
)
def test_the_open_page_or_the_one_above_it_is_marked(client_for, carol, page, marked):
    body = one_line(client_for(carol).get(reverse(page, args=["demo"])))
    navigation = body[body.index('<nav class="nav') : body.index("</nav>")]

    current = re.findall(r'aria-current="page"[^>]*>\s*([^<]*?)\s*</a>', navigation)
    assert current == [marked]


def test_every_page_that_is_named_exists():
    names = {entry.page for _label, entries in GROUPS for entry in entries}
    below = set().union(*(entry.below for _label, entries in GROUPS for entry in entries))

    assert names | below <= {key for key in get_resolver().reverse_dict if isinstance(key, str)}
