"""A labeler's day: twenty mixed tasks in one sitting, at a desk and on a phone. What is stored is
what was done.
"""

import re

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, Ranking, RankingTask
from tests.browser.hands import PHONE, drag, letter, slot, submit, swipe
from tests.factories import make_prompt, make_task, ratings_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = "\n\n".join(  # 1,500 words
    f"### {part}. What to ask\n\n"
    + "She can ask whether walking, swimming or dancing suits her, and how often. " * 10
    + "When in doubt, she should call before she goes out, and carry a card."
    for part in range(1, 11)
)
KINDS = (
    (
        "Ask which activities are safe with this medicine, begin slowly, and stop when you bruise "
        "easily or feel dizzy."
    ),
    LONG,
    "开始锻炼之前，她可以问医生：目前的剂量是否稳定？哪些运动容易摔倒？\n\n散步、水中健身操通常是比较温和的选择。",
    (
        "قبل أن تبدأ، يمكنها أن تسأل الطبيب: هل جرعتي **مستقرة**؟\n\n- أي الأنشطة يجب تجنبها؟\n- "
        "متى أتصل بك (INR > 3)؟"
    ),
    (
        "```python\ndef plan(days):  # gently\n    return [day for day in days if day.title() != "
        '"Sunday" and not day.rest]\n```'
    ),
    (
        "| medicine | test | food | note |\n|---|---|---|---|\n| warfarin | INR | steady vitamin K "
        "| carries a card |"
    ),
    "לפני שהיא מתחילה, כדאי לשאול את הרופא: האם המינון יציב?\n\n1. הליכה\n2. שחייה",
    "1. **Dose** stable?\n2. Falls or knocks?\n   - stairs\n   - ice\n\n> When in doubt, *call*.",
    "No.",
)

# The ranking of each task, best first, with "=" before a letter that ties with the one before it.
DAY = (
    "ba",
    "cadb",
    "a=b",
    "d=c=b=a",
    "ihgfedcba",
    "bdac",
    "a=cbd",
    "ab",
    "bc=da",
    "a=b=c=d=e=f=g=h=i",
    "dacb",
    "ba",
    "cd=a=b",
    "efa=bd=cihg",
    "acbd",
    "b=a",
    "bcda",
    "bca=d",
    "i=abcdefgh",
    "dbca",
)
REVISED, SKIPPED, UNDONE, RELOADED, BAD = 4, 6, 9, 14, 17
SECOND_THOUGHT = "da=bc"


def places(order):
    """Of each letter: the tier that it comes to, counted from 1, and whether others are there
    already.
    """
    tier = 0
    for tie, name in re.findall(r"(=?)(\w)", order):
        tier += not tie
        yield name, tier, bool(tie)


def needed(order):
    """What has to be said of it: the last letter follows by itself, unless it is tied."""
    return order if order[-2] == "=" else order[:-1]


def in_words(order):
    """As the page says it: "ab=c" is "A > B = C"."""
    return re.sub(r"(?<=\w)(?=\w)", " > ", order).replace("=", " = ").upper()


def as_stored(order):
    """The same with the letters of a tie in the alphabet's order: a ranking keeps no other."""
    return "".join("=".join(sorted(tier.split("="))) for tier in re.split(r"(?<=\w)(?=\w)", order))


def mark_of(number):
    """The overall quality that answer A of this task is given."""
    return number % 7 + 1


@pytest.fixture
def day(window, log_in, project, alice):
    """Lays the day's tasks out, and opens the page at the first. Each answer says at its end which
    one it is.
    """
    for number, order in enumerate(DAY, 1):
        kinds = [
            KINDS[(number + at) % len(KINDS)] for at, _letter in enumerate(order.replace("=", ""))
        ]
        texts = [f"{text}\n\n[{number}.{at}]" for at, text in enumerate(kinds)]
        prompt = make_prompt(
            project, f"({number}) What should she ask her doctor before she begins to exercise?"
        )
        make_task(project, texts, prompt, overlap=1)

    def begin(**options):
        page = window(**options)
        log_in(page, alice)
        page.goto("/p/demo/rank/")
        return page

    return begin


class Keyboard:
    """Everything by keys."""

    submits = "Enter"

    def __init__(self, page):
        self.page, self.keys = page, page.keyboard

    def rate(self, mark):
        self.keys.type(str(mark))

    def place(self, order):
        self.keys.type(order)

    def take_all_back(self):
        for _letter in self.page.locator(".tier.full .letter").all():
            self.keys.press("Backspace")

    def note(self, text):
        self.keys.type(f"n{text}")
        self.keys.press("Escape")

    def skip(self, why):
        self.keys.type("s ")
        self.keys.press("Tab")
        self.keys.type(why)
        self.keys.press("Enter")

    def undo(self):
        self.keys.press("u")

    def save(self):
        self.keys.press("Enter")


class Mouse:
    """Letters are dragged onto the board."""

    submits = "click"

    def __init__(self, page):
        self.page, self.press = page, getattr(page, self.submits)

    def rate(self, mark):
        self.press(f"#answer-a .scale label:has([value='{mark}'])")

    def place(self, order):
        for name, tier, _tie in places(order):
            self.page.locator(f"#answer-{name}").scroll_into_view_if_needed()
            drag(self.page, letter(name), slot(tier))

    def take_all_back(self):
        while self.page.locator(".tier.full .letter").count():
            self.press(".tier.full .letter >> nth=-1")

    def note(self, text):
        self.press("#note summary")
        self.page.fill("[name=note]", text)

    def skip(self, why):
        self.press("#skip summary")
        self.press("#skip [value=language]")
        self.page.fill("[name=detail]", why)
        self.press("#skip button")

    def undo(self):
        self.press("#undo button")

    def save(self):
        self.press("#submit")


class Finger(Mouse):
    """Letters are tapped from best to worst; for a tie, one is pulled onto another."""

    submits = "tap"

    def place(self, order):
        for name, tier, tie in places(order):
            self.press(letter(name))
            if tie:
                swipe(self.page, f".tiers [data-letter={name}]", slot(tier))


# Of each card, the mark at the end of its answer, once scrolling has brought that end into sight.
READ = """() => [...document.querySelectorAll(".answer > .text:not(.written)")].map((text) => {
  const end = text.lastElementChild;
  end.scrollIntoView({ block: "center" });
  const { left, bottom } = end.getBoundingClientRect();
  const shown = end.contains(document.elementFromPoint(left + 8, bottom - 8));
  return shown ? end.textContent : "out of sight";
})"""
# What can't be reached on the screen as it is, among them a page that is wider than it.
OUT_OF_REACH = """() => {
  const parts = document.querySelectorAll("#submit, .tier.full, #skip > summary, #undo, .outcome");
  const hidden = [...parts].filter((part) => {
    const { left, right, top, bottom } = part.getBoundingClientRect();
    return left < 0 || right > innerWidth || top < 0 || bottom > innerHeight || right - left < 24;
  });
  const wide = document.documentElement.scrollWidth > innerWidth ? ["too wide"] : [];
  return hidden.map((part) => part.outerHTML).concat(wide);
}"""


class Sitting:
    """One person's day; keeps what was shown, to hold what is stored against it."""

    def __init__(self, page, hands, picture):
        self.page, self.hands, self.picture = page, hands, picture
        self.prompt, self.status = page.locator(".turn.user p"), page.locator(".status")
        self.shown = {}

    def work(self):
        for turn in range(len(DAY)):
            if turn == len(DAY) // 2:
                self.page.emulate_media(color_scheme="dark")  # dusk
            self.one_task(self.hands[turn % len(self.hands)])
        expect(self.page.locator("h1")).to_have_text("Nothing to rank right now")

    def one_task(self, hand):
        number = int(re.match(r"\((\d+)\)", self.prompt.inner_text())[1])
        self.look("fresh", number)
        while self.page.locator(".unfold:visible").count():
            hand.press(".unfold:visible")
        self.shown[number] = self.page.evaluate(READ)
        deeds = {SKIPPED: self.skip, UNDONE: self.undo, RELOADED: self.reload, BAD: self.refuse}
        deeds.get(number, self.rank)(hand, number)

    def look(self, what, number):
        """Nothing is out of reach; and a picture for a person to look at."""
        assert self.page.evaluate(OUT_OF_REACH) == []
        width, k = self.page.viewport_size["width"], self.page.locator(".answer").count()
        dark = self.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        self.picture(
            self.page, f"day-{width}-{'dark' if dark else 'light'}-k{k}-{number:02}-{what}"
        )

    def rank(self, hand, number):
        hand.rate(mark_of(number))
        self.place(hand, number, DAY[number - 1])

    def place(self, hand, number, order):
        hand.place(needed(order))
        expect(self.status).to_have_text(in_words(order))
        self.look("ranked", number)
        submit(self.page, hand.submits)

    def start_over(self, hand):
        hand.take_all_back()
        expect(self.page.locator(".tier.full")).to_have_count(0)

    def skip(self, hand, number):
        hand.skip("too much of it")
        expect(self.prompt).not_to_contain_text(f"({number})")

    def undo(self, hand, number):
        hand.rate(mark_of(number))
        self.place(hand, number, "abcd")
        hand.undo()
        expect(self.status).to_have_text(in_words("abcd"))
        expect(self.prompt).to_contain_text(f"({number})")
        self.start_over(hand)
        self.place(hand, number, DAY[number - 1])

    def reload(self, hand, number):
        half = DAY[number - 1][:5]
        hand.place(half)
        hand.note("half a thought")
        expect(self.page.locator(".saved")).to_have_text("Draft saved")
        self.page.reload()
        expect(self.status).to_contain_text(in_words(half))
        self.look("reloaded", number)
        self.start_over(hand)
        self.rank(hand, number)

    def refuse(self, hand, number):
        self.page.select_option("[name=outcome]", "all_bad")
        self.look("bad", number)
        submit(self.page, hand.submits)

    def revise(self, hand):
        """Find one of the day's first rankings in the history, and think again."""
        self.page.get_by_role("link", name="My history").click()
        expect(self.page.locator("tbody tr")).to_have_count(len(DAY) - 1)
        self.page.fill("[name=q]", f"({REVISED})")
        self.page.keyboard.press("Enter")
        expect(self.page.locator("tbody tr")).to_have_count(1)
        self.look("history", REVISED)
        self.page.locator("td a").click()
        expect(self.status).to_have_text(in_words(as_stored(DAY[REVISED - 1])))
        self.start_over(hand)
        hand.place(needed(SECOND_THOUGHT))
        self.look("revised", REVISED)
        hand.save()
        expect(self.page.locator(".message")).to_contain_text("Your revision is saved")


def stored(task):
    """Of each answer in the order shown: its mark, its rank, its rating."""
    ranking = task.rankings.get(current=True)
    ranked = ranking.ranked.order_by("shown").select_related("candidate")
    return [
        (one.candidate.text.split("\n\n")[-1], one.rank, rating)
        for one, rating in zip(ranked, ratings_of(ranking), strict=True)
    ]


def done(number, shown):
    """What should be stored of a task, by what was shown and done."""
    order = {REVISED: SECOND_THOUGHT}.get(number, DAY[number - 1])
    ranks = {} if number == BAD else {name: tier for name, tier, _tie in places(order)}
    marks = {} if number == BAD else {"a": mark_of(number)}
    return [(mark, ranks.get(name), marks.get(name)) for name, mark in zip("abcdefghi", shown)]


@pytest.mark.parametrize(
    ("options", "hands"),
    [({"width": 1440}, (Keyboard, Mouse)), (PHONE, (Finger,))],
    ids=["at a desk", "on a phone"],
)
def test_twenty_tasks_in_one_sitting(day, picture, options, hands):
    page = day(**options)
    sitting = Sitting(page, [hand(page) for hand in hands], picture)
    sitting.work()
    sitting.revise(sitting.hands[0])

    tasks = dict(enumerate(RankingTask.objects.order_by("pk"), 1))
    skipped = tasks.pop(SKIPPED)
    assert skipped.assignments.get().skip_reason == "language: too much of it"
    assert (skipped.free_places, skipped.rankings.count()) == (1, 0)
    for number, task in tasks.items():
        assert stored(task) == done(number, sitting.shown[number]), number
        assert task.assignments.get().state == Assignment.State.SUBMITTED
        assert task.free_places == 0
    assert Ranking.objects.filter(current=True).count() == len(DAY) - 1
    assert sorted(Ranking.objects.filter(current=False).values_list("task", flat=True)) == [
        tasks[REVISED].pk,
        tasks[UNDONE].pk,
    ]
    assert tasks[RELOADED].rankings.get().note == "half a thought"
    assert tasks[BAD].rankings.get().outcome == Ranking.Outcome.ALL_BAD
    assert any(marks != sorted(marks) for marks in sitting.shown.values()), "answers are shuffled"
