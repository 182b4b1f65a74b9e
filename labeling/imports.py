"""Files, in. The whole file is read and checked before a row is written; then hidden batches, then one publishing UPDATE."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from django.db import transaction
from django.db.models import Q

from labeling import prompts
from labeling.models import (
    Candidate,
    Demonstration,
    Prompt,
    RankedCandidate,
    Ranking,
    RankingTask,
    imported_judge,
)
from labeling.prompts import BadPrompt, Entry
from modelops import jobs, registry, rows
from modelops.models import Job
from people import audit
from people.models import Project, User

BATCH = 500
Beat = Callable[[int, int], None]  # told how many entries are written, and of how many
SHOWN = 20  # bad lines named in one message


class BadFile(ValueError):
    """Nothing was imported; `lines` names each bad line: [(number, reason)]."""

    def __init__(self, lines: list[tuple[int, str]]):
        self.lines = lines
        named = "\n".join(f"line {number}: {reason}" for number, reason in lines[:SHOWN])
        more = f"\n… and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        super().__init__(f"{named}{more}\nNothing was imported.")


@dataclass
class Result:
    prompts: int = 0
    duplicates: int = 0
    answers: int = 0
    rankings: int = 0

    def count(self, entry: Entry) -> None:
        self.prompts += 1
        self.answers += len(entry.answers)
        self.rankings += bool(entry.answers)


# Reading


def read(path: Path, format: str) -> list[Entry]:
    """Every entry of the file. Raises BadFile naming each bad line; a file without any entry is bad too."""
    entries, bad, authors = [], [], {}
    for number, line in _lines(path):
        try:
            for entry in FORMATS[format](json.loads(line)):
                _one_split_an_author(entry, authors)
                entries.append(replace(entry, line=number))
        except json.JSONDecodeError as error:
            bad.append((number, f"not JSON ({error.msg})"))
        except UnicodeDecodeError:
            bad.append((number, "not UTF-8 text"))
        except BadPrompt as error:
            bad.append((number, str(error)))
        except RecursionError:
            bad.append((number, "nested too deeply"))
        except (KeyError, TypeError, AttributeError, ValueError):
            bad.append((number, f"does not fit the format {format}"))
    if not entries and not bad:
        bad.append((1, "the file holds nothing to import"))
    if bad:
        raise BadFile(bad)
    return [replace(entry, split=entry.split or authors.get(entry.author, "")) for entry in entries]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, line.removeprefix(b"\xef\xbb\xbf")


def _one_split_an_author(entry: Entry, authors: dict[str, str]) -> None:
    if entry.author and entry.split and authors.setdefault(entry.author, entry.split) != entry.split:
        raise BadPrompt(f"this author's prompts are in split {authors[entry.author]} already")


def _text(value: dict, name: str, longest: int = 100) -> str:
    text = value.get(name) or ""
    if not isinstance(text, str) or len(text) > longest:
        raise BadPrompt(f"{name} must be a text of at most {longest} characters")
    return prompts.clean(text)


def read_prompt(value: object) -> Iterator[Entry]:
    """{"prompt": …} or {"messages": […]}, and optionally author, use_case, language, split, demonstration.

    With "answers": [{"text", "model", "rank"}] the line brings a ranking; smaller ranks are better, equal ones a tie.
    """
    if not isinstance(value, dict) or ("prompt" in value) == ("messages" in value):
        raise BadPrompt('each line must be an object with either "prompt" or "messages"')
    messages = [{"role": "user", "content": value["prompt"]}] if "prompt" in value else value["messages"]
    split = _text(value, "split")
    if split and split not in Prompt.Split.values:
        raise BadPrompt("split must be train, validation or test")
    yield Entry(
        messages=prompts.conversation(messages),
        author=_text(value, "author", 200),
        use_case=_text(value, "use_case", 40),
        language=_text(value, "language", 10),
        split=split,
        source=_text(value, "source"),
        demonstration=_text(value, "demonstration", prompts.LONGEST),
        answers=_answers(value.get("answers") or []),
    )


def _answers(values: object) -> list[dict]:
    if not isinstance(values, list) or len(values) == 1 or len(values) > 100:
        raise BadPrompt("answers must be a list of 2 to 100 ranked answers")
    return [_ranked_answer(value) for value in values]


def _ranked_answer(value: object) -> dict:
    if not isinstance(value, dict) or type(value.get("rank")) is not int:
        raise BadPrompt("each answer needs a text and a whole number as its rank")
    model = _text(value, "model") or "unknown"
    return {"text": _text(value, "text", prompts.LONGEST), "model": model, "rank": value["rank"]}


def read_tree(value: object) -> Iterator[Entry]:
    """An Open-Assistant tree: one entry for each message with ranked replies, with the conversation that led there.

    A tree counts as one author, so that none of its conversations straddles two splits. Ranks count from 0; replies
    without a rank are left out.
    """
    if not isinstance(value, dict) or not isinstance(value.get("prompt"), dict):
        raise BadPrompt('each line must be an Open-Assistant tree with a "prompt"')
    author = f"open-assistant tree {value.get('message_tree_id', '')}"
    yield from _branches(value["prompt"], [], author)


def _branches(message: dict, before: list[dict], author: str) -> Iterator[Entry]:
    role = {"prompter": "user", "assistant": "assistant"}.get(message.get("role"))
    if role is None or not isinstance(message.get("text"), str):
        raise BadPrompt('each message of a tree needs a role ("prompter" or "assistant") and a text')
    if not prompts.clean(message["text"]):
        return  # an empty message, and what hangs on it, has nothing to rank
    turns = [*before, {"role": role, "content": message["text"]}]
    replies = message.get("replies") or []
    ranked = [reply for reply in replies if isinstance(reply.get("rank"), int)]
    if role == "user" and len(ranked) > 1:
        yield _ranked_entry(message, turns, ranked, author)
    for reply in replies:
        yield from _branches(reply, turns, author)


def _ranked_entry(message: dict, turns: list[dict], ranked: list[dict], author: str) -> Entry:
    answers = [
        {
            "text": prompts.clean(reply["text"]),
            "model": _text(reply, "model_name") or "open-assistant people",
            "rank": reply["rank"],
        }
        for reply in ranked
    ]
    return Entry(
        prompts.conversation(turns),
        author=author,
        language=(message.get("lang") or "")[:10],
        source="open-assistant",
        answers=answers,
    )


def read_self_instruct(value: object) -> Iterator[Entry]:
    """A self-instruct task: its instruction and the input of each instance make a prompt."""
    if not isinstance(value, dict) or not isinstance(value.get("instruction"), str):
        raise BadPrompt('each line must be a self-instruct task with an "instruction"')
    for instance in value.get("instances") or [{}]:
        given = instance.get("input") or ""
        text = f"{value['instruction']}\n\n{given}" if given else value["instruction"]
        yield Entry(
            prompts.conversation([{"role": "user", "content": text}]),
            source="self-instruct",
            demonstration=prompts.clean(instance.get("output") or ""),
        )


FORMATS: dict[str, Callable[[object], Iterable[Entry]]] = {
    "prompts": read_prompt,
    "open-assistant": read_tree,
    "self-instruct": read_self_instruct,
}


# Writing


def write(job: Job, entries: list[Entry], beat: Beat = lambda done, total: None) -> Result:
    """Add what is new, hidden, in batches; then publish. A repeated call goes on where a killed one stopped.

    Raises BadFile where an author's supplied split is not the one that the author's earlier prompts are in.
    """
    result, seen = Result(), set()
    entries = list(_with_known_splits(job.project, entries))
    versions = {name: registry.external(job.project, name) for name in sorted(_models(entries))}
    done = 0
    for batch in _chunks(entries):
        with transaction.atomic():
            _add_batch(job, batch, versions, seen, result)
        done += len(batch)
        beat(done, len(entries))
    with transaction.atomic():
        Prompt.objects.filter(job=job).update(published=True)
        audit.record(job.requested_by, "import", job, job.project, **vars(result))
    return result


def _models(entries: list[Entry]) -> set[str]:
    return {answer["model"] for entry in entries for answer in entry.answers}


def _with_known_splits(project: Project, entries: list[Entry]) -> Iterator[Entry]:
    """The entries, each in the split that its author is in already, if the author is known here."""
    keys = {entry.author: prompts.author_key(entry.author) for entry in entries if entry.author}
    known = _splits_of(project, sorted(set(keys.values())))
    for entry in entries:
        split = known.get(keys.get(entry.author, ""), "")
        if entry.split and split and entry.split != split:
            raise BadFile([(entry.line, f"this author's earlier prompts are in split {split}")])
        yield replace(entry, split=entry.split or split)


def _splits_of(project: Project, keys: list[str]) -> dict[str, str]:
    known: dict[str, str] = {}
    for start in range(0, len(keys), BATCH):
        there = Prompt.objects.filter(project=project, published=True, author__in=keys[start : start + BATCH])
        known |= dict(there.values_list("author", "split"))
    return known


def _chunks(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Batches of about BATCH rows: nobody waits for longer than one of them takes to write."""
    batch: list[Entry] = []
    rows_ = 0
    for entry in entries:
        batch.append(entry)
        rows_ += 1 + 3 * len(entry.answers)  # an answer is a candidate, its place in the task, and its rank
        if rows_ >= BATCH:
            yield batch
            batch, rows_ = [], 0
    if batch:
        yield batch


def _add_batch(job: Job, batch: list[Entry], versions: dict, seen: set[str], result: Result) -> None:
    digests = [entry.digest for entry in batch]
    known = Prompt.objects.filter(project=job.project, digest__in=digests)
    _adopt(job, known)
    mine = set(known.filter(job=job).values_list("digest", flat=True)) - seen  # from before a kill
    others = set(known.values_list("digest", flat=True)) - mine
    fresh = []
    for entry, digest in zip(batch, digests, strict=True):
        if digest in seen or digest in others:
            result.duplicates += 1
        else:
            result.count(entry)
            if digest not in mine:
                fresh.append(entry)
        seen.add(digest)
    added = Prompt.objects.bulk_create(_prompt(job, entry) for entry in fresh)
    _add_demonstrations(job, fresh, added)
    for entry, prompt in zip(fresh, added, strict=True):
        if entry.answers:
            _add_ranking(job, prompt, entry, versions)


def _adopt(job: Job, known) -> None:
    """Take over what an import that came to nothing has left hidden, or it would be a duplicate for ever."""
    over = Q(job=None) | Q(job__state__in=[Job.State.FAILED, Job.State.CANCELLED])
    left = list(known.filter(over, published=False).exclude(job=job).values_list("pk", flat=True))
    Prompt.objects.filter(pk__in=left).update(job=job)


def _prompt(job: Job, entry: Entry) -> Prompt:
    return Prompt(
        project=job.project,
        job=job,
        messages=entry.messages,
        digest=entry.digest,
        source=entry.source or job.recipe.get("filename", "")[:100],
        author=prompts.author_key(entry.author),
        use_case=entry.use_case,
        language=entry.language,
        split=prompts.split_of(entry),
    )


def _add_demonstrations(job: Job, entries: list[Entry], added: list[Prompt]) -> None:
    Demonstration.objects.bulk_create(
        Demonstration(prompt=prompt, text=entry.demonstration, job=job)
        for entry, prompt in zip(entries, added, strict=True)
        if entry.demonstration
    )


def _add_ranking(job: Job, prompt: Prompt, entry: Entry, versions: dict) -> None:
    """The answers of one ranked group, a task without free places, and the ranking that came with them."""
    candidates = Candidate.objects.bulk_create(
        Candidate(prompt=prompt, job=job, slot=slot, text=answer["text"], model_version=versions[answer["model"]])
        for slot, answer in enumerate(entry.answers)
    )
    task = RankingTask.objects.create(project=job.project, prompt=prompt, job=job, overlap=1, free_places=0)
    task.candidates.set(candidates)
    ranking = Ranking.objects.create(
        task=task,
        judge=imported_judge(entry.source or "imported"),
        kind=Ranking.Kind.IMPORTED,
        outcome=Ranking.Outcome.RANKED,
    )
    ranks = rows.dense(answer["rank"] for answer in entry.answers)
    RankedCandidate.objects.bulk_create(
        RankedCandidate(ranking=ranking, candidate=candidate, shown=candidate.slot, rank=rank)
        for candidate, rank in zip(candidates, ranks, strict=True)
    )


def run(job: Job, path: Path, beat: Beat = lambda done, total: None) -> Result:
    """Read, check and write the file of an import job. Raises BadFile with nothing imported."""
    return write(job, read(path, job.recipe["format"]), beat)


def import_file(actor: User | None, project: Project, path: Path, format: str = "prompts") -> Result:
    """Import a file here and now. Raises BadFile, before there is any job, or jobs.JobFailed."""
    entries = read(path, format)
    recipe = {"path": str(path.resolve()), "format": format, "filename": path.name}
    with jobs.inline(actor, project, Job.Kind.IMPORT, recipe) as job:
        result = write(job, entries, beat=lambda done, total: jobs.beat(job, done=done, total=total))
        job.result = vars(result)
    return result
