"""Rows that are inserted in bulk are those that bulk_create() inserts."""

import uuid
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from labeling.models import Candidate, Prompt, RankedCandidate, Ranking, RankingTask
from modelops import registry
from people.db import bulk
from tests.factories import make_job, make_prompt

pytestmark = pytest.mark.django_db
NOON = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)


def prompts(project, job):
    for number, text in enumerate(["a", "ü\n\t\\N \\. \U0001f600", "quote \" and ' and %s"]):
        yield Prompt(
            project=project,
            job=job,
            messages=[{"role": "user", "content": text}],
            metadata={"text": text, "none": None} if number else None,
            licence="CC-BY-4.0",
            digest=f"{number:064}",
            split=Prompt.Split.TRAIN,
            sensitive=number == 1,
            created_at=NOON,
        )


def as_stored(model) -> list[tuple]:
    """Every column of the table but the key, as the database gives it to any reader."""
    columns = [
        connection.ops.quote_name(field.column)
        for field in model._meta.concrete_fields
        if not field.primary_key
    ]
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {model._meta.pk.column}")
        return cursor.fetchall()


def test_rows_are_stored_as_bulk_create_stores_them(project):
    job = make_job(project)
    Prompt.objects.bulk_create(prompts(project, job))
    by_django = as_stored(Prompt)
    Prompt.objects.all().delete()

    inserted = bulk.insert(prompts(project, job))

    assert len(by_django) == 3
    assert as_stored(Prompt) == by_django
    assert inserted == list(Prompt.objects.order_by("pk"))
    assert not any(prompt._state.adding for prompt in inserted)


@pytest.mark.parametrize("model", [Candidate, Prompt, RankedCandidate, Ranking, RankingTask])
def test_a_new_object_is_what_the_model_makes(model):
    given = {} if model is RankedCandidate else {"created_at": NOON}
    made, usual = bulk.new(model, id=7, **given), model(id=7, **given)

    def columns(item):
        values = {n: v for n, v in vars(item).items() if n != "_state"}
        return {n: type(v) if hasattr(v, "resolve_expression") else v for n, v in values.items()}

    assert columns(made) == columns(usual)
    assert made == usual
    assert vars(made._state) == vars(usual._state)


def test_defaults_that_are_made_are_made_for_each_object():
    first, second = bulk.new(Ranking), bulk.new(Ranking)

    assert first.labels == second.labels == []
    assert first.labels is not second.labels
    assert first.created_at.tzinfo is not None


def test_a_new_object_takes_the_names_of_columns_only():
    with pytest.raises(TypeError, match="Candidate has no job$"):
        bulk.new(Candidate, prompt_id=1, job=None)


def test_a_task_with_its_ranking_is_stored_as_bulk_create_stores_it(project):
    job, prompt = make_job(project), make_prompt(project)
    version = registry.external(project, "m")

    def rows(insert):
        answers = insert(
            Candidate,
            [
                Candidate(
                    prompt=prompt,
                    job=job,
                    model_version=version,
                    slot=slot,
                    created_at=NOON,
                    text=f"{slot}",
                    messages=[{"role": "assistant", "content": "x"}] if slot else None,
                )
                for slot in range(2)
            ],
        )
        (task,) = insert(
            RankingTask, [RankingTask(project=project, prompt=prompt, job=job, created_at=NOON)]
        )
        (ranking,) = insert(
            Ranking,
            [
                Ranking(
                    task=task,
                    judge=uuid.UUID(int=7),
                    kind=Ranking.Kind.IMPORTED,
                    strength=-2,
                    outcome=Ranking.Outcome.RANKED,
                    seconds=3,
                    created_at=NOON,
                )
            ],
        )
        places = [
            RankedCandidate(ranking=ranking, candidate=answer, shown=place, rank=place + 1)
            for place, answer in enumerate(answers)
        ]
        insert(RankedCandidate, places)
        models = (Candidate, RankingTask, Ranking, RankedCandidate)
        stored = [list(model.objects.order_by("pk").values()) for model in models]
        Ranking.objects.all().delete()
        RankingTask.objects.all().delete()
        Candidate.objects.all().delete()
        return [[without_keys(row) for row in table] for table in stored]

    by_django = rows(lambda model, objects: model.objects.bulk_create(objects))

    assert [len(table) for table in by_django] == [2, 1, 1, 2]
    assert rows(lambda _model, objects: bulk.insert(objects)) == by_django


def without_keys(row: dict) -> dict:
    names = ("id", "task_id", "ranking_id", "candidate_id")
    return {name: value for name, value in row.items() if name not in names}


def test_keys_are_new_and_later_rows_get_keys_beyond_them(project):
    first, second, third = prompts(project, make_job(project))
    bulk.insert([first, second])
    last = second.pk
    second.delete()

    bulk.insert([third])
    created = make_prompt(project)

    assert first.pk < last < third.pk < created.pk


def test_nothing_is_inserted_of_rows_that_break_a_constraint(project):
    job = make_job(project)
    twice = [*prompts(project, job), *prompts(project, job)]

    with pytest.raises(IntegrityError), transaction.atomic():
        bulk.insert(twice)

    assert bulk.insert([]) == []
    assert not Prompt.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_rows_in_bulk_need_a_transaction(project):
    with pytest.raises(transaction.TransactionManagementError):
        bulk.insert(prompts(project, make_job(project)))

    assert not Prompt.objects.exists()
