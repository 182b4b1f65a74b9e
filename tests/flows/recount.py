"""Every count and cursor that the queue stores, recomputed from the rows: what the storm asks after
each step.
"""

from collections import Counter, defaultdict

from labeling.models import Assignment, GroupMember, QueuePosition, Ranking, RankingTask, Seen
from labeling.models.tasks import BEGUN
from labeling.queue import order, reservations
from people.models import AuditEvent, Membership, Project, User

HOLDING, OVER = Assignment.HOLDING, Assignment.OVER


class Rows:
    """The project's rows as they are now."""

    def __init__(self, project: Project):
        self.project = Project.objects.select_related("rules").get(pk=project.pk)
        self.tasks = list(RankingTask.objects.filter(project=project).order_by("pk"))
        self.assignments = list(Assignment.objects.filter(project=project).order_by("pk"))
        self.rankings = list(
            Ranking.objects.filter(task__project=project).prefetch_related("datasets")
        )
        members = GroupMember.objects.filter(group__project=project)
        self.members = set(members.values_list("group", "user"))
        self.told = {
            (seen.task_id, seen.person_id): seen.at
            for seen in Seen.objects.filter(task__project=project)
        }
        self.of_task = defaultdict(list)
        for one in self.assignments:
            self.of_task[one.task_id].append(one)

    def seen(self, labeler: User | int) -> set[int]:
        """The tasks that this labeler has been at, or knows something of that others say."""
        labeler = getattr(labeler, "pk", labeler)
        been_at = {
            one.task_id
            for one in self.assignments
            if one.labeler_id == labeler and one.state in OVER
        }
        return been_at | {task for task, person in self.told if person == labeler}

    def is_for(self, task: RankingTask, labeler: User | int) -> bool:
        """Whether the task is reserved for nobody, for this labeler or for a group of theirs."""
        labeler = getattr(labeler, "pk", labeler)
        if task.reserved_for_group_id:
            return (task.reserved_for_group_id, labeler) in self.members
        return task.reserved_for_user_id in (None, labeler)

    def open_to(self, labeler: User | int) -> list[RankingTask]:
        """The tasks with a free place that this labeler may be given and has not seen, in the
        order.
        """
        seen = self.seen(labeler)
        found = [
            task
            for task in self.tasks
            if task.state == "open"
            and task.free_places
            and task.pk not in seen
            and self.is_for(task, labeler)
        ]
        return sorted(found, key=self.place)

    def stuck(self) -> list[int]:
        """The reserved tasks with a free place that no member at work may be given."""
        members = Membership.objects.filter(project=self.project, paused=False)
        at_work = list(members.exclude(user__state="paused").values_list("user", flat=True))
        open_to_somebody = {task.pk for person in at_work for task in self.open_to(person)}
        return [
            task.pk
            for task in self.tasks
            if task.state == "open"
            and task.free_places
            and (task.reserved_for_user_id or task.reserved_for_group_id)
            and task.pk not in open_to_somebody
        ]

    def gold_for(self, labeler: int) -> list[RankingTask]:
        """The gold tasks that this labeler has not seen, the oldest first."""
        seen = self.seen(labeler)
        return [
            task
            for task in self.tasks
            if task.purpose == "gold"
            and task.state == "open"
            and task.pk not in seen
            and self.is_for(task, labeler)
        ]

    def is_done_for_today(self, labeler: int) -> bool:
        done = [
            one
            for one in self.assignments
            if one.labeler_id == labeler and one.state == "submitted"
        ]
        today = [one for one in done if one.ended_at >= self.project.day()[0]]
        limit = self.project.rules.daily_limit
        return limit is not None and len(today) >= limit

    def place(self, task: RankingTask) -> tuple:
        """Where the task stands in the order, worked out anew."""
        round_ = sum(one.state in HOLDING for one in self.of_task[task.pk])
        return task.priority, round_ if self.project.rules.completion == "breadth" else 0, task.pk


def check(project: Project) -> None:
    rows = Rows(project)
    for task in rows.tasks:
        places_add_up(task, rows.of_task[task.pk])
        set_aside_when_skipped(rows, task)
        gold_has_a_key(rows, task)
    judgments_fit_assignments(rows)
    judgments_are_marked_as_prompted(rows)
    judged_tasks_are_begun(rows)
    leases_have_an_owner_at_work(rows)
    cursors_hide_nothing(rows)
    what_nobody_gets_is_listed(rows)
    deeds_are_audited(rows)


def places_add_up(task: RankingTask, assignments: list[Assignment]) -> None:
    places = [one.place for one in assignments if one.state in HOLDING]
    assert len(set(places)) == len(places), "a place has one labeler"
    if task.purpose == "gold":
        assert task.free_places == 0, "a gold task has a place for everybody, which is not counted"
    else:
        assert task.free_places == task.overlap - len(places), (
            "a free place is one that nobody holds"
        )
        assert all(0 <= place < task.overlap for place in places)
    assert max(Counter(one.labeler_id for one in assignments).values(), default=1) == 1, (
        "nobody is on a task twice"
    )


def set_aside_when_skipped(rows: Rows, task: RankingTask) -> None:
    skips = [one for one in rows.of_task[task.pk] if one.state == "skipped"]
    skips = [one for one in skips if task.put_back_at is None or one.ended_at > task.put_back_at]
    enough = len(skips) >= rows.project.rules.skips_to_set_aside
    assert task.state != "open" or not enough, "what enough people skipped is set aside"
    in_order = task.state == "open" and task.purpose != "gold"
    assert in_order == (task.sort_key is not None), (
        "and then has no place in the order, nor has a gold one"
    )


def gold_has_a_key(rows: Rows, task: RankingTask) -> None:
    keys = [
        one
        for one in rows.rankings
        if one.task_id == task.pk and one.kind == "gold" and one.current
    ]
    assert len(keys) == (task.purpose == "gold"), (
        "a task has a key that counts just while it is gold"
    )
    assert not [key for key in keys if key.labeler_id or key.assignment_id or key.datasets.all()]


def judgments_fit_assignments(rows: Rows) -> None:
    submitted = {
        (one.task_id, one.labeler_id) for one in rows.assignments if one.state == "submitted"
    }
    current = [
        (one.task_id, one.labeler_id) for one in rows.rankings if one.current and one.assignment_id
    ]
    assert len(current) == len(set(current)), "a judge has one current ranking of a task"
    assert set(current) == submitted, (
        "what is submitted has a current ranking, and nothing else has"
    )
    assert not [one for one in rows.rankings if one.undone_at and one.datasets.all()], (
        "what is frozen is not undone"
    )
    revisions = Counter((one.task_id, one.judge) for one in rows.rankings)
    assert all(one.revision <= revisions[one.task_id, one.judge] for one in rows.rankings)


def judgments_are_marked_as_prompted(rows: Rows) -> None:
    for ranking in rows.rankings:
        told_at = rows.told.get((ranking.task_id, ranking.labeler_id))
        before = told_at is not None and told_at <= ranking.created_at
        assert ranking.prompted == before, "prompted is what one judges after one was told"


def judged_tasks_are_begun(rows: Rows) -> None:
    """The list of judgments walks the index of begun tasks."""
    judged = {one.task_id for one in rows.rankings if one.current}
    begun = RankingTask.objects.filter(BEGUN, project=rows.project).values_list("pk", flat=True)
    assert judged <= set(begun), "whoever judged a task holds a place on it"


def leases_have_an_owner_at_work(rows: Rows) -> None:
    leased = [one for one in rows.assignments if one.state == "leased"]
    assert all(
        (one.state == "leased") == (one.leased_until is not None) for one in rows.assignments
    )
    assert all((one.state == "leased") == (one.ended_at is None) for one in rows.assignments)
    paused = Membership.objects.filter(project=rows.project, paused=True).values_list(
        "user", flat=True
    )
    away = set(paused) | set(User.objects.filter(state="paused").values_list("pk", flat=True))
    assert not away & {one.labeler_id for one in leased}, "who is paused holds nothing"
    assert rows.project.state != "archived" or not leased, "an archived project lends nothing"


def cursors_hide_nothing(rows: Rows) -> None:
    """Stronger than the claim needs, which looks from the front once more: a cursor lies before all
    that is open.
    """
    for position in QueuePosition.objects.filter(project=rows.project):
        open_to = rows.open_to(position.labeler_id)
        behind = [
            task.pk
            for task in open_to
            if getattr(task, order.key(rows.project)) <= position.sort_key
        ]
        assert not behind, "a labeler's cursor has passed an open task that they have not seen"


def what_nobody_gets_is_listed(rows: Rows) -> None:
    listed = reservations.stuck(rows.project).order_by("pk").values_list("pk", flat=True)
    assert list(listed) == rows.stuck(), "a reserved task is stuck when nobody can be given it"


def deeds_are_audited(rows: Rows) -> None:
    told = Counter(AuditEvent.objects.filter(project=rows.project).values_list("verb", flat=True))
    keys = sum(one.kind == "gold" for one in rows.rankings)
    assert told["make gold"] == keys
    erased = list(
        AuditEvent.objects.filter(project=rows.project, verb="erase judgments").values_list(
            "data", flat=True
        )
    )
    assert told["rank"] + told["revise"] == len(rows.rankings) - keys + sum(
        one["rankings"] for one in erased
    )
    undone = sum(one.undone_at is not None for one in rows.rankings) + sum(
        one["undone"] for one in erased
    )
    assert told["undo"] == undone
    assert told["skip"] >= sum(one.state == "skipped" for one in rows.assignments)
