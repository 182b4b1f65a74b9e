"""A storm over the queue: labelers, admins and the clock in any order, every stored count
recomputed after each step.

The suite plays the same storms every time. `PODIUM_STORMS=500` plays as many with random seeds.
"""

import os
from datetime import timedelta
from unittest import mock

import pytest
from django.db import transaction
from django.db.models import F
from django.utils.timezone import now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from labeling import erasure, project_settings
from labeling.exports import freeze
from labeling.imports import undo
from labeling.judging import judgment, rankings, skips, threads
from labeling.models import Assignment, DatasetRanking, Ranking, RankingTask, Seen, Thread
from labeling.quality import gold
from labeling.queue import candidates, claims, groups, leases, reservations, seen, set_aside
from labeling.queue.eligibility import NotWorking
from modelops.models import Job
from people import accounts, projects
from people.access import Refused
from people.models import Membership
from tests.factories import (
    make_job,
    make_model,
    make_person,
    make_project,
    make_prompt,
    make_task,
)
from tests.flows import recount

RANDOM = int(os.environ.get("PODIUM_STORMS", 0))
PEOPLE, TASKS = 3, 8  # few of each, so that they meet
people = st.integers(0, PEOPLE - 1)
any_number = st.integers(0, 1000)  # of a row: taken modulo how many there are
TWO = judgment.Judgment({"a": judgment.Verdict(rank=1), "b": judgment.Verdict(rank=2)})


class Storm(RuleBasedStateMachine):
    """Each storm is a world of its own, rolled back at its end."""

    def __init__(self):
        super().__init__()
        self.world = transaction.atomic()
        self.world.__enter__()
        self.project = make_project(lease_minutes=30, skips_to_set_aside=2)
        self.admin = make_person(self.project, "admin")
        self.people = [make_person(self.project) for _ in range(PEOPLE)]
        self.groups = [groups.create(self.admin, self.project, name) for name in ("one", "two")]
        self.model = make_model(self.project)
        self.state, self.published = "open", 0
        self.lucky = False  # the draw for gold
        self.draw = mock.patch.object(claims, "drawn", side_effect=lambda percent: self.lucky)
        self.draw.start()

    def teardown(self):
        self.draw.stop()
        transaction.set_rollback(True)
        self.world.__exit__(None, None, None)

    # What is there

    def membership(self, person: int) -> Membership:
        return Membership.objects.select_related("project", "user").get(
            project=self.project, user=self.people[person]
        )

    def working(self, member: Membership) -> bool:
        at_work = self.state == "open" and not member.paused and member.user.state != "paused"
        return at_work and not recount.Rows(self.project).is_done_for_today(member.user_id)

    def is_writable(self) -> bool:
        """The pages of an archived project take no form."""
        return self.state != "archived"

    def assignment(self, number: int) -> Assignment | None:
        pks = list(
            Assignment.objects.filter(project=self.project)
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        if not pks:
            return None
        return Assignment.objects.select_related("project", "labeler").get(
            pk=pks[number % len(pks)]
        )

    # What machines and admins do

    @initialize(overlap=st.integers(1, 3))
    def begin(self, overlap):
        self.publish(2, 0, overlap)

    @precondition(lambda self: self.published < TASKS)
    @rule(count=st.integers(1, 2), priority=st.integers(-1, 1), overlap=st.integers(1, 3))
    def publish(self, count, priority, overlap):
        project_settings.change(self.admin, self.project, overlap=overlap)
        recipe = {"k": 2, "rank": True, "split": "all"}
        job = make_job(self.project, model_version=self.model, priority=priority, recipe=recipe)
        self.published += count
        prompts = [make_prompt(self.project) for _ in range(count)]
        slots = [candidates.Slot(prompt, number) for prompt in prompts for number in (0, 1)]
        candidates.add(
            job, slots, [candidates.Answer("an answer", 1, "stop", None, 0)] * len(slots)
        )

    @precondition(lambda self: self.published < TASKS)
    @rule(overlap=st.integers(1, 3))
    def import_answers(self, overlap):
        """A file of answers that nobody has judged: a task of them."""
        job, self.published = make_job(self.project, "import"), self.published + 1
        prompt = make_prompt(self.project, job=job)
        texts = {"texts": ["a", "b"], "model": self.model}
        make_task(self.project, prompt=prompt, job=job, overlap=overlap, **texts)

    @precondition(lambda self: Job.objects.filter(project=self.project, kind="import").exists())
    @rule(number=any_number)
    def undo_an_import(self, number):
        """All of it goes, unless somebody has worked on it."""
        imported = Job.objects.filter(project=self.project, kind="import").order_by("pk")
        job = imported[number % len(imported)]
        tasks = RankingTask.objects.filter(job=job)
        worked_on = (
            Ranking.objects.filter(task__in=tasks).exists()
            or Assignment.objects.filter(task__in=tasks, state__in=Assignment.HOLDING).exists()
            or Thread.objects.filter(task__in=tasks).exists()
        )
        done_before = not tasks.exists()
        try:
            undo.run(make_job(self.project, "undo", recipe={"import_job": job.pk}))
        except Refused:
            assert worked_on or done_before
            assert tasks.exists() or done_before
        else:
            assert not worked_on
            assert not tasks.exists()
            self.published -= 1

    @rule(state=st.sampled_from(["open", "open", "open", "open", "paused", "archived"]))
    def change_state(self, state):
        project_settings.change(self.admin, self.project, state=state)
        self.state = state

    @rule(limit=st.sampled_from([None, None, 2]))
    def change_limit(self, limit):
        project_settings.change(self.admin, self.project, daily_limit=limit)

    @rule(completion=st.sampled_from(["depth", "breadth"]))
    def change_order(self, completion):
        project_settings.change(self.admin, self.project, completion=completion)

    @rule(
        person=people,
        change=st.sampled_from([projects.pause, accounts.pause, None, None, None, None]),
    )
    def change_person(self, person, change):
        if change is projects.pause:
            projects.pause(self.admin, self.membership(person))
        elif change is accounts.pause:
            accounts.pause(self.admin, self.people[person])
        else:
            projects.unpause(self.admin, self.membership(person))
            accounts.activate(self.admin, self.people[person])

    def judged(self):
        """What enters a dataset: the judgments that count, but for those of gold tasks."""
        return Ranking.objects.filter(
            task__project=self.project, task__purpose="training", current=True
        )

    @precondition(lambda self: self.judged().filter(datasets=None).exists())
    @rule()
    def freeze(self):
        dataset = freeze.freeze_now(self.admin, self.project)
        judged = self.judged()
        assert dataset.counts["rows"] == judged.values("task").distinct().count()
        held = DatasetRanking.objects.filter(dataset=dataset).values("ranking")
        assert not judged.exclude(pk__in=held).exists(), (
            "a revision that says the same leads to the same dataset"
        )

    @precondition(is_writable)
    @rule(person=people, sure=st.sampled_from([True, False, False, False]))
    def erase(self, person, sure):
        """What somebody judged goes, with what was frozen of it; seldom, or nothing is left to look
        at.
        """
        if sure:
            erasure.erase(self.admin, self.project, self.people[person], "asked for")
            assert not Ranking.objects.filter(
                task__project=self.project, labeler=self.people[person]
            ).exists()
            assert not Thread.objects.filter(
                task__project=self.project, labeler=self.people[person]
            ).exists()

    @rule(minutes=st.sampled_from([5, 45]), swept=st.booleans())
    def let_pass(self, minutes, swept):
        """Time moves on: everything that happened is that much longer ago."""
        ago, mine = timedelta(minutes=minutes), {"project": self.project}
        Assignment.objects.filter(**mine).update(
            leased_until=F("leased_until") - ago, ended_at=F("ended_at") - ago
        )
        Ranking.objects.filter(task__project=self.project).update(created_at=F("created_at") - ago)
        Seen.objects.filter(task__project=self.project).update(at=F("at") - ago)
        RankingTask.objects.filter(project=self.project).update(put_back_at=F("put_back_at") - ago)
        if swept:
            self.sweep()

    def sweep(self):
        leases.expire()
        assert not Assignment.objects.filter(state="leased", leased_until__lt=now()).exists()

    @rule(verb=st.sampled_from([set_aside.put_back, set_aside.put_back, set_aside.retire]))
    def decide(self, verb):
        for task in RankingTask.objects.filter(project=self.project).exclude(state="open"):
            verb(self.admin, task)

    def task(self, number: int) -> RankingTask:
        tasks = RankingTask.objects.filter(project=self.project).order_by("pk")
        return tasks[number % len(tasks)]

    @rule(share=st.sampled_from([0, 25, 50]), lucky=st.booleans())
    def change_share_of_gold(self, share, lucky):
        project_settings.change(self.admin, self.project, gold_share=share)
        self.lucky = lucky

    @precondition(is_writable)
    @rule(number=any_number)
    def make_gold(self, number):
        task = self.task(number)
        gold.make(self.admin, task, TWO)
        assert RankingTask.objects.get(pk=task.pk).purpose == "gold"

    @precondition(is_writable)
    @rule(number=any_number)
    def unmake_gold(self, number):
        task = self.task(number)
        held = task.assignments.filter(state__in=Assignment.HOLDING).count()
        gold.unmake(self.admin, task)
        plain = RankingTask.objects.get(pk=task.pk)
        assert (plain.purpose, plain.overlap) == ("training", max(task.overlap, held))

    @rule(number=any_number, person=people, sure=st.booleans())
    def reserve_for_a_person(self, number, person, sure):
        """For one person, or for nobody."""
        member = self.membership(person) if sure else None
        reservations.reserve(self.admin, self.task(number), member=member)

    @rule(number=any_number, group=st.integers(0, 1))
    def reserve_for_a_group(self, number, group):
        reservations.reserve(self.admin, self.task(number), group=self.groups[group])

    @rule(group=st.integers(0, 1), members=st.sets(people))
    def change_group(self, group, members):
        chosen = [self.membership(person) for person in members]
        groups.change(self.admin, self.groups[group], members=chosen)

    # What labelers do

    @rule(person=people)
    def look(self, person):
        self.ask(person)

    def ask(self, person) -> Assignment | None:
        """A labeler is given what they hold, else the first open task that they have not seen, or
        gold in its place.
        """
        member, before = self.membership(person), recount.Rows(self.project)
        working = self.working(member)
        held = [
            one.pk for one in before.assignments if one.labeler_id == member.user_id and lasts(one)
        ]
        try:
            given = claims.next_for(member)
        except NotWorking:
            assert not held
            assert not working
            return None
        if held:
            assert given.pk in held
            return given
        assert working
        first = before.open_to(member.user) or self.open_after_expiry(before, member)
        assert (given and given.task_id) == self.due(before, member, first)
        return given

    def due(self, rows, member, first) -> int | None:
        """The task that a claim leases; gold only where there is another one, so that nobody can
        tell.
        """
        drawn = first and self.lucky and rows.project.rules.gold_share
        found = (rows.gold_for(member.user_id) if drawn else []) or first
        return found[0].pk if found else None

    def open_after_expiry(self, before, member) -> list:
        """A claim that finds nothing frees what has run out and looks again: only then is nothing a
        true nothing.
        """
        late = [one for one in before.assignments if one.state == "leased" and not lasts(one)]
        for one in late:
            one.state = "expired"
            task = next(task for task in before.tasks if task.pk == one.task_id)
            task.free_places += task.purpose != "gold"
        return before.open_to(member.user)

    @precondition(is_writable)
    @rule(number=any_number)
    def submit(self, number):
        one = self.assignment(number)
        if one is None:
            return
        free = one.task.free_places
        try:
            rankings.submit(one, TWO)
        except rankings.AlreadySubmitted:
            assert one.state == "submitted"
        except claims.LeaseLost:
            assert one.state not in Assignment.HOLDING
            for_others = not recount.Rows(self.project).is_for(one.task, one.labeler)
            assert for_others or free == 0
            assert for_others or one.task.purpose != "gold", "which has a place for everybody"

    @precondition(is_writable)
    @rule(number=any_number)
    def revise(self, number):
        one = self.assignment(number)
        if one is None:
            return
        try:
            rankings.revise(one, TWO)
        except rankings.NothingToRevise:
            assert one.state != "submitted"
        else:
            assert one.state == "submitted"

    @precondition(is_writable)
    @rule(number=any_number, answered=st.booleans())
    def ask_a_lead(self, number, answered):
        """Whoever was answered gets no other place on the task; the one they hold stays theirs."""
        one = self.assignment(number)
        if one is None:
            return
        try:
            thread = threads.open_on(one, "Is B meant?")
        except Refused:
            assert one.state not in Assignment.HOLDING
            return
        if answered:
            threads.say(self.admin, thread, "Yes.")
            assert one.task_id in recount.Rows(self.project).seen(one.labeler)
        assert Assignment.objects.get(pk=one.pk).state == one.state

    @rule(person=people, number=any_number)
    def read(self, person, number):
        """Somebody reads what others decided: a lead of yesterday may be a labeler of today."""
        ranking = Ranking.objects.filter(task=self.task(number)).order_by("pk").first()
        if ranking is not None:
            seen.note_rankings(self.people[person], [ranking])

    @rule(person=people)
    def look_ahead(self, person):
        """The next task is leased while one is at hand, which stays the one that is shown."""
        member = self.membership(person)
        at_hand = claims.current(self.project, member.user)
        if at_hand is None:
            return
        rows = recount.Rows(self.project)
        others = claims.held_by(self.project, member.user, now()).exclude(pk=at_hand.pk)
        had = [one.pk for one in others]
        try:
            ahead = claims.lease_ahead(member, at_hand.pk)
        except NotWorking:
            return
        if had:
            assert ahead.pk == had[0]
        else:
            assert (ahead and ahead.task_id) == self.due(rows, member, rows.open_to(member.user))
        assert claims.next_for(member) == at_hand

    @precondition(is_writable)
    @rule(number=any_number)
    def skip(self, number):
        if one := self.assignment(number):
            leases.skip(one, "not my subject")
            assert Assignment.objects.get(pk=one.pk).state == (
                "submitted" if one.state == "submitted" else "skipped"
            )

    @precondition(is_writable)
    @rule(number=any_number)
    def undo_skip(self, number):
        one = self.assignment(number)
        if one is None:
            return
        before = Assignment.objects.get(pk=one.pk)
        has_seen = one.task_id in recount.Rows(self.project).seen(one.labeler)
        try:
            skips.undo(one)
        except rankings.TooLate:
            assert Assignment.objects.get(pk=one.pk).state == before.state
            return
        assert before.state == "skipped"
        assert not has_seen
        assert Assignment.objects.get(pk=one.pk).state == "leased"
        [member] = [
            self.membership(person)
            for person in range(PEOPLE)
            if self.people[person].pk == one.labeler_id
        ]
        assert claims.next_for(member) == one, "what was undone is shown at once"

    @precondition(is_writable)
    @rule(number=any_number)
    def give_back(self, number):
        if one := self.assignment(number):
            leases.give_back(one, one.labeler)
            assert Assignment.objects.get(pk=one.pk).state == (
                "returned" if one.state == "leased" else one.state
            )

    @precondition(is_writable)
    @rule(number=any_number)
    def draft(self, number):
        if one := self.assignment(number):
            assert leases.save_draft(one, {"note": str(number)}) == (one.state != "submitted")
            leases.renew(one)

    @precondition(is_writable)
    @rule(person=people)
    def undo(self, person):
        last = rankings.last_of(self.project, self.people[person])
        if last is None:
            return
        try:
            undone = rankings.undo(last)
        except rankings.TooLate:
            away = not self.working(self.membership(person))
            assert away or last.datasets.exists()
            return
        if undone.state == "submitted":
            assert undone.rankings.filter(current=True).exists(), (
                "the ranking before the revision counts"
            )
            return
        assert undone.state == "leased"
        assert claims.next_for(self.membership(person)) == undone, (
            "what was undone is shown at once"
        )

    @rule(person=people, count=st.sampled_from([1, 2, TASKS]))
    def work(self, person, count):
        """The day's usual: what is given is ranked, until nothing is left."""
        for _ in range(count):
            given = self.ask(person)
            if given is None:
                break
            rankings.submit(given, TWO)

    @invariant()
    def every_count_is_what_the_rows_say(self):
        recount.check(self.project)


def lasts(one: Assignment) -> bool:
    return one.state == "leased" and one.leased_until >= now()


@pytest.mark.django_db
@pytest.mark.timeout(0 if RANDOM else 300)
def test_no_storm_makes_a_stored_count_drift():
    run_state_machine_as_test(
        Storm,
        settings=settings(
            max_examples=RANDOM or 30,
            stateful_step_count=40,
            derandomize=not RANDOM,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink] if RANDOM else [Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
