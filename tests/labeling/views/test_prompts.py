"""Finding prompts, and seeing one with its answers."""

from html import unescape

import pytest

from tests.factories import TOOL_TURNS, make_model, make_prompt, make_ranking, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client_for, carol):
    return client_for(carol)


def found(browser, query=""):
    return [prompt.last_turn for prompt in browser.get(f"/p/demo/prompts/{query}").context["page"]]


def test_prompts_are_found_by_what_they_say(browser, project):
    make_prompt(project, "Name three rivers.")
    make_prompt(project, '河流 "x" 100%?')

    assert found(browser, "?q=RIVERS") == ["Name three rivers."]
    assert (
        found(browser, "?q=河流")
        == found(browser, '?q="x"')
        == found(browser, "?q=100%25")
        == ['河流 "x" 100%?']
    )


def test_a_prompt_with_tools_is_shown_and_listed_as_text(browser, project):
    prompt = make_prompt(project, messages=TOOL_TURNS)
    page = unescape(browser.get(f"/p/demo/prompts/{prompt.pk}/").content.decode())

    assert found(browser) == ['{"celsius": 31}']
    assert "<h2>Tool: weather</h2>" in page
    assert 'weather({"city": "Roma", "at": ["now"]})' in page
    assert "How warm is\nRome?" in page


def test_prompts_are_found_by_split_and_use_case(browser, project):
    make_prompt(project, "a", split="test", use_case="chat")
    make_prompt(project, "b", split="test")

    assert found(browser, "?split=test&use_case=chat") == ["a"]


def test_what_is_not_published_is_not_shown(browser, project):
    hidden = make_prompt(project, published=False)

    assert found(browser) == []
    assert browser.get(f"/p/demo/prompts/{hidden.pk}/").status_code == 404


def test_a_page_of_prompts_takes_a_constant_number_of_queries(
    browser, project, django_assert_max_num_queries
):
    for _ in range(60):
        make_task(project)
    with django_assert_max_num_queries(9):
        assert len(found(browser)) == 50
    assert len(found(browser, "?page=2")) == 10


def test_an_empty_project_says_what_to_do(browser, project):
    assert "Upload a file" in browser.get("/p/demo/prompts/").content.decode()


def test_a_prompt_shows_its_answers_with_model_and_ranks_as_in_sport(browser, project, alice):
    task = make_task(project, model=make_model(project, "writer"))
    make_ranking(task, alice, ranks=[2, 1, 2, 3])
    page = browser.get(f"/p/demo/prompts/{task.prompt_id}/")

    assert [answer.ranks for answer in page.context["tasks"][0].shown] == [[2], [1], [2], [4]]
    assert "writer" in page.content.decode()


def test_an_answer_is_shown_as_text_whatever_it_holds(browser, project):
    task = make_task(project, texts=["<script>alert(1)</script>", "b"])
    text = browser.get(f"/p/demo/prompts/{task.prompt_id}/").content.decode()

    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_an_answer_whose_model_read_a_part_of_the_prompt_is_marked(browser, project):
    task = make_task(project)
    page = f"/p/demo/prompts/{task.prompt_id}/"
    assert "prompt cut" not in browser.get(page).content.decode()

    answer = task.candidates.first()
    answer.truncated = True
    answer.save(update_fields=["truncated"])

    assert browser.get(page).content.decode().count(">prompt cut<") == 1
