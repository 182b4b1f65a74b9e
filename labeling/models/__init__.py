"""The tables of labeling: prompts, answers, tasks, assignments and rankings."""

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
    IMPORTED_JUDGES,
    SETTLEMENT,
    DatasetLabeler,
    DatasetRanking,
    ExternalLabeler,
    FormDraft,
    RankedCandidate,
    Ranking,
    imported_judge,
)
from labeling.models.tasks import Assignment, QueuePosition, RankingTask
from labeling.models.templates import PromptTemplate, TemplateRow

__all__ = [
    "ANSWER_KEY",
    "Assignment",
    "Candidate",
    "DatasetLabeler",
    "DatasetRanking",
    "Demonstration",
    "ExternalLabeler",
    "FormDraft",
    "IMPORTED_JUDGES",
    "ImportedRow",
    "Prompt",
    "PromptBand",
    "PromptTemplate",
    "QueuePosition",
    "RankedCandidate",
    "Ranking",
    "RankingTask",
    "SETTLEMENT",
    "TemplateRow",
    "Writing",
    "imported_judge",
]
