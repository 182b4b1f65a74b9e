"""Record what the version that made the stored data shows: `seen.json.xz`, `openapi.json.xz`.

    .venv/bin/python -m pytest tests/upgrade/record.py

Like make_stored.py it was run once, with the product code of commit 1025479; a later version's
faults would be recorded as right. Everything is read from two copies of the data: what differs
between the two (times, random keys) is left out.
"""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.core.management import call_command
from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from labeling import render
from labeling.models import (
    Assignment,
    Candidate,
    Demonstration,
    ExternalLabeler,
    Prompt,
    PromptTemplate,
    Ranking,
    RankingTask,
    Writing,
)
from modelops.models import Dataset, Job, LogLine, ModelVersion
from people.models import Delivery, Invitation, Letter, Membership, Project, Token, User, Webhook
from tests.upgrade import looks
from tests.upgrade.conftest import in_folder
from tests.upgrade.make_stored import PASSWORD, VERSION, refuse_another_version

pytestmark = pytest.mark.timeout(1200)  # some hundred pages, twice
THING_OF = {
    "prompt": Prompt,
    "dataset": Dataset,
    "job": Job,
    "model": ModelVersion,
    "template": PromptTemplate,
    "review": Writing,
    "task": RankingTask,
    "webhook": Webhook,
    "account": User,
    "member": Membership,
    "prompts-confirm": Job,
    "prompts-bad-rows": Job,
}
NOT_LOOKED_AT = {
    "logout",
    "password-new",
    "join",
    "dataset-download",
    "api-openapi",
}  # looked at otherwise
TEXTS = [
    (User, "email"),
    (User, "name"),
    (Project, "name"),
    (Invitation, "email"),
    (Token, "name"),
    (Webhook, "url"),
    (Delivery, "error"),
    (Letter, "subject"),
    (Letter, "to"),
    (Demonstration, "text"),
    (Writing, "text"),
    (Writing, "brief"),
    (Writing, "comment"),
    (Candidate, "text"),
    (Ranking, "note"),
    (Assignment, "skip_reason"),
    (PromptTemplate, "name"),
    (PromptTemplate, "text"),
    (ExternalLabeler, "name"),
    (LogLine, "text"),
    (Job, "error"),
    (Dataset, "note"),
    (Dataset, "licence"),
    (ModelVersion, "name"),
    (ModelVersion, "served_as"),
    (ModelVersion, "address"),
    (Job, "machine"),
]
SHORTEST, MOST = 6, 40  # characters of such a text, and such texts of one page


def test_record(data_folders, stored, own_folders, tmp_path, django_db_blocker):
    refuse_another_version()
    seen = {"version": VERSION, "password": PASSWORD}
    for name, look in LOOKS.items():
        looked = []
        for number in range(2):
            copy = shutil.copytree(data_folders["var"], tmp_path / f"{name}-{number}")
            with in_folder(copy, django_db_blocker):
                cache.clear()  # it counts the requests of a minute
                looked.append(look(stored.known))
        seen[name] = (
            looks.alike(*looked)
            if name != "pages"
            else [alike_page(*pair) for pair in zip(*looked)]
        )
    print({name: len(part) for name, part in seen.items()})
    store("seen", seen)
    with in_folder(copy, django_db_blocker):
        call_command("spectacular", file=str(tmp_path / "openapi.json"), format="openapi-json")
    store("openapi", json.loads((tmp_path / "openapi.json").read_text()))


def store(name: str, content: dict) -> None:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (looks.STORED / f"{name}.json.xz").write_bytes(lzma.compress(text.encode(), preset=9))


def rows(_known: dict[str, str]) -> dict:
    return {
        "jobs": {
            str(job.pk): [job.kind, job.state, job.done, job.total]
            for job in Job.objects.order_by("pk")
        },
        "datasets": {str(row.pk): row.digest for row in Dataset.objects.order_by("pk")},
        "models": {
            str(row.pk): [row.name, row.sha256] for row in ModelVersion.objects.order_by("pk")
        },
        "counts": {model._meta.label: model.objects.count() for model in ours()},
    }


def ours() -> list[type[models.Model]]:
    from django.apps import apps

    return [
        model
        for name in ("people", "modelops", "labeling")
        for model in apps.get_app_config(name).get_models()
    ]


def alike_page(first: list, second: list) -> list:
    """What two looks at a page have in common."""
    role, address, status, texts = first
    assert second[:3] == [role, address, status]
    return [role, address, status, [text for text in texts if text in second[3]]]


# Pages


def pages(known: dict[str, str]) -> list[list]:
    return list(walked(known))


def walked(known: dict[str, str]) -> Iterator[list]:
    texts = stored_texts()
    for role in looks.ROLES:
        client = looks.browser(role)
        for address in [*addresses(role, known), *back_office(role)]:
            status, content = looks.page(client, address)
            if status == 405:  # an action, no page
                continue
            shown = looks.text_of(content)
            yield [
                role,
                address,
                status,
                [text for text in texts if text in shown][:MOST] if status == 200 else [],
            ]


def stored_texts() -> list[str]:
    """What people wrote and what things are called, as far as it is one line."""
    texts = {
        str(text) for model, field in TEXTS for text in model.objects.values_list(field, flat=True)
    }
    texts |= {prompt.last_turn for prompt in Prompt.objects.all()} | {
        row.short for row in Dataset.objects.all()
    }
    return sorted(
        (text for text in texts if len(text) >= SHORTEST and "\n" not in text),
        key=lambda text: (-len(text), text),
    )


def addresses(role: str, known: dict[str, str]) -> Iterator[str]:
    """Every named page: for the admin of each row, for others of the first row alone."""
    yield reverse("join", args=[known["invitation of quentin"]])
    for name, pattern in sorted(named().items()):
        if name in NOT_LOOKED_AT:
            continue
        converters = pattern.pattern.converters
        of_project = "slug" in parameters_of(name)
        about = {"slug": looks.SLUG} if of_project else {}
        if "kind" in converters:
            yield from (reverse(name, kwargs=about | {"kind": kind}) for kind in Job.Kind.values)
        elif key := next((key for key in converters if key in ("pk", "assignment_id")), None):
            pks = (
                pks_for(name)
                if role == ("admin" if of_project else "administrator")
                else pks_for(name)[:1]
            )
            yield from (reverse(name, kwargs=about | {key: pk}) for pk in pks)
        else:
            yield reverse(name, kwargs=about)


def named(patterns=None) -> dict[str, URLPattern]:
    pages_by_name = {}
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver) and pattern.namespace != "admin":
            pages_by_name |= named(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and pattern.name:
            pages_by_name[pattern.name] = pattern
    return pages_by_name


def parameters_of(name: str) -> list[str]:
    [[(_path, parameters)], *_rest] = get_resolver().reverse_dict.getlist(name)[0]
    return parameters


def pks_for(name: str) -> list[int]:
    prefix = name if name in THING_OF else name.split("-")[0]
    model = THING_OF.get(prefix, Assignment)
    return list(model.objects.order_by("pk").values_list("pk", flat=True))


def back_office(role: str) -> Iterator[str]:
    if role != "administrator":
        return
    yield reverse("admin:index")
    for model in admin.site._registry:
        stem = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{stem}_changelist")
        first = model.objects.order_by("pk").values_list("pk", flat=True).first()
        if first is not None:
            yield reverse(f"{stem}_change", args=[first])


# Downloads


def downloads() -> Iterator[str]:
    """Every file that is offered of every dataset; as JSON Lines also the training split."""
    for dataset in Dataset.objects.order_by("pk"):
        for name, format in render.offered(dataset).items():
            for file in format.files:
                for split in ("", "train") if file == "jsonl" else ("",):
                    asked = {"format": f"{name}.{file}"} | ({"split": split} if split else {})
                    yield (
                        reverse("dataset-download", args=[looks.SLUG, dataset.pk])
                        + f"?{urlencode(asked)}"
                    )


def files(_known: dict[str, str]) -> dict[str, dict]:
    return {address: downloaded(address) for address in downloads()}


def downloaded(address: str) -> dict:
    status, content = looks.page(looks.browser("researcher"), address)
    if status != 200:
        return {"status": status}
    name = address.split("format=")[1].split("&")[0]
    return {"status": status, "digests": looks.digests(name, content)}


# The API


def answers(known: dict[str, str]) -> list[list]:
    return list(asked(known))


def asked(known: dict[str, str]) -> Iterator[list]:
    for role in ("administrator", "admin", "lead", "researcher", "labeler"):
        for address in endpoints(role == "admin"):
            status, content = looks.answer(known[f"token of {role}"], address)
            if status != 405:
                yield [role, address, status, content if status == 200 else None]


def endpoints(all_of_them: bool) -> Iterator[str]:
    for path in sorted(api_paths()):
        path = path.replace("<slug:slug>", looks.SLUG)
        if "<int:pk>" not in path:
            yield path
            continue
        model = next(
            (model for part, model in MODELS_OF_PATHS.items() if f"/{part}/<int:pk>" in path),
            Assignment,
        )
        pks = list(model.objects.order_by("pk").values_list("pk", flat=True))
        yield from (path.replace("<int:pk>", str(pk)) for pk in (pks if all_of_them else pks[:1]))


MODELS_OF_PATHS = {
    "prompts": Prompt,
    "datasets": Dataset,
    "jobs": Job,
    "models": ModelVersion,
    "templates": PromptTemplate,
    "tasks": RankingTask,
    "rankings": Ranking,
    "imports": Job,
    "webhooks": Webhook,
    "deliveries": Delivery,
    "accounts": User,
    "members": Membership,
    "tokens": Token,
    "invitations": Invitation,
    "writings": Writing,
}


def api_paths(patterns=None, before: str = "/") -> Iterator[str]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from api_paths(pattern.url_patterns, route)
        elif (
            route.startswith("/api/v1/")
            and not pattern.name
            and hasattr(pattern.callback.cls, "get")
        ):
            yield route


LOOKS = {"rows": rows, "downloads": files, "answers": answers, "pages": pages}
