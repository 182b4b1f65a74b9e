"""Prompts from a text with slots and a table, each led back to its row."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling.imports import prompt_templates
from labeling.models import Prompt, PromptTemplate, TemplateRow
from people.access import Refused
from people.models import AuditEvent

pytestmark = pytest.mark.django_db
TEXT = "Write a story titled {title} for {audience}.\nBraces look like {{this}}."
CSV = 'title,audience,author\n"Snow, again",children,ann\nThe Sea,sailors,ben\nHalf,,ben\n'


@pytest.fixture
def template(project, carol):
    return prompt_templates.create(carol, project, "stories", TEXT)


@pytest.fixture
def admin(client_for, carol):
    return client_for(carol)


def page(admin, template, **said):
    return admin.post(f"/p/demo/prompts/templates/{template.pk}/", said)


def test_slots_are_named_once_in_their_order():
    assert prompt_templates.slots("{b} and {a} and {b}, not {{c}}") == ["b", "a"]


@pytest.mark.parametrize(
    "text", ["no slot", "{", "}", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:>5}", "{two words}"]
)
def test_what_is_no_template_is_refused_at_its_text(project, carol, text):
    with pytest.raises(Refused) as refused:
        prompt_templates.create(carol, project, "bad", text)

    assert refused.value.field == "text"
    assert not PromptTemplate.objects.exists()


def test_a_name_is_taken_once(template, project, carol):
    with pytest.raises(Refused, match="already"):
        prompt_templates.create(carol, project, "stories", TEXT)


def test_each_row_becomes_a_prompt_that_is_led_back_to_it(admin, template):
    response = page(admin, template, table=CSV, split="train", make="1")
    made = TemplateRow.objects.order_by("place")

    assert response.status_code == 302
    assert [(one.place, one.values) for one in made] == [
        (1, {"title": "Snow, again", "audience": "children"}),
        (2, {"title": "The Sea", "audience": "sailors"}),
    ]
    first = made[0].prompt
    assert (
        first.last_turn
        == "Write a story titled Snow, again for children.\nBraces look like {this}."
    )
    assert (first.split, first.source, first.published, bool(first.author)) == (
        "train",
        "stories",
        True,
        True,
    )
    told = admin.get("/p/demo/prompts/").content.decode()
    assert "row 3 leaves empty: audience" in told
    assert "stories</a>, row 1." in admin.get(f"/p/demo/prompts/{first.pk}/").content.decode()


def test_looking_makes_nothing_and_keeps_the_table(admin, template):
    shown = page(admin, template, table=CSV, split="train", look="1").content.decode()

    assert "Write a story titled The Sea for sailors." in shown
    assert "row 3 leaves empty: audience" in shown
    assert "&quot;Snow, again&quot;,children" in shown
    assert not Prompt.objects.exists()


def test_the_same_rows_again_add_nothing(admin, template):
    for _ in range(2):
        page(admin, template, table=CSV, split="train", make="1")

    assert (Prompt.objects.count(), TemplateRow.objects.count()) == (2, 2)


def test_what_a_kill_left_unlinked_is_led_back_when_the_rows_come_again(admin, template):
    page(admin, template, table=CSV, split="train", make="1")
    TemplateRow.objects.all().delete()
    page(admin, template, table=CSV, split="train", make="1")

    assert TemplateRow.objects.count() == 2


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode(),
        b'{"title": "Snow", "audience": "all", "year": 1}\n{"title": 7, "audience": "all"}',
    ],
)
def test_a_table_comes_as_a_file_of_any_kind(admin, template, content):
    page(admin, template, file=SimpleUploadedFile("rows", content), split="test", make="1")

    assert Prompt.objects.filter(split="test").count() == 2


@pytest.mark.parametrize("way", ["look", "make"])
def test_what_reading_a_table_changes_is_said(admin, template, way):
    content = "title,audience\nMärchen,Große\n,\n".encode("cp1252")
    file = SimpleUploadedFile("rows.csv", content)
    response = page(admin, template, file=file, split="", **{way: "1"})
    if way == "make":
        response = admin.get(response.url)

    assert "Converted from Windows-1252 (check the letters): 1" in response.content.decode()
    assert "Empty rows, ignored: 1" in response.content.decode()


@pytest.mark.parametrize(
    ("table", "why"),
    [("", "no row"), ("title,audience\n", "no row"), ("a,b\n1,2,3\n", "more cells")],
)
def test_a_table_that_is_none_is_told_at_its_field(admin, template, table, why):
    response = page(admin, template, table=table, split="", make="1")

    assert response.status_code == 422
    assert why in response.content.decode()


def test_more_rows_than_fit_are_refused(admin, template, monkeypatch):
    monkeypatch.setattr(prompt_templates, "MOST", 1)

    assert page(admin, template, table=CSV, split="", make="1").status_code == 422


def test_a_template_stays_once_prompts_were_made_of_it(admin, template):
    page(admin, template, table=CSV, split="train", make="1")
    admin.post(f"/p/demo/prompts/templates/{template.pk}/delete")
    assert PromptTemplate.objects.exists()

    TemplateRow.objects.all().delete()
    admin.post(f"/p/demo/prompts/templates/{template.pk}/delete")
    assert not PromptTemplate.objects.exists()
    assert AuditEvent.objects.filter(verb__endswith="template").count() == 2


def test_a_template_is_made_on_its_page(admin, project):
    response = admin.post(
        "/p/demo/prompts/templates/", {"name": "letters", "text": "To {whom}\r\nDear"}
    )
    made = PromptTemplate.objects.get()

    assert response.url == f"/p/demo/prompts/templates/{made.pk}/"
    assert made.text == "To {whom}\nDear"
    assert "letters" in admin.get("/p/demo/prompts/templates/").content.decode()
