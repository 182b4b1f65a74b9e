"""Prompts, tasks, judgments and datasets, for scripts: the verbs of the pages, and as blind."""

from labeling import ranking, writing
from labeling.queue import claims, eligibility
from people.api import problems

problems.register(eligibility.NotWorking, 409, "not-working")
problems.register(claims.LeaseLost, 409, "lease-lost")
problems.register(ranking.AlreadySubmitted, 409, "already-submitted")
problems.register(ranking.NothingToRevise, 409, "nothing-to-revise")
problems.register(ranking.TooLate, 409, "too-late")
problems.register(writing.Gone, 409, "gone")
