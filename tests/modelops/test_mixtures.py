"""Mixtures of datasets, and plain texts as a dataset."""

import pytest
from django.core.management import CommandError, call_command

from modelops import mixtures, rows
from modelops.datasets import path
from modelops.models import Dataset, Job
from people.models import AuditEvent
from tests.factories import make_project
from tests.modelops.forms.test_jobs import filled_in, frozen, weights

pytestmark = pytest.mark.django_db


def test_a_mixture_names_datasets_of_the_project_and_their_weights(project):
    first, second = frozen(project, digest="a"), frozen(project, digest="b")
    assert mixtures.read(project, "aaa:0.5, bbb") == [(first, 0.5), (second, 1.0)]
    assert mixtures.read(project, " ") == []


@pytest.mark.parametrize(
    "text", ["ccc:1", ":1", "aaa:0", "aaa:-1", "aaa:nan", "aaa:much", "a", "ddd:1"]
)
def test_what_names_no_dataset_or_no_weight_is_refused(project, text):
    frozen(project, digest="a")
    Dataset.objects.filter(pk=frozen(project, digest="b").pk).update(digest="ab" + "0" * 62)
    frozen(make_project(), digest="d")

    with pytest.raises(mixtures.BadMix):
        mixtures.read(project, text)


def test_the_form_refuses_a_mixture_of_what_is_not_there(client_for, project, carol):
    weights(project)
    frozen(project)
    response = client_for(carol).post(
        "/p/demo/jobs/new/sft/", filled_in(project, "sft", mix="fff:2")
    )

    assert list(response.context["form"].errors) == ["mix"]
    assert not Job.objects.exists()


def test_sft_on_text_needs_a_dataset_of_it(client_for, project, carol):
    weights(project)
    frozen(project, kind="text")
    response = client_for(carol).post(
        "/p/demo/jobs/new/sft/", filled_in(project, "sft", source="best")
    )
    assert list(response.context["form"].errors) == ["dataset"]

    client_for(carol).post("/p/demo/jobs/new/sft/", filled_in(project, "sft", source="text"))
    assert Job.objects.get().recipe["source"] == "text"


def test_texts_become_a_dataset_once(project, tmp_path, client_for, carol):
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "The sea."}\n\n{"text": "The sky."}\n')

    call_command("freeze_text", str(file), project="demo", note="nature")
    call_command("freeze_text", str(file), project="demo")

    dataset = Dataset.objects.get()
    assert [row["text"] for row in rows.read(path(dataset))] == ["The sea.", "The sky."]
    assert (dataset.kind, dataset.note, dataset.counts["rows"]) == ("text", "nature", 2)
    call_command("freeze_text", str(file), project="demo", note="the outdoors")
    assert Dataset.objects.get().note == "the outdoors"
    assert AuditEvent.objects.filter(verb="freeze text").count() == 1
    assert client_for(carol).get(f"/p/demo/datasets/{dataset.pk}/").status_code == 200


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "The sea."}\n{"txt": 1}\n', "Line 2 "),
        ('{"text": " "}\n', "Line 1 "),
        ("[]", "Line 1 "),
        ("", "no lines"),
    ],
)
def test_a_line_without_text_is_named_and_nothing_is_frozen(project, tmp_path, content, said):
    file = tmp_path / "texts.jsonl"
    file.write_text(content)

    with pytest.raises(CommandError, match=said):
        call_command("freeze_text", str(file), project="demo")
    assert not Dataset.objects.exists()
