"""Podium as a person's browser sees it: log in, fill in forms, read pages. Used by the benchmarks
and the loop's test.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from html.parser import HTMLParser

import httpx

LETTERS = "abcdefghi"
BLOCKS = {
    "p",
    "li",
    "pre",
    "blockquote",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "tr",
    "br",
    "hr",
    "ol",
    "ul",
    "div",
}


class Refused(RuntimeError):
    """The site answered with an error; the text holds what the page said."""


class JobEnded(RuntimeError):
    """A job ended other than done."""


@dataclass
class Task:
    """A ranking page: the address its form goes to, its hidden fields, and the answers by letter,
    as shown.
    """

    action: str
    fields: dict[str, str]
    answers: dict[str, str]


class Site:
    """One person's session. Forms carry the page's own tokens and keys, as a browser would send
    them.
    """

    def __init__(self, base: str, email: str = "", password: str = ""):
        self.http = httpx.Client(base_url=base, timeout=120, follow_redirects=True)
        if email:
            page = self.submit("/login/", {"username": email, "password": password})
            if page.url.path == "/login/":
                raise Refused(f"{email} can't log in: {read_page(page.text).text[:400]}")

    def get(self, url: str, **options) -> httpx.Response:
        return _checked(self.http.get(url, **options))

    def submit(self, url: str, values: dict, files: dict | None = None) -> httpx.Response:
        """Open a page, fill in its form (one that comes back to it, or has most of these fields),
        and send it.
        """
        opened = self.get(url)
        page, own = read_page(opened.text), ("", url, opened.url.path)
        form = max(
            page.forms,
            key=lambda form: (form.action in own, len(form.fields.keys() & values.keys())),
        )
        data = form.fields | values
        return self.post(
            form.action or url, {k: v for k, v in data.items() if v is not None}, files=files
        )

    def post(self, url: str, data: dict, **options) -> httpx.Response:
        token = self.http.cookies.get("csrftoken", "")
        headers = {"X-CSRFToken": token, "Referer": str(self.http.base_url)}
        return _checked(self.http.post(url, data=data, headers=headers, **options))

    def next_task(self, slug: str) -> Task | None:
        """The task that this labeler is given now, or None on the page that says there is none."""
        page = read_page(self.get(f"/p/{slug}/rank/").text)
        form = next(
            (form for form in page.forms if any(name.startswith("rank-") for name in form.fields)),
            None,
        )
        return Task(form.action, form.fields, page.answers) if form else None

    def rank(self, task: Task, ranks: dict[str, int]) -> httpx.Response:
        chosen = {f"rank-{letter}": str(rank) for letter, rank in ranks.items()}
        return self.post(task.action, task.fields | chosen)

    def start(self, slug: str, kind: str, **settings) -> int:
        """Start a job by its form; returns its number."""
        answer = self.submit(
            f"/p/{slug}/jobs/new/{kind}/", {name: str(value) for name, value in settings.items()}
        )
        found = re.search(r"/jobs/(\d+)/", str(answer.url))
        if not found:
            raise Refused(f"no job was started: {read_page(answer.text).text[:400]}")
        return int(found.group(1))

    def job(self, slug: str, number: int) -> dict:
        return self.get(f"/p/{slug}/jobs/{number}.json").json()

    def wait(self, slug: str, number: int, seconds: float = 3600, tell=None) -> dict:
        """The job, once done. Raises JobEnded when it ended otherwise, TimeoutError when it takes
        too long.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = self.job(slug, number)
            if tell:
                tell(job)
            if job["state"] == "done":
                return job
            if job["state"] in ("failed", "cancelled"):
                raise JobEnded(f"{job['kind']} {number} {job['state']}: {job['error']}")
            time.sleep(0.5)
        raise TimeoutError(f"job {number} is still {job['state']} after {seconds:.0f} s")


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code >= 400:
        raise Refused(
            f"{answer.status_code} from {answer.url}: {read_page(answer.text).text[:400]}"
        )
    return answer


@dataclass
class Form:
    action: str
    fields: dict[str, str]
    id: str = ""


class Page(HTMLParser):
    """Forms with their fields' values, answers by letter, and the visible text."""

    def __init__(self):
        super().__init__()
        self.forms: list[Form] = []
        self.answers: dict[str, str] = {}
        self.text = ""
        self.form: Form | None = None
        self.letter = self.select = ""
        self.select_form: Form | None = None
        self.depth = 0  # of elements inside the answer's text
        self.textarea = ""

    def handle_starttag(self, tag, attributes):
        values = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.form = Form(values.get("action", ""), {}, values.get("id", ""))
            self.forms.append(self.form)
        self._field(tag, values)
        if tag == "article" and "data-letter" in values:
            self.letter = values["data-letter"]
        if self.depth or (self.letter and "text" in values.get("class", "").split()):
            self.depth += tag not in VOID
            self.answers.setdefault(self.letter, "")
            self._break(tag)

    def _field(self, tag, values):
        name, form = values.get("name"), self._owner(values)
        if tag == "option" and self.select:
            self._option(values)
        elif form is None or not name:
            return
        elif tag == "select" and "multiple" not in values:  # of several, none is chosen beforehand
            self.select, self.select_form = name, form
        elif tag == "textarea":
            self.textarea = name
            form.fields.setdefault(name, "")
        elif tag == "input":
            self._input(form, values, name)

    def _owner(self, values) -> Form | None:
        """The form around the field, or the one that its `form` attribute names."""
        named = values.get("form")
        return next((form for form in self.forms if form.id == named), None) if named else self.form

    def _option(self, values):
        fields = self.select_form.fields
        if (
            "selected" in values or self.select not in fields
        ):  # the first one, until another is selected
            fields[self.select] = values.get("value", "")

    @staticmethod
    def _input(form, values, name):
        kind = values.get("type", "text")
        if kind in ("checkbox", "radio"):
            if "checked" in values:
                form.fields[name] = values.get("value", "on")
        elif kind not in ("file", "submit", "button"):
            form.fields[name] = values.get("value", "")

    def handle_endtag(self, tag):
        if tag == "form":
            self.form = None
        elif tag == "select":
            self.select = ""
        elif tag == "textarea":
            self.textarea = ""
        if self.depth and tag not in VOID:
            self.depth -= 1
            self._break(tag)
            if not self.depth:
                self.answers[self.letter] = self.answers[self.letter].strip()
                self.letter = ""

    def _break(self, tag):
        if tag in BLOCKS and not self.answers[self.letter].endswith("\n"):
            self.answers[self.letter] += "\n"

    def handle_data(self, data):
        self.text += data
        if self.depth:
            self.answers[self.letter] += data
        if self.textarea and self.form is not None:
            self.form.fields[self.textarea] += data


VOID = {"br", "hr", "img", "input", "meta", "link", "wbr"}


def read_page(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.text = re.sub(r"\s+", " ", page.text).strip()
    return page
