"""Rows for tests: a project, a person in it, a task to rank. Each call makes a new one."""

from itertools import count

from labeling import candidates
from labeling.models import Candidate, Prompt, RankingTask
from modelops import rows
from modelops.models import Job, ModelVersion
from people.models import Membership, Project, User

PASSWORD = "correct horse battery"
_number = count(1)


def make_user(**fields) -> User:
    number = next(_number)
    return User.objects.create_user(f"person{number}@example.org", PASSWORD, **{"name": f"Person {number}"} | fields)


def make_project(**fields) -> Project:
    number = next(_number)
    return Project.objects.create(**{"slug": f"project-{number}", "name": f"Project {number}"} | fields)


def make_person(project: Project, role: str = "labeler", **fields) -> User:
    user = make_user(**fields)
    Membership.objects.create(project=project, user=user, role=role)
    return user


def make_model(project: Project | None = None, **fields) -> ModelVersion:
    return ModelVersion.objects.create(
        **{"project": project, "kind": "policy", "name": f"secret-model-{next(_number)}"} | fields
    )


def make_prompt(project: Project, text: str = "", **fields) -> Prompt:
    messages = [{"role": "user", "content": text or f"Prompt {next(_number)}?"}]
    defaults = {"messages": messages, "digest": rows.digest(messages), "split": "train", "published": True}
    return Prompt.objects.create(project=project, **defaults | fields)


def make_task(project: Project, texts=("good", "fair", "poor", "bad"), prompt: Prompt | None = None) -> RankingTask:
    """An open task whose answers, all by one model, read as `texts`."""
    prompt = prompt or make_prompt(project)
    version = make_model(project)
    job = Job.objects.create(project=project, kind="sample", state="done", model_version=version)
    task = RankingTask.objects.create(project=project, prompt=prompt, job=job, overlap=project.overlap)
    made = Candidate.objects.bulk_create(
        Candidate(prompt=prompt, model_version=version, job=job, slot=slot, text=text, tokens=3, finish_reason="stop")
        for slot, text in enumerate(texts)
    )
    task.candidates.set(made)
    candidates.publish(RankingTask.objects.filter(pk=task.pk))
    task.refresh_from_db()
    return task
