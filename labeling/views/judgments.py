"""Judged tasks: find them, and see their prompt, their answers and who ranked how."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.exports.forms import day_field
from labeling.models import Prompt, Ranking, RankingTask, judge_kind
from labeling.quality import judged
from labeling.queue import seen
from labeling.views import judge_names, judged_rows
from labeling.views.keys import key_in
from modelops import registry
from modelops.models import Job
from people import pseudonyms
from people.access import READERS, member, sees_names
from people.models import Project

PER_PAGE = 10
IMPORTS_LISTED = 200
ALL = [("", gettext_lazy("all"))]


class JudgedForm(forms.Form):
    """What judged tasks are filtered by. An empty field asks for nothing."""

    q = forms.CharField(label=gettext_lazy("Find in prompts"), required=False, max_length=200)
    judge = forms.ChoiceField(label=gettext_lazy("Judge"), required=False)
    model = forms.CharField(label=gettext_lazy("Model"), required=False, max_length=100)
    agreement_from = forms.IntegerField(
        label=gettext_lazy("Agreement from, %"), required=False, min_value=0, max_value=100
    )
    agreement_to = forms.IntegerField(
        label=gettext_lazy("to, %"), required=False, min_value=0, max_value=100
    )
    ties = forms.ChoiceField(
        label=gettext_lazy("Ties"),
        required=False,
        choices=[*ALL, ("yes", gettext_lazy("with ties")), ("no", gettext_lazy("without"))],
    )
    since = day_field(gettext_lazy("Judged from"))
    until = day_field(gettext_lazy("to"))
    job = forms.ChoiceField(label=gettext_lazy("Import"), required=False)
    source = forms.CharField(label=gettext_lazy("Source"), required=False, max_length=100)
    use_case = forms.CharField(label=gettext_lazy("Use case"), required=False, max_length=40)
    language = forms.CharField(label=gettext_lazy("Language"), required=False, max_length=10)
    split = forms.ChoiceField(
        label=gettext_lazy("Split"),
        required=False,
        choices=[*ALL, *((value, value) for value in Prompt.Split.values)],
    )

    FIRST = ("q", "judge", "model", "agreement_from", "agreement_to", "ties", "since", "until")

    def __init__(self, project: Project, data: dict[str, Any], names: bool):
        super().__init__(data, auto_id="filter-%s")
        self.project = project
        newest = judged.newest(project)
        self.judges = {pseudonyms.of(project, judge.pk): judge for judge in judged.judges(newest)}
        self.fields["judge"].choices = ALL + sorted(
            (
                (pseudonym, judge_names.name_or(judge, pseudonym, names))
                for pseudonym, judge in self.judges.items()
            ),
            key=lambda choice: choice[1],
        )
        self._add_unlisted(data.get("judge", ""))
        self.fields["job"].choices = ALL + _imports(project)
        suggestions = judged.values(newest) | {"model": judged.models(newest)}
        for name, values in suggestions.items():
            self.fields[name].suggestions = values
            self.fields[name].widget.attrs["list"] = f"known-{name}"

    def _add_unlisted(self, pseudonym: str) -> None:
        """A judge of older judgments is not listed; their rows link to this filter all the same."""
        if pseudonym and pseudonym not in self.judges:
            self.unlisted = judged.judge_of(self.project, pseudonym)
            if self.unlisted:
                self.fields["judge"].choices += [(pseudonym, pseudonym)]

    def clean_model(self) -> int | None:
        name = self.cleaned_data["model"]
        if not name:
            return None
        version = registry.visible(self.project).filter(name=name).first()
        if version is None:
            raise forms.ValidationError(_("No model version of this project has this name."))
        return version.pk

    def wanted(self) -> judged.Wanted:
        """What a valid form asks for."""
        cleaned = self.cleaned_data
        return judged.Wanted(
            search=cleaned["q"],
            **{
                name: cleaned[name] for name in ("source", "use_case", "language", "split", "model")
            },
            job=int(cleaned["job"]) if cleaned["job"] else None,
            judge=self._judge(cleaned["judge"]),
            since=self._start(cleaned["since"]),
            until=self._start(cleaned["until"] and cleaned["until"] + timedelta(days=1)),
            ties={"yes": True, "no": False}.get(cleaned["ties"]),
            least=_share(cleaned["agreement_from"]),
            most=_share(cleaned["agreement_to"]),
        )

    def _judge(self, pseudonym: str) -> UUID | None:
        if not pseudonym:
            return None
        return self.judges[pseudonym].pk if pseudonym in self.judges else self.unlisted

    def _start(self, day: date) -> datetime | None:
        """The start of a day in the project's zone."""
        return datetime.combine(day, time.min, ZoneInfo(self.project.zone)) if day else None

    def first(self) -> list[forms.BoundField]:
        return [self[name] for name in self.FIRST]

    def further(self) -> list[forms.BoundField]:
        """The fields that are folded until one of them is used."""
        return [self[name] for name in self.fields if name not in self.FIRST]

    def uses_further(self) -> bool:
        return any(field.value() or field.errors for field in self.further())

    def asked(self) -> dict[str, str]:
        """The parameters that ask for something, for links."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}


def _share(percent: int | None) -> float | None:
    return None if percent is None else percent / 100


def _imports(project: Project) -> list[tuple[str, str]]:
    """(key, file and day) of the newest imports; a check that wrote nothing is none."""
    jobs = Job.objects.filter(project=project, kind=Job.Kind.IMPORT, state=Job.State.DONE)
    return [
        (str(job.pk), f"{job.recipe.get('filename') or job} · {job.created_at:%Y-%m-%d}")
        for job in jobs.order_by("-pk")[:IMPORTS_LISTED]
        if not job.recipe.get("dry_run")
    ]


@member(*READERS)
@require_GET
@never_cache
def judgment_list(request: HttpRequest) -> HttpResponse:
    """Judged tasks, the newest first."""
    form = JudgedForm(request.project, request.GET.dict(), names=sees_names(request.membership))
    asked = form.asked()
    context = {"form": form, "asked": asked, "query": urlencode(asked), "page": None, "rows": []}
    if not form.is_valid():
        return render(request, "labeling/judgments/judgments.html", context, status=422)
    page = judged.page(
        request.project,
        form.wanted(),
        PER_PAGE,
        before=key_in(request, "before"),
        after=key_in(request, "after"),
    )
    rows = read(request, page.tasks, whole=False, query=urlencode(asked))
    context |= {"page": page, "rows": rows}
    context |= {"looked_at": judged.LOOKED_AT, "compared": judged.COMPARED}
    template = "_judgment_list.html" if request.htmx else "judgments.html"
    return render(request, f"labeling/judgments/{template}", context)


@member(*READERS)
@require_GET
@never_cache
def judgment_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One judged task in whole, or, to fold it in a list, in brief."""
    query = request.GET.copy()
    query.pop("brief", None)
    shown = read(request, [pk], whole="brief" not in request.GET, query=query.urlencode())
    if not shown:
        raise Http404
    context = {"row": shown[0], "query": query.urlencode()}
    template = "_judged.html" if request.htmx else "judgment.html"
    return render(request, f"labeling/judgments/{template}", context)


def read(
    request: HttpRequest, tasks: list[int], whole: bool, query: str
) -> list[judged_rows.ShownRow]:
    """These tasks as this reader may see them. Who sees what others decided gets no place on them
    any more.
    """
    judged_tasks = judged.read(request.project, tasks)
    seen.note_rankings(
        request.user, (ranking for judged_task in judged_tasks for ranking in judged_task.rankings)
    )
    return [
        judged_rows.shown(
            judged_task.row,
            whole,
            _by(request, judged_task.rankings),
            _place(request.project, judged_task.task, query),
            task=judged_task.task,
            agreement=judged_task.agreement,
            folded=judged_task.task.prompt.sensitive and not request.user.sensitive,
        )
        for judged_task in judged_tasks
    ]


def _place(project: Project, task: RankingTask, query: str) -> judged_rows.Place:
    address = reverse("judgment", args=[project.slug, task.pk])
    return judged_rows.place(f"task-{task.pk}", _("Task %(n)s") % {"n": task.pk}, address, query)


def _by(request: HttpRequest, rankings: Iterable[Ranking]) -> list[judged_rows.By]:
    return [_who(request, ranking) for ranking in rankings]


def _who(request: HttpRequest, ranking: Ranking) -> judged_rows.By:
    if ranking.kind in Ranking.FOR_ALL:  # nobody's judgment
        return judged_rows.By(_for_all(ranking), at=ranking.created_at, note=ranking.note)
    names = sees_names(request.membership)
    return judged_rows.By(
        judge_names.of(request.project, ranking, ranking.by, names),
        pseudonyms.of(request.project, ranking.judge),
        judge_kind(ranking.kind, ranking.by),
        ranking.created_at,
        ranking.note,
    )


def _for_all(ranking: Ranking) -> str:
    return _("Answer key") if ranking.kind == Ranking.Kind.GOLD else _("Adjudicated")
