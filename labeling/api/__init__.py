"""Prompts, tasks, judgments and datasets, for scripts: the verbs of the pages, and as blind."""

from labeling import assignment, ranking, working, writing
from people.api import problems

problems.register(working.NotWorking, 409, "not-working")
problems.register(assignment.LeaseLost, 409, "lease-lost")
problems.register(ranking.AlreadySubmitted, 409, "already-submitted")
problems.register(ranking.NothingToRevise, 409, "nothing-to-revise")
problems.register(ranking.TooLate, 409, "too-late")
problems.register(writing.Gone, 409, "gone")
