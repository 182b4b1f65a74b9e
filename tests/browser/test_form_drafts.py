"""The forms of an answer key and of an adjudication lose nothing on a reload, however they were
filled in.
"""

import pytest
from playwright.sync_api import expect

from labeling.models import FormDraft, Ranking
from tests.browser.hands import ANSWERS, PHONE, drag, in_cyrillic, letter, press, slot
from tests.factories import make_job, make_person, make_ranking, make_task

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def form(window, log_in, project):
    """Opens a form of one task that two people saw differently, before its admin."""
    task = make_task(project, texts=ANSWERS, overlap=2, job=make_job(project))
    for ranks in ([1, 2, 3, 4], [4, 3, 2, 1]):
        make_ranking(task, make_person(project), ranks=ranks)
        task.refresh_from_db()

    def open_form(name, **options):
        page = window(**options)
        log_in(page, make_person(project, "admin", "carol"))
        page.goto(f"/p/demo/tasks/{task.pk}/{name}")
        return page

    return open_form


def by_keyboard(page):
    page.keyboard.type("bd")


def by_cyrillic(page):
    in_cyrillic(page, "bd")


def by_mouse(page):
    page.click(letter("b"))
    drag(page, letter("d"), slot(2))


def by_touch(page):
    page.tap(letter("b"))
    page.tap(letter("d"))


def by_tab(page):
    press(page, letter("b"), "Space")
    press(page, letter("d"), "Enter")


@pytest.mark.parametrize("name", ["gold", "settle"])
@pytest.mark.parametrize("fill", [by_keyboard, by_cyrillic, by_mouse, by_touch, by_tab])
def test_a_reload_finds_the_half_done_judgment(form, picture, name, fill):
    phone = fill is by_touch
    page = form(name, **(PHONE if phone else {"color_scheme": "dark"}))
    fill(page)
    expect(page.locator(".status")).to_have_text("B > D. 2 to go.")
    expect(page.locator(".saved")).to_have_text("Draft saved")
    page.reload()
    expect(page.locator(".status")).to_have_text("B > D. 2 to go.")
    picture(page, f"draft-{'390-light' if phone else '1440-dark'}-{name}")

    page.keyboard.press("5")  # the last moment before leaving is kept too
    page.reload()
    expect(page.locator("#answer-a .scale :checked")).to_have_value("5")
    page.keyboard.type("ca")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/tasks/" not in url)
    made = Ranking.objects.get(kind__in=Ranking.FOR_ALL)
    assert list(made.ranked.order_by("shown").values_list("rank", flat=True)) == [4, 1, 3, 2]
    assert not FormDraft.objects.exists()


def test_no_key_is_taken_before_it_can_be_kept(form):
    page, held = form("settle"), []
    page.route("**/draft*.js", lambda route: held.append(route))
    with page.expect_response("**/ranking*.js"):
        page.reload(wait_until="commit")
    page.locator("#answer-a .scale [value='5']").wait_for(state="attached")
    page.keyboard.press("5")
    [script] = held
    script.continue_()
    page.wait_for_load_state()
    taken = page.locator(".scale :checked").count()
    page.unroute("**/draft*.js")
    page.reload()
    expect(page.locator(".scale :checked")).to_have_count(taken)


def test_a_reload_keeps_a_draft_that_is_under_way(form):
    page = form("gold")
    held = []
    page.route("**/draft", lambda route: held.append(route))  # no answer comes
    with page.expect_request("**/draft"):
        page.keyboard.type("bd")
    page.reload()
    for route in held:
        route.abort()
    page.unroute("**/draft")
    expect(page.locator(".status")).to_have_text("B > D. 2 to go.")


def test_without_a_connection_the_form_stays_until_it_can_be_sent(form):
    page = form("gold")
    page.context.set_offline(True)
    page.keyboard.type("bdc")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_have_text(
        "Offline. Changes will be saved when you reconnect."
    )
    expect(page.locator(".status")).to_have_text("B > D > C > A")
    page.context.set_offline(False)
    expect(page.locator(".saved")).to_have_text("Draft saved")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/tasks/" not in url)
    assert Ranking.objects.filter(kind=Ranking.Kind.GOLD).exists()
