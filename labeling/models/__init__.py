"""The tables of labeling: prompts, answers, tasks, assignments, rankings and threads."""

from labeling.models.criteria import Criterion, Score, Span
from labeling.models.groups import Group, GroupMember
from labeling.models.judges import IMPORTED_JUDGES, Judge, imported_judge, kind_of_account
from labeling.models.mappings import ImportMapping
from labeling.models.prompts import (
    Candidate,
    Demonstration,
    ImportedRow,
    Prompt,
    PromptBand,
    Writing,
)
from labeling.models.rankings import (
    ANSWER_KEY,
    SETTLEMENT,
    DatasetLabeler,
    DatasetRanking,
    FormDraft,
    RankedCandidate,
    Ranking,
    judge_kind,
    sum_kinds,
)
from labeling.models.rounds import Round, RoundStep
from labeling.models.rules import ProjectRules
from labeling.models.tasks import Assignment, QueuePosition, RankingTask
from labeling.models.templates import PromptTemplate, TemplateRow
from labeling.models.threads import Message, Review, Seen, Thread

__all__ = [
    "ANSWER_KEY",
    "Assignment",
    "Candidate",
    "Criterion",
    "DatasetLabeler",
    "DatasetRanking",
    "Demonstration",
    "FormDraft",
    "Group",
    "GroupMember",
    "IMPORTED_JUDGES",
    "ImportMapping",
    "ImportedRow",
    "Judge",
    "Message",
    "ProjectRules",
    "Prompt",
    "PromptBand",
    "PromptTemplate",
    "QueuePosition",
    "RankedCandidate",
    "Ranking",
    "RankingTask",
    "Review",
    "Round",
    "RoundStep",
    "SETTLEMENT",
    "Score",
    "Span",
    "Seen",
    "TemplateRow",
    "Thread",
    "Writing",
    "imported_judge",
    "judge_kind",
    "kind_of_account",
    "sum_kinds",
]
