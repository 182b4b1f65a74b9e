"""The tasks that browser tests lay before a labeler, and what hands do at the ranking page."""

import time

from playwright.sync_api import expect

from labeling.models import RankedCandidate, Ranking
from tests.factories import PASSWORD, make_prompt, make_task

PHONE = {"width": 390, "has_touch": True, "is_mobile": True}
ANSWERS = (
    "It is wonderful that she wants to move more. Before she starts, she could ask:\n\n"
    "1. **Is my dose stable enough** to begin something new?\n"
    "2. Which activities have a **risk of falls or knocks** that I should avoid?\n"
    "3. What bruising is normal, and **when should I call you?**\n"
    "4. Do I need a blood test before or after I change my routine?\n\n"
    "Walking, water aerobics and a stationary bicycle are often suggested as gentle beginnings.",
    "She should not exercise while on a blood thinner. Exercise raises blood pressure and this can "
    "cause bleeding. "
    "It is better to rest until the treatment is over.",
    "Ask about contact sports, about heart rate limits, and whether a check-up is needed. The "
    "doctor may want to know "
    "which medicine it is:\n\n```\nwarfarin      -> INR test, steady vitamin K\napixaban etc. -> "
    "fewer tests, same fall "
    "risk\n```\n\nShe should carry a card that says what she takes.",
    "开始锻炼之前，她可以问医生：目前的剂量是否稳定？哪些运动容易摔倒或碰撞，应该避免？出现瘀伤时，什么情况需要马上联系医生？\n\n"
    "散步、水中健身操通常是比较温和的选择。",
)
QUESTION = (
    "My grandmother takes a blood thinner and wants to start a new exercise routine. "
    "What should she ask her doctor before she begins?"
)


def make_tasks(project, count, texts=ANSWERS, **fields):
    for number in range(count):
        messages = [
            {
                "role": "system",
                "content": "You answer in plain language for someone without a medical background.",
            },
            {"role": "user", "content": f"{QUESTION} ({number + 1})"},
        ]
        make_task(project, texts=texts, prompt=make_prompt(project, messages=messages), **fields)


def ranks():
    """The ranks of the newest ranking, by the letter shown."""
    ranked = RankedCandidate.objects.filter(
        ranking=Ranking.objects.filter(current=True).latest("pk")
    )
    return {"abcdefghi"[one.shown]: one.rank for one in ranked}


def drag(page, start, end, share=0.5):
    """Press on `start`, move in steps, let go over `end`, at this share of its width."""
    one, other = page.locator(start).bounding_box(), page.locator(end).bounding_box()
    page.mouse.move(*middle(one))
    page.mouse.down()
    page.mouse.move(other["x"] + other["width"] * share, other["y"] + other["height"] / 2, steps=8)
    page.mouse.up()


def submit(page, how="click"):
    """Submit with the mouse ("click"), a finger ("tap") or "Enter"; wait for the next card and for
    the server.
    """
    form = page.locator("#task").get_attribute("action")
    page.evaluate("window.kept = true")
    with page.expect_response(f"**{form}"):
        page.keyboard.press("Enter") if how == "Enter" else getattr(page, how)("#submit")
    expect(page.locator(f'#task[action="{form}"]')).to_have_count(0)
    assert page.evaluate("window.kept") is True, "the page was loaded anew"


def swipe(page, start, end, share=0.5):
    """Put a finger on `start`, move it, and lift it over `end`, at this share of its width.

    As slowly as people do: a fling eats the next tap.
    """
    one, other = (page.locator(which).bounding_box() for which in (start, end))
    one, other = (
        middle(one),
        (other["x"] + other["width"] * share, other["y"] + other["height"] / 2),
    )
    finger, begun = page.context.new_cdp_session(page), time.time() - 1

    def touch(kind, tenths, *points):
        points = [{"x": x, "y": y} for x, y in points]
        said = {"type": kind, "touchPoints": points, "timestamp": begun + tenths / 10}
        finger.send("Input.dispatchTouchEvent", said)

    touch("touchStart", 0, one)
    for tenths, share in enumerate((0.3, 0.6, 0.9, 1, 1, 1), 1):
        touch("touchMove", tenths, tuple(a + share * (b - a) for a, b in zip(one, other)))
    touch("touchEnd", 8)
    finger.detach()


def middle(box):
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def bare_numbers(page):
    """The numbers of a table whose columns have no titles on a phone, and that stand there without
    a word.
    """
    cells = page.locator(".stack td.num:not([data-unit]):visible")
    return [text for text in cells.all_inner_texts() if text.strip().isdecimal()]


def wrong_plurals(page):
    """1 rankings, and the like."""
    units = page.locator(".stack [data-unit$=s]:visible").evaluate_all(
        "all => all.map(cell => `${cell.innerText.trim()} ${cell.dataset.unit}`)"
    )
    return [text for text in units if text.startswith("1 ")]


def identify(page, person):
    """Fill in the log-in form that is open."""
    page.fill("[name=username]", person.email)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")


def tab_to(page, target):
    """Press Tab until the control has the focus."""
    for _press in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("target => document.activeElement.matches(target)", target):
            return
    raise AssertionError(f"Tab does not reach {target}")


def press(page, target, how):
    """Press a control with the mouse ("click"), a finger ("tap"), or "Enter" or "Space" where Tab
    has reached it.
    """
    if how in ("click", "tap"):
        getattr(page, how)(target)
    else:
        tab_to(page, target)
        page.keyboard.press(how)


def key(page, written, code, shift=False):
    """Press the key at the place `code` of a keyboard whose layout writes something else there."""
    session = page.context.new_cdp_session(page)
    named = len(written) > 1 and written.isascii()
    said = {"key": written, "code": code, "modifiers": 8 if shift else 0}
    said["windowsVirtualKeyCode"] = 229 if written == "Process" else ord(code[-1])
    session.send(
        "Input.dispatchKeyEvent",
        said | {"type": "rawKeyDown" if named else "keyDown", "text": "" if named else written},
    )
    session.send("Input.dispatchKeyEvent", said | {"type": "keyUp"})
    session.detach()


CYRILLIC = dict(zip("abcdefghijklmnopqrstuvwxyz", "фисвуапршолдьтщзйкыегмцчня", strict=True))


def in_cyrillic(page, letters):
    """Press the keys of these Latin letters while the layout is the Russian one."""
    for name in letters:
        key(page, CYRILLIC[name], f"Key{name.upper()}")


def in_latin(page, letters):
    page.keyboard.type(letters)


LAYOUTS = {
    "Latin": in_latin,
    "Cyrillic": in_cyrillic,
}  # how the keys of these Latin letters are pressed there


def letter(name):
    return f"#answer-{name} .letter"


def slot(number):
    return f".tier:nth-child({number})"
