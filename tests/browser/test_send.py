"""Nobody waits for the next task, and nothing that was submitted is lost on the way."""

import time

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, Ranking
from tests.browser.hands import PHONE, identify, in_cyrillic, press, ranks, submit
from tests.factories import make_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def at_work(desk):
    """Opens the ranking page and waits until the next card is in the browser."""

    def go(count=3):
        page = desk(count)
        expect(page.locator("#task[data-next=here]")).to_be_visible()
        return page

    return go


def prompt(page):
    return page.locator(".turn.user")


def recorded(count):
    """Waits until the server has so many rankings."""
    for _ in range(300):
        if Ranking.objects.filter(current=True).count() == count:
            return True
        time.sleep(0.1)
    return False


def test_what_was_typed_into_the_next_card_is_there_again_after_an_undo(at_work):
    page = at_work()
    page.keyboard.type("dcba")
    submit(page)
    page.keyboard.type("ab")
    page.keyboard.press("u")  # before the card after that one was fetched
    expect(prompt(page)).to_contain_text("(1)")
    page.wait_for_timeout(600)
    submit(page)
    expect(prompt(page)).to_contain_text("(2)")
    expect(page.locator(".status")).to_have_text("A > B. 2 to go.")


def test_an_undo_waits_until_what_was_typed_is_saved(at_work):
    page = at_work()
    page.keyboard.type("dcba")
    submit(page)
    expect(prompt(page)).to_contain_text("(2)")
    held, undone = [], []
    page.route("**/draft", lambda route: held.append(route))  # the server is slow
    page.on("request", lambda request: undone.append(request) if "/undo" in request.url else None)
    page.keyboard.type("ab")
    with page.expect_request("**/draft"):
        page.keyboard.press("u")
    page.wait_for_timeout(600)
    assert not undone

    for route in held:  # a draft may have been under way when the key was pressed
        route.continue_()
    page.unroute("**/draft")
    expect(prompt(page)).to_contain_text("(1)")
    submit(page)
    expect(prompt(page)).to_contain_text("(2)")
    expect(page.locator(".status")).to_have_text("A > B. 2 to go.")


def test_an_undo_waits_for_a_draft_that_is_under_way(at_work):
    page = at_work()
    page.keyboard.type("dcba")
    submit(page)
    expect(prompt(page)).to_contain_text("(2)")
    held, undone = [], []
    page.route("**/draft", lambda route: held.append(route))
    page.on("request", lambda request: undone.append(request) if "/undo" in request.url else None)
    with page.expect_request("**/draft"):
        page.keyboard.type("ab")
    page.keyboard.press("u")
    page.wait_for_timeout(600)
    assert not undone

    for route in held:
        route.continue_()
    page.unroute("**/draft")
    expect(prompt(page)).to_contain_text("(1)")


def test_the_next_card_is_there_before_the_server_has_answered(at_work):
    page = at_work()
    held = []
    page.route("**/submit", lambda route: held.append(route))  # the server says nothing
    page.keyboard.type("abc")
    page.keyboard.press("Enter")
    expect(prompt(page)).to_contain_text("(2)")
    assert Ranking.objects.count() == 0
    page.keyboard.type("dcb")
    expect(page.locator(".status")).to_have_text("D > C > B > A")
    held[0].continue_()
    assert recorded(1)
    expect(page.locator("#meters")).to_contain_text("1 today")
    expect(page.locator(".status")).to_have_text("D > C > B > A")


def test_what_is_typed_while_a_submit_is_on_its_way_is_saved_and_a_tie_begun_stays_begun(at_work):
    page = at_work()
    held = []
    page.route("**/submit", lambda route: held.append(route))
    page.keyboard.type("abc")
    page.keyboard.press("Enter")
    expect(prompt(page)).to_contain_text("(2)")
    page.keyboard.type("d=")
    held[0].continue_()
    expect(page.locator("#meters")).to_contain_text("1 today")
    with page.expect_response("**/draft"):
        page.keyboard.press("c")
    expect(page.locator(".status")).to_have_text("D = C. 2 to go.")


def test_every_card_is_followed_by_one_that_is_here_already(at_work):
    page = at_work(count=4)
    for _number in range(2):
        page.keyboard.type("abc")
        submit(page)
        expect(page.locator("#task[data-next=here]")).to_be_visible()


def test_five_tasks_in_a_row_and_all_are_recorded(at_work):
    page = at_work(count=5)
    for number in range(5):
        expect(prompt(page)).to_contain_text(f"({number + 1})")
        page.keyboard.type("bac")
        page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Nothing to rank right now")
    assert recorded(5)
    assert Assignment.objects.filter(state="leased").count() == 0


def test_a_submit_without_a_connection_is_sent_when_it_is_back(at_work):
    page = at_work()
    page.context.set_offline(True)
    page.keyboard.type("cab")
    page.keyboard.press("Enter")
    expect(prompt(page)).to_contain_text("(2)")
    expect(page.locator(".saved")).to_contain_text("stored here and will be sent automatically")
    page.keyboard.type("dc")
    page.context.set_offline(False)
    assert recorded(1)
    assert ranks() == {"c": 1, "a": 2, "b": 3, "d": 4}
    expect(page.locator(".status")).to_have_text("D > C. 2 to go.")


def test_a_browser_that_crashed_sends_what_it_still_had(at_work):
    page = at_work()
    page.context.set_offline(True)
    page.keyboard.type("cab")
    page.keyboard.press("Enter")
    expect(prompt(page)).to_contain_text("(2)")
    context = page.context
    page.close()
    context.set_offline(False)
    again = context.new_page()
    again.goto("/p/demo/rank/")
    assert recorded(1)
    assert ranks() == {"c": 1, "a": 2, "b": 3, "d": 4}
    expect(prompt(again)).to_contain_text("(2)")


def test_a_place_that_went_to_someone_else_is_told_afterwards(at_work, project):
    page = at_work()
    bob = make_person(project, "labeler", "bob")
    lost = Assignment.objects.get(ahead=False)
    Assignment.objects.filter(pk=lost.pk).update(state="expired", leased_until=None)
    Assignment.objects.create(
        task=lost.task, labeler=bob, project=project, place=0, order=lost.order, state="submitted"
    )
    page.keyboard.type("abc")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("This task went to someone else")
    page.click("text=Continue with the next task")
    expect(prompt(page)).to_contain_text("(2)")
    lost.refresh_from_db()
    assert lost.draft["rank"] == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_who_is_logged_out_meanwhile_loses_nothing(at_work, alice):
    page = at_work()
    page.context.clear_cookies(name="sessionid")
    page.keyboard.type("dba")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_contain_text("You are logged out")
    page.reload()
    identify(page, alice)
    page.wait_for_url("**/rank/")
    assert recorded(1)
    assert ranks() == {"d": 1, "b": 2, "a": 3, "c": 4}


def test_a_log_in_in_another_window_loses_nothing(at_work, alice):
    page = at_work()
    page.context.clear_cookies(name="sessionid")
    other = page.context.new_page()
    other.goto("/login/")  # the token of the page behind it becomes worthless
    identify(other, alice)
    other.wait_for_url(lambda url: "login" not in url)
    page.keyboard.type("dba")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_contain_text("reload")
    page.reload()
    assert recorded(1)
    assert ranks() == {"d": 1, "b": 2, "a": 3, "c": 4}
    expect(prompt(page)).to_contain_text("(2)")


def test_what_is_refused_on_two_pages_blocks_nothing_after_it(at_work):
    page = at_work()
    page.route("**/submit", lambda route: route.fulfill(status=403, body="no"))
    page.keyboard.type("dba")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_contain_text("reload to send it again")
    page.reload()
    expect(page.locator(".saved")).to_contain_text("is not recorded")
    page.unroute("**/submit")
    page.keyboard.type("cab")
    page.keyboard.press("Enter")
    assert recorded(1)
    assert ranks() == {"c": 1, "a": 2, "b": 3, "d": 4}


def test_undo_after_the_next_card_was_ready(at_work):
    page = at_work()
    page.keyboard.type("abc")
    submit(page)
    expect(prompt(page)).to_contain_text("(2)")
    page.keyboard.press("u")
    expect(prompt(page)).to_contain_text("(1)")
    expect(page.locator(".status")).to_have_text("A > B > C > D")
    assert not Ranking.objects.filter(current=True).exists()


def test_undo_pressed_before_the_server_has_the_submit_takes_back_that_one_and_not_the_one_before(
    at_work,
):
    page = at_work()
    page.keyboard.type("abc")
    submit(page)
    expect(page.locator("#task[data-next=here]")).to_be_visible()
    held = []
    page.route("**/submit", lambda route: held.append(route))
    page.keyboard.type("dcb")
    page.keyboard.press("Enter")
    expect(prompt(page)).to_contain_text("(3)")
    page.keyboard.press("u")
    page.wait_for_timeout(200)
    held[0].continue_()
    expect(prompt(page)).to_contain_text("(2)")
    expect(page.locator(".status")).to_have_text("D > C > B > A")
    assert ranks() == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_undo_with_nothing_to_undo_says_so(at_work):
    page = at_work()
    page.keyboard.press("u")
    expect(page.locator("body")).to_contain_text("There is nothing to undo")
    expect(prompt(page)).to_contain_text("(1)")


# Where no next card is at hand


@pytest.mark.parametrize("how", ["Enter", "click", "tap", "Tab", "after a click", "Cyrillic"])
def test_without_a_connection_the_last_card_is_queued_too(desk, picture, how):
    phone = how == "tap"
    page = desk(**(PHONE if phone else {}))
    if how == "Cyrillic":
        in_cyrillic(page, "cab")  # while online: it attaches to the page anew
    else:
        page.keyboard.type("cab")
    page.context.set_offline(True)
    if how == "after a click":
        page.click("[data-verb=source]")
    if how == "Tab":
        press(page, "#submit", "Space")
    elif how in ("click", "tap"):
        press(page, "#submit", how)
    else:
        page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_contain_text("will be sent automatically")
    picture(page, f"send-{390 if phone else 1440}-light-queued")
    page.keyboard.type("=d5s")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    expect(page.locator(".status")).to_have_text("C > A > B > D")
    expect(page.locator("#skip[open], .scale :checked")).to_have_count(0)

    page.context.set_offline(False)
    expect(page.locator("h1")).to_have_text("Nothing to rank right now")
    assert ranks() == {"c": 1, "a": 2, "b": 3, "d": 4}
    assert Ranking.objects.count() == 1


def test_without_a_connection_two_cards_are_queued_and_the_third_follows(at_work):
    page = at_work(count=3)
    page.context.set_offline(True)
    for letters in ("cab", "dcb"):
        page.keyboard.type(letters)
        page.keyboard.press("Enter")
    expect(prompt(page)).to_contain_text("(2)")
    expect(page.locator("#task[inert]")).to_have_count(1)
    page.context.set_offline(False)
    expect(prompt(page)).to_contain_text("(3)")
    assert recorded(2)
    assert ranks() == {"d": 1, "c": 2, "b": 3, "a": 4}
    page.keyboard.type("abc")
    submit(page)
    assert recorded(3)


def test_what_is_queued_can_be_undone_once_it_is_sent(desk):
    page = desk()
    page.context.set_offline(True)
    page.keyboard.type("cab")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_contain_text("will be sent automatically")
    page.keyboard.press("u")
    expect(page.locator(".saved")).to_contain_text("Nothing was changed")
    page.context.set_offline(False)
    expect(page.locator("h1")).to_have_text("Nothing to rank right now")
    page.keyboard.press("u")
    expect(page.locator(".status")).to_have_text("C > A > B > D")
    expect(page.locator("#task[inert]")).to_have_count(0)
    assert Ranking.objects.get().current is False


def test_a_page_loaded_before_the_queue_was_sent_does_not_keep_its_card(desk):
    page = desk()
    page.context.set_offline(True)
    page.keyboard.type("cab")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_contain_text("will be sent automatically")
    context = page.context
    page.close()
    context.set_offline(False)
    again = context.new_page()
    again.goto("/p/demo/rank/")
    expect(again.locator("h1")).to_have_text("Nothing to rank right now")
    assert ranks() == {"c": 1, "a": 2, "b": 3, "d": 4}
