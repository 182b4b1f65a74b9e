"""What a reader may know of a judge: admins the name, researchers a pseudonym."""

from __future__ import annotations

from labeling.models import Judge, Ranking
from people import pseudonyms
from people.models import Project, User


def of(project: Project, ranking: Ranking, judge: Judge | None, names: bool) -> str:
    """Who made the ranking; "" for what is nobody's judgment."""
    if ranking.kind in Ranking.FOR_ALL:
        return ""
    pseudonym = pseudonyms.of(project, ranking.judge)
    return name_or(ranking.labeler or judge, pseudonym, names)


def name_or(judge: User | Judge | None, pseudonym: str, names: bool) -> str:
    """The name of a person or a judge where `names` may be seen, and there is one."""
    name = str(judge) if names and judge is not None else ""
    return name or pseudonym
