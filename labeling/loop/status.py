"""Where a project stands on its way round the loop: each station is a handful of counts."""

from __future__ import annotations

from django.db.models import Count, F, Q, Sum

from labeling.loop.next_step import next_step
from labeling.loop.stations import (
    MOST_PAIRS,
    Candidates,
    LoopStatus,
    Policies,
    Prompts,
    Rankings,
    Rewards,
    Unfrozen,
)
from labeling.models import (
    Candidate,
    Demonstration,
    Judge,
    Prompt,
    RankedCandidate,
    Ranking,
    RankingTask,
    sum_kinds,
)
from labeling.quality import peers, recent
from labeling.stats import agreement, bootstrap
from modelops import registry
from modelops.kinds import KINDS
from modelops.models import Dataset, Job, Metric, ModelVersion
from people.models import Project

NEWEST = 2000  # rankings that agreement and ties are measured on


def of_project(project: Project) -> LoopStatus:
    """Everything the loop page shows, in a constant number of queries."""
    unfrozen = count_unfrozen(project)
    live = list(
        Job.objects.filter(
            project=project, state__in=[Job.State.QUEUED, Job.State.RUNNING]
        ).values_list("kind", "dataset", "reward_model__dataset")
    )
    status = LoopStatus(
        count_prompts(project),
        count_candidates(project),
        count_rankings(project),
        unfrozen,
        newest_reward(project),
        newest_policy(project),
        busy={kind for kind, *_datasets in live},
        trained_on=trained_on(unfrozen.newest, live),
    )
    status.next = next_step(status)
    return status


def count_prompts(project: Project) -> Prompts:
    published = Prompt.objects.filter(project=project, published=True)
    splits = dict(
        published.values_list("split").annotate(Count("pk")).values_list("split", "pk__count")
    )
    imports = Job.objects.filter(
        project=project, kind=Job.Kind.IMPORT, state=Job.State.DONE
    ).values_list("result", flat=True)
    written = Demonstration.objects.filter(prompt__project=project).count()
    splits = {split: splits[split] for split in Prompt.Split.values if split in splits}
    return Prompts(
        sum(splits.values()),
        splits,
        sum(result.get("duplicates", 0) for result in imports),
        written,
    )


def count_candidates(project: Project) -> Candidates:
    sampling = Job.objects.filter(project=project, kind=Job.Kind.SAMPLE)
    answered = sampling.exclude(done=0)
    return Candidates(
        total=Candidate.objects.filter(job__in=sampling).count(),
        job=answered.select_related("model_version").order_by("-pk").first(),
        round=max(1, answered.values("model_version").distinct().count()),
    )


def count_rankings(project: Project) -> Rankings:
    training = RankingTask.Purpose.TRAINING
    current = Ranking.objects.filter(task__project=project, task__purpose=training, current=True)
    by_judge = current.by_judge()
    open_to_people = RankingTask.objects.filter(project=project, sort_key__isnull=False)
    places = open_to_people.aggregate(
        tasks=Count("pk"), places=Sum("overlap"), free=Sum("free_places")
    )
    rankings = Rankings(
        total=sum(n for _judge, _kind, n in by_judge),
        people=len({judge for judge, kind, _n in by_judge if kind == Judge.Kind.PERSON}),
        judge_kinds=sum_kinds(by_judge),
        **{name: value or 0 for name, value in places.items()},
    )
    measure(rankings, recent.newest(project, NEWEST))
    return rankings


def measure(rankings: Rankings, tasks: list[recent.Task]) -> None:
    """Agreement and ties of the newest rankings by people; the interval draws prompts."""
    rankings.ties = agreement.share_of_ties(
        ranks for task in tasks for ranks in task.ranks.values()
    )
    compared = ((task.prompt, agreement.task_agreement(task.ranks.values())) for task in tasks)
    if counts := agreement.by_prompt(compared):
        low, high = bootstrap.interval(counts, draws=peers.DRAWS)
        rankings.agreement, rankings.plus_minus = 100 * bootstrap.ratio(counts), 50 * (high - low)


def count_unfrozen(project: Project) -> Unfrozen:
    """Pairs of current rankings that no dataset holds."""
    fresh = Ranking.objects.filter(
        task__project=project,
        task__purpose=RankingTask.Purpose.TRAINING,
        task__prompt__published=True,
        current=True,
        datasets=None,
    ).of_judges()
    newest = list(fresh.order_by("-pk").values_list("pk", flat=True)[:MOST_PAIRS])
    # Joined with itself, a ranking gives a row for each answer that another one lies below.
    pairs = RankedCandidate.objects.filter(
        ranking__in=newest, ranking__ranked__rank__gt=F("rank")
    ).count()
    whole = Dataset.objects.filter(project=project, kind=Dataset.Kind.JUDGMENTS, withdrawn_at=None)
    frozen = whole.order_by("-pk").first()
    count = fresh.count() if len(newest) == MOST_PAIRS else len(newest)
    return Unfrozen(pairs, count, frozen)


def newest_reward(project: Project) -> Rewards:
    made = ModelVersion.objects.filter(project=project, kind=ModelVersion.Kind.REWARD)
    version = made.select_related("job", "dataset").order_by("-pk").first()
    if version is None:
        return Rewards()
    names = ["accuracy", "longer_answer_accuracy"]
    figures = {
        m.name: m
        for m in Metric.objects.filter(
            job=version.job_id, step=None, slice="held-out", name__in=names
        )
    }
    return Rewards(version, *(figures.get(name) for name in names))


def newest_policy(project: Project) -> Policies:
    made = ModelVersion.objects.filter(
        project=project, kind=ModelVersion.Kind.POLICY, job__isnull=False
    )
    version = made.select_related("job", "parent", "dataset").order_by("-pk").first()
    return Policies(
        version,
        registry.champion(project),
        made.count(),
        version is not None and has_sampled(version),
    )


def has_sampled(version: ModelVersion) -> bool:
    """It answers prompts of a job of its own, or has answered some beside another version."""
    jobs = Job.objects.filter(project=version.project, kind=Job.Kind.SAMPLE, model_version=version)
    return (
        jobs.exclude(state=Job.State.CANCELLED).exists()
        or Candidate.objects.filter(model_version=version).exists()
    )


def trained_on(dataset: Dataset | None, live: list[tuple[str, int, int]]) -> set[str]:
    """Which kinds of model the newest dataset has led to, or is leading to now, be it by way of a
    reward model.
    """
    if dataset is None:
        return set()
    learned = Q(dataset=dataset) | Q(job__reward_model__dataset=dataset)
    made = set(ModelVersion.objects.filter(learned).values_list("kind", flat=True))
    in_work = {KINDS[kind].makes for kind, *of in live if dataset.pk in of}
    return made | (in_work - {None})
