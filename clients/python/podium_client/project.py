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
        self.criteria = Criteria(*parts)

    def settings(self) -> Body:
        return self.transport.get(self.at())

    def change(self, **settings: Any) -> Body:
        return self.transport.edit(self.at(), settings)

    def rankings(self, **filters: Any) -> Iterator[Body]:
        """What was judged, newest first: everybody's to those who may read it, else one's own."""
        return self.pages("rankings", **filters)

    def demonstrations(self, **filters: Any) -> Iterator[Body]:
        return self.pages("demonstrations", **filters)

    def ring(self) -> Body:
        """Where the project stands on its way round the loop, and the next step."""
        return self.get("ring")

    def audit(self, **filters: Any) -> Iterator[Body]:
        return self.pages("audit", **filters)


class Members(Part):
    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("members", **filters)

    def add(self, email: str, role: str = "labeler") -> Body:
        """Somebody with an account; for anybody else there is invite()."""
        return self.post("members", {"email": email, "role": role})

    def invite(self, email: str, role: str = "labeler") -> Body:
        """The invitation, with its link, told this once."""
        return self.post("invitations", {"email": email, "role": role})

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

    def change(self, key: str, **fields: Any) -> Body:
        """The next revision of it."""
        return self.transport.edit(self.at(f"criteria/{key}"), fields)

    def retire(self, key: str) -> Body:
        return self.post(f"criteria/{key}/retire")


class Work(Part):
    """A labeler's own work: a task, what is said of it, and the next one."""

    def next(self) -> Body | None:
        """The task at hand, or a new one, leased to you; None while there is none."""
        return self.post("assignments")

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

    def give_back(self, assignment: int) -> Body:
        return self.post(f"assignments/{assignment}/return")

    def undo(self, ranking: int | None = None) -> Body:
        """Take the last submit back (it may be named); its task is at hand again."""
        last = ranking or self.get("assignments/pace")["undo"]
        return self.post("rankings/undo", {"ranking": last})

    def revise(self, ranking: int, order: str = "", **said: Any) -> Body:
        return self.post(f"rankings/{ranking}/revise", ({"order": order} if order else {}) | said)

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

    def read(self, job: int) -> Body:
        """The check with the file's first rows; once it is done, `result["check"]` says what would
        come in.
        """
        return self.get(f"imports/{job}")

    def check(self, job: int, **settings: Any) -> Body:
        """Check the file again, read or cleaned otherwise."""
        return self.post(f"imports/{job}/check", settings)

    def confirm(self, job: int, **settings: Any) -> Body:
        """The job that imports it."""
        return self.post(f"imports/{job}/confirm", settings)


class Models(Part):
    def __call__(self, **filters: Any) -> Iterator[Body]:
        return self.pages("models", **filters)

    def read(self, model: int) -> Body:
        return self.get(f"models/{model}")

    def register(self, name: str, folder: str) -> Body:
        """A model whose files lie on the server's machine."""
        return self.post("models/register", {"name": name, "folder": folder})

    def serve(self, name: str, address: str, served_as: str) -> Body:
        """A model behind an OpenAI-compatible server."""
        return self.post("models/serve", {"name": name, "address": address, "served_as": served_as})

    def promote(self, model: int) -> Body:
        return self.post(f"models/{model}/promote")


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
