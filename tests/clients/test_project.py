"""The client does all that its README claims: what every page does has a method, and it works."""

import json
import re

import httpx
import pytest
from django.urls import URLResolver, get_resolver
from podium_client import Podium, Refused

from labeling.models import Ranking
from modelops.models import Alias
from people import tokens
from tests.factories import make_model, make_ranking, make_task
from tests.labeling.api.test_imports import work

# What each method is called with; its address is compared with those of the server.
SITE = [
    lambda podium, to: podium.me(),
    lambda podium, to: podium.change_me(name="Ann"),
    lambda podium, to: list(podium.projects()),
    lambda podium, to: podium.create_project("new", "New"),
    lambda podium, to: list(podium.accounts()),
    lambda podium, to: list(podium.workers()),
    lambda podium, to: podium.create_account("ann@example.org"),
    lambda podium, to: podium.account(1),
    lambda podium, to: podium.change_account(1, name="Ann"),
    lambda podium, to: podium.pause_account(1),
    lambda podium, to: podium.activate_account(1),
    lambda podium, to: podium.unlock_account(1),
    lambda podium, to: podium.new_password(1),
    lambda podium, to: list(podium.invitations()),
    lambda podium, to: podium.invite("ann@example.org"),
    lambda podium, to: podium.renew_invitation(1),
    lambda podium, to: podium.withdraw_invitation(1),
    lambda podium, to: list(podium.tokens()),
    lambda podium, to: podium.make_token("script", ["read"]),
    lambda podium, to: podium.revoke_token(1),
]
PROJECT = [
    lambda demo, to: demo.settings(),
    lambda demo, to: demo.change(name="Demo"),
    lambda demo, to: demo.ring(),
    lambda demo, to: demo.guidelines(),
    lambda demo, to: demo.leave(),
    lambda demo, to: list(demo.audit()),
    lambda demo, to: list(demo.rankings()),
    lambda demo, to: demo.ranking(1),
    lambda demo, to: list(demo.demonstrations()),
    lambda demo, to: list(demo.candidates()),
    # people
    lambda demo, to: list(demo.members()),
    lambda demo, to: demo.members.add("ann@example.org"),
    lambda demo, to: demo.members.read(1),
    lambda demo, to: demo.members.change(1, paused=True),
    lambda demo, to: demo.members.remove(1),
    lambda demo, to: demo.members.invite("ann@example.org"),
    lambda demo, to: list(demo.members.invitations()),
    lambda demo, to: demo.members.agreement(),
    lambda demo, to: demo.members.would_erase(1),
    lambda demo, to: demo.members.erase(1, "Asked for."),
    lambda demo, to: list(demo.groups()),
    lambda demo, to: demo.groups.make("Physicians", [1]),
    lambda demo, to: demo.groups.read(1),
    lambda demo, to: demo.groups.change(1, name="Nurses"),
    lambda demo, to: demo.groups.delete(1),
    lambda demo, to: list(demo.judges()),
    lambda demo, to: demo.judges.read("3b1f0a52-4a0c-4c7e-9d1e-0b7f5d2f3ae0"),
    lambda demo, to: demo.judges.change("3b1f0a52-4a0c-4c7e-9d1e-0b7f5d2f3ae0", kind="model"),
    # prompts and tasks
    lambda demo, to: list(demo.prompts()),
    lambda demo, to: demo.prompts.add(["Why?"]),
    lambda demo, to: demo.prompts.read(1),
    lambda demo, to: demo.prompts.change(1, sensitive=True),
    lambda demo, to: list(demo.prompts.candidates(1)),
    lambda demo, to: list(demo.prompts.templates()),
    lambda demo, to: demo.prompts.make_template("story", "A story of {x}."),
    lambda demo, to: demo.prompts.template(1),
    lambda demo, to: demo.prompts.fill(1, [{"x": "y"}]),
    lambda demo, to: demo.prompts.delete_template(1),
    lambda demo, to: list(demo.tasks()),
    lambda demo, to: demo.tasks.read(1),
    lambda demo, to: list(demo.tasks.judged()),
    lambda demo, to: demo.tasks.read_judged(1),
    lambda demo, to: demo.tasks.reserved(),
    lambda demo, to: demo.tasks.reserve(1, member=1),
    lambda demo, to: demo.tasks.put_back(1),
    lambda demo, to: demo.tasks.retire(1),
    lambda demo, to: demo.tasks.make_gold(1, "A>B"),
    lambda demo, to: demo.tasks.make_ordinary(1),
    lambda demo, to: demo.tasks.disputes(),
    lambda demo, to: demo.tasks.disputed(1),
    lambda demo, to: demo.tasks.settle(1, "A>B"),
    lambda demo, to: demo.tasks.unsettle(1),
    lambda demo, to: list(demo.criteria()),
    lambda demo, to: demo.criteria.add("why", "text", "Why?"),
    lambda demo, to: demo.criteria.read("why"),
    lambda demo, to: demo.criteria.change("why", question="Why so?"),
    lambda demo, to: demo.criteria.retire("why"),
    lambda demo, to: demo.criteria.ask_preset("helpsteer"),
    lambda demo, to: demo.criteria.agreement(),
    # a labeler's work
    lambda demo, to: demo.work.next(),
    lambda demo, to: demo.work.current(),
    lambda demo, to: demo.work.pace(),
    lambda demo, to: demo.work.ahead(1),
    lambda demo, to: demo.work.draft(1, note="Hm."),
    lambda demo, to: demo.work.heartbeat(1),
    lambda demo, to: demo.work.submit(1, "A>B"),
    lambda demo, to: demo.work.skip(1, "other"),
    lambda demo, to: demo.work.undo_skip(1),
    lambda demo, to: demo.work.give_back(1),
    lambda demo, to: demo.work.undo(1),
    lambda demo, to: demo.work.revise(1, "A>B"),
    lambda demo, to: demo.work.draft_revision(1, note="Hm."),
    lambda demo, to: list(demo.threads()),
    lambda demo, to: demo.threads.ask(1, "Is B meant?"),
    lambda demo, to: demo.threads.read(1),
    lambda demo, to: demo.threads.say(1, "Yes."),
    lambda demo, to: demo.threads.close(1),
    lambda demo, to: demo.threads.reviews(1),
    lambda demo, to: demo.threads.review(1, "agree"),
    lambda demo, to: demo.writings.ask_demonstrations(1),
    lambda demo, to: demo.writings.ask_prompts(1, "Birds"),
    lambda demo, to: demo.writings.withdraw(),
    lambda demo, to: demo.writings.counts(),
    lambda demo, to: demo.writings.take(),
    lambda demo, to: list(demo.writings.mine()),
    lambda demo, to: demo.writings.save(1, "So."),
    lambda demo, to: demo.writings.heartbeat(1),
    lambda demo, to: demo.writings.submit(1, "So."),
    lambda demo, to: demo.writings.give_back(1),
    lambda demo, to: list(demo.writings.to_review()),
    lambda demo, to: demo.writings.accept(1),
    lambda demo, to: demo.writings.return_to_writer(1, "Shorter."),
    lambda demo, to: demo.writings.reject(1),
    # jobs, files, datasets, models
    lambda demo, to: demo.jobs.recipes(),
    lambda demo, to: list(demo.jobs()),
    lambda demo, to: demo.jobs.start("sample"),
    lambda demo, to: demo.jobs.read(1),
    lambda demo, to: demo.jobs.cancel(1),
    lambda demo, to: demo.jobs.resume(1),
    lambda demo, to: list(demo.jobs.log(1)),
    lambda demo, to: list(demo.jobs.metrics(1)),
    lambda demo, to: list(demo.rounds()),
    lambda demo, to: demo.rounds.start(),
    lambda demo, to: demo.rounds.read(1),
    lambda demo, to: demo.rounds.end(1),
    lambda demo, to: demo.imports.upload(to / "prompts.jsonl"),
    lambda demo, to: demo.imports.pull("Anthropic/hh-rlhf"),
    lambda demo, to: demo.imports.read(1),
    lambda demo, to: demo.imports.check(1, near=False),
    lambda demo, to: demo.imports.confirm(1),
    lambda demo, to: list(demo.imports.mappings()),
    lambda demo, to: demo.imports.mapping(1),
    lambda demo, to: demo.imports.keep_mapping("ours", {"prompt": "q"}),
    lambda demo, to: demo.imports.delete_mapping(1),
    lambda demo, to: demo.imports.bad_rows(1, to / "bad.jsonl"),
    lambda demo, to: demo.imports.would_undo(1),
    lambda demo, to: demo.imports.undo(1),
    lambda demo, to: list(demo.datasets()),
    lambda demo, to: demo.datasets.preview(),
    lambda demo, to: demo.datasets.freeze(),
    lambda demo, to: demo.datasets.change(1, note="n"),
    lambda demo, to: demo.datasets.read(1),
    lambda demo, to: demo.datasets.formats(1),
    lambda demo, to: demo.datasets.download(1, "trl", to / "pairs.jsonl"),
    lambda demo, to: demo.datasets.push(1, "us/preferences"),
    lambda demo, to: list(demo.datasets.rows(1)),
    lambda demo, to: demo.datasets.compare(1, 2),
    lambda demo, to: demo.datasets.difference(1, 2),
    lambda demo, to: list(demo.datasets.different(1, 2)),
    lambda demo, to: demo.datasets.labelers(1),
    lambda demo, to: demo.datasets.weigh(1, {0: 0.5}),
    lambda demo, to: list(demo.datasets.weights(1)),
    lambda demo, to: demo.datasets.stored_weights(1),
    lambda demo, to: demo.datasets.delete(1),
    lambda demo, to: list(demo.models()),
    lambda demo, to: demo.models.read(1),
    lambda demo, to: demo.models.register("base", "/models/base"),
    lambda demo, to: demo.models.serve("served", "https://models.example/v1", "m"),
    lambda demo, to: demo.models.pull("Qwen/Qwen2.5-0.5B-Instruct"),
    lambda demo, to: demo.models.promote(1),
    lambda demo, to: list(demo.models.aliases()),
    lambda demo, to: list(demo.webhooks()),
    lambda demo, to: demo.webhooks.make("https://example.org"),
    lambda demo, to: demo.webhooks.read(1),
    lambda demo, to: demo.webhooks.change(1, active=False),
    lambda demo, to: demo.webhooks.renew_secret(1),
    lambda demo, to: demo.webhooks.remove(1),
    lambda demo, to: demo.webhooks.test(1),
    lambda demo, to: list(demo.webhooks.deliveries(1)),
    lambda demo, to: demo.webhooks.redeliver(1),
]
DESCRIPTIONS = {"openapi.json", "docs/"}  # of the API itself
ANSWER = {"results": [], "next": None, "added": 0, "known": 0, "refused": [], "recipes": []}
ANSWER |= {"labelers": [], "formats": [], "secret": "s", "token": "t", "password": "p"}
ANSWER |= {"rows": {}, "judgments": {}}


def addresses(patterns=None, before: str = "") -> set[tuple[str, str]]:
    """(method, address) of everything below /api/v1/, ids as the patterns have them."""
    known = set()
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            known |= addresses(pattern.url_patterns, address)
        elif address.startswith("api/v1/"):
            methods = {"GET", "POST", "PATCH", "DELETE"}
            view = pattern.callback.cls
            known |= {(name, address[7:]) for name in methods if hasattr(view, name.lower())}
    return known


def expression(address: str) -> re.Pattern:
    """What a request to this address looks like; a word of it is no id."""
    ids = {"<int:pk>": r"\d+", "<int:number>": r"\d+", "<uuid:pk>": "[0-9a-f-]{36}"}
    ids |= {"<slug:slug>": "demo", "<slug:key>": "why"}
    return re.compile(
        "".join(ids.get(part) or re.escape(part) for part in re.split("(<[^>]+>)", address))
    )


def test_every_address_has_a_method_of_the_client(tmp_path):
    """Who adds an endpoint adds a method for it, and a line above."""
    (tmp_path / "prompts.jsonl").write_text("{}")
    asked = set()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.add((request.method, request.url.path.removeprefix("/api/v1/")))
        return httpx.Response(200, json=ANSWER, headers={"ETag": '"1"'})

    with Podium("http://podium.test", "t", transport=httpx.MockTransport(answer)) as podium:
        for call in SITE:
            call(podium, tmp_path)
        for call in PROJECT:
            call(podium.project("demo"), tmp_path)

    unreached = {
        (method, address)
        for method, address in addresses()
        if address not in DESCRIPTIONS
        and not any(method == done and expression(address).fullmatch(to) for done, to in asked)
    }
    assert not unreached


# What a project's admin does, against a real server


@pytest.fixture
def demo(live_server, carol, project):
    token = tokens.make(carol, "script", ["admin", "label"], 1)[1]
    with Podium(live_server.url, token) as podium:
        yield podium.project("demo")


@pytest.mark.django_db(transaction=True)
def test_a_script_makes_gold_tasks_and_ordinary_ones_of_them(demo, project):
    task = make_task(project, texts=["a", "b"])

    assert [answer["letter"] for answer in demo.tasks.read(task.pk)["answers"]] == ["A", "B"]
    assert demo.tasks.make_gold(task.pk, "A>B")["purpose"] == "gold"
    assert demo.tasks.read(task.pk)["key"]["order"] == "A>B"
    assert [gold["id"] for gold in demo.tasks(purpose="gold")] == [task.pk]
    assert demo.tasks.make_ordinary(task.pk)["purpose"] == "training"


@pytest.mark.django_db(transaction=True)
def test_a_script_erases_what_somebody_judged(demo, project, alice):
    make_ranking(make_task(project), alice)
    member = alice.memberships.get().pk

    assert demo.members.would_erase(member)["rankings"] == 1
    assert Ranking.objects.count() == 1
    assert demo.members.erase(member, "Asked for.")["rankings"] == 1
    assert not Ranking.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_script_reviews_a_ranking(demo, project, alice):
    ranking = make_ranking(make_task(project), alice)
    demo.threads.review(ranking.pk, "disagree", "B is wrong.")

    [review] = demo.threads.reviews(ranking.pk)["reviews"]
    assert (review["verdict"], review["comment"]) == ("disagree", "B is wrong.")


@pytest.mark.django_db(transaction=True)
def test_a_script_reads_the_aliases(demo, project):
    model = make_model(project)
    Alias.objects.create(project=project, name="champion", model_version=model)

    assert [(one["name"], one["model_version"]) for one in demo.models.aliases()] == [
        ("champion", model.pk)
    ]


@pytest.mark.django_db(transaction=True)
def test_a_script_reads_bad_rows_and_undoes_an_import(demo, tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"prompt": "Why?"}) + "\n{")
    demo.imports.upload(file)
    check = work()
    bad = demo.imports.bad_rows(check.pk, tmp_path / "bad.jsonl")
    assert [json.loads(line)["line"] for line in bad.read_text().splitlines()] == [2]

    demo.imports.confirm(check.pk, skip_bad=True)
    imported = work()
    assert demo.imports.would_undo(imported.pk)["prompts"] == 1
    undone = demo.imports.undo(imported.pk)
    assert undone["kind"] == "undo"
    work()
    assert demo.jobs.read(undone["id"])["result"]["prompts"] == 1
    with pytest.raises(Refused, match="has undone this import"):
        demo.imports.undo(imported.pk)


@pytest.mark.django_db(transaction=True)
def test_a_script_groups_people_and_reserves_tasks(demo, project, alice):
    task, member = make_task(project), alice.memberships.get().pk
    group = demo.groups.make("Physicians", [member])

    assert demo.groups.change(group["id"], name="Nurses")["name"] == "Nurses"
    assert demo.tasks.reserve(task.pk, group=group["id"])["reserved_for_group"] == group["id"]
    assert demo.tasks.reserved()["waiting"] == 1
    assert not demo.tasks.reserve(task.pk)["reserved"]
    demo.groups.delete(group["id"])
    assert list(demo.groups()) == []


@pytest.mark.django_db(transaction=True)
def test_a_script_reviews_what_somebody_wrote(demo, live_server, alice, project):
    token = tokens.make(alice, "script", ["label"], 1)[1]
    demo.writings.ask_prompts(1, "Birds")
    with Podium(live_server.url, token) as podium:
        writer = podium.project("demo").writings
        text = writer.take()
        writer.save(text["id"], "Why do")
        writer.submit(text["id"], "Why do birds sing?")
        assert [one["state"] for one in writer.mine()] == ["submitted"]

    [to_review] = demo.writings.to_review()
    assert demo.writings.accept(to_review["id"])["state"] == "accepted"
    assert demo.writings.counts()["prompt"]["accepted"] == 1
