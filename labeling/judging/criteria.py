"""Criteria of a project: what is asked beside ranks, and how an admin changes it.

A change is a new revision, and the one before is retired. Whoever has it on the screen may still
answer it for a day, the longest lease: it counts for the question that they read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.text import slugify
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import Criterion
from labeling.models.criteria import (
    INSTRUCT_GPT,
    LONGEST_KEY,
    LONGEST_LABEL,
    LONGEST_TEXT,
    RATING,
)
from labeling.text.conversations import clean
from people import audit
from people.access import Refused
from people.models import Project, User

Kind, Scope = Criterion.Kind, Criterion.Scope
RATINGS = range(1, 8)
MOST_STEPS = 101  # of a scale, or texts of a choice: 0 to 100
LARGEST = 10_000  # and smallest, with a minus, of a step's value
LATE = timedelta(days=1)  # for so long what is retired may still be answered
MOST_CRITERIA = 50  # that one project asks at a time
MOST_BUTTONS = 11  # 0 to 10; a longer scale or choice is a list


@dataclass(frozen=True)
class Asked:
    """A criterion as the ranking form asks it. It can be hashed, because cards are kept by it."""

    pk: int
    name: str
    key: str
    scope: str
    kind: str
    question: str
    required: bool
    labels: tuple[tuple[Any, str], ...]  # of a scale (value, label); of a choice (text, text)
    preset: bool = False

    @property
    def of_answers(self) -> bool:
        return self.scope == Scope.ANSWER

    @property
    def options(self) -> list[tuple[str, str]]:
        """What a select offers: (text that the form sends, what it shows)."""
        if self.kind == Kind.YES_NO:
            return [("true", _("Yes")), ("false", _("No"))]
        return [
            (str(value), f"{value}: {label}" if self.kind == Kind.SCALE and label else str(value))
            for value, label in self.labels
        ]

    @property
    def buttons(self) -> list[tuple[str, str, str, str]]:
        """(text that the form sends, digit that chooses it or none, what stands on the button,
        its label) of each step or choice; none where a list or a text field asks.
        """
        if self.kind == Kind.YES_NO:
            return [("true", "1", _("Yes"), ""), ("false", "0", _("No"), "")]
        if self.kind == Kind.TEXT or len(self.labels) > MOST_BUTTONS:
            return []
        if self.kind == Kind.CHOICE:
            return [
                (text, digit, text, "") for digit, (text, _same) in zip(self._digits(), self.labels)
            ]
        return [
            (str(value), digit, str(value), label)
            for digit, (value, label) in zip(self._digits(), self.labels)
        ]

    def _digits(self) -> list[str]:
        """The digit of each label: a step's value, or the place of a choice or of a step below
        zero; those from ten on have none.
        """
        values = [value for value, _label in self.labels]
        if self.kind == Kind.CHOICE or values[0] < 0:
            values = list(range(1, len(values) + 1))
        return [str(value) if value < 10 else "" for value in values]

    def written(self, value: Any) -> str:
        """A value as the form holds it; empty for none."""
        return (
            str(value).lower() if isinstance(value, bool) else str("" if value is None else value)
        )

    def read(self, written: str) -> Any:
        """The value that the form holds; None where it is none of this criterion's."""
        if self.kind == Kind.TEXT:
            return clean(written)[:LONGEST_TEXT] or None
        if self.kind == Kind.YES_NO:
            return {"true": True, "false": False}.get(written)
        return {str(value): value for value, _label in self.labels}.get(written)

    def fault(self, value: Any) -> str:
        """Why this can't be a value; empty where it can."""
        if self.kind == Kind.YES_NO:
            return "" if isinstance(value, bool) else _("Answer true or false.")
        if self.kind == Kind.TEXT:
            fits = isinstance(value, str) and 0 < len(clean(value)) <= LONGEST_TEXT
            return "" if fits else _("Write 1 to %(most)s characters.") % {"most": LONGEST_TEXT}
        values = [value for value, _label in self.labels]
        if not isinstance(value, bool | float) and value in values:
            return ""
        return _("Choose one of these: %(values)s.") % {"values": ", ".join(map(str, values))}


def asked(project: Project) -> tuple[Asked, ...]:
    """The criteria that are asked now, beside the preset's, by their keys. No query: the project's
    rules keep them.
    """
    return tuple(_from_kept(fields) for fields in project.rules.asked.get("criteria", ()))


def accepted(project: Project) -> tuple[Asked, ...]:
    """The same, and those that were retired a short while ago, which are not required."""
    earliest = (now() - LATE).isoformat()
    late = [kept for kept in project.rules.asked.get("late", ()) if kept["retired_at"] > earliest]
    return asked(project) + tuple(_from_kept(kept["criterion"]) for kept in late)


def known(project: Project) -> dict[str, Asked]:
    """All criteria of the project by name, also those that are retired and the preset's. One
    query.
    """
    return {
        criterion.name: replace(_from_kept(_as_asked(criterion)), preset=bool(criterion.preset))
        for criterion in project.criteria.all()
    }


def _from_kept(fields: dict[str, Any]) -> Asked:
    return Asked(**fields | {"labels": tuple(map(tuple, fields["labels"]))})


# Actions of admins


@transaction.atomic
def create(actor: User | None, project: Project, **fields: Any) -> Criterion:
    """Ask something new. A key that was retired comes back in its next revision.

    Raises Refused where the key is asked already, or the labels don't fit the kind.
    """
    _lock(project)
    earlier = project.criteria.filter(key=fields["key"]).order_by("-revision").first()
    if earlier and (earlier.preset or earlier.retired_at is None):
        raise Refused(_("This project has a criterion with this key already."), "key")
    if len(asked(project)) >= MOST_CRITERIA:
        raise Refused(_("A project asks at most %(most)s criteria.") % {"most": MOST_CRITERIA})
    made = _make(project, earlier.revision + 1 if earlier else 1, fields)
    audit.record(actor, "add criterion", made, project, name=made.name)
    refresh(project)
    return made


@transaction.atomic
def change(actor: User, criterion: Criterion, **changes: Any) -> Criterion:
    """Ask it otherwise from now on: the next revision, and the one before is retired.

    Raises Refused for a criterion of the preset, one that is retired, or labels that don't fit.
    """
    _reread(criterion)
    _refuse_preset(criterion)
    if criterion.retired_at:
        raise Refused(_("This criterion is retired: add it again with its key."))
    before = {name: getattr(criterion, name) for name in CHANGEABLE}
    changed = [name for name, value in changes.items() if before[name] != value]
    if not changed:
        return criterion
    _retire(criterion)
    fields = before | changes | {"key": criterion.key}
    made = _make(criterion.project, criterion.revision + 1, fields)
    audit.record(actor, "change criterion", made, criterion.project, name=made.name, fields=changed)
    refresh(criterion.project)
    return made


@transaction.atomic
def retire(actor: User, criterion: Criterion) -> None:
    """Ask it no more; its scores stay. Twice is harmless. Raises Refused for one of the preset."""
    _reread(criterion)
    _refuse_preset(criterion)
    if criterion.retired_at is None:
        _retire(criterion)
        audit.record(actor, "retire criterion", criterion, criterion.project, name=criterion.name)
        refresh(criterion.project)


CHANGEABLE = ("scope", "kind", "question", "labels", "required")


def _make(project: Project, revision: int, fields: dict[str, Any]) -> Criterion:
    labels = _labels(fields["kind"], fields.get("labels") or [])
    return Criterion.objects.create(
        **fields | {"project": project, "revision": revision, "labels": labels}
    )


def _retire(criterion: Criterion) -> None:
    criterion.retired_at = now()
    criterion.save(update_fields=["retired_at"])


def _reread(criterion: Criterion) -> None:
    """The criterion as it is, once it is this change's turn."""
    project = criterion.project
    _lock(project)
    criterion.refresh_from_db()
    criterion.project = project


def _refuse_preset(criterion: Criterion) -> None:
    if criterion.preset:
        raise Refused(_("The project's settings switch ratings and flags on and off."))


def _labels(kind: str, labels: Any) -> list:
    """The labels as they are stored. Raises Refused where they don't fit the kind."""
    if kind == Kind.SCALE:
        return _steps(labels)
    if kind == Kind.CHOICE:
        return _choices(labels)
    if labels:
        raise Refused(_("Only a scale or a choice has labels."), "labels")
    return []


def _steps(labels: Any) -> list[dict[str, Any]]:
    steps = labels if isinstance(labels, list) else []
    for step in steps:
        if not isinstance(step, dict) or not {"value"} <= set(step) <= {"value", "label"}:
            raise Refused(_('Write each step as {"value": 1, "label": "poor"}.'), "labels")
        if type(step["value"]) is not int or abs(step["value"]) > LARGEST:
            raise Refused(
                _("The value of a step is a whole number of at most %(most)s.") % {"most": LARGEST},
                "labels",
            )
    values = [step["value"] for step in steps]
    if not 2 <= len(values) <= MOST_STEPS or values != sorted(set(values)):
        raise Refused(
            _("A scale has 2 to %(most)s steps, from the lowest value to the highest.")
            % {"most": MOST_STEPS},
            "labels",
        )
    return [
        {"value": step["value"], "label": _label(step.get("label", ""), empty=True)}
        for step in steps
    ]


NO_STEP = gettext_lazy("A step begins with a whole number: %(line)s")
STEP = re.compile(r"([+-]?\d{1,6})(?:\s*[:=]\s*|\s+|$)(.*)")


def labels_of(kind: str, text: str) -> list:
    """Labels as a form holds them, one a line: `1: poor` of a scale, a text of a choice. Raises
    Refused.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if kind != Kind.SCALE:
        return lines
    steps = []
    for line in lines:
        found = STEP.fullmatch(line)
        if found is None:
            raise Refused(NO_STEP % {"line": line}, "labels")
        steps.append({"value": int(found[1]), "label": found[2]})
    return steps


def labels_text(labels: list) -> str:
    """The same the other way round."""
    return "\n".join(
        f"{label['value']}: {label['label']}".rstrip(": ") if isinstance(label, dict) else label
        for label in labels
    )


def _choices(labels: Any) -> list[str]:
    choices = [_label(label) for label in labels] if isinstance(labels, list) else []
    if not 2 <= len(choices) <= MOST_STEPS or len(set(choices)) < len(choices):
        raise Refused(
            _("A choice has 2 to %(most)s different texts.") % {"most": MOST_STEPS}, "labels"
        )
    return choices


def _label(label: Any, empty: bool = False) -> str:
    text = clean(label) if isinstance(label, str) else ""
    if not (isinstance(label, str) and len(text) <= LONGEST_LABEL and (text or empty)):
        raise Refused(
            _("A label is a text of at most %(most)s characters.") % {"most": LONGEST_LABEL},
            "labels",
        )
    return text


# The preset InstructGPT


def preset(project: Project, flags: Iterable[str] = ()) -> tuple[int, dict[str, int]]:
    """The keys of the rating and of each flag in the database; those that are missing are made."""
    stored = project.rules.asked
    if "rating" not in stored or not set(flags) <= set(stored["flags"]):
        keep_preset(project, flags)
        stored = project.rules.asked
    return stored["rating"], stored["flags"]


@transaction.atomic
def keep_preset(project: Project, flags: Iterable[str] = ()) -> None:
    """Make the criteria of the preset that the project lacks: the rating, and a yes-no criterion
    for each flag that it asks, or that `flags` names.

    They are made once and stay: whether they are asked, the project's settings say.
    """
    _lock(project)
    keys = set(project.criteria.values_list("key", flat=True))
    of_preset = project.criteria.filter(preset=INSTRUCT_GPT)
    made = set(of_preset.filter(kind=Kind.YES_NO).values_list("question", flat=True))
    missing = []
    if not of_preset.filter(kind=Kind.SCALE).exists():
        missing.append(_rating(project, unused_key(RATING, keys)))
    for flag in dict.fromkeys([*project.rules.flags, *flags]):
        if flag not in made:
            missing.append(_flag(project, flag, unused_key(flag, keys)))
    Criterion.objects.bulk_create(missing)
    refresh(project)


def _rating(project: Project, key: str) -> Criterion:
    return Criterion(
        project=project,
        key=key,
        kind=Kind.SCALE,
        question="Overall quality",
        labels=[{"value": value, "label": ""} for value in RATINGS],
        preset=INSTRUCT_GPT,
    )


def _flag(project: Project, flag: str, key: str) -> Criterion:
    return Criterion(project=project, key=key, kind=Kind.YES_NO, question=flag, preset=INSTRUCT_GPT)


def unused_key(text: str, keys: set[str]) -> str:
    """A key made of a text, which none of `keys` is; it is then one of them."""
    base = slugify(text)[:LONGEST_KEY].strip("-_") or "flag"
    key, number = base, 2
    while key in keys:
        key = f"{base[: LONGEST_KEY - 4]}-{number}"
        number += 1
    keys.add(key)
    return key


# What the project's rules keep of them


def _lock(project: Project) -> None:
    """Changes of a project's criteria take turns."""
    # no_key: rows that refer to the project can still be inserted
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    project.rules.refresh_from_db(fields=["asked", "flags"])


def refresh(project: Project) -> None:
    """Store with the rules which criteria there are, so that forms and submits need no query."""
    kept: dict[str, Any] = {"flags": {}, "criteria": [], "late": []}
    not_over = Q(retired_at=None) | Q(retired_at__gt=now() - LATE)
    for criterion in project.criteria.filter(not_over).order_by("pk"):
        if criterion.retired_at:
            late = {"retired_at": criterion.retired_at.isoformat()}
            kept["late"].append(late | {"criterion": _as_asked(criterion)})
        elif not criterion.preset:
            kept["criteria"].append(_as_asked(criterion))
        elif criterion.kind == Kind.SCALE:
            kept["rating"] = criterion.pk
        else:
            kept["flags"][criterion.question] = criterion.pk
    kept["criteria"].sort(key=lambda fields: fields["key"])
    project.rules.asked = kept
    project.rules.save(update_fields=["asked"])


def _as_asked(criterion: Criterion) -> dict[str, Any]:
    names = ("pk", "name", "key", "scope", "kind", "question", "required")
    labels = [
        [label["value"], label["label"]] if isinstance(label, dict) else [label, label]
        for label in criterion.labels
    ]
    return {name: getattr(criterion, name) for name in names} | {"labels": labels}
