"""A project: its prompts, its labelers' work, its jobs, models and datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from podium_client.errors import JobFailed
from podium_client.transport import Body, Transport

AT_ONCE = 10_000  # prompts of one request
OVER = ("done", "failed", "cancelled")


class Part:
    """A part of a project; its addresses lie below the project's."""

    def __init__(self, transport: Transport, slug: str):
        self.transport, self.slug = transport, slug

    def at(self, path: str = "") -> str:
        return f"projects/{self.slug}" + (f"/{path}" if path else "")

    def get(self, path: str, **query: Any) -> Any:
        return self.transport.get(self.at(path), **query)

    def post(self, path: str, body: Body | None = None) -> Any:
        return self.transport.post(self.at(path), body)

    def pages(self, path: str, **query: Any) -> Iterator[Body]:
        return self.transport.pages(self.at(path), **query)


class ProjectClient(Part):
    """What a project is made of, each part by its name."""

    def __init__(self, transport: Transport, slug: str):
        super().__init__(transport, slug)
        parts = (transport, slug)
        self.members, self.prompts, self.tasks = Members(*parts), Prompts(*parts), Tasks(*parts)
        self.work, self.writings = Work(*parts), Writings(*parts)
        self.jobs, self.models, self.datasets = Jobs(*parts), Models(*parts), Datasets(*parts)
        self.imports, self.webhooks = Imports(*parts), Webhooks(*parts)
        self.criteria, self.groups, self.judges = Criteria(*parts), Groups(*parts), Judges(*parts)
        self.threads, self.rounds = Threads(*parts), Rounds(*parts)

    def settings(self) -> Body:
        return self.transport.get(self.at())

    def change(self, **settings: Any) -> Body:
        return self.transport.edit(self.at(), settings)

    def rankings(self, **filters: Any) -> Iterator[Body]:
        """What was judged, newest first: everybody's to those who may read it, else one's own."""
        return self.pages("rankings", **filters)

    def ranking(self, ranking: int) -> Body:
        return self.get(f"rankings/{ranking}")

    def demonstrations(self, **filters: Any) -> Iterator[Body]:
        return self.pages("demonstrations", **filters)

    def candidates(self, **filters: Any) -> Iterator[Body]:
        """Answers of models, newest first."""
        return self.pages("candidates", **filters)

    def guidelines(self) -> Body:
        """What labelers are asked to do."""
        return self.get("guidelines")

    def ring(self) -> Body:
        """Where the project stands on its way round the loop, and the next step."""
        return self.get("ring")

    def audit(self, **filters: Any) -> Iterator[Body]:
        return self.pages("audit", **filters)

    def leave(self) -> None:
        """Be a member no more."""
        self.post("leave")


class Members(Part):
    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("members", **filters)

    def add(self, email: str, role: str = "labeler") -> Body:
        """Somebody with an account; for anybody else there is invite()."""
        return self.post("members", {"email": email, "role": role})

    def read(self, member: int) -> Body:
        return self.get(f"members/{member}")

    def invite(self, email: str, role: str = "labeler") -> Body:
        """The invitation, with its link, told this once."""
        return self.post("invitations", {"email": email, "role": role})

    def invitations(self) -> Iterator[Body]:
        """Those that nobody has accepted yet; the site renews and withdraws them."""
        return self.pages("invitations")

    def would_erase(self, member: int) -> Body:
        """What erase() would delete and withdraw."""
        return self.get(f"members/{member}/erase")

    def erase(self, member: int, why: str) -> Body:
        """Delete all that the person judged in this project; what was frozen of it is withdrawn.

        `why` stands where the withdrawn datasets stood: name nobody in it.
        """
        return self.post(f"members/{member}/erase", {"why": why})

    def change(self, member: int, **fields: Any) -> Body:
        """`role`, `paused`."""
        return self.transport.edit(self.at(f"members/{member}"), fields)

    def remove(self, member: int) -> None:
        self.transport.delete(self.at(f"members/{member}"))

    def agreement(self) -> list[Body]:
        """How each agrees with the others who ranked the same tasks; for leads and admins."""
        return self.get("agreement")["results"]


class Prompts(Part):
    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("prompts", **filters)

    def add(self, prompts: Iterable[Body | str]) -> Body:
        """Add any number, in requests of many: {"added": …, "known": …, "refused": [{"row": …,
        "detail": …}]}.

        A text is a prompt of one turn; else `messages` or `prompt`, and what a prompt may have
        besides.
        """
        rows = ({"prompt": one} if isinstance(one, str) else one for one in prompts)
        total: Body = {"added": 0, "known": 0, "refused": []}
        before = 0
        while some := list(islice(rows, AT_ONCE)):
            told = self.post("prompts", {"prompts": some})
            total["added"] += told["added"]
            total["known"] += told["known"]
            total["refused"] += [one | {"row": one["row"] + before} for one in told["refused"]]
            before += len(some)
        return total

    def read(self, prompt: int) -> Body:
        return self.get(f"prompts/{prompt}")

    def change(self, prompt: int, **fields: Any) -> Body:
        """`sensitive`."""
        return self.transport.edit(self.at(f"prompts/{prompt}"), fields)

    def templates(self) -> Iterator[Body]:
        return self.pages("templates")

    def template(self, template: int) -> Body:
        return self.get(f"templates/{template}")

    def delete_template(self, template: int) -> None:
        self.transport.delete(self.at(f"templates/{template}"))

    def make_template(self, name: str, text: str) -> Body:
        """A text with slots: "Write a story titled {title}."."""
        return self.post("templates", {"name": name, "text": text})

    def fill(self, template: int, rows: list[Body], **options: Any) -> Body:
        """A prompt of each row, at most 10,000: {"added": …, "refused": …}. `options`: split."""
        return self.post(f"templates/{template}/fill", {"rows": rows} | options)

    def candidates(self, prompt: int) -> Iterator[Body]:
        return self.pages(f"prompts/{prompt}/candidates")


class Tasks(Part):
    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("tasks", **filters)

    def read(self, task: int) -> Body:
        """The task with its answers by letters, and its answer key if it has one."""
        return self.get(f"tasks/{task}")

    def judged(self, **filters: Any) -> Iterator[Body]:
        """What was judged, newest first: each task with its answers and who ranked how.

        `filters`: search, source, use_case, language, split, job, judge, since, until, ties, …
        """
        return self.pages("judged-tasks", **filters)

    def read_judged(self, task: int) -> Body:
        return self.get(f"judged-tasks/{task}")

    def make_gold(self, task: int, order: str = "", **said: Any) -> Body:
        """Set or change its answer key, by the letters of read(): it is a gold task from now on."""
        return self.post(f"tasks/{task}/gold", ({"order": order} if order else {}) | said)

    def make_ordinary(self, task: int) -> Body:
        """Gold no more: people's rankings of it count like any others."""
        return self.post(f"tasks/{task}/not-gold")

    def reserve(self, task: int, member: int | None = None, group: int | None = None) -> Body:
        """For a member or a group; with neither it is offered to everybody again."""
        return self.post(f"tasks/{task}/reserve", {"member": member, "group": group})

    def reserved(self) -> Body:
        """How many reserved tasks have a free place, and how many of them nobody can be given."""
        return self.get("tasks/reserved")

    def put_back(self, task: int) -> Body:
        return self.post(f"tasks/{task}/put-back")

    def retire(self, task: int) -> Body:
        return self.post(f"tasks/{task}/retire")

    def disputes(self) -> list[Body]:
        """Where people disagree, the least agreement first; for leads."""
        return self.get("disputes")["results"]

    def disputed(self, task: int) -> Body:
        """What there is to settle: the prompt, the answers by letters, and what each judge said."""
        return self.get(f"tasks/{task}/settle")

    def settle(self, task: int, order: str = "", **said: Any) -> Body:
        return self.post(f"tasks/{task}/settle", ({"order": order} if order else {}) | said)

    def unsettle(self, task: int) -> Body:
        return self.post(f"tasks/{task}/unsettle")


class Criteria(Part):
    """What is asked of answers and rankings beside the ranks; admins change it."""

    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("criteria", **filters)

    def add(self, key: str, kind: str, question: str, **fields: Any) -> Body:
        """`kind`: scale, yes-no, choice, text; `fields`: scope, labels, required."""
        return self.post("criteria", {"key": key, "kind": kind, "question": question} | fields)

    def read(self, key: str) -> Body:
        return self.get(f"criteria/{key}")

    def change(self, key: str, **fields: Any) -> Body:
        """The next revision of it."""
        return self.transport.edit(self.at(f"criteria/{key}"), fields)

    def retire(self, key: str) -> Body:
        return self.post(f"criteria/{key}/retire")

    def ask_preset(self, preset: str) -> Body:
        """Ask exactly what it says: ranking, instruct-gpt, helpsteer or helpful-harmless."""
        return self.post("criteria-preset", {"preset": preset})

    def agreement(self) -> list[Body]:
        """How far people agree on each question."""
        return self.get("criteria-agreement")["results"]


class Groups(Part):
    """Groups of members, for whom tasks can be reserved."""

    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("groups", **filters)

    def make(self, name: str, members: Iterable[int] = ()) -> Body:
        return self.post("groups", {"name": name, "members": list(members)})

    def read(self, group: int) -> Body:
        return self.get(f"groups/{group}")

    def change(self, group: int, **fields: Any) -> Body:
        """`name`, `members`."""
        return self.transport.edit(self.at(f"groups/{group}"), fields)

    def delete(self, group: int) -> None:
        self.transport.delete(self.at(f"groups/{group}"))


class Judges(Part):
    """The judges of imported files."""

    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("judges", **filters)

    def read(self, judge: str) -> Body:
        return self.get(f"judges/{judge}")

    def change(self, judge: str, **fields: Any) -> Body:
        """`name`, `kind`: person, model, script."""
        return self.transport.edit(self.at(f"judges/{judge}"), fields)


class Threads(Part):
    """Questions of labelers about tasks, leads' answers to them, and leads' reviews of rankings.

    Who reads what others say of a task gets no place on it any more.
    """

    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("threads", **filters)

    def ask(self, assignment: int, text: str) -> Body:
        """Ask the leads about a task that you hold or have ranked."""
        return self.post(f"assignments/{assignment}/thread", {"text": text})

    def read(self, thread: int) -> Body:
        return self.get(f"threads/{thread}")

    def say(self, thread: int, text: str) -> Body:
        return self.post(f"threads/{thread}/messages", {"text": text})

    def close(self, thread: int) -> Body:
        return self.post(f"threads/{thread}/close")

    def reviews(self, ranking: int) -> Body:
        """A ranking with what leads think of it."""
        return self.get(f"rankings/{ranking}/reviews")

    def review(self, ranking: int, verdict: str, comment: str = "") -> Body:
        """`verdict`: agree, disagree, comment. It replaces your own earlier one."""
        body = {"verdict": verdict, "comment": comment}
        return self.post(f"rankings/{ranking}/reviews", body)


class Rounds(Part):
    """Passes through the loop, by their numbers."""

    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("rounds", **filters)

    def start(self, steps: list[Body] | None = None) -> Body:
        """The next round, with a step of each kind unless some are named."""
        return self.post("rounds", {} if steps is None else {"steps": steps})

    def read(self, number: int) -> Body:
        return self.get(f"rounds/{number}")

    def end(self, number: int, state: str = "done") -> Body:
        """`state`: done, stopped."""
        return self.post(f"rounds/{number}/end", {"state": state})


class Work(Part):
    """A labeler's own work: a task, what is said of it, and the next one."""

    def next(self) -> Body | None:
        """The task at hand, or a new one, leased to you; None while there is none."""
        return self.post("assignments")

    def current(self) -> Body | None:
        """The task at hand; None while there is none. Nothing is leased."""
        return self.get("assignments/current")

    def pace(self) -> Body:
        """What you did today, and how much of the project is done."""
        return self.get("assignments/pace")

    def ahead(self, assignment: int) -> Body | None:
        """The task after the one at hand, leased already; None where nothing else is open."""
        return self.post(f"assignments/{assignment}/ahead")

    def draft(self, assignment: int, **said: Any) -> Body:
        return self.post(f"assignments/{assignment}/draft", said)

    def heartbeat(self, assignment: int) -> Body:
        return self.post(f"assignments/{assignment}/heartbeat")

    def submit(self, assignment: int, order: str = "", **said: Any) -> Body:
        """The ranking. `order`: best first, ties by `=`, as in "B=A>C"; or `verdict`: all_bad,
        cannot_judge.
        """
        return self.post(
            f"assignments/{assignment}/submit", ({"order": order} if order else {}) | said
        )

    def skip(self, assignment: int, reason: str, detail: str = "") -> Body:
        return self.post(f"assignments/{assignment}/skip", {"reason": reason, "detail": detail})

    def undo_skip(self, assignment: int) -> Body:
        """The task is yours again, unless somebody else has it by now, or ten minutes went by."""
        return self.post(f"assignments/{assignment}/undo-skip")

    def give_back(self, assignment: int) -> Body:
        return self.post(f"assignments/{assignment}/return")

    def undo(self, ranking: int | None = None) -> Body:
        """Take the last submit back (it may be named); its task is at hand again."""
        last = ranking or self.get("assignments/pace")["undo"]
        return self.post("rankings/undo", {"ranking": last})

    def revise(self, ranking: int, order: str = "", **said: Any) -> Body:
        return self.post(f"rankings/{ranking}/revise", ({"order": order} if order else {}) | said)

    def draft_revision(self, ranking: int, **said: Any) -> Body:
        """Keep what is typed of a second thought."""
        return self.post(f"rankings/{ranking}/draft", said)

    def rank_all(self, judge: Callable[[Body], str]) -> int:
        """Rank whatever there is by a function from a task to an order; returns how many."""
        done = 0
        while task := self.next():
            self.submit(task["id"], judge(task))
            done += 1
        return done


class Writings(Part):
    def ask_demonstrations(self, count: int, **options: Any) -> Body:
        return self.post("writings/ask-demonstrations", {"count": count} | options)

    def ask_prompts(self, count: int, brief: str = "") -> Body:
        return self.post("writings/ask-prompts", {"count": count, "brief": brief})

    def take(self) -> Body | None:
        return self.post("writings/take")

    def submit(self, writing: int, text: str, seconds: float = 0) -> Body:
        return self.post(f"writings/{writing}/submit", {"text": text, "seconds": seconds})

    def save(self, writing: int, text: str, seconds: float = 0) -> Body:
        return self.post(f"writings/{writing}/save", {"text": text, "seconds": seconds})

    def heartbeat(self, writing: int) -> Body:
        return self.post(f"writings/{writing}/heartbeat")

    def give_back(self, writing: int) -> Body:
        return self.post(f"writings/{writing}/back")

    def mine(self, **filters: Any) -> Iterator[Body]:
        """The texts that you have started."""
        return self.pages("writings/mine", **filters)

    def counts(self) -> Body:
        """How many texts are asked for, being written, under review and accepted."""
        return self.get("writings/counts")

    def withdraw(self) -> Body:
        """Ask no more for what nobody has started."""
        return self.post("writings/withdraw")

    def to_review(self, **filters: Any) -> Iterator[Body]:
        """The texts that wait for a review; for leads."""
        return self.pages("reviews", **filters)

    def accept(self, writing: int, text: str | None = None) -> Body:
        """As it was written, or as you have edited it."""
        return self.post(f"writings/{writing}/accept", {} if text is None else {"text": text})

    def return_to_writer(self, writing: int, comment: str) -> Body:
        return self.post(f"writings/{writing}/return", {"comment": comment})

    def reject(self, writing: int, comment: str = "") -> Body:
        return self.post(f"writings/{writing}/reject", {"comment": comment})


class Jobs(Part):
    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("jobs", **filters)

    def start(self, kind: str, recipe: Body | None = None, **inputs: Any) -> Body:
        """A job, waiting for a worker. `inputs`: model_version, dataset, reward_model, rehearsal.

        What is left out is as on the start page: the champion, the newest dataset, the usual
        settings.
        """
        return self.post("jobs", {"kind": kind, "recipe": recipe or {}, **inputs})

    def read(self, job: int) -> Body:
        return self.get(f"jobs/{job}")

    def wait(
        self,
        job: int,
        patience: float = 86_400,
        every: float = 1.0,
        told: Callable[[Body], None] | None = None,
    ) -> Body:
        """The job once it is done. Raises JobFailed, or TimeoutError after `patience` seconds."""
        until = monotonic() + patience
        while True:
            found = self.read(job)
            if told:
                told(found)
            if found["state"] == "done":
                return found
            if found["state"] in OVER:
                raise JobFailed(found)
            if monotonic() > until:
                raise TimeoutError(f"job {job} is {found['state']} after {patience:.0f} s")
            sleep(every)

    def cancel(self, job: int) -> Body:
        return self.post(f"jobs/{job}/cancel")

    def resume(self, job: int) -> Body:
        return self.post(f"jobs/{job}/resume")

    def metrics(self, job: int, **filters: Any) -> Iterator[Body]:
        return self.pages(f"jobs/{job}/metrics", **filters)

    def log(self, job: int, after: int | None = None) -> Iterator[Body]:
        """What it printed, oldest first; `after`: only lines after the one of this id."""
        return self.pages(f"jobs/{job}/log", after=after)

    def recipes(self) -> list[Body]:
        """What each kind of job can be told."""
        return self.transport.get("recipes")["recipes"]


class Imports(Part):
    """Files, in: uploaded and checked, then imported."""

    def upload(self, file: str | Path, format: str | None = None) -> Body:
        """The job that checks the file; nothing of it comes in before confirm()."""
        with open(file, "rb") as opened:
            files = {"file": (Path(file).name, opened)}
            data = {"format": format} if format else {}
            return self.transport.send("POST", self.at("imports"), files=files, data=data).json()

    def pull(self, repo: str, revision: str = "", file: str = "") -> Body:
        """The job that downloads a file of a dataset of the Hugging Face Hub; its result names the
        job that checks it.
        """
        recipe = {"repo": repo, "revision": revision, "file": file}
        return self.post("jobs", {"kind": "pull_data", "recipe": recipe})

    def read(self, job: int) -> Body:
        """The check with the file's first rows; once it is done, `result["check"]` says what would
        come in.
        """
        return self.get(f"imports/{job}")

    def check(self, job: int, **settings: Any) -> Body:
        """Check the file again, read or cleaned otherwise. `settings`: also format, mapping,
        leave_out and keep.
        """
        return self.post(f"imports/{job}/check", settings)

    def confirm(self, job: int, **settings: Any) -> Body:
        """The job that imports it. Fields that nothing reads must be in leave_out or keep: the
        error names them as `unread.FIELD`.
        """
        return self.post(f"imports/{job}/confirm", settings)

    def mappings(self) -> Iterator[Body]:
        """The mappings that the project keeps: which field of a file's rows is what."""
        return self.pages("mappings")

    def mapping(self, mapping: int) -> Body:
        return self.get(f"mappings/{mapping}")

    def keep_mapping(self, name: str, mapping: Body) -> Body:
        """Keep a mapping under a name; it takes the place of an earlier one of that name."""
        return self.post("mappings", {"name": name, "mapping": mapping})

    def delete_mapping(self, mapping: int) -> None:
        self.transport.delete(self.at(f"mappings/{mapping}"))

    def bad_rows(self, job: int, to: str | Path, patience: float = 3600) -> Path:
        """A file of the rows that were left out, each with the reason, as JSON Lines."""
        return self.transport.download(self.at(f"imports/{job}/bad-rows"), Path(to), patience)

    def would_undo(self, job: int) -> Body:
        """What undo() would delete; `why_not` where it can't be undone."""
        return self.get(f"imports/{job}/undo")

    def undo(self, job: int) -> Body:
        """The job that takes an import back, unless some of it was judged or frozen."""
        return self.post(f"imports/{job}/undo")


class Models(Part):
    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("models", **filters)

    def read(self, model: int) -> Body:
        return self.get(f"models/{model}")

    def register(self, name: str, folder: str) -> Body:
        """A model whose files lie on the server's machine."""
        return self.post("models/register", {"name": name, "folder": folder})

    def pull(self, repo: str, revision: str = "", name: str = "") -> Body:
        """The job that downloads a model of the Hugging Face Hub and registers it."""
        recipe = {"repo": repo, "revision": revision, "name": name}
        return self.post("jobs", {"kind": "pull_model", "recipe": recipe})

    def serve(self, name: str, address: str, served_as: str) -> Body:
        """A model behind an OpenAI-compatible server."""
        return self.post("models/serve", {"name": name, "address": address, "served_as": served_as})

    def promote(self, model: int) -> Body:
        return self.post(f"models/{model}/promote")

    def aliases(self) -> Iterator[Body]:
        """Which version each alias points at: champion."""
        return self.pages("aliases")


class Datasets(Part):
    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("datasets", **filters)

    def read(self, dataset: int) -> Body:
        return self.get(f"datasets/{dataset}")

    def preview(self, **choices: Any) -> Body:
        """What freeze() would hold."""
        return self.post("datasets/preview", choices)

    def freeze(self, **choices: Any) -> Body:
        """The job that freezes; its result names the dataset."""
        return self.post("datasets", choices)

    def change(self, dataset: int, **fields: Any) -> Body:
        """Set its note or its licence."""
        return self.transport.edit(self.at(f"datasets/{dataset}"), fields)

    def formats(self, dataset: int) -> list[Body]:
        return self.read(dataset)["formats"]

    def download(
        self, dataset: int, format: str, to: str | Path, patience: float = 3600, **options: Any
    ) -> Path:
        """The dataset in a format, streamed to a file; `options`: file, split, pairs, judged,
        metadata, weights.

        What the server has to render first is waited for; a connection that breaks is taken up
        where it broke.
        """
        asked = {"format": format} | options
        self.post(f"datasets/{dataset}/render", asked)
        return self.transport.download(
            self.at(f"datasets/{dataset}/download"), Path(to), patience, **asked
        )

    def push(self, dataset: int, repo: str, private: bool = True) -> Body:
        """The job that sends it to the Hugging Face Hub, with its card."""
        recipe = {"repo": repo, "private": private}
        return self.post("jobs", {"kind": "push", "recipe": recipe, "dataset": dataset})

    def rows(self, dataset: int, **filters: Any) -> Iterator[Body]:
        """The frozen rows, each with the byte of the file where it starts: {start, row}."""
        return self.pages(f"datasets/{dataset}/rows", **filters)

    def compare(self, dataset: int, before: int) -> Body:
        """Find what differs from an earlier dataset: {ready, job}; a job compares large ones."""
        return self.post(f"datasets/{dataset}/compare", {"before": before})

    def difference(self, dataset: int, before: int) -> Body:
        """The counts of rows and of judgments that are the same, changed, added and gone."""
        found = self.get(f"datasets/{dataset}/difference", before=before, limit=1)
        return {name: found[name] for name in ("rows", "judgments")}

    def different(self, dataset: int, before: int, state: str = "changed") -> Iterator[Body]:
        """The rows that are changed, added or gone."""
        return self.pages(f"datasets/{dataset}/difference", before=before, state=state)

    def labelers(self, dataset: int) -> list[Body]:
        """Whom the numbers of its labelers stand for; that you took it is recorded."""
        return self.post(f"datasets/{dataset}/labelers")["labelers"]

    def weigh(self, dataset: int, weights: dict[int, float], note: str = "") -> Body:
        """Store labeler weights by the dataset's numbers of labelers; recipes name their digest."""
        by_labeler = {str(number): weight for number, weight in weights.items()}
        return self.post(f"datasets/{dataset}/weights", {"weights": by_labeler, "note": note})

    def weights(self, dataset: int) -> Iterator[Body]:
        """The labeler weights that are stored for it."""
        return self.pages(f"datasets/{dataset}/weights")

    def stored_weights(self, weights: int) -> Body:
        """Labeler weights by their own number."""
        return self.get(f"weights/{weights}")

    def delete(self, dataset: int) -> None:
        self.transport.delete(self.at(f"datasets/{dataset}"))


class Webhooks(Part):
    """Where events are told. Who gets one checks it by
    `standardwebhooks.Webhook(secret).verify(body, headers)`.
    """

    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("webhooks", **filters)

    def make(self, url: str, events: list[str] | None = None) -> Body:
        """The webhook, with its secret, told this once; of all events unless some are named."""
        return self.post("webhooks", {"url": url} | ({"events": events} if events else {}))

    def read(self, webhook: int) -> Body:
        return self.get(f"webhooks/{webhook}")

    def change(self, webhook: int, **fields: Any) -> Body:
        """`url`, `events`, `active`."""
        return self.transport.edit(self.at(f"webhooks/{webhook}"), fields)

    def renew_secret(self, webhook: int) -> str:
        """The new secret; for a day events are signed with the former one too."""
        return self.post(f"webhooks/{webhook}/renew-secret")["secret"]

    def remove(self, webhook: int) -> None:
        self.transport.delete(self.at(f"webhooks/{webhook}"))

    def test(self, webhook: int) -> Body:
        """Send something now; the delivery, on its way."""
        return self.post(f"webhooks/{webhook}/test")

    def deliveries(self, webhook: int, **filters: Any) -> Iterator[Body]:
        return self.pages(f"webhooks/{webhook}/deliveries", **filters)

    def redeliver(self, delivery: int) -> Body:
        return self.post(f"deliveries/{delivery}/redeliver")
