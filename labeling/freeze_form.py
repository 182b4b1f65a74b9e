"""The page on which somebody chooses what to freeze: its form, and what would come of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from django import forms
from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import export, selection
from labeling.models import Prompt, Ranking
from labeling.portrait import Portrait, share
from modelops import figures, recipes, registry
from modelops.forms import JobForm
from modelops.models import Dataset, Job
from modelops.recipes import FreezeRecipe
from people.models import Project, User

SAMPLE = 500  # rankings that are looked at closely: those of the newest tasks
BARS = 8
LABELS = {
    "kind": gettext_lazy("A row is"),
    "since": gettext_lazy("From"),
    "until": gettext_lazy("To"),
    "models": gettext_lazy("Model versions"),
    "without": gettext_lazy("Labelers to leave out"),
    "agreement": gettext_lazy("Smallest agreement"),
    "answers": gettext_lazy("Texts to imitate"),
    "adjudicated": gettext_lazy("Adjudicated only"),
    "ties": gettext_lazy("With ties"),
    "apart": gettext_lazy("Keep splits apart"),
}


class FreezeForm(JobForm):
    """The settings of a freeze, with what there is in the project to choose from."""

    def __init__(self, project: Project, *args, names: bool, **kwargs):
        super().__init__(project, Job.Kind.FREEZE, *args, **kwargs)
        del self.fields["replaces"]  # asked for by an erasure only
        for name in ("since", "until"):
            self._change(name, forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"})))
        self._change("kind", forms.ChoiceField(choices=Dataset.Kind.choices))
        for name in ("use_case", "language"):
            known = Prompt.objects.filter(project=project, published=True).exclude(**{name: ""})
            values = known.order_by(name).values_list(name, flat=True).distinct()
            self._change(name, forms.ChoiceField(required=False, choices=[("", _("all")), *((v, v) for v in values)]))
        versions = registry.visible(project).order_by("-pk").values_list("name", flat=True)[:200]
        self._change("models", _several((name, name) for name in versions))
        self._change("without", _several(people(project, names)))
        for name, label in LABELS.items():
            self.fields[name].label = label

    def _change(self, name: str, new: forms.Field) -> None:
        old = self.fields[name]
        new.label, new.help_text, new.initial = old.label, old.help_text, old.initial
        self.fields[name] = new

    def recipe(self) -> dict:
        said = {name: value for name, value in self.cleaned_data.items() if name in self.settings}
        for name in ("since", "until"):
            said[name] = said[name].isoformat() if said[name] else ""
        return said | {name: "\n".join(said[name]) for name in ("models", "without")}


def _several(choices) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        required=False, choices=list(choices), widget=forms.SelectMultiple(attrs={"size": 5})
    )


def people(project: Project, names: bool) -> list[tuple[str, str]]:
    """The project's people; a researcher, who is not to know them, sees numbers."""
    members = project.memberships.select_related("user").order_by("user__email")
    return [(str(one.user_id), str(one.user) if names else f"#{one.user_id}") for one in members]


# What would come of it


@dataclass
class Preview:
    rows: int = 0
    judgments: int = 0
    portrait: Portrait = field(default_factory=Portrait)
    looked_at: int = 0
    kept: int = 0
    first_wins: float | None = None
    splits: list[tuple[str, int]] = field(default_factory=list)
    charts: list = field(default_factory=list)
    bars: list = field(default_factory=list)

    @property
    def sampled(self) -> bool:
        """Whether the closer figures are of the newest tasks only."""
        return self.judgments > SAMPLE

    @property
    def pairs(self) -> int:
        """Of all, at the rate of those that were looked at."""
        return round(self.portrait.pairs * (self.judgments / self.looked_at)) if self.looked_at else 0


def preview(project: Project, recipe: FreezeRecipe, names: bool) -> Preview:
    """Counts of all that the recipe chooses, and figures of its newest part, in a constant number of queries."""
    if recipe.kind != Dataset.Kind.JUDGMENTS:
        return _of_texts(project, recipe)
    chosen = selection.rankings(project, recipe)
    counted = chosen.aggregate(rows=Count("task", distinct=True), judgments=Count("pk"))
    found = Preview(**counted)
    _look_closely(found, chosen, recipe)
    days = chosen.annotate(day=TruncDate("created_at")).values_list("day").annotate(n=Count("pk")).order_by("day")
    by_day = figures.chart(_("judgments a day"), list(enumerate((n for _day, n in days), start=1)))
    found.charts = [by_day] if by_day else []
    found.bars = [
        figures.bars(_("judgments by labeler"), _by_labeler(chosen, found.judgments, names)),
        figures.bars(
            _("answers by model"), with_others(found.portrait.models.most_common(BARS), found.portrait.models.total())
        ),
    ]
    return found


def _of_texts(project: Project, recipe: FreezeRecipe) -> Preview:
    """Written answers, or prompts, by split; a text is made of each prompt, more where there are several answers."""
    if recipe.kind == Dataset.Kind.DEMONSTRATIONS:
        found, split = selection.demonstrations(project, recipe), "prompt__split"
    else:
        found, split = selection.prompts(project, recipe), "split"
    splits = list(found.order_by(split).values_list(split).annotate(n=Count("pk")))
    return Preview(rows=sum(n for _split, n in splits), splits=splits)


def _look_closely(found: Preview, chosen, recipe: FreezeRecipe) -> None:
    newest = list(chosen.order_by("-task").values_list("task", flat=True)[:SAMPLE])
    earlier = shown = 0
    for task, judged in export.with_judgments(chosen, sorted(set(newest))):
        found.looked_at += len(judged)
        judged = selection.keep(judged, recipe)
        found.kept += len(judged)
        if judged:
            found.portrait.add(export.as_row(task, judged))
        for ranking, ranks in judged:
            won, n = first_wins(ranking, ranks, task.answers)
            earlier, shown = earlier + won, shown + n
    found.first_wins = share(earlier, shown)


def first_wins(ranking: Ranking, ranks: list[int], answers: list) -> tuple[int, int]:
    """(pairs that the answer shown earlier wins, pairs)."""
    place = {ranked.candidate_id: ranked.shown for ranked in ranking.ranked.all()}
    pairs = [(i, j) for i in range(len(ranks)) for j in range(len(ranks)) if ranks[i] < ranks[j]]
    return sum(place[answers[i].pk] < place[answers[j].pk] for i, j in pairs), len(pairs)


def _by_labeler(chosen, total: int, names: bool) -> list[tuple[str, int]]:
    """The busiest labelers: by name for those who may know them, in numbers for others."""
    counted = chosen.order_by().values_list("labeler").annotate(n=Count("pk")).order_by("-n", "labeler")
    rows = list(counted[:BARS])
    known = User.objects.in_bulk([pk for pk, _n in rows if pk]) if names else {}
    labels = [_("imported") if pk is None else str(known[pk]) if names else f"#{pk}" for pk, _n in rows]
    return with_others([(label, n) for label, (_pk, n) in zip(labels, rows, strict=True)], total)


def with_others(shown: list[tuple[str, int]], total: int) -> list[tuple[str, int]]:
    rest = total - sum(n for _label, n in shown)
    return [*shown, (_("others"), rest)] if rest > 0 else shown


def recipe_of(form: FreezeForm) -> FreezeRecipe:
    """What the form says so far, or, before anything was said, what it starts from."""
    return recipes.read(Job.Kind.FREEZE, form.recipe() if form.is_bound and form.is_valid() else {})
