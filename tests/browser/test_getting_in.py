"""Coming in by an invitation's link, and choosing a theme, as a person does it."""

import re

import pytest
from playwright.sync_api import expect

from people import invitations
from people.models import Membership
from tests.factories import make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAPER = {"light": "rgb(247, 245, 241)", "dark": "rgb(23, 22, 20)"}


def paper(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_an_admin_hands_a_link_on_and_somebody_comes_in_by_it(
    window, log_in, project, carol, picture, width, scheme
):
    admin, dora = (window(width, color_scheme=scheme) for _person in range(2))
    log_in(admin, carol)
    admin.goto("/p/demo/people/")
    admin.fill("[name=email]", "dora@example.org")
    admin.get_by_role("button", name="Invite").click()
    link = admin.locator(".secret").inner_text()
    picture(admin, f"invited-{width}-{scheme}")

    dora.goto(link)
    picture(dora, f"sign-up-{width}-{scheme}")
    dora.fill("[name=name]", "Dora")
    for field in ("password1", "password2"):
        dora.fill(f"[name={field}]", "a river in spring")
    dora.get_by_role("button", name="Make the account").click()
    expect(dora).to_have_url(re.compile("/p/demo/rank/"))
    assert Membership.objects.get(user__email="dora@example.org").role == "labeler"


@pytest.mark.parametrize("width", [1440, 390])
def test_a_member_is_removed_in_two_steps(window, log_in, project, carol, alice, picture, width):
    invitations.invite(carol, "dora@example.org", project)
    page = window(width)
    log_in(page, carol)
    page.goto("/p/demo/people/")
    page.get_by_text("Remove", exact=True).nth(1).click()
    picture(page, f"people-{width}")
    page.get_by_role("button", name="Remove from the project").click()

    expect(page.get_by_text("alice@example.org")).to_have_count(0)


@pytest.mark.parametrize(("device", "chosen"), [("light", "dark"), ("dark", "light")])
def test_a_chosen_theme_overrules_the_device(window, log_in, db, device, chosen):
    page = window(color_scheme=device)
    log_in(page, make_person())
    assert paper(page) == PAPER[device]

    page.goto("/account/")
    page.select_option("[name=theme]", chosen)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your settings were saved.")).to_be_visible()
    assert paper(page) == PAPER[chosen]
