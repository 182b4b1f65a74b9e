"""Every component in every state on one page, made of the templates of the real pages. All of it is
invented: no query.
"""

from __future__ import annotations

import math
from datetime import timedelta
from types import SimpleNamespace

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.messages.storage.base import Message
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from labeling.judging import judgment
from labeling.judging.criteria import Asked
from labeling.loop import stations
from labeling.models import ProjectRules
from labeling.text import conversations
from labeling.views.task_card import Undoable, around, shown, vocabulary
from modelops import charts
from modelops.job_report import recipe_rows
from modelops.models import Dataset, Job, Metric, ModelVersion
from people.models import Project

NOWHERE = "-"  # the short name of no project: what is pressed here leads nowhere

MARKDOWN = """\
# Before she begins

It is **wonderful** that she wants to move more. She could ask:

1. Is my *dose* stable enough to begin something new?
2. Which activities have a risk of falls?
   - stairs
   - ice, or a wet floor

> When in doubt, call first.

| medicine | test | food |
|---|---|---|
| warfarin | INR | steady vitamin K |
| apixaban | rarely | as usual |

A [link](https://example.org), `a little code`, and ~~what no longer holds~~. With $n$ tablets of
\\(m\\) mg a week, at $5 or $7 each:

\\[
\\bar d = \\frac{1}{7} \\sum_{i=1}^{n} m_i
= \\begin{cases} 0 & \\text{if } n = 0 \\\\ \\frac{nm}{7} & \\text{otherwise} \\end{cases}
\\]

![how the dose changes](https://example.org/dose.png)"""
CODE = (
    "<think>\nShe wants a *plan*.\n\nA function, then.\n</think>\n\n"
    "```python\ndef plan(days):  # gently\n    return [day for day in days if day != "
    '"Sunday"][:5]\n```\n\n```diff\n@@ -1,2 +1,2 @@\n walk\n-run\n+swim\n```'
)
ARABIC = (
    "قبل أن تبدأ، يمكنها أن تسأل الطبيب: هل جرعتي **مستقرة**؟\n\n- أي الأنشطة يجب تجنبها؟\n- متى "
    "أتصل بك (INR > 3)؟"
)
CHINESE = (
    "开始锻炼之前，她可以问医生：目前的剂量是否稳定？"
    "哪些运动容易摔倒或碰撞，应该避免？\n\n"
    "散步、水中健身操通常是比较温和的选择。"
)
HARSH = "She should throw the pills away and fight whoever says otherwise."

# One answer for each state: first, not ranked yet, tied, tied, flagged, refused.
ANSWERS = (MARKDOWN, CODE, ARABIC, CHINESE, HARSH, "")
TYPED = {
    "rank": {"a": 1, "c": 2, "d": 2, "e": 4},
    "rating": {"a": 6, "e": 1},
    "flags": {"e": ["violent", "harmful_advice"]},
    "labels": ["asks_advice"],
    "note": "The second one only makes a list.",
    "order": "acde",
    "outcome": "ranked",
    "scores": {"helpfulness": {"a": 2}},
}
CRITERIA = (
    Asked(
        pk=1,
        name="helpfulness",
        key="helpfulness",
        scope="answer",
        kind="scale",
        question="Helpfulness",
        required=True,
        labels=((1, "poor"), (2, "good")),
    ),
    Asked(
        pk=2,
        name="why",
        key="why",
        scope="ranking",
        kind="text",
        question="Why is the first one the best?",
        required=False,
        labels=(),
    ),
)
TURNS = [
    {
        "role": "system",
        "content": "You answer in plain language for someone without a medical background.",
    },
    {"role": "user", "content": "My grandmother takes a blood thinner. May she exercise?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "type": "function",
                "function": {"name": "leaflet", "arguments": '{"medicine": "blood thinner"}'},
            }
        ],
    },
    {"role": "tool", "name": "leaflet", "content": "Avoid sports with a risk of injury."},
    {"role": "assistant", "content": "Usually yes, and it does her good. Her doctor knows more."},
    {"role": "user", "content": "What should she ask before she begins?"},
]
CARDS = {
    "ranks": gettext_lazy("ranks"),
    "strength": gettext_lazy("strength of preference"),
    "nothing": gettext_lazy("nothing to rank"),
    "lost": gettext_lazy("lost to someone else"),
    "paused": gettext_lazy("paused"),
}


@login_required
@require_GET
def components(request: HttpRequest) -> HttpResponse:
    """For whoever changes a template or the stylesheet; open to anybody with an account, for it
    tells nothing of anyone.
    """
    chosen = request.GET.get("card")
    example = SimpleNamespace(project=project(strength=chosen == "strength"), user=request.user)
    context = (
        around(example)
        | ranking_page(chosen, example.project)
        | job_page()
        | {
            "example": example,
            "cards": CARDS.items(),
            "chosen": chosen if chosen in CARDS else "ranks",
            "form": Specimen({"age": "many", "kind": "b", "text": "Some text"}),
            "said": [Message(level, str(text)) for level, text in MESSAGES],
            "loop": loop_status(),
            "versions": versions(),
            "page": Paginator(range(30), 10).page(2),
            "today": 23,
            "pace": 95,
            "progress": 41,
        }
    )
    return render(request, "labeling/styleguide.html", context)


def project(**rules) -> Project:
    return ProjectRules(project=Project(slug=NOWHERE, name=_("An example")), **rules).project


MESSAGES = (
    (messages.INFO, gettext_lazy("That task was already submitted; here is the next one.")),
    (messages.SUCCESS, gettext_lazy("Your settings are saved.")),
    (
        messages.WARNING,
        gettext_lazy("There is nothing to undo: the ranking was already undone, or is too old."),
    ),
    (
        messages.ERROR,
        gettext_lazy("A project needs at least one admin. Make somebody else admin first."),
    ),
)


class Specimen(forms.Form):
    """A field of each kind; filled in wrongly."""

    name = forms.CharField(
        label=gettext_lazy("Name"), help_text=gettext_lazy("One sentence says what it is for.")
    )
    age = forms.IntegerField(label=gettext_lazy("Number"))
    kind = forms.ChoiceField(label=gettext_lazy("Choice"), choices=[("a", "a"), ("b", "b")])
    ticked = forms.BooleanField(
        label=gettext_lazy("Tick"),
        required=False,
        help_text=gettext_lazy("What it means to tick it."),
    )
    file = forms.FileField(label=gettext_lazy("File"), required=False)
    text = forms.CharField(label=gettext_lazy("Text"), widget=forms.Textarea(attrs={"rows": 3}))

    def clean(self) -> None:
        raise forms.ValidationError(_("What concerns the whole form stands above it."))


# The ranking page


def ranking_page(chosen: str | None, of: Project) -> dict:
    answers = ANSWERS[:2] if of.rules.strength else ANSWERS
    wrong = judgment.InvalidRanking(_("Answer %(letter)s has no rank yet.") % {"letter": "F"}, "f")
    empty = chosen in ("nothing", "lost", "paused")
    return vocabulary(of, len(answers), CRITERIA) | {
        "fragment": "labeling/judging/_empty.html" if empty else "labeling/judging/_task.html",
        "lost": chosen == "lost",
        "paused": of.get_state_display() if chosen == "paused" else "",
        "others": 12,
        "free_at": now() + timedelta(minutes=8, seconds=30),
        "assignment_id": 0,
        "turns": conversations.shown(TURNS),
        "answers": shown(answers, TYPED, wrong),
        "typed": TYPED,
        "undo": Undoable("ranking", 1) if empty else None,
    }


# The loop


def job_page() -> dict:
    """Jobs in each state, and what the page of one shows."""
    started = {
        "started_at": now() - timedelta(minutes=12),
        "kind": Job.Kind.REWARD,
        "recipe": {},
        "total": 1200,
    }
    jobs = [
        Job(
            pk=5,
            kind=Job.Kind.SAMPLE,
            state=Job.State.QUEUED,
            note=_("waiting for a device"),
            recipe={},
        ),
        Job(pk=4, state=Job.State.RUNNING, done=492, **started),
        Job(pk=3, state=Job.State.DONE, done=1200, finished_at=now(), **started),
        Job(pk=2, state=Job.State.CANCELLED, done=80, finished_at=now(), **started),
        Job(
            pk=1,
            state=Job.State.FAILED,
            done=311,
            finished_at=now(),
            error=_("There is not enough memory for a batch of 64. Try a smaller one."),
            **started,
        ),
    ]
    losses = [
        (step, 0.69 * math.exp(-step / 90) + 0.05 * math.sin(step)) for step in range(0, 200, 4)
    ]
    jobs[1].losses = [loss for _step, loss in losses]
    jobs[1].spark = charts.spark(jobs[1].losses)
    return {
        "jobs": jobs,
        "job": jobs[-1],
        "bars": charts.bars(
            "answers by model", [("assistant 2", 812), ("assistant 1", 311), ("Base", 0)]
        ),
        "charts": [
            charts.chart("loss", losses),
            charts.chart("accuracy", [(s, 0.75 - v / 2) for s, v in losses]),
        ],
        "log": [
            SimpleNamespace(at=now(), text=text)
            for text in ("loads the model", "step 1 of 1200, loss 0.6931")
        ],
        "final": [("validation", [accuracy(), Metric(name="pairs", value=1204)])],
        "recipe": recipe_rows(
            Job(kind=Job.Kind.SAMPLE, recipe={"k": 4, "temperature": 0.8, "rank": True})
        ),
    }


def accuracy() -> Metric:
    return Metric(name="accuracy", value=0.689, low=0.665, high=0.713, n=1204)


def versions() -> list[SimpleNamespace]:
    """Stand-ins: an alias of a real version is a query."""
    base = {
        "project_id": 1,
        "external": False,
        "created_at": now(),
        "job": None,
        "dataset": None,
        "parent": None,
    }
    policy = base | {"pk": 1, "name": "smollm2-r2", "kind": "policy", "rankings": 1310}
    reward = base | {"pk": 2, "name": "reward-r2", "kind": "reward", "headline": accuracy()}
    champion = SimpleNamespace(all=[SimpleNamespace(name="champion")])
    return [
        SimpleNamespace(**policy, aliases=champion),
        SimpleNamespace(**reward, aliases=SimpleNamespace(all=[])),
    ]


def loop_status() -> stations.LoopStatus:
    reward, base = ModelVersion(pk=2, name="reward-r2"), ModelVersion(pk=3, name="smollm2")
    policy = ModelVersion(pk=1, name="smollm2-r2", parent=base)
    return stations.LoopStatus(
        stations.Prompts(4096, {"train": 3277, "validation": 410, "test": 409}, duplicates=17),
        stations.Candidates(16384, Job(recipe={"k": 4}, model_version=policy), 3),
        stations.Rankings(
            1310,
            8,
            1200,
            3600,
            2290,
            ties=14,
            agreement=72.6,
            plus_minus=1.5,
            judge_kinds={"person": 1190, "model": 120},
        ),
        stations.Unfrozen(6120, 1310, Dataset(digest="f" * 64)),
        stations.Rewards(reward, accuracy(), Metric(name="longer_answer_accuracy", value=0.551)),
        stations.Policies(policy, policy, 2, True),
        next="rankings",
    )
