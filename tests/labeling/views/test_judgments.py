"""The browser of judgments: what it finds, what it shows, and to whom it names whom."""

from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Ranking, RankingTask, Seen
from labeling.quality import judged
from people import pseudonyms
from tests.factories import (
    TOOL_TURNS,
    make_imported_ranking,
    make_job,
    make_judge,
    make_model,
    make_person,
    make_prompt,
    make_ranking,
    make_task,
)
from tests.pages import one_line

pytestmark = pytest.mark.django_db
AT = "/p/demo/judgments/"


@pytest.fixture
def browser(client_for, carol):
    return client_for(carol)


@pytest.fixture
def researcher(client_for, project):
    return client_for(make_person(project, "researcher", "rita"))


@pytest.fixture
def task(project, alice):
    """Alice ranked its answers, sorted by text: bad 3, fair 1, good 2, poor 2."""
    prompt = make_prompt(project, "Name three rivers.", use_case="chat", language="en")
    task = make_task(project, prompt=prompt, model=make_model(project, "writer"), overlap=3)
    make_ranking(task, alice, (2, 1, 2, 3))
    return RankingTask.objects.get(pk=task.pk)


def found(browser, **asked) -> list[int]:
    return [row.extra["task"].pk for row in browser.get(AT, asked).context["rows"]]


def text_of(browser, address=AT) -> str:
    return unescape(one_line(browser.get(address)))


def test_a_row_shows_prompt_answers_and_who_ranked_how(browser, task):
    [row] = browser.get(AT).context["rows"]
    page = text_of(browser)

    assert [judgment.order for judgment in row.judgments] == ["B > C = D > A"]
    assert [answer.ranks for answer in row.answers] == [[4], [1], [2], [2]]
    for said in ("Name three rivers.", "Alice", "B > C = D > A", "writer", "fair", "chat"):
        assert said in page


def test_an_outcome_stands_where_nothing_was_ranked(browser, task):
    task.rankings.update(outcome="all_bad")
    task.rankings.get().ranked.update(rank=None)
    [row] = browser.get(AT).context["rows"]

    assert [judgment.order for judgment in row.judgments] == ["All bad"]
    assert [answer.ranks for answer in row.answers] == [[None]] * 4


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ({"q": "RIVERS"}, {"q": "mountains"}),
        ({"use_case": "chat"}, {"use_case": "code"}),
        ({"language": "en"}, {"language": "de"}),
        ({"split": "train"}, {"split": "test"}),
        ({"model": "writer"}, {"model": "other"}),
        ({"ties": "yes"}, {"ties": "no"}),
        ({"agreement_from": "50"}, {"agreement_to": "49"}),
        ({"since": "2020-01-01"}, {"until": "2020-01-01"}),
    ],
)
def test_filters_find_it_and_leave_it_out(browser, project, bob, task, asked, other):
    make_model(project, "other")
    make_ranking(task, bob, (2, 1, 2, 3))

    assert found(browser, **asked) == [task.pk]
    assert found(browser, **other) == []
    assert found(browser) == [task.pk]


def test_days_are_whole_days_in_the_project_s_zone(browser, project, task):
    project.zone = "Pacific/Auckland"  # 12 hours ahead of UTC in June
    project.save()
    task.rankings.update(created_at="2026-06-01T12:30:00Z")  # 00:30 on the second there

    assert found(browser, since="2026-06-02", until="2026-06-02") == [task.pk]
    assert found(browser, until="2026-06-01") == []


def test_an_import_is_found_by_the_name_of_its_file(browser, project, alice):
    job = make_job(project, "import", recipe={"filename": "pairs.jsonl", "path": "x"})
    make_job(project, "import", recipe={"filename": "checked.jsonl", "dry_run": True})
    task = make_task(project, job=job)
    make_ranking(task, alice)
    page = browser.get(AT)

    offered = dict(page.context["form"].fields["job"].choices)
    assert list(offered) == ["", str(job.pk)]
    assert offered[str(job.pk)].startswith("pairs.jsonl")
    assert found(browser, job=job.pk) == [task.pk]


def test_a_judge_is_asked_for_by_pseudonym_and_shown_by_name_to_admins_alone(
    browser, researcher, project, alice, bob, task
):
    pseudonym = pseudonyms.of(project, alice.uuid)
    other = make_task(project)
    make_ranking(other, bob)

    for client in (browser, researcher):
        assert found(client, judge=pseudonym) == [task.pk]
    names = {value: str(name) for value, name in judges_offered(browser).items()}
    assert names[pseudonym] == "Alice"
    assert judges_offered(researcher)[pseudonym] == pseudonym


def judges_offered(client) -> dict[str, str]:
    return dict(client.get(AT).context["form"].fields["judge"].choices)


def test_a_judge_of_older_tasks_is_found_though_not_listed(
    browser, project, bob, task, monkeypatch
):
    pseudonym = pseudonyms.of(project, task.rankings.get().judge)
    make_ranking(make_task(project), bob)
    monkeypatch.setattr(judged, "LISTED", 1)

    assert pseudonym not in judges_offered(browser)
    assert found(browser, judge=pseudonym) == [task.pk]


def test_the_next_page_of_a_filter_hashes_no_judge_of_the_site_again(
    browser, project, bob, task, monkeypatch
):
    for number in range(30):
        make_judge("person", f"Judge {number} of another project")
    pseudonym = pseudonyms.of(project, task.rankings.get().judge)
    make_ranking(make_task(project), bob)
    monkeypatch.setattr(judged, "LISTED", 1)
    found(browser, judge=pseudonym)
    hashed, of = [], pseudonyms.of
    monkeypatch.setattr(pseudonyms, "of", lambda *about: hashed.append(about) or of(*about))

    assert found(browser, judge=pseudonym) == [task.pk]
    assert {judge for _project, judge in hashed} == {bob.uuid, task.rankings.get().judge}


def test_a_member_is_found_before_judges_of_other_projects_are_hashed(project, alice, monkeypatch):
    for number in range(30):
        make_judge("person", f"Judge {number} of another project")
    pseudonym, hashed, of = pseudonyms.of(project, alice.uuid), [], pseudonyms.of
    monkeypatch.setattr(pseudonyms, "of", lambda *about: hashed.append(about) or of(*about))
    judged._found_judge.cache_clear()

    assert judged.judge_of(project, pseudonym) == alice.uuid
    assert len(hashed) <= project.memberships.count()
    assert judged.judge_of(project, "0" * 12) is None


def test_every_page_names_a_judge_alike(browser, researcher, project, task):
    """By name to admins, by pseudonym to researchers; one without a name by pseudonym to all."""
    nameless = make_judge("model")
    nameless.name = ""
    nameless.save()
    make_imported_ranking(task, make_judge("person", "Dr. Telltale"))
    make_imported_ranking(task, nameless)

    for client, known in ((browser, "Dr. Telltale"), (researcher, None)):
        for address in (f"{AT}{task.pk}/", f"/p/demo/prompts/{task.prompt_id}/"):
            page = text_of(client, address)
            assert pseudonyms.of(project, nameless.pk) in page, address
            assert ("Dr. Telltale" in page) == bool(known), address


def test_no_page_tells_a_researcher_who_judged(researcher, project, alice, bob, task):
    """Neither a member's name or address nor an imported judge's, whatever page it is."""
    make_imported_ranking(task, make_judge("person", "Dr. Telltale"))
    make_ranking(task, bob)
    Ranking.objects.filter(labeler=bob).update(kind="gold")
    addresses = [AT, f"{AT}{task.pk}/", "/p/demo/prompts/", f"/p/demo/prompts/{task.prompt_id}/"]

    for address in addresses:
        page = researcher.get(address)
        assert page.status_code == 200
        html = page.content.decode().lower()
        for name in ("alice", "bob", "telltale", "example.org/bob", str(alice.uuid)):
            assert name not in html, (address, name)
    assert pseudonyms.of(project, alice.uuid) in researcher.get(AT).content.decode()
    prompt = researcher.get(f"/p/demo/prompts/{task.prompt_id}/").content.decode()
    assert pseudonyms.of(project, alice.uuid) in prompt


def test_a_researcher_is_offered_nothing_that_admins_alone_may_do(researcher, project, task):
    for address in ("/p/demo/prompts/", f"/p/demo/prompts/{task.prompt_id}/", f"{AT}{task.pk}/"):
        html = researcher.get(address).content.decode()
        main = html[html.index("<main") :]
        for action in ("upload", "sensitive", "/gold", "/templates/", "/models/", 'method="post"'):
            assert action not in main, (address, action)


def test_who_reads_what_others_decided_gets_no_place_on_the_task(browser, carol, task):
    """Only the tasks that are shown, and each only once."""
    unseen = make_task(task.project)
    for _ in range(2):
        browser.get(AT)

    assert list(Seen.objects.values_list("person", "task")) == [(carol.pk, task.pk)]
    assert not Seen.objects.filter(task=unseen).exists()


def test_one_s_own_judgment_is_nothing_new(browser, carol, project):
    task = make_task(project)
    make_ranking(task, carol)
    browser.get(f"{AT}{task.pk}/")

    assert not Seen.objects.exists()


def test_model_output_is_shown_through_podium_s_own_markdown(browser, project, alice):
    hostile = '<script>alert(1)</script> **bold** <img src="https://evil.example/x.png">'
    task = make_task(project, texts=[hostile, "b"])
    make_ranking(task, alice, (1, 2))
    brief, whole = browser.get(AT).content.decode(), browser.get(f"{AT}{task.pk}/").content.decode()

    for html in (brief, whole):
        assert "<script>alert" not in html
        assert "<img" not in html
        assert "&lt;script&gt;alert(1)" in html
    assert "<strong>bold</strong>" in whole
    assert "**bold**" in brief


def test_all_turns_are_shown_in_whole_and_the_last_one_in_brief(browser, project, alice):
    task = make_task(project, prompt=make_prompt(project, messages=TOOL_TURNS))
    make_ranking(task, alice)
    brief, whole = text_of(browser), text_of(browser, f"{AT}{task.pk}/")

    assert "3 earlier turns" in brief
    assert "How warm is" not in brief
    assert 'weather({"city": "Roma", "at": ["now"]})' in whole
    assert "How warm is" in whole


def test_long_texts_are_cut_in_brief_and_whole_where_they_are_read(browser, project, alice):
    prompt = make_prompt(project, "p" * 5000 + " end of the prompt")
    task = make_task(project, texts=["a" * 5000 + " end of the answer", "b"], prompt=prompt)
    make_ranking(task, alice, (1, 2))
    brief, whole = text_of(browser), text_of(browser, f"{AT}{task.pk}/")

    for end in ("end of the prompt", "end of the answer"):
        assert end not in brief
        assert end in whole
    assert len(brief) < 20_000


def test_a_sensitive_prompt_is_folded_for_who_is_not_willing(browser, carol, task):
    task.prompt.sensitive = True
    task.prompt.save()
    assert "<details><summary>Sensitive" in text_of(browser).replace("<summary> ", "<summary>")

    carol.sensitive = True
    carol.save()
    assert "<summary>Sensitive" not in text_of(browser).replace("<summary> ", "<summary>")


def test_pages_keep_the_filters(browser, project, alice, task):
    for _ in range(11):
        make_ranking(make_task(project, prompt=make_prompt(project, language="en")), alice)
    page = browser.get(AT, {"language": "en"})
    html = one_line(page)

    assert f'href="?language=en&amp;before={page.context["page"].older}"' in html
    assert 'href="/p/demo/judgments/' in html
    older = browser.get(AT, {"language": "en", "before": page.context["page"].older})
    assert [row.extra["task"].pk for row in older.context["rows"]][-1] == task.pk
    assert f"?language=en&amp;after={older.context['page'].newer}" in one_line(older)
    link = f"{AT}{task.pk}/?language=en"
    assert link in one_line(older)
    assert f'href="{AT}?language=en"' in one_line(browser.get(link))


def test_a_search_that_finds_nothing_yet_goes_on_by_itself(
    browser, project, task, alice, monkeypatch
):
    monkeypatch.setattr(judged, "LOOKED_AT", 1)
    make_ranking(make_task(project), alice)
    page = browser.get(AT, {"q": "rivers"})
    ahead = page.context["page"].older

    assert page.context["rows"] == []
    assert f'hx-get="?q=rivers&amp;before={ahead}"' in one_line(page)
    assert f'href="?q=rivers&amp;before={ahead}"' in one_line(page)
    part = browser.get(AT, {"q": "rivers", "before": ahead}, headers={"HX-Request": "true"})
    assert [row.extra["task"].pk for row in part.context["rows"]] == [task.pk]
    assert "<html" not in part.content.decode()


def test_an_empty_list_says_what_to_do(browser, researcher, project):
    assert "Rank a task, or upload a file" in text_of(browser)
    assert "an admin uploads a file" in text_of(researcher)
    assert "No judgment matches." in text_of(browser, f"{AT}?q=x")


@pytest.mark.parametrize(
    "asked",
    [
        {"judge": "nobody"},
        {"model": "no such model"},
        {"agreement_from": "101"},
        {"since": "yesterday"},
        {"since": "0001-01-01"},
        {"until": "9999-12-31"},
        {"ties": "maybe"},
        {"job": "7"},
        {"split": "tests"},
    ],
)
def test_a_wrong_value_is_said_at_its_field_and_finds_nothing(browser, task, asked):
    page = browser.get(AT, asked)

    assert page.status_code == 422
    assert page.context["rows"] == []
    assert f'id="filter-{next(iter(asked))}_error"' in page.content.decode()


@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.parametrize("value", ["x", "-1", "9" * 30, "١", pytest.param("0" * 5_000, id="long")])
def test_what_is_no_key_leads_nowhere(browser, task, name, value):
    assert browser.get(AT, {name: value}).status_code == 404


def test_a_task_that_nobody_judged_is_not_there(browser, project):
    assert browser.get(f"{AT}{make_task(project).pk}/").status_code == 404


def test_a_page_takes_a_constant_number_of_queries(browser, project, alice, bob):
    """The same for two tasks and for ten; reading it again writes nothing."""
    counts = []
    for number in (2, 8):
        for _ in range(number):
            task = make_task(project, overlap=2)
            make_ranking(task, alice)
            make_ranking(RankingTask.objects.get(pk=task.pk), bob)
        browser.get(AT)
        with CaptureQueriesContext(connection) as queries:
            rows = browser.get(AT).context["rows"]
        assert len(rows) == {2: 2, 8: 10}[number]
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 24
