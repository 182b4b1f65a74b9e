"""Clean a file's entries between reading and writing. Each step is counted, with examples, and can
be switched off.

Prompts and demonstrations are cleaned. Answers are what people judge: they stay as the model wrote
them, unless the recipe asks for cleaning. Only bare prompts are left out: a row with answers,
judgments or a demonstration is people's work.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from typing import Any

from django.db.models import Count, QuerySet, Window
from django.db.models.functions import RowNumber

from labeling.imports.files import EXAMPLE, EXAMPLES
from labeling.imports.reading import BATCH, Digests, Reading, chunks
from labeling.imports.spool import Spool
from labeling.models import ImportedRow, Judge, Prompt, PromptBand, imported_judge
from labeling.text import conversations, personal_data, repair, steps
from labeling.text.conversations import Entry
from labeling.text.similarity_index import MOST, SimilarityIndex, alike
from labeling.text.steps import Given, Version, Versions, Wanted
from modelops import rows
from modelops.models import Job
from modelops.recipes import ImportRecipe
from people import processes
from people.db.among import among
from people.models import Project

FEWEST = 5_000  # entries to clean for which other processes are worth their start


@dataclass
class Tally:
    """The counts of an import: what reading and cleaning changed, and what is added."""

    rows: int = 0
    bad: int = 0
    prompts: int = 0
    duplicates: int = 0
    known: int = 0  # rows with judgments or demonstrations that the project already has
    answers: int = 0
    rankings: int = 0
    judge_kinds: dict[str, int] = field(default_factory=dict)  # rankings by kind of judge
    other_kinds: int = 0  # rankings whose judge was said to be of another kind before; that stays
    demonstrations: int = 0
    cleaned: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict]] = field(default_factory=dict)
    pictures: int = 0  # bad rows that hold a picture

    def count(self, step: str, entry: Entry, before: str, after: str = "") -> None:
        self.cleaned[step] = self.cleaned.get(step, 0) + 1
        examples = self.examples.setdefault(step, [])
        if len(examples) < EXAMPLES:
            examples.append(
                {"line": entry.line, "before": before[:EXAMPLE], "after": after[:EXAMPLE]}
            )

    def leave_out(self, reason: str, count: int) -> None:
        """Count rows that a mapping takes for none of its own."""
        self.cleaned["only"] = self.cleaned.get("only", 0) + count
        examples = self.examples.setdefault("only", [])
        if len(examples) < EXAMPLES:
            examples.append({"line": "", "before": reason[:EXAMPLE], "after": ""})


def _tally(reading: Reading) -> Tally:
    """The counts of what reading did, before any cleaning."""
    changes = reading.changes
    examples = {name: list(examples) for name, examples in changes.examples.items()}
    return Tally(
        reading.rows,
        reading.bad_rows,
        cleaned=dict(changes.counts),
        examples=examples,
        pictures=reading.pictures,
    )


@dataclass
class Clean:
    """A cleaned entry with its split, the digest of its row, what is known of its prompt by itself,
    and whether the file names its split.

    `bands` are those of a prompt that is new, `detected` the language if it was detected.
    """

    entry: Entry
    row: str
    version: Version
    names_split: bool = False
    bands: list[int] = field(default_factory=list)
    detected: str = ""

    @property
    def digest(self) -> str:
        return self.version.digest


@dataclass
class Similar:
    """The project's prompts that share a band, at most MOST of each, and the prefixes it has."""

    prefixes: set[int] = field(default_factory=set)
    prompts: dict[int, list[int]] = field(default_factory=dict)  # keys by band, the oldest first
    sketches: dict[int, bytes | None] = field(default_factory=dict)  # by the prompt's key
    cut: set[int] = field(default_factory=set)  # bands that more prompts share

    def sharing(self, bands: list[int]) -> list[bytes]:
        """The sketches that share one of these bands, each once."""
        prompts = dict.fromkeys(prompt for band in bands for prompt in self.prompts.get(band, ()))
        return [sketch for prompt in prompts if (sketch := self.sketches.get(prompt))]


class Cleaner:
    job: Job | None = None  # the importing job: what it published before a kill is not a duplicate

    def __init__(self, project: Project, reading: Reading, recipe: ImportRecipe):
        self.project, self.reading, self.recipe = project, reading, recipe
        self.scratch = reading.scratch
        self.similar = SimilarityIndex()
        self.sensitive = Spool()  # the digests of prompts that are said to be sensitive later on
        self.tally = _tally(reading)
        self.done = 0  # entries that were cleaned
        self.compares = PromptBand.objects.filter(project=project).exists()

    def batches(self) -> Iterator[list[Clean]]:
        """Yield what is to be written, about BATCH entries at a time."""
        batches, to_clean = tee(chunks(self._entries(), BATCH))
        given = (self._given(batch) for batch in to_clean)
        wanted = Wanted.by(self.recipe)
        pays = any(wanted) and self.reading.entries.count >= FEWEST
        clean = partial(steps.versions, wanted=wanted)
        cleaned = processes.mapped(clean, given, processes.spare() if pays else 0)
        for batch, versions in zip(batches, cleaned):
            self._look_up_splits(batch, versions)
            items = [
                item
                for (entry, row), both in zip(batch, versions, strict=True)
                if (item := self._cleaned(entry, row, both))
            ]
            self._look_up(items)
            self._read_notes(items)
            similar = self._similar_prompts(items)
            self.done += len(batch)
            yield [item for item in items if self._accepts(item, similar)]

    # Cleaning one entry

    def _entries(self) -> Iterator[tuple[Entry, str]]:
        return ((_without_lead(entry), row) for entry, row in self.reading.entries)

    def _given(self, batch: list[tuple[Entry, str]]) -> list[Given]:
        return [
            Given(
                entry.messages,
                entry.demonstration,
                entry.answers if self.recipe.answers else [],
                bool(entry.language),
                entry.split in rows.HELD_OUT,
            )
            for entry, _row in batch
        ]

    def _look_up_splits(self, batch: list[tuple[Entry, str]], versions: list[Versions]) -> None:
        """Look up the splits of authors; and of prompts with personal data: which form of it the
        project may have depends on the split. Any other prompt is found by its digest.
        """
        self.scratch.fetch("split", {entry.author for entry, _row in batch if entry.author})
        forms = [
            [both.plain.digest, both.masked.digest]
            for (entry, _row), both in zip(batch, versions, strict=True)
            if both.masked and not entry.split and both.masked.digest != both.plain.digest
        ]
        self.reading.look_up_prompts(self.project, forms)

    def _cleaned(self, entry: Entry, row: str, versions: Versions) -> Clean | None:
        version, names_split = versions.plain, bool(entry.split)
        if version.is_empty:
            self._count_changes(entry, version)
            self.tally.count("empty", entry, "")
            return None
        split = self.reading.split(entry, version.digest)
        if versions.masked and split == Prompt.Split.TRAIN:
            version = versions.masked
        self._count_changes(entry, version)
        changes = {
            "split": split,
            "messages": version.messages,
            "demonstration": version.demonstration,
        }
        if self.recipe.answers:
            changes["answers"] = [answer for answer, _example in version.answers]
        return Clean(entry.but(**changes), row, version, names_split, detected=version.language)

    def _count_changes(self, entry: Entry, version: Version) -> None:
        for step, before, after in version.changes:
            self.tally.count(step, entry, before, after)
        for _answer, example in version.answers:
            if example:
                self.tally.count("answers", entry, *example)

    # What the project already has

    def _look_up(self, items: list[Clean]) -> None:
        """Find which prompts and rows the project has already, what is said of the judges, and
        count the project's authors: a query each.
        """
        prompts = self._of_others(Prompt.objects.filter(project=self.project, published=True))
        same_prompts = prompts.filter(among("digest", [item.digest for item in items]))
        self.prompts_here = {about.pop("digest"): about for about in same_prompts.values(*STORED)}
        rows = self._of_others(ImportedRow.objects.filter(project=self.project, published=True))
        same_rows = rows.filter(among("digest", [item.row for item in items if item.row]))
        self.rows_here = set(same_rows.values_list("digest", flat=True))
        self._look_up_judges({j["judge"] for item in items for j in item.entry.judgments})
        if self.recipe.per_author:
            authors = {item.entry.author for item in items if item.entry.author}
            self._count_authors(prompts, authors)

    def _of_others(self, rows: QuerySet) -> QuerySet:
        """Without those of this import."""
        return rows.exclude(job=self.job) if self.job else rows

    def _look_up_judges(self, names: set[str]) -> None:
        """Look up once of what kind each judge is said to be; "" where nobody has said it."""
        self.scratch.fetch("judge", names)
        new = {
            imported_judge(name): name for name in names if self.scratch.get("judge", name) is None
        }
        stated = Judge.objects.filter(uuid__in=new, stated=True)
        kinds = dict(stated.values_list("uuid", "kind"))
        for uuid, name in new.items():
            self.scratch.put("judge", name, kinds.get(uuid, ""))

    def _count_authors(self, prompts: QuerySet, authors: set[str]) -> None:
        """Look up once how many prompts the project has by each author."""
        self.scratch.fetch("authored", authors)
        new = {
            conversations.author_key(author): author
            for author in authors
            if self.scratch.get("authored", author) is None
        }
        by_author = prompts.filter(among("author", new)).order_by().values_list("author")
        counts = dict(by_author.annotate(n=Count("pk")).values_list("author", "n"))
        for key, author in new.items():
            self.scratch.put("authored", author, counts.get(key, 0))

    def _read_notes(self, items: list[Clean]) -> None:
        """Read what the scratch table holds of these items: a query for each kind."""
        self.scratch.fetch("prompt", [item.digest for item in items])
        prefixes = [item.version.prefix for item in items if item.version.prefix is not None]
        self.scratch.fetch("prefix", map(str, prefixes))

    def _similar_prompts(self, items: list[Clean]) -> Similar:
        """The project's prompts that a bare prompt of these may be like."""
        bare = [
            item.version
            for item in items
            if item.entry.bare and item.digest not in self.prompts_here
        ]
        similar = Similar()
        if not self.compares:
            return similar
        shown = PromptBand.objects.filter(project=self.project, prompt__published=True)
        if self.job is not None:
            shown = shown.exclude(prompt__job=self.job)
        prefixes = {prompt.prefix for prompt in bare if prompt.prefix is not None}
        begin_alike = shown.filter(band__in=prefixes).values_list("band", flat=True)
        similar.prefixes = set(begin_alike.distinct())
        for bands in chunks({band for prompt in bare for band in prompt.bands}, BATCH):
            oldest_first = Window(RowNumber(), partition_by="band", order_by="prompt_id")
            numbered = shown.filter(band__in=bands).annotate(number=oldest_first)
            first = numbered.filter(number__lte=MOST + 1)
            for band, prompt, number in first.values_list("band", "prompt_id", "number"):
                if number > MOST:
                    similar.cut.add(band)
                else:
                    similar.prompts.setdefault(band, []).append(prompt)
        wanted = {prompt for prompts in similar.prompts.values() for prompt in prompts}
        for pks in chunks(wanted, BATCH):
            similar.sketches |= _sketches_of(Prompt.objects.filter(pk__in=pks))
        return similar

    # What is accepted

    def _accepts(self, item: Clean, similar: Similar) -> bool:
        """Whether the entry is written; counts it and completes it if so."""
        entry = item.entry
        if item.row in self.rows_here:
            self.tally.known += 1
            self._count_lost(item)
            return False
        if entry.bare and not self._is_wanted(item, similar):
            return False
        if item.detected:
            text = conversations.asked(entry.messages)
            self.tally.count("languages", entry, text, item.detected)
            item.entry = entry.but(language=item.detected)
        self._count(item)
        return True

    def _is_wanted(self, item: Clean, similar: Similar) -> bool:
        if item.digest in self.prompts_here or self.scratch.get("prompt", item.digest):
            self.tally.duplicates += 1
            self._count_lost(item)
            return False
        reason = (
            self._wrong_length(item.entry)
            or self._near_duplicate(item, similar)
            or self._too_many(item.entry.author)
        )
        if reason:
            self.tally.count(reason, item.entry, rows.turn_text(item.entry.messages[-1]))
        return not reason

    def _wrong_length(self, entry: Entry) -> str:
        if not (self.recipe.fewest_tokens or self.recipe.most_tokens):
            return ""
        count = sum(repair.tokens(rows.turn_text(turn)) for turn in entry.messages)
        if count < self.recipe.fewest_tokens:
            return "fewest_tokens"
        return "most_tokens" if self.recipe.most_tokens and count > self.recipe.most_tokens else ""

    def _near_duplicate(self, item: Clean, similar: Similar) -> str:
        """The setting that leaves out a prompt like earlier ones; "" if none does."""
        prompt = item.version
        if prompt.prefix is not None:
            prefix_here = prompt.prefix in similar.prefixes
            if prefix_here or self.scratch.get("prefix", str(prompt.prefix)):
                return "prefixes"
        if not prompt.sketch:
            return ""
        in_project = similar.sharing(prompt.bands)
        in_file = self.similar.sharing(prompt.bands, MOST + 1)
        if any(alike(prompt.sketch, other) for other in in_project + in_file[:MOST]):
            return "near"
        if len(in_file) > MOST or not similar.cut.isdisjoint(prompt.bands):
            self.tally.count("near_limit", item.entry, conversations.asked(item.entry.messages))
        return ""

    def _too_many(self, author: str) -> str:
        most = self.recipe.per_author
        if most and author and self.scratch.get("authored", author) >= most:
            return "per_author"
        return ""

    def _count(self, item: Clean) -> None:
        entry, tally = item.entry, self.tally
        for name, ignored in entry.ignored.items():
            tally.count(name, entry, ignored)
        if item.digest not in self.prompts_here and not self.scratch.get("prompt", item.digest):
            self._remember(item)
            tally.prompts += 1
            item.bands = item.version.marks
        else:
            self._count_lost(item)
        tally.answers += self._new_answers(item) if entry.shares else len(entry.answers)
        tally.rankings += len(entry.judgments)
        for judgment in entry.judgments:
            self._count_judge(judgment["judge"], judgment.get("judge_kind", ""))
        tally.demonstrations += bool(entry.demonstration)

    def _count_judge(self, name: str, kind: str) -> None:
        """Count a ranking by the kind of its judge: what was said first stays."""
        stated = self.scratch.get("judge", name)
        if kind and not stated:
            self.scratch.put("judge", name, kind)
        elif kind and kind != stated:
            self.tally.other_kinds += 1
        counted = stated or kind or Judge.Kind.UNKNOWN.value
        self.tally.judge_kinds[counted] = self.tally.judge_kinds.get(counted, 0) + 1

    def _new_answers(self, item: Clean) -> int:
        """How many of the entry's answers no earlier row of the file has given to this prompt."""
        keys = [rows.digest([item.digest, key]) for key in answer_keys(item.entry.answers)]
        return sum(self.scratch.count("answer", key) == 0 for key in keys)

    def _count_lost(self, item: Clean) -> None:
        """Count what a row says of a prompt that is here already and is said otherwise, or not at
        all: what was said first stays. But a prompt that anybody calls sensitive is sensitive.
        """
        said = _said_of(item)
        if not said:
            return
        kept = self.prompts_here.get(item.digest)
        if kept is None and (note := self.scratch.get("prompt", item.digest)):
            kept = _noted(note)
        if "sensitive" in said:
            self._make_sensitive(item, kept)
        if kept is None:  # a row that came in with other cleaning: its prompt has another digest
            return
        lost = {name for name, value in said.items() if _differs(kept.get(name), value)}
        if lost & {"metadata", "licence"}:
            self.tally.count("metadata", item.entry, _metadata_text(item.entry))
        for name in LOST:
            if name in lost:
                # nobody is to see who the author is
                self.tally.count(LOST[name], item.entry, "" if name == "author" else said[name])

    def _make_sensitive(self, item: Clean, kept: dict[str, Any] | None) -> None:
        asked = conversations.asked(item.entry.messages)
        if kept is None:
            self.tally.count("other_sensitive", item.entry, asked)
        elif not kept.get("sensitive") and not self.scratch.get("sensitive", item.digest):
            self.scratch.put("sensitive", item.digest, 1)
            self.sensitive.add(item.digest)
            self.tally.count("sensitive", item.entry, asked)

    def _remember(self, item: Clean) -> None:
        """Note a new prompt, for the rest of the file."""
        kept = _said_of(item)
        if item.detected:
            kept["language"] = item.detected
        if self.reading.knows_splits:
            kept["split"] = item.entry.split
        self.scratch.put("prompt", item.digest, rows.canonical(kept) if kept else 1)
        if item.entry.author and self.recipe.per_author:
            self.scratch.count("authored", item.entry.author)
        if item.version.prefix is not None:
            self.scratch.put("prefix", str(item.version.prefix), 1)
        if item.version.sketch:
            self.similar.add(item.version.bands, item.version.sketch)


def answer_keys(answers: list[dict]) -> list[str]:
    """A key for each answer, by all that is said of it and by how many equal ones come before."""
    before: Counter[str] = Counter()
    keys = []
    for answer in answers:
        content = rows.canonical(answer)
        keys.append(f"{before[content]} {content}")
        before[content] += 1
    return keys


def prompt_digests(recipe: ImportRecipe) -> Digests:
    """What gives the digests that an entry's prompt may have once it is cleaned by this recipe: as
    held-out splits have it, then as the training split has it, if that differs.
    """
    wanted = Wanted.by(recipe)

    def digests(entry: Entry) -> list[str]:
        messages = entry.messages
        for _name, step in wanted.steps:
            messages = conversations.changed(messages, step)
        masked = messages
        if recipe.personal:
            masked = conversations.changed(messages, personal_data.mask)
        forms = [messages] if masked == messages else [messages, masked]
        return list(map(conversations.digest, forms))

    return digests


def _without_lead(entry: Entry) -> Entry:
    """Remove the format's lead from each answer: only here, because the row's digest has always
    covered it.
    """
    if not entry.lead:
        return entry
    bare = [answer | {"text": answer["text"].removeprefix(entry.lead)} for answer in entry.answers]
    return entry.but(answers=bare)


# What a row may say of its prompt, and as what it is counted where the prompt has it otherwise
LOST = {name: f"other_{name}" for name in ("source", "author", "use_case", "language", "split")}
STORED = ("digest", "metadata", "licence", "sensitive", *LOST)


def _said_of(item: Clean) -> dict[str, Any]:
    """What the file says of the prompt, as a prompt stores it."""
    entry = item.entry
    said: dict[str, Any] = {name: value for name in SAID if (value := getattr(entry, name))}
    if entry.language and not item.detected:
        said["language"] = entry.language
    if entry.author:
        said["author"] = conversations.author_key(entry.author)
    if item.names_split:
        said["split"] = entry.split
    return said


SAID = ("metadata", "licence", "source", "use_case", "sensitive")


def _differs(kept: object, said: object) -> bool:
    return kept != said or (isinstance(said, dict) and rows.canonical(kept) != rows.canonical(said))


def _metadata_text(entry: Entry) -> str:
    licence = {"licence": entry.licence} if entry.licence else {}
    return rows.canonical(entry.metadata | licence)


def _noted(note: str | int) -> dict[str, Any]:
    """What is noted of a prompt of the file."""
    return json.loads(note) if isinstance(note, str) else {}


def _sketches_of(prompts: QuerySet[Prompt]) -> dict[int, bytes | None]:
    """The sketch of each prompt, by its key; None for a short one."""
    from labeling.text import similarity

    messages = dict(prompts.values_list("pk", "messages"))
    texts = ("\n".join(rows.spoken(turns)) for turns in messages.values())
    sketches = similarity.sketches(texts)
    return {
        key: None if sketch is None else sketch.tobytes()
        for key, sketch in zip(messages, sketches, strict=True)
    }
