"""Small worlds for tests: a project, its people, and tasks to rank."""

from itertools import count
from pathlib import Path
from uuid import uuid4

from labeling import project_settings
from labeling.judging import scores
from labeling.judging.judgment import Verdict
from labeling.models import (
    Candidate,
    Judge,
    Prompt,
    RankedCandidate,
    Ranking,
    RankingTask,
    Score,
    imported_judge,
)
from labeling.queue import order
from modelops import registry, rows
from modelops.models import Job, ModelVersion
from people.models import Membership, Project, User

PASSWORD = "correct horse battery"
# A conversation with all that a turn can hold, as it is stored.
TOOL_TURNS = [
    {"role": "developer", "content": "Use the tools."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "How warm is"}, {"type": "text", "text": "Rome?"}],
    },
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Roma", "at": ["now"]}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": '{"celsius": 31}'},
]
# An answer of several turns, and what it says as text.
ANSWER_TURNS = [*TOOL_TURNS[2:], {"role": "assistant", "content": "It is 31 degrees."}]
ANSWER_TEXT = (
    'weather({"city": "Roma", "at": ["now"]})\n\nTool: {"celsius": 31}'
    "\n\nAssistant: It is 31 degrees."
)
_numbers = count(1)


def make_project(**fields) -> Project:
    number = next(_numbers)
    return project_settings.make(
        **{"slug": f"project-{number}", "name": f"Project {number}"} | fields
    )


def make_person(
    project: Project | None = None, role: str = "labeler", name: str = "", **fields
) -> User:
    name = name or f"person-{next(_numbers)}"
    user = User.objects.create_user(
        f"{name}@example.org".lower(), PASSWORD, name=name.capitalize(), **fields
    )
    if project is not None:
        Membership.objects.create(project=project, user=user, role=role)
    return user


def make_prompt(project: Project, text: str = "", messages: list | None = None, **fields) -> Prompt:
    messages = messages or [{"role": "user", "content": text or f"Question {next(_numbers)}?"}]
    usual = {"digest": rows.digest(messages), "split": "train", "published": True}
    return Prompt.objects.create(project=project, messages=messages, **usual | fields)


def make_model(project: Project | None = None, name: str = "", **fields) -> ModelVersion:
    name = name or f"model-{uuid4().hex[:8]}"
    return ModelVersion.objects.create(project=project, kind="policy", name=name, **fields)


def register_model(
    project: Project | None, folder: Path, name: str = "", kind: str = "policy"
) -> ModelVersion:
    """A version of the files of a folder; of one with empty weights where there is none."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "model.safetensors").touch()
    return registry.register(project, kind, name or f"model-{uuid4().hex[:8]}", folder)


def make_job(project: Project, kind: str = "sample", **fields) -> Job:
    return Job.objects.create(project=project, kind=kind, **{"state": "done"} | fields)


def make_task(
    project: Project,
    texts=("good", "fair", "poor", "bad"),
    prompt: Prompt | None = None,
    model: ModelVersion | None = None,
    job: Job | None = None,
    **fields,
) -> RankingTask:
    """A published task with one answer for each text, all by one model version."""
    prompt = prompt or make_prompt(project)
    model = model or make_model(project)
    job = job or make_job(project, model_version=model)
    usual = {"project": project, "prompt": prompt, "job": job, "overlap": project.rules.overlap}
    task = RankingTask.objects.create(**usual | fields)
    task.candidates.set(
        Candidate.objects.create(prompt=prompt, model_version=model, job=job, slot=slot, text=text)
        for slot, text in enumerate(texts)
    )
    order.publish(RankingTask.objects.filter(pk=task.pk))
    task.refresh_from_db()
    return task


def make_ranking(task: RankingTask, person: User, ranks=(1, 2, 3, 4)) -> Ranking:
    """What this person decided on the task: the rank of each answer, in the order of its slots."""
    kind = "simulated" if person.simulated else "labeler"
    ranking = Ranking.objects.create(task=task, labeler=person, judge=person.uuid, kind=kind)
    _rank(ranking, ranks)
    RankingTask.objects.filter(pk=task.pk).update(free_places=max(task.free_places - 1, 0))
    return ranking


def make_judge(kind: str = "model", name: str = "", stated: bool = True) -> Judge:
    """A judge of an imported file."""
    name = name or f"judge-{next(_numbers)}"
    return Judge.objects.create(uuid=imported_judge(name), name=name, kind=kind, stated=stated)


def make_imported_ranking(task: RankingTask, judge: Judge, ranks=(1, 2, 3, 4)) -> Ranking:
    """What this judge decided on the task, somewhere else."""
    ranking = Ranking.objects.create(task=task, judge=judge.pk, kind="imported")
    _rank(ranking, ranks)
    return ranking


def _rank(ranking: Ranking, ranks) -> None:
    RankedCandidate.objects.bulk_create(
        RankedCandidate(ranking=ranking, candidate=candidate, shown=candidate.slot, rank=rank)
        for candidate, rank in zip(ranking.task.candidates.order_by("slot"), ranks, strict=True)
    )


def rate(ranking: Ranking, verdicts: dict[int, Verdict]) -> None:
    """Add the ratings and flags of these verdicts, by candidate, to a ranking."""
    Score.objects.bulk_create(scores.of_preset(ranking, verdicts, ranking.task.project))


def ratings_of(ranking: Ranking) -> list[int | None]:
    """The rating of each answer, in the order shown."""
    ratings = scores.stored(ranking).ratings
    return [ratings.get(pk) for pk in _as_shown(ranking)]


def flags_of(ranking: Ranking) -> list[list[str]]:
    """The flags of each answer, in the order shown."""
    flags = scores.stored(ranking).flags
    return [flags.get(pk, []) for pk in _as_shown(ranking)]


def _as_shown(ranking: Ranking) -> list[int]:
    return list(ranking.ranked.order_by("shown").values_list("candidate", flat=True))
