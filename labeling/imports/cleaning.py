"""What is done to a file's entries between reading and writing, each step counted, with examples,
and switchable.

Prompts and demonstrations are cleaned. An answer is what people judge: it stays as its model wrote
it, unless that is asked for. Only bare prompts are ever left out: a row that brings answers,
judgments or a demonstration is people's work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from django.db.models import Count, QuerySet

from labeling.imports.reading import BATCH, Reading, chunks
from labeling.models import ImportedRow, Prompt, PromptBand
from labeling.text import conversations, personal_data, repair
from labeling.text.conversations import Entry
from labeling.text.similarity_index import SimilarityIndex
from modelops.models import Job
from modelops.recipes import ImportRecipe
from people.models import Project

EXAMPLES, EXAMPLE = 3, 160  # of each step; characters of one


@dataclass
class Tally:
    """What the cleaning found, and what comes in."""

    rows: int = 0
    bad: int = 0
    prompts: int = 0
    duplicates: int = 0
    known: int = 0  # rows with judgments or demonstrations that are here already
    answers: int = 0
    rankings: int = 0
    demonstrations: int = 0
    cleaned: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict]] = field(default_factory=dict)

    def count(self, step: str, entry: Entry, before: str, after: str = "") -> None:
        self.cleaned[step] = self.cleaned.get(step, 0) + 1
        kept = self.examples.setdefault(step, [])
        if len(kept) < EXAMPLES:
            kept.append({"line": entry.line, "before": before[:EXAMPLE], "after": after[:EXAMPLE]})


@dataclass
class Clean:
    """An entry that comes in, in its split; the digest of its row; the marks of its prompt."""

    entry: Entry
    row: str
    digest: str
    bands: list[int] = field(default_factory=list)


@dataclass
class Marks:
    """What a prompt is compared by."""

    prefix: int | None = None
    sketch: object = None
    bands: list[int] = field(default_factory=list)

    @property
    def all(self) -> list[int]:
        return self.bands + ([self.prefix] if self.prefix is not None else [])


class Cleaner:
    job: Job | None = (
        None  # the one that imports: what it published itself, before a kill, is not here already
    )

    def __init__(self, project: Project, reading: Reading, recipe: ImportRecipe):
        self.project, self.reading, self.recipe = project, reading, recipe
        self.scratch = reading.scratch
        self.similar = SimilarityIndex()
        self.tally = Tally(rows=reading.rows, bad=reading.bad_rows)
        self.steps = _steps(recipe)
        self.compares = PromptBand.objects.filter(project=project).exists()

    def batches(self) -> Iterator[list[Clean]]:
        """What comes in, about BATCH at a time."""
        for batch in chunks(self.reading.entries, BATCH):
            read = [self._cleaned(entry, row) for entry, row in batch]
            read = [one for one in read if one is not None]
            self._look_up(read)
            marks = [Marks() if one.digest in self.here else self._marks(one.entry) for one in read]
            there = self._like_ours(marks)
            yield [
                one
                for one, mark in zip(read, marks, strict=True)
                if self._comes_in(one, mark, there)
            ]

    # One entry by itself

    def _cleaned(self, entry: Entry, row: str) -> Clean | None:
        entry = _without_lead(entry)
        for name, step in self.steps:
            entry = self._step(name, step, entry)
        if not all(turn["content"] for turn in entry.messages):
            self.tally.count("empty", entry, "")
            return None
        entry = replace(entry, split=self.reading.split(entry))
        masks = self.recipe.personal and entry.split == Prompt.Split.TRAIN
        if masks:
            entry = self._step("personal", personal_data.mask, entry)
        if self.recipe.answers:
            entry = replace(
                entry,
                answers=[self._clean_answer(answer, masks, entry) for answer in entry.answers],
            )
        return Clean(entry, row, entry.digest)

    def _clean_answer(self, answer: dict, masks: bool, entry: Entry) -> dict:
        """The answer after the steps that are on, counted once where they change it."""
        before = answer["text"]
        after = before
        for _name, step in self.steps:
            after = step(after)
        masked = personal_data.mask(after) if masks else after
        if masked != before:
            shown = (
                _around(before, masked) if masked == after else ""
            )  # a mask hides what it covers here too
            self.tally.count("answers", entry, shown, _around(masked, before))
        return answer | {"text": masked}

    def _step(self, name: str, step: Callable[[str], str], entry: Entry) -> Entry:
        before, after = _texts(entry), [step(text) for text in _texts(entry)]
        if before == after:
            return entry
        old, new = next((a, b) for a, b in zip(before, after, strict=True) if a != b)
        shown = (
            "" if name == "personal" else _around(old, new)
        )  # or it would be kept here after all
        self.tally.count(name, entry, shown, _around(new, old))
        return _with_texts(entry, after)

    # What the project has already

    def _look_up(self, read: list[Clean]) -> None:
        """One query for prompts, one for rows, one for authors: what of the batch is here already."""
        ours = self._others(Prompt.objects.filter(project=self.project, published=True))
        self.here = set(
            ours.filter(digest__in=[one.digest for one in read]).values_list("digest", flat=True)
        )
        rows = self._others(ImportedRow.objects.filter(project=self.project, published=True))
        self.rows_here = set(
            rows.filter(digest__in=[one.row for one in read if one.row]).values_list(
                "digest", flat=True
            )
        )
        if self.recipe.per_author:
            self._count_authors(ours, {one.entry.author for one in read if one.entry.author})

    def _others(self, found: QuerySet) -> QuerySet:
        return found.exclude(job=self.job) if self.job else found

    def _count_authors(self, ours, authors: set[str]) -> None:
        new = {
            conversations.author_key(one): one
            for one in authors
            if self.scratch.get("authored", one) is None
        }
        counts = dict(
            ours.filter(author__in=new)
            .order_by()
            .values_list("author")
            .annotate(n=Count("pk"))
            .values_list("author", "n")
        )
        for key, author in new.items():
            self.scratch.put("authored", author, counts.get(key, 0))

    def _marks(self, entry: Entry) -> Marks:
        if not (self.recipe.near or self.recipe.prefixes):
            return Marks()
        from labeling.text import similarity  # brings 70 MB along, which no web process needs

        said = [turn["content"] for turn in entry.messages if turn["role"] != "system"]
        sketch = similarity.sketch("\n".join(said)) if self.recipe.near else None
        prefix = similarity.beginning(said[0]) if self.recipe.prefixes and len(said) == 1 else None
        return Marks(prefix, sketch, [] if sketch is None else similarity.bands(sketch))

    def _like_ours(self, marks: list[Marks]) -> dict[int, list]:
        """By mark, the sketches of the project's prompts that share it."""
        wanted = [band for one in marks for band in one.all] if self.compares else []
        found: dict[int, list] = {}
        sketch_of = cache(_sketch_of)
        for some in chunks(wanted, BATCH):
            shared = PromptBand.objects.filter(
                project=self.project, band__in=some, prompt__published=True
            )
            for one in shared.select_related("prompt"):
                if self.job is None or one.prompt.job_id != self.job.pk:
                    found.setdefault(one.band, []).append(sketch_of(one.prompt))
        return found

    # Does it come in?

    def _comes_in(self, one: Clean, marks: Marks, there: dict[int, list]) -> bool:
        entry = one.entry
        if one.row in self.rows_here:
            self.tally.known += 1
            return False
        if entry.bare and not self._is_wanted(one, marks, there):
            return False
        if self.recipe.languages and not entry.language:
            one.entry = self._with_language(entry)
        self._keep(one, marks)
        return True

    def _is_wanted(self, one: Clean, marks: Marks, there: dict[int, list]) -> bool:
        if one.digest in self.here or self.scratch.get("prompt", one.digest):
            self.tally.duplicates += 1
            return False
        said = one.entry.messages[-1]["content"]
        reason = (
            self._wrong_length(one.entry)
            or self._alike(marks, there)
            or self._too_many(one.entry.author)
        )
        if reason:
            self.tally.count(reason, one.entry, said)
        return not reason

    def _wrong_length(self, entry: Entry) -> str:
        if not (self.recipe.fewest_tokens or self.recipe.most_tokens):
            return ""
        count = sum(repair.tokens(turn["content"]) for turn in entry.messages)
        if count < self.recipe.fewest_tokens:
            return "fewest_tokens"
        return "most_tokens" if self.recipe.most_tokens and count > self.recipe.most_tokens else ""

    def _alike(self, marks: Marks, there: dict[int, list]) -> str:
        if marks.prefix is not None and (
            marks.prefix in there or self.scratch.get("prefix", str(marks.prefix))
        ):
            return "prefixes"
        if marks.sketch is None:
            return ""
        import numpy as np

        from labeling.text import similarity

        ours = [
            sketch for band in marks.bands for sketch in there.get(band, []) if sketch is not None
        ]
        own = [np.frombuffer(sketch, np.uint32) for sketch in self.similar.sharing(marks.bands)]
        return (
            "near" if any(similarity.alike(marks.sketch, sketch) for sketch in ours + own) else ""
        )

    def _too_many(self, author: str) -> str:
        most = self.recipe.per_author
        return (
            "per_author" if most and author and self.scratch.get("authored", author) >= most else ""
        )

    def _with_language(self, entry: Entry) -> Entry:
        said = entry.messages[-1]["content"]
        code = repair.language(said)
        if code:
            self.tally.count("languages", entry, said, code)
        return replace(entry, language=code)

    def _keep(self, one: Clean, marks: Marks) -> None:
        entry, tally = one.entry, self.tally
        if one.digest not in self.here and not self.scratch.get("prompt", one.digest):
            self._remember(one, marks)
            tally.prompts += 1
            one.bands = marks.all
        tally.answers += len(entry.answers)
        tally.rankings += len(entry.judgments)
        tally.demonstrations += bool(entry.demonstration)

    def _remember(self, one: Clean, marks: Marks) -> None:
        self.scratch.put("prompt", one.digest, 1)
        if one.entry.author and self.recipe.per_author:
            self.scratch.count("authored", one.entry.author)
        if marks.prefix is not None:
            self.scratch.put("prefix", str(marks.prefix), 1)
        if marks.sketch is not None:
            self.similar.add(marks.bands, marks.sketch.tobytes())


def _steps(recipe: ImportRecipe) -> list[tuple[str, Callable[[str], str]]]:
    known = {"repair": repair.repair, "controls": repair.without_controls, "spaces": repair.tidy}
    return [(name, step) for name, step in known.items() if getattr(recipe, name)]


def _without_lead(entry: Entry) -> Entry:
    """Here, and not as the row is read: the row's digest has counted that space since before."""
    bare = [answer | {"text": answer["text"].removeprefix(entry.lead)} for answer in entry.answers]
    return replace(entry, answers=bare)


def _texts(entry: Entry) -> list[str]:
    return [*(turn["content"] for turn in entry.messages), entry.demonstration]


def _with_texts(entry: Entry, said: list[str]) -> Entry:
    *turns, demonstration = said
    messages = [turn | {"content": text} for turn, text in zip(entry.messages, turns, strict=True)]
    return replace(entry, messages=messages, demonstration=demonstration)


def _around(text: str, other: str) -> str:
    """The text from a little before where it begins to differ."""
    differs = next(
        (n for n, (a, b) in enumerate(zip(text, other)) if a != b), min(len(text), len(other))
    )
    return text[max(0, differs - 40) :]


def _sketch_of(prompt: Prompt) -> object:
    from labeling.text import similarity

    return similarity.sketch(
        "\n".join(turn["content"] for turn in prompt.messages if turn["role"] != "system")
    )
