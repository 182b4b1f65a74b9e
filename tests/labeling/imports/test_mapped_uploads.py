"""A file of a layout that no format knows comes in once somebody has said what each field is: on
the page, by the command and through the API alike. No field is dropped in silence.
"""

import json
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from benchmarks.person import read_page
from labeling.imports import roles
from labeling.imports.formats import FORMATS
from labeling.imports.mapping import PRESETS
from labeling.models import ImportMapping, Prompt, RankedCandidate
from modelops.models import Job
from people.models import AuditEvent
from tests.labeling.api.hands import Hands, fields_of
from tests.labeling.imports.test_forms import looked_at, upload, work
from tests.pages import one_line

pytestmark = pytest.mark.django_db
WINNERS = ("left", "right", "draw")
ROWS = [
    {"q": f"Question {n}?", "one": f"Yes {n}", "two": f"No {n}", "won": won}
    | {"meta": {"lang": "en", "n": n}, "score": n * 0.5, "tags": ["x", "y"], "seen": True}
    for n, won in enumerate(WINNERS)
]
FILE = "".join(json.dumps(row) + "\n" for row in ROWS)
READS = {
    "prompt": "q",
    "answers": ["one", "two"],
    "judgment": {
        "kind": "person",
        "winner": {"field": "won", "a": ["left"], "b": ["right"], "tie": ["draw"]},
    },
}
REST = ["meta", "score", "seen", "tags"]
RANKS = {"left": (1, 2), "right": (2, 1), "draw": (1, 1)}
BUTTONS = ("look", "check", "import", "save", "use_text")


def sent(browser, address, page, **changes):
    """The page's form with these changes, sent by the button that is among them."""
    form = max(read_page(page.content.decode()).forms, key=lambda form: len(form.fields))
    values = {name: value for name, value in form.fields.items() if name not in BUTTONS}
    values |= changes
    values |= {"key": uuid4()}
    return browser.post(address, {name: v for name, v in values.items() if v is not None})


def ranks():
    """The ranks of each prompt's answers, in the order of the file."""
    ranked = RankedCandidate.objects.order_by("candidate__slot")
    return {
        f"Question {n}?": tuple(
            ranked.filter(candidate__prompt__messages__0__content=f"Question {n}?").values_list(
                "rank", flat=True
            )
        )
        for n in range(3)
    }


EXPECTED = {f"Question {n}?": RANKS[won] for n, won in enumerate(WINNERS)}


# The page


@pytest.fixture
def browser(client_for, carol):
    return client_for(carol)


def with_roles(browser):
    """An upload in which each field that is read has its role and each code its meaning."""
    address, page = looked_at(browser, FILE, name="own.jsonl")
    given = {"q": "prompt", "one": "a", "two": "b", "won": "winner"}
    page = sent(
        browser, address, page, look="1", **{f"role_{path}": role for path, role in given.items()}
    )
    meanings = {"left": "a", "right": "b", "draw": "tie"}
    codes = {choice.name: meanings[choice.label] for choice, _n in page.context["form"].codes}
    assert len(codes) == 3
    return address, sent(browser, address, page, look="1", kind="person", **codes)


def test_a_file_of_no_known_layout_is_asked_about_field_by_field(browser):
    address, page = looked_at(browser, FILE, name="own.jsonl")

    form = page.context["form"]
    open_fields = {row.field.path for row in form.rows if row.is_open}
    assert open_fields == {"q", "one", "two", "won", "score", "meta", "tags", "seen"}
    assert "needs the field of the prompt" in form.choice.fault
    assert page.context["rows"] == []
    assert "Question 2?" in page.content.decode(), "examples"


def test_the_page_shows_the_rows_as_they_would_come_in_and_what_stays_behind(browser):
    _address, page = with_roles(browser)

    form, first = page.context["form"], page.context["rows"][0]
    assert form.choice.fault == ""
    assert form.choice.recipe["mapping"] == READS
    [entry] = first["entries"]
    assert [answer["text"] for answer in entry.answers] == ["Yes 0", "No 0"]
    assert entry.judgments[0]["ranks"] == [1, 2]
    assert dict(first["behind"]) == {
        "score": "0.0",
        "seen": "true",
        "meta": '{"lang": "en", "n": 0}',
        "tags": '["x", "y"]',
    }
    assert "not decided" in page.content.decode()


def test_nothing_is_imported_before_each_field_is_left_out_or_kept(browser):
    address, page = with_roles(browser)
    refused = sent(browser, address, page, **{"import": "1"})

    assert refused.status_code == 422
    assert set(refused.context["form"].errors) == {f"role_{name}" for name in REST}
    assert Job.objects.filter(state="queued").count() == 0

    decided = {"role_score": "leave_out", "role_meta.lang": None, "rest": "keep"}
    imported = sent(browser, address, page, **decided, **{"import": "1"})
    assert imported.status_code == 302, imported.context["form"].errors
    job = work()
    assert (job.state, job.result["prompts"]) == ("done", 3)
    assert ranks() == EXPECTED
    assert Prompt.objects.order_by("pk").first().metadata == {
        "meta": {"lang": "en", "n": 0},
        "seen": True,
        "tags": ["x", "y"],
    }


def test_a_code_that_is_given_no_meaning_makes_a_bad_row(browser):
    address, page = with_roles(browser)
    draw = next(c.name for c, _n in page.context["form"].codes if c.label == "draw")
    page = sent(browser, address, page, look="1", **{draw: ""})

    assert [bool(row["error"]) for row in page.context["rows"]] == [False, False, True]
    assert '"draw"' in page.context["rows"][2]["error"]


def test_a_mapping_is_kept_under_a_name_and_offered_again(browser, project):
    address, page = with_roles(browser)
    page = sent(browser, address, page, save="1", save_as="Ours", rest="leave_out")
    assert "kept as “Ours”" in page.content.decode()

    saved = ImportMapping.objects.get(project=project, name="Ours")
    saved.mapping["leave_out"].sort()
    assert saved.mapping == READS | {"leave_out": REST}
    assert AuditEvent.objects.filter(verb="create mapping", project=project).count() == 1

    address = upload(browser, FILE, name="again.jsonl", format=f"saved {saved.pk}").url
    work()
    page = browser.get(address)
    assert page.context["found"]["unread"] == []
    sent(browser, address, page, **{"import": "1"})
    assert work().result["rankings"] == 3
    assert ranks() == EXPECTED


def test_a_mapping_of_the_same_name_is_replaced_and_can_be_deleted(browser, project, client_for):
    address, page = with_roles(browser)
    sent(browser, address, page, save="1", save_as="Ours", rest="leave_out")
    sent(browser, address, page, save="1", save_as="Ours", rest="keep")
    saved = ImportMapping.objects.get()
    saved.mapping["keep"].sort()
    assert saved.mapping == READS | {"keep": REST}

    assert "Ours" in browser.get("/p/demo/prompts/upload").content.decode()
    browser.post(f"/p/demo/prompts/mappings/{saved.pk}/delete")
    assert not ImportMapping.objects.exists()


def test_a_mapping_can_be_given_as_text(browser):
    address, page = looked_at(browser, FILE, name="own.jsonl")
    page = sent(browser, address, page, use_text="1", text=json.dumps(READS))
    assert page.context["form"].choice.recipe["mapping"] == READS
    assert 'prompt = "q"' in page.context["form"]["text"].value()

    wrong = sent(browser, address, page, use_text="1", text="prompt = ")
    assert wrong.status_code == 422
    assert "neither TOML nor JSON" in str(wrong.context["form"].errors["text"])


def test_two_fields_can_not_both_be_one_answer(browser):
    address, page = with_roles(browser)
    page = sent(browser, address, page, look="1", role_two="a")

    assert page.status_code == 422
    assert "only one field can be “answer A”" in str(page.context["form"].errors)


def test_sixty_fields_are_sixty_choices_and_as_many_queries_as_six(browser):
    rows = [{f"field {n}": f"text {n}" for n in range(60)}]
    _address, page = looked_at(browser, json.dumps(rows[0]) + "\n", name="wide.jsonl")

    form = page.context["form"]
    assert len(form.rows) == 60
    assert all(row.choice for row in form.rows)
    labels = page.content.decode().count('<label for="id_role_field%20')
    assert labels == 60


def test_more_fields_than_a_page_shows_are_decided_together(browser, monkeypatch):
    monkeypatch.setattr("labeling.imports.mapping_form.MOST", 3)
    row = {"prompt": "Why?"} | {f"extra {n}": n for n in range(10)}
    address, page = looked_at(browser, json.dumps(row) + "\n")
    assert page.context["form"].further == 8

    refused = sent(browser, address, page, **{"import": "1"})
    assert "rest" in refused.context["form"].errors
    assert sent(browser, address, page, rest="leave_out", **{"import": "1"}).status_code == 302
    assert len(work().recipe["leave_out"]) == 10


def test_fields_of_a_format_are_left_out_or_kept_too(browser):
    row = {"prompt": "Why?", "anwsers": ["a"], "note": "n", "empty": None}
    address, page = looked_at(browser, json.dumps(row) + "\n")
    assert page.context["found"]["unread"] == ["anwsers", "note"]
    near = {row.field.path: row.near for row in page.context["form"].rows if row.near}
    assert near == {"anwsers": "answers"}, "a near miss is asked about"
    assert "is it answers?" in one_line(page)
    read = {row.field.path: row.role for row in page.context["form"].rows if not row.choice}
    assert read == {"prompt": "read"}

    decided = {"role_anwsers": "leave_out", "role_note": "keep", "import": "1"}
    sent(browser, address, page, **decided)
    job = work()
    assert (job.recipe["format"], job.recipe["leave_out"]) == ("prompts", ["anwsers"])
    assert Prompt.objects.get().metadata == {"note": "n"}


def test_an_import_job_refuses_fields_that_appear_after_the_check(project, settings, tmp_path):
    """The last word has the import itself: it has read every row."""
    path = settings.VAR / "late.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"prompt": f"Number {n}?"} for n in range(300)] + [{"prompt": "End?", "late": "x"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    from modelops import jobs

    jobs.request(None, project, Job.Kind.IMPORT, {"path": "late.jsonl"})
    job = work()
    assert job.state == "failed"
    assert "fields of the file: late. " in job.error
    assert not Prompt.objects.exists()


def test_a_mapping_is_proposed_by_names_and_what_is_uncertain_is_asked(browser):
    row = {"question": "Why?", "response_a": "So.", "response_b": "No.", "winner": "model_b"}
    rows = [row | {"langauge": "en"}, row | {"winner": "?", "langauge": "de"}]
    _address, page = looked_at(browser, "".join(json.dumps(one) + "\n" for one in rows))

    form = page.context["form"]
    assert form.choice.table["prompt"] == "question"
    assert form.choice.table["answers"] == [{"text": "response_a"}, {"text": "response_b"}]
    codes = {choice.label: choice.value() for choice, _n in form.codes}
    assert codes == {"model_b": "b", "?": ""}, "each code is shown with what it is taken for"
    assert "say who judged" in form.choice.fault, "that is never guessed"
    assert {row.field.path: row.near for row in form.rows if row.near} == {"langauge": "language"}


def test_a_format_is_proposed_where_a_mapping_would_read_no_more(browser):
    row = {"prompt": "Why?", "answers": ["a", "b"], "note": "n"}
    _address, page = looked_at(browser, json.dumps(row) + "\n")

    assert page.context["form"].choice.format == "prompts"


# The command


def run(tmp_path, rows=ROWS, **options):
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    call_command("import", file, project="demo", **options)


def toml(tmp_path, more=""):
    file = tmp_path / "ours.toml"
    file.write_text(
        'prompt = "q"\nanswers = ["one", "two"]\n[judgment]\nkind = "person"\n'
        'winner = {field = "won", a = ["left"], b = ["right"], tie = ["draw"]}\n' + more
    )
    return file


def test_the_command_reads_by_a_mapping_and_says_what_its_codes_mean(project, tmp_path, capsys):
    run(tmp_path, mapping=toml(tmp_path), leave_out=["score", "seen"], keep=["meta", "tags"])

    assert "won: left = A, right = B, draw = tie\n" in capsys.readouterr().out
    assert ranks() == EXPECTED
    assert Prompt.objects.order_by("pk").first().metadata["meta"] == {"lang": "en", "n": 0}
    assert Job.objects.get().recipe["mapping"]["prompt"] == "q", "stored with the job"


def test_the_command_names_the_fields_that_nothing_reads(project, tmp_path, capsys):
    with pytest.raises(CommandError, match="meta, score, tags.*\nUse --leave-out"):
        run(tmp_path, mapping=toml(tmp_path))
    assert not Job.objects.exists()

    run(tmp_path, mapping=toml(tmp_path), dry_run=True)
    assert "use --leave-out or --keep: meta score tags seen\n" in capsys.readouterr().out
    assert not Prompt.objects.exists()


def test_the_command_says_what_is_wrong_with_a_mapping(project, tmp_path):
    with pytest.raises(CommandError, match="judgment.by: is no key"):
        run(tmp_path, mapping=toml(tmp_path, 'by = "x"\n'))
    with pytest.raises(CommandError, match="not both"):
        run(tmp_path, mapping=toml(tmp_path), format="trl")


def test_the_command_asks_about_a_near_miss(project, tmp_path):
    with pytest.raises(CommandError, match=r"file: anwsers \(is it answers\?\)\."):
        run(tmp_path, [{"prompt": "Why?", "anwsers": ["a"]}])


def test_a_path_that_is_none_is_refused(project, tmp_path):
    with pytest.raises(CommandError, match="leave_out: 'a..b' is no path"):
        run(tmp_path, [{"prompt": "Why?"}], leave_out=["a..b"])


def test_fields_at_many_depths_are_left_out_by_one_name_and_not_kept(project, tmp_path):
    reply = {"role": "assistant", "remark": {"by": "x"}}
    replies = [reply | {"text": text, "rank": n} for n, text in enumerate("ab")]
    tree = {
        "message_tree_id": "1",
        "prompt": {"role": "prompter", "text": "Why?", "lang": "en", "replies": replies},
    }
    with pytest.raises(CommandError, match="prompt.remark.*\nUse --leave-out"):
        run(tmp_path, [tree])
    with pytest.raises(CommandError, match="can only be left out"):
        run(tmp_path, [tree], keep=["prompt.remark"])
    run(tmp_path, [tree], leave_out=["prompt.remark"])
    assert Prompt.objects.get().last_turn == "Why?"


# The API


@pytest.fixture
def admin(client_for, carol):
    return Hands(client_for(carol))


def test_the_api_answers_with_the_list_of_unread_fields(admin, browser):
    address, _page = looked_at(browser, FILE, name="own.jsonl")
    job = Job.objects.get()
    given = {"format": "mapping", "mapping": READS}
    refused = admin.post(f"imports/{job.pk}/confirm", given)

    assert refused.status_code == 422
    assert fields_of(refused) == {f"unread.{name}" for name in REST}

    given |= {"leave_out": ["score", "seen"], "keep": ["meta", "tags"]}
    accepted = admin.post(f"imports/{job.pk}/confirm", given)
    assert accepted.status_code == 202, accepted.content
    assert work().result["rankings"] == 3
    assert ranks() == EXPECTED


def test_the_api_shows_fields_codes_and_what_a_mapping_lacks(admin, browser):
    looked_at(browser, FILE, name="own.jsonl")
    first = Job.objects.get()
    shown = admin.get(f"imports/{first.pk}").json()
    assert "needs the field of the prompt" in shown["result"]["check"]["fault"]
    assert shown["rows"] == []

    admin.post(f"imports/{first.pk}/check", {"format": "mapping", "mapping": READS})
    checked = work()
    shown = admin.get(f"imports/{checked.pk}").json()
    assert shown["codes"] == [
        {"path": "won", "meanings": {"left": "a", "right": "b", "draw": "tie"}}
    ]
    check = shown["result"]["check"]
    assert sorted(check["unread"]) == REST
    assert check["codes"] == {"won": {"left": 1, "right": 1, "draw": 1}}
    by_path = {field["path"]: field for field in check["fields"]}
    assert (by_path["q"]["share"], by_path["q"]["types"]) == (1.0, ["text"])
    assert shown["rows"][0]["entries"][0]["answers"][0]["text"] == "Yes 0"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"format": "mapping", "mapping": {"prompt": "q", "by": 1}}, "mapping"),
        ({"leave_out": ["a..b"]}, "leave_out"),
        ({"keep": [""]}, "keep.0"),
    ],
)
def test_the_api_refuses_what_is_no_mapping_and_no_path(admin, browser, given, field):
    looked_at(browser)
    refused = admin.post(f"imports/{Job.objects.get().pk}/check", given)

    assert refused.status_code == 400
    assert fields_of(refused) == {field}


def test_mappings_are_kept_listed_replaced_and_deleted_through_the_api(admin, project):
    made = admin.post("mappings", {"name": "Ours", "mapping": READS})
    assert made.status_code == 201
    assert made.headers["Location"] == f"/api/v1/projects/demo/mappings/{made.json()['id']}"
    again = admin.post("mappings", {"name": "Ours", "mapping": READS | {"keep": ["meta"]}}).json()
    assert again["id"] == made.json()["id"]
    assert [one["mapping"]["keep"] for one in admin.get("mappings").json()["results"]] == [["meta"]]

    refused = admin.post("mappings", {"name": "Bad", "mapping": {"prompt": 3}})
    assert (refused.status_code, fields_of(refused)) == (422, {"mapping"})
    at = f"/api/v1/projects/demo/mappings/{again['id']}"
    assert admin.client.delete(at).status_code == 204
    assert not ImportMapping.objects.exists()


# Roles


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_whose_fields_keep_their_roles_is_the_same_mapping(name):
    table = PRESETS[name].mapping.as_dict()

    assert roles.changed(table, roles.of(table)) == table


def test_roles_change_only_what_they_stand_for():
    table = roles.changed(READS, {"won": "", "verdict": "winner", "model_1": "a.model"})
    assert table == READS | {
        "answers": [{"text": "one", "model": "model_1"}, "two"],
        "judgment": READS["judgment"]
        | {"winner": READS["judgment"]["winner"] | {"field": "verdict"}},
    }
    assert READS["judgment"]["winner"]["field"] == "won"
    assert roles.of(table)["verdict"] == "winner"


def test_roles_of_items_are_written_from_their_list():
    given = {"c[*].text": "each.text", "c[*].who": "each.model", "c[*].rank": "each.rank"}
    table = roles.changed({"prompt": "q"}, given)

    assert table["answers"] == {"each": "c", "text": "text", "model": "who", "rank": "rank"}
    assert roles.of(table) == {"q": "prompt", "c": "each"} | given


# What the page offers


def test_fields_that_are_not_decided_can_be_decided_together_as_long_as_there_are_any(browser):
    address, page = with_roles(browser)
    assert "rest" in page.context["form"].fields

    decided = {f"role_{name}": "leave_out" for name in REST}
    page = sent(browser, address, page, look="1", **decided)

    assert "rest" not in page.context["form"].fields
    assert "All fields that are not decided" not in page.content.decode()


def test_the_name_of_a_judge_that_a_mapping_gives_to_all_rows_can_be_changed(browser):
    rows = [{"system": "", "question": "Why?", "chosen": "a", "rejected": "b"}]
    address, page = looked_at(browser, "".join(json.dumps(row) for row in rows))
    form = page.context["form"]
    assert (form.choice.format, form["judge_name"].initial) == ("orca-dpo", "orca-dpo")

    page = sent(browser, address, page, look="1", judge_name="us")

    table = page.context["form"].choice.table
    assert table["judgment"] == {"judge": {"value": "us"}, "kind": "script"}
    assert page.context["form"].choice.fault == ""


def test_labels_of_presets_are_translated():
    label = FORMATS["orca-dpo"].label

    with patch("django.utils.translation._trans.gettext", side_effect=str.upper):
        assert str(label).startswith("ORCA DPO PAIRS")


def test_a_file_that_a_format_reads_in_part_says_how_the_rest_can_be_read(browser):
    rows = [{"prompt": f"Why {n}?", "anwsers": ["x", "y"]} for n in range(3)]
    address, page = looked_at(browser, "".join(json.dumps(row) + "\n" for row in rows))
    assert "choose “Say for each field what it is” below" in one_line(page)

    page = sent(browser, address, page, look="1", format="mapping")

    assert "choose “Say for each field what it is” below" not in one_line(page)
    assert '<option value="each">list of answers</option>' in one_line(page)


def test_a_field_that_is_kept_replaces_no_metadata_of_its_name(project, tmp_path):
    row = {"prompt": "Why?", "metadata": {"topic": "rivers"}, "topic": "lakes"}
    with pytest.raises(CommandError, match="two fields are the metadata 'topic'"):
        run(tmp_path, [row], keep=["topic"])

    run(tmp_path, [row | {"topic": "rivers"}], keep=["topic"])
    assert Prompt.objects.get().metadata == {"topic": "rivers"}
