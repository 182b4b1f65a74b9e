"""What was read and cleaned, into the database: hidden batches, then one publishing UPDATE of each
table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import connection, transaction
from django.db.models import Count, Q

from labeling.imports.cleaning import Clean, Cleaner, Tally
from labeling.imports.reading import Beat
from labeling.models import (
    Candidate,
    Demonstration,
    ExternalLabeler,
    ImportedRow,
    Prompt,
    PromptBand,
    RankedCandidate,
    Ranking,
    RankingTask,
    imported_judge,
)
from labeling.queue import order
from labeling.text import conversations
from modelops import registry, rows
from modelops.models import Job, ModelVersion
from people import audit
from people.models import Project

BATCH = 500  # rows written in one transaction
MOST_RANKED = 9  # answers that a labeler can rank at once


class Writer:
    """The rows that one import adds. A repeated call goes on where a killed one stopped."""

    def __init__(self, job: Job):
        self.job, self.project = job, job.project
        self.versions: dict[str, ModelVersion] = {}
        self.judges: set[str] = set()
        self.slots: dict[int, int] = {}

    # One batch

    @transaction.atomic
    def add(self, batch: list[Clean]) -> int:
        """Write what of the batch is not here yet; how many bare prompts another import has brought
        meanwhile.
        """
        there = self._prompts(one.digest for one in batch)
        meanwhile = sum(
            one.entry.bare and there[one.digest].job_id != self.job.pk
            for one in batch
            if one.digest in there
        )
        self._add_prompts([one for one in batch if one.digest not in there], there)
        fresh = self._fresh_rows([one for one in batch if not one.entry.bare])
        self._add_demonstrations(fresh, there)
        self._add_answers(fresh, there)
        return meanwhile

    def _prompts(self, digests: Iterable[str]) -> dict[str, Prompt]:
        known = Prompt.objects.filter(project=self.project, digest__in=list(digests))
        return {prompt.digest: prompt for prompt in known.defer("messages")}

    def _add_prompts(self, batch: list[Clean], there: dict[str, Prompt]) -> None:
        first = {one.digest: one for one in reversed(batch)}  # two rows may share one prompt
        wanted = [first[digest] for digest in dict.fromkeys(one.digest for one in batch)]
        added = Prompt.objects.bulk_create([self._prompt(one) for one in wanted])
        there |= {prompt.digest: prompt for prompt in added}
        self._add_bands([(there[one.digest].pk, band) for one in wanted for band in one.bands])

    def _add_bands(self, bands: list[tuple[int, int]]) -> None:
        """Nine rows a prompt: as plain SQL, for making objects of them would take longer than all
        the rest.
        """
        table = connection.ops.quote_name(PromptBand._meta.db_table)
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table} (project_id, prompt_id, band) VALUES (%s, %s, %s)",
                [(self.project.pk, prompt, band) for prompt, band in bands],
            )

    def _prompt(self, one: Clean) -> Prompt:
        entry = one.entry
        return Prompt(
            project=self.project,
            job=self.job,
            messages=entry.messages,
            digest=one.digest,
            source=entry.source or self.job.recipe.get("filename", "")[:100],
            author=conversations.author_key(entry.author),
            use_case=entry.use_case,
            language=entry.language,
            split=entry.split,
            sensitive=entry.sensitive,
        )

    def _fresh_rows(self, batch: list[Clean]) -> list[tuple[Clean, ImportedRow]]:
        """The rows that are not in yet, now noted."""
        digests = [one.row for one in batch]
        known = set(
            ImportedRow.objects.filter(project=self.project, digest__in=digests).values_list(
                "digest", flat=True
            )
        )
        fresh = [one for one in batch if one.row not in known]
        noted = ImportedRow.objects.bulk_create(
            [
                ImportedRow(
                    project=self.project, job=self.job, digest=one.row, place=str(one.entry.line)
                )
                for one in fresh
            ]
        )
        return list(zip(fresh, noted, strict=True))

    def _add_demonstrations(
        self, fresh: list[tuple[Clean, ImportedRow]], there: dict[str, Prompt]
    ) -> None:
        Demonstration.objects.bulk_create(
            Demonstration(prompt=there[one.digest], text=one.entry.demonstration, job=self.job)
            for one, _row in fresh
            if one.entry.demonstration
        )

    def _add_answers(
        self, fresh: list[tuple[Clean, ImportedRow]], there: dict[str, Prompt]
    ) -> None:
        answered = [(one, row) for one, row in fresh if one.entry.answers]
        self._find_slots({there[one.digest].pk for one, _row in answered})
        groups = [self._candidates(one, there[one.digest]) for one, _row in answered]
        Candidate.objects.bulk_create(candidate for group in groups for candidate in group)
        judged = [
            (one, row, group)
            for (one, row), group in zip(answered, groups, strict=True)
            if one.entry.judgments
        ]
        self._add_tasks(judged, there)

    def _find_slots(self, pks: set[int]) -> None:
        """How many answers this import has given each of these prompts already."""
        counted = (
            Candidate.objects.filter(job=self.job, prompt__in=pks).order_by().values_list("prompt")
        )
        self.slots = dict.fromkeys(pks, 0) | dict(
            counted.annotate(n=Count("pk")).values_list("prompt", "n")
        )

    def _candidates(self, one: Clean, prompt: Prompt) -> list[Candidate]:
        first = self.slots[prompt.pk]
        self.slots[prompt.pk] += len(one.entry.answers)
        return [
            Candidate(
                prompt=prompt,
                job=self.job,
                slot=slot,
                text=answer["text"],
                model_version=self._version(answer["model"]),
            )
            for slot, answer in enumerate(one.entry.answers, start=first)
        ]

    def _version(self, name: str) -> ModelVersion:
        if name not in self.versions:
            self.versions[name] = registry.external(self.project, name)
        return self.versions[name]

    def _add_tasks(self, judged: list[tuple], there: dict[str, Prompt]) -> None:
        """For each judged row a task without free places, and the rankings that came with it."""
        tasks = RankingTask.objects.bulk_create(
            RankingTask(
                project=self.project,
                prompt=there[one.digest],
                job=self.job,
                row=row,
                overlap=1,
                free_places=0,
            )
            for one, row, _group in judged
        )
        _hang(zip(tasks, (group for _one, _row, group in judged), strict=True))
        made = [
            (self._ranking(task, judgment, there[one.digest]), judgment, group)
            for task, (one, _row, group) in zip(tasks, judged, strict=True)
            for judgment in one.entry.judgments
        ]
        Ranking.objects.bulk_create([ranking for ranking, _judgment, _group in made])
        RankedCandidate.objects.bulk_create(place for one in made for place in _places(*one))

    def _ranking(self, task: RankingTask, judgment: dict, prompt: Prompt) -> Ranking:
        """Not current before all of the file is published, where the prompt is in sight already."""
        return Ranking(
            task=task,
            judge=self._judge(judgment["judge"]),
            kind=Ranking.Kind.IMPORTED,
            outcome=Ranking.Outcome.ALL_BAD
            if judgment["ranks"] is None
            else Ranking.Outcome.RANKED,
            current=not prompt.published,
        )

    def _judge(self, name: str):
        judge = imported_judge(name)
        if name not in self.judges:
            ExternalLabeler.objects.get_or_create(judge=judge, defaults={"name": name})
            self.judges.add(name)
        return judge

    # The end

    def build_tasks(self, beat: Beat, done: int) -> None:
        """A task of the answers that nobody has judged yet, where a prompt has got two or more."""
        loose = Count("candidates", filter=Q(candidates__job=self.job, candidates__tasks=None))
        while pks := list(
            Prompt.objects.filter(candidates__job=self.job)
            .exclude(tasks__in=RankingTask.objects.filter(job=self.job, row=None))
            .annotate(loose=loose)
            .filter(loose__gt=1)
            .values_list("pk", flat=True)[: BATCH // MOST_RANKED]
        ):
            self._build(pks)
            beat(done, done)

    @transaction.atomic
    def _build(self, pks: list[int]) -> None:
        """Not offered before the import is published."""
        tasks = RankingTask.objects.bulk_create(
            RankingTask(
                project=self.project, prompt_id=pk, job=self.job, overlap=self.project.overlap
            )
            for pk in pks
        )
        answers: dict[int, list[Candidate]] = {}
        for one in Candidate.objects.filter(job=self.job, prompt__in=pks, tasks=None).order_by(
            "slot"
        ):
            answers.setdefault(one.prompt_id, []).append(one)
        _hang((task, answers[task.prompt_id][:MOST_RANKED]) for task in tasks)

    @transaction.atomic
    def publish(self, tally: Tally) -> None:
        noted = ImportedRow.objects.filter(job=self.job)
        if not noted.filter(
            published=True
        ).exists():  # else it was published before a kill: people may be at its tasks
            order.publish(RankingTask.objects.filter(job=self.job, row=None))
        noted.update(published=True)
        Prompt.objects.filter(job=self.job).update(published=True)
        imported = Ranking.objects.filter(
            task__job=self.job, kind=Ranking.Kind.IMPORTED, undone_at=None
        )
        imported.filter(current=False).update(current=True)
        told = {name: value for name, value in vars(tally).items() if name != "examples"}
        audit.record(self.job.requested_by, "import", self.job, self.project, **told)


def _hang(tasks_with_answers: Iterable[tuple[RankingTask, list[Candidate]]]) -> None:
    through = RankingTask.candidates.through
    through.objects.bulk_create(
        through(rankingtask_id=task.pk, candidate_id=one.pk)
        for task, answers in tasks_with_answers
        for one in answers
    )


def _places(ranking: Ranking, judgment: dict, group: list[Candidate]) -> Iterator[RankedCandidate]:
    ranks = [None] * len(group) if judgment["ranks"] is None else rows.dense(judgment["ranks"])
    for shown, (candidate, rank) in enumerate(zip(group, ranks, strict=True)):
        yield RankedCandidate(ranking=ranking, candidate=candidate, shown=shown, rank=rank)


def write(job: Job, cleaner: Cleaner, beat: Beat = lambda done, total: None) -> Tally:
    """Add what is new, hidden, in batches; then publish."""
    clear_leftovers(job)
    writer, done, total = Writer(job), 0, cleaner.reading.entries.count
    for read in cleaner.batches():
        for batch in _small(read):
            meanwhile = writer.add(batch)
            cleaner.tally.prompts -= meanwhile
            cleaner.tally.duplicates += meanwhile
            beat(done, total)
        done = min(total, done + BATCH)
    writer.build_tasks(beat, total)
    writer.publish(cleaner.tally)
    beat(total, total)
    return cleaner.tally


def _small(read: list[Clean]) -> Iterator[list[Clean]]:
    """Batches of about BATCH rows: nobody waits for longer than one of them takes to write."""
    batch: list[Clean] = []
    weight = 0
    for one in read:
        batch.append(one)
        # an answer is a candidate, its place in the task, and its rank with each judge
        weight += 1 + len(one.bands) // 2 + len(one.entry.answers) * (2 + len(one.entry.judgments))
        if weight >= BATCH:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def clear_leftovers(job: Job) -> None:
    """Take away what imports that came to nothing have left hidden, or it would be in the way for
    ever.
    """
    over = Q(job=None) | Q(job__state__in=[Job.State.FAILED, Job.State.CANCELLED])
    hidden = Prompt.objects.filter(over, project=job.project, published=False).exclude(job=job)
    noted = ImportedRow.objects.filter(
        project=job.project, published=False, job__state__in=[Job.State.FAILED, Job.State.CANCELLED]
    ).exclude(job=job)
    for dead in set(hidden.values_list("job", flat=True)) | set(
        noted.values_list("job", flat=True)
    ):
        _clear(job.project, dead)


def _clear(project: Project, dead: int | None) -> None:
    """An import publishes all at once: where one row of it is hidden, so is all the rest."""
    of_it = (
        [RankingTask.objects.filter(job=dead), Candidate.objects.filter(job=dead)] if dead else []
    )
    of_it += (
        [Demonstration.objects.filter(job=dead), ImportedRow.objects.filter(job=dead)]
        if dead
        else []
    )
    of_it += [Prompt.objects.filter(project=project, job=dead, published=False)]
    for found in of_it:
        while pks := list(found.order_by("pk").values_list("pk", flat=True)[:BATCH]):
            with transaction.atomic():
                found.model.objects.filter(pk__in=pks).delete()
