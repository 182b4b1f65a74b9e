"""Write an import to the database: in hidden batches, then published with one UPDATE of each
table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import accumulate, chain, count
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from labeling.imports import undo
from labeling.imports.cleaning import Clean, Cleaner, Tally, answer_keys
from labeling.imports.reading import Beat, chunks
from labeling.judging import criteria, scores
from labeling.judging.judgment import MOST, Verdict
from labeling.models import (
    Candidate,
    Demonstration,
    ImportedRow,
    Judge,
    Prompt,
    PromptBand,
    RankedCandidate,
    Ranking,
    RankingTask,
    Score,
    imported_judge,
)
from labeling.queue import order
from labeling.text import conversations
from labeling.text.conversations import Entry
from modelops import registry, rows
from modelops.models import Job, ModelVersion
from people import audit
from people.db import bulk
from people.db.among import among

PLACE = ["ranking_id", "candidate_id", "shown", "rank"]
INSERTED = 2_500  # rows of one transaction, which takes about a tenth of a second
BATCH = 500  # rows that are built or deleted in one transaction


class StoredPrompt(NamedTuple):
    """What writing needs to know of a prompt in the database."""

    pk: int
    published: bool
    job_id: int | None


class Writer:
    """Writes the rows of one import. Called again after a kill, it continues where it stopped."""

    def __init__(self, job: Job):
        self.job, self.project = job, job.project
        self.versions: dict[str, ModelVersion] = {}
        self.judges: set[tuple[str, str]] = set()
        self.slots: dict[int, int] = {}

    @cached_property
    def criteria(self) -> dict[str, criteria.Asked]:
        """The criteria that the file's scores may name."""
        return criteria.known(self.project)

    def forget(self) -> None:
        """Forget what a transaction that failed may have added."""
        self.versions.clear()
        self.judges.clear()

    # One batch

    @transaction.atomic
    def add(self, batch: list[Clean]) -> int:
        """Write what is new; returns how many bare prompts another import has added meanwhile."""
        self.added_at = timezone.now()
        prompts = self._prompts(item.digest for item in batch)
        meanwhile = sum(
            item.entry.bare and prompts[item.digest].job_id != self.job.pk
            for item in batch
            if item.digest in prompts
        )
        self._add_prompts([item for item in batch if item.digest not in prompts], prompts)
        fresh = self._fresh_rows([item for item in batch if not item.entry.bare])
        self._add_demonstrations(fresh, prompts)
        self._add_answers(fresh, prompts)
        return meanwhile

    def _prompts(self, digests: Iterable[str]) -> dict[str, StoredPrompt]:
        known = Prompt.objects.filter(among("digest", digests), project=self.project)
        rows = known.values_list("digest", "pk", "published", "job_id")
        return {digest: StoredPrompt(*rest) for digest, *rest in rows}

    def _add_prompts(self, batch: list[Clean], prompts: dict[str, StoredPrompt]) -> None:
        first = {item.digest: item for item in reversed(batch)}  # two rows may share one prompt
        wanted = [first[digest] for digest in dict.fromkeys(item.digest for item in batch)]
        if not wanted:
            return
        keys = bulk.insert_columns(Prompt, self._columns(wanted))
        for item, key in zip(wanted, keys, strict=True):
            prompts[item.digest] = StoredPrompt(key, False, self.job.pk)
        self._add_bands([(prompts[item.digest].pk, band) for item in wanted for band in item.bands])

    def _add_bands(self, bands: list[tuple[int, int]]) -> None:
        """Insert nine rows a prompt without creating objects, which would take longer; in the order
        of their index, of which they lie all over.
        """
        bulk.copy(
            PromptBand._meta.db_table,
            ["project_id", "prompt_id", "band"],
            ((self.project.pk, prompt, band) for prompt, band in sorted(bands, key=itemgetter(1))),
        )

    def _columns(self, items: list[Clean]) -> dict[str, list]:
        """The prompts' columns: objects would take as long to make as rows to insert."""
        entries = [item.entry for item in items]
        named_source = self.job.recipe.get("filename", "")[:100]
        alike = {
            "project_id": self.project.pk,
            "job_id": self.job.pk,
            "published": False,
            "created_at": self.added_at,
        }
        return {
            "messages": [entry.messages for entry in entries],
            "digest": [item.digest for item in items],
            "source": [entry.source or named_source for entry in entries],
            "author": [conversations.author_key(entry.author) for entry in entries],
            "licence": [entry.licence for entry in entries],
            "metadata": [entry.metadata or None for entry in entries],
            "use_case": [entry.use_case for entry in entries],
            "language": [entry.language for entry in entries],
            "split": [entry.split for entry in entries],
            "sensitive": [entry.sensitive for entry in entries],
        } | {name: [value] * len(items) for name, value in alike.items()}

    def _fresh_rows(self, batch: list[Clean]) -> list[tuple[Clean, ImportedRow]]:
        """The rows that the project does not have yet, each with its ImportedRow."""
        digests = [item.row for item in batch]
        known = set(
            ImportedRow.objects.filter(among("digest", digests), project=self.project).values_list(
                "digest", flat=True
            )
        )
        fresh = [item for item in batch if item.row not in known]
        stored = bulk.insert(
            bulk.new(
                ImportedRow,
                project_id=self.project.pk,
                job_id=self.job.pk,
                digest=item.row,
                place=str(item.entry.line),
            )
            for item in fresh
        )
        return list(zip(fresh, stored, strict=True))

    def _add_demonstrations(
        self, fresh: list[tuple[Clean, ImportedRow]], prompts: dict[str, StoredPrompt]
    ) -> None:
        bulk.insert(
            bulk.new(
                Demonstration,
                prompt_id=prompts[item.digest].pk,
                text=item.entry.demonstration,
                job_id=self.job.pk,
            )
            for item, _row in fresh
            if item.entry.demonstration
        )

    def _add_answers(
        self, fresh: list[tuple[Clean, ImportedRow]], prompts: dict[str, StoredPrompt]
    ) -> None:
        answered = [(item, row) for item, row in fresh if item.entry.answers]
        self._find_slots({prompts[item.digest].pk for item, _row in answered})
        self._find_shared([prompts[item.digest] for item, _row in answered if item.entry.shares])
        groups = [self._candidates(item, prompts[item.digest]) for item, _row in answered]
        answers = {id(answer): answer for group in groups for answer in group if not answer.pk}
        bulk.insert(answers.values())
        judged = [
            (item, row, group)
            for (item, row), group in zip(answered, groups, strict=True)
            if item.entry.judgments
        ]
        self._add_tasks(judged, prompts)
        unjudged = [
            (prompts[item.digest].pk, _unjudged(item.entry, group))
            for (item, _row), group in zip(answered, groups, strict=True)
        ]
        self._add_unjudged([(pk, answers) for pk, answers in unjudged if len(answers) > 1])

    def _find_slots(self, pks: set[int]) -> None:
        """Count the answers that this import has already given to each of these prompts."""
        counted = (
            Candidate.objects.filter(among("prompt", pks), job=self.job)
            .order_by()
            .values_list("prompt")
        )
        self.slots = dict.fromkeys(pks, 0) | dict(
            counted.annotate(n=Count("pk")).values_list("prompt", "n")
        )

    def _find_shared(self, prompts: list[StoredPrompt]) -> None:
        """Look up the answers that rows before have given to these prompts."""
        self.shared: dict[tuple[int, str], Candidate] = {}
        given: dict[int, list[Candidate]] = {}
        if prompts:
            for candidate in Candidate.objects.filter(
                job=self.job, prompt__in={prompt.pk for prompt in prompts}
            ):
                given.setdefault(candidate.prompt_id, []).append(candidate)
        for prompt, answers in given.items():
            answers.sort(key=lambda answer: answer.slot)
            keys = answer_keys([_said_of(answer) for answer in answers])
            self.shared |= {(prompt, key): answer for key, answer in zip(keys, answers)}

    def _candidates(self, item: Clean, prompt: StoredPrompt) -> list[Candidate]:
        """The answers of a row: new ones, or where rows share them those of rows before."""
        answers = [self._candidate(answer, prompt) for answer in item.entry.answers]
        if not item.entry.shares:
            return self._with_slots(answers)
        keys = answer_keys([_said_of(answer) for answer in answers])
        new = {
            key: answer for key, answer in zip(keys, answers) if (prompt.pk, key) not in self.shared
        }
        self._with_slots(new.values())
        self.shared |= {(prompt.pk, key): answer for key, answer in new.items()}
        return [self.shared[prompt.pk, key] for key in keys]

    def _with_slots(self, answers: Iterable[Candidate]) -> list[Candidate]:
        """These new answers, each in the next slot of its prompt."""
        for answer in answers:
            answer.slot = self.slots[answer.prompt_id]
            self.slots[answer.prompt_id] += 1
        return list(answers)

    def _candidate(self, answer: dict, prompt: StoredPrompt) -> Candidate:
        return bulk.new(
            Candidate,
            prompt_id=prompt.pk,
            job_id=self.job.pk,
            created_at=self.added_at,
            text=answer["text"],
            messages=answer.get("messages"),
            model_version_id=self._version(answer["model"]).pk,
            finish_reason=answer.get("finish_reason", ""),
            tokens=answer.get("tokens"),
            truncated=answer.get("truncated", False),
        )

    def _version(self, name: str) -> ModelVersion:
        if name not in self.versions:
            self.versions[name] = registry.external(self.project, name)
        return self.versions[name]

    def _add_tasks(self, judged: list[tuple], prompts: dict[str, StoredPrompt]) -> None:
        """For each judged row, add a task without free places of each set of answers that was
        judged, and the rankings that came with it.
        """
        parts = [
            (prompts[item.digest], row, position, [group[place] for place in places], judgments)
            for item, row, group in judged
            for position, (places, judgments) in enumerate(judged_together(item.entry))
        ]
        tasks = bulk.insert(
            bulk.new(
                RankingTask,
                project_id=self.project.pk,
                prompt_id=prompt.pk,
                job_id=self.job.pk,
                row_id=row.pk,
                created_at=self.added_at,
                row_position=position,
                overlap=1,
                free_places=0,
            )
            for prompt, row, position, _answers, _judgments in parts
        )
        _link_candidates(zip(tasks, (answers for *_, answers, _judgments in parts), strict=True))
        made = [
            (self._ranking(task, judgment, prompt), judgment, answers)
            for task, (prompt, _, _, answers, judgments) in zip(tasks, parts, strict=True)
            for judgment in judgments
        ]
        bulk.insert(ranking for ranking, _judgment, _group in made)
        places = (place for item in made for place in _places(*item))
        bulk.copy(RankedCandidate._meta.db_table, PLACE, places)
        bulk.insert(score for item in made for score in self._scores(*item))
        bulk.insert(span for item in made for span in scores.spans_of_import(*item))

    def _ranking(self, task: RankingTask, judgment: dict, prompt: StoredPrompt) -> Ranking:
        """A ranking. It is not current before the import is published, if its prompt is visible
        already.
        """
        return bulk.new(
            Ranking,
            task_id=task.pk,
            created_at=self.added_at,
            judge=self._judge(judgment["judge"], judgment.get("judge_kind", "")),
            kind=Ranking.Kind.IMPORTED,
            outcome=_outcome(judgment),
            strength=judgment.get("strength"),
            seconds=judgment.get("seconds", 0),
            prompted=judgment.get("prompted", False),
            current=not prompt.published,
        )

    def _scores(self, ranking: Ranking, judgment: dict, group: list[Candidate]) -> Iterator[Score]:
        ratings = judgment.get("ratings") or [None] * len(group)
        flags = judgment.get("flags") or [[]] * len(group)
        verdicts = {
            candidate.pk: Verdict(rating=rating, flags=names)
            for candidate, rating, names in zip(group, ratings, flags, strict=True)
        }
        yield from scores.of_preset(ranking, verdicts, self.project)
        yield from scores.of_import(ranking, judgment, group, self.criteria)

    def _judge(self, name: str, kind: str) -> UUID:
        """The judge of that name, of that kind if nobody has said another one before."""
        uuid = imported_judge(name)
        if (name, kind) not in self.judges:
            Judge.objects.get_or_create(uuid=uuid, defaults={"name": name})
            if kind:
                Judge.objects.filter(uuid=uuid, stated=False).update(kind=kind, stated=True)
            self.judges.add((name, kind))
        return uuid

    # Tasks to rank

    def _add_unjudged(self, parts: list[tuple[int, list[Candidate]]]) -> None:
        """Add tasks of the answers to a prompt (its key) that nobody has judged, for each of these
        parts; several tasks where there are more than MOST. They are offered once the import is
        published.
        """
        positions = self._positions({prompt for prompt, _answers in parts})
        made = [(prompt, some) for prompt, answers in parts for some in evenly(answers, MOST)]
        tasks = bulk.insert(
            bulk.new(
                RankingTask,
                project_id=self.project.pk,
                prompt_id=prompt,
                job_id=self.job.pk,
                row_position=next(positions[prompt]),
                overlap=self.project.rules.overlap,
            )
            for prompt, _answers in made
        )
        _link_candidates(zip(tasks, (answers for _prompt, answers in made), strict=True))

    def _positions(self, prompts: set[int]) -> dict[int, Iterator[int]]:
        """The positions that are free for tasks to rank of each of these prompts."""
        tasks = RankingTask.objects.filter(job=self.job, row=None, prompt__in=prompts)
        counted = tasks.order_by().values_list("prompt").annotate(n=Count("pk"))
        return {prompt: count() for prompt in prompts} | {
            prompt: count(taken) for prompt, taken in counted
        }

    def build_tasks(self, beat: Beat, done: int) -> None:
        """Build tasks of the answers that came one a row: those to a prompt come together."""
        if not Candidate.objects.filter(job=self.job, tasks=None).exists():
            return  # the query below looks at every prompt of the import
        in_no_task = Q(candidates__job=self.job, candidates__tasks=None)
        others = RankingTask.objects.filter(job=self.job, row=None, prompt=OuterRef("pk"))
        prompts = (
            Prompt.objects.filter(candidates__job=self.job)
            .annotate(single=Count("candidates", filter=in_no_task))
            .filter(Q(single__gt=1) | Q(Exists(others), single=1))
            .order_by("pk")
            .values_list("pk", "single")
        )
        last = 0
        while counted := list(prompts.filter(pk__gt=last)[: BATCH // MOST]):
            pks = _about(BATCH, counted)
            self._build(pks)
            last = pks[-1]
            beat(done, done)

    @transaction.atomic
    def _build(self, pks: list[int]) -> None:
        """Build the tasks of these prompts' single answers. One that is alone comes together with
        the prompt's first answer: nobody could rank it otherwise.
        """
        answers: dict[int, list[Candidate]] = {pk: [] for pk in pks}
        of_job = Candidate.objects.filter(job=self.job).order_by("slot")
        for candidate in of_job.filter(prompt__in=pks, tasks=None):
            answers[candidate.prompt_id].append(candidate)
        alone = {pk for pk, single in answers.items() if len(single) == 1}
        for candidate in of_job.filter(prompt__in=alone, tasks__job=self.job, tasks__row=None):
            if candidate.prompt_id in alone:
                alone.remove(candidate.prompt_id)
                answers[candidate.prompt_id].insert(0, candidate)
        self._add_unjudged(list(answers.items()))

    # Publishing

    @transaction.atomic
    def publish(self, tally: Tally, sensitive: Iterable[str] = ()) -> None:
        """Show all that was written. `sensitive` are the digests of prompts that become so."""
        for digests in chunks(sensitive, BATCH):
            prompts = Prompt.objects.filter(project=self.project, digest__in=digests)
            prompts.filter(sensitive=False).update(sensitive=True)
        imported_rows = ImportedRow.objects.filter(job=self.job)
        # if it was published before a kill, people may be ranking its tasks already
        if not imported_rows.filter(published=True).exists():
            order.publish(RankingTask.objects.filter(job=self.job, row=None))
        imported_rows.update(published=True)
        Prompt.objects.filter(job=self.job).update(published=True)
        imported = Ranking.objects.filter(
            task__job=self.job, kind=Ranking.Kind.IMPORTED, undone_at=None
        )
        imported.filter(current=False).update(current=True)
        counts = {name: value for name, value in vars(tally).items() if name != "examples"}
        audit.record(self.job.requested_by, "import", self.job, self.project, **counts)


def _unjudged(entry: Entry, answers: list[Candidate]) -> list[Candidate]:
    """The answers of a row that no judgment of it is about."""
    every = range(len(answers))
    judged = {place for judgment in entry.judgments for place in judgment.get("answers", every)}
    return [answer for place, answer in enumerate(answers) if place not in judged]


def judged_together(entry: Entry) -> list[tuple[list[int], list[dict]]]:
    """(positions of answers, judgments) of each task that an entry's judgments make.

    Judgments of the same answers are one task. A judge is in a task once: who judged the same
    answers again is in the next one.
    """
    every = list(range(len(entry.answers)))
    tasks: list[tuple[list[int], list[dict]]] = []
    for judgment in entry.judgments:
        positions = judgment.get("answers", every)
        for places, judgments in tasks:
            judges = [other["judge"] for other in judgments]
            if places == positions and judgment["judge"] not in judges:
                judgments.append(judgment)
                break
        else:
            tasks.append((positions, [judgment]))
    return tasks


def evenly(items: list, most: int) -> list[list]:
    """The items in their order, in as few parts of at most `most` as hold all, of nearly one size:
    of ten items and nine at most, five and five.
    """
    parts = -(-len(items) // most)
    ends = [len(items) * part // parts for part in range(parts + 1)]
    return [items[start:end] for start, end in zip(ends, ends[1:])]


def _about(most: int, counted: list[tuple[int, int]]) -> list[int]:
    """The first keys whose counts add up to `most` at most, and at least one key."""
    totals = accumulate(count for _key, count in counted)
    return [key for (key, _n), total in zip(counted, totals) if total <= most] or [counted[0][0]]


def _said_of(candidate: Candidate) -> dict:
    """What a row says of an answer: rows that say the same mean the same one."""
    names = ("text", "messages", "model_version_id", "finish_reason", "tokens", "truncated")
    return {name: getattr(candidate, name) for name in names}


def _link_candidates(tasks_with_answers: Iterable[tuple[RankingTask, list[Candidate]]]) -> None:
    bulk.copy(
        RankingTask.candidates.through._meta.db_table,
        ["rankingtask_id", "candidate_id"],
        ((task.pk, answer.pk) for task, answers in tasks_with_answers for answer in answers),
    )


def _places(ranking: Ranking, judgment: dict, group: list[Candidate]) -> Iterator[tuple]:
    """The values of PLACE for each answer of the ranking."""
    ranks = [None] * len(group) if judgment["ranks"] is None else rows.dense(judgment["ranks"])
    for shown, (candidate, rank) in enumerate(zip(group, ranks, strict=True)):
        yield ranking.pk, candidate.pk, shown, rank


def _outcome(judgment: dict) -> str:
    usual = Ranking.Outcome.ALL_BAD if judgment["ranks"] is None else Ranking.Outcome.RANKED
    return judgment.get("outcome", usual)


def write(job: Job, cleaner: Cleaner, beat: Beat = lambda done, total: None) -> Tally:
    """Write what is new in hidden batches, then publish it."""
    clear_leftovers(job)
    writer, total = Writer(job), cleaner.reading.entries.count
    for batch in _small_batches(chain.from_iterable(cleaner.batches())):
        meanwhile = _add(writer, batch)
        cleaner.tally.prompts -= meanwhile
        cleaner.tally.duplicates += meanwhile
        beat(cleaner.done, total)
    writer.build_tasks(beat, total)
    writer.publish(cleaner.tally, cleaner.sensitive)
    beat(total, total)
    return cleaner.tally


def _add(writer: Writer, batch: list[Clean]) -> int:
    """Write a batch, and once more if a prompt of it was accepted from its writer meanwhile."""
    try:
        return writer.add(batch)
    except IntegrityError:
        writer.forget()
        return writer.add(batch)


def _small_batches(items: Iterable[Clean]) -> Iterator[list[Clean]]:
    """Yield batches of about INSERTED database rows, so that each transaction is short."""
    batch: list[Clean] = []
    weight = 0
    for item in items:
        batch.append(item)
        # an answer is a candidate, its place in the task, and its rank with each judge
        weight += (
            1 + len(item.bands) // 9 + len(item.entry.answers) * (2 + len(item.entry.judgments))
        )
        weight += sum(map(_said_besides, item.entry.judgments))
        if weight >= INSERTED:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _said_besides(judgment: dict) -> int:
    """How many scores and spans a judgment has."""
    said = judgment.get("scores", {}).values()
    values = sum(len(value) if isinstance(value, list) else 1 for value in said)
    return values + len(judgment.get("spans", ()))


def clear_leftovers(job: Job) -> None:
    """Delete the hidden rows of imports that failed, were cancelled or are being undone. An import
    publishes everything at once: if one of its rows is hidden, all are.
    """
    ended = Q(job__state__in=[Job.State.FAILED, Job.State.CANCELLED])
    ended |= Q(**{f"job__result__{undo.REMOVED}": True})
    hidden = Q(project=job.project, published=False)
    prompts = Prompt.objects.filter(hidden, ended | Q(job=None)).exclude(job=job)
    imported_rows = ImportedRow.objects.filter(hidden, ended).exclude(job=job)
    for job_pk in set(prompts.values_list("job", flat=True)) | set(
        imported_rows.values_list("job", flat=True)
    ):
        undo.remove(job.project, job_pk, lambda count: None)
