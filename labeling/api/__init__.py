"""Prompts, tasks, judgments and datasets, for scripts: the verbs of the pages, and as blind."""

from labeling.imports import UnreadFields
from labeling.judging.rankings import AlreadySubmitted, NothingToRevise, TooLate
from labeling.queue.claims import LeaseLost
from labeling.queue.eligibility import NotWorking
from labeling.writing.drafts import Gone
from people.api import problems

problems.register(NotWorking, 409, "not-working")
problems.register(LeaseLost, 409, "lease-lost")
problems.register(AlreadySubmitted, 409, "already-submitted")
problems.register(NothingToRevise, 409, "nothing-to-revise")
problems.register(TooLate, 409, "too-late")
problems.register(Gone, 409, "gone")
problems.register(UnreadFields, 422, "unread-fields")
