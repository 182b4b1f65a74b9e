"""Ratings and flags become scores by criteria of the preset InstructGPT; and back."""

import sys

from django.db import migrations
from django.db.models import Q
from django.utils.text import slugify

PRESET = 'InstructGPT'
BATCH = 2000


class Preset:
    """The criteria of the preset of each project; those that are missing are made as they are
    met.
    """

    def __init__(self, apps):
        self.criteria = apps.get_model('labeling', 'Criterion').objects
        self.rules = apps.get_model('labeling', 'ProjectRules').objects
        self.keys, self.ratings, self.flags = {}, {}, {}
        for project, flags in self.rules.order_by('pk').values_list('pk', 'flags'):
            self.begin(project, flags)

    def begin(self, project, flags):
        of_project = list(self.criteria.filter(project=project))
        self.keys[project] = {criterion.key for criterion in of_project}
        of_preset = [criterion for criterion in of_project if criterion.preset]
        self.ratings[project] = next((one.pk for one in of_preset if one.kind == 'scale'), None)
        self.flags[project] = {one.question: one.pk for one in of_preset if one.kind == 'yes-no'}
        if self.ratings[project] is None:
            steps = [{'value': value, 'label': ''} for value in range(1, 8)]
            fields = {'kind': 'scale', 'question': 'Overall quality', 'labels': steps}
            self.ratings[project] = self.make(project, 'rating', **fields)
        for flag in flags:
            self.flag(project, flag)

    def flag(self, project, flag):
        flags = self.flags[project]
        if flag not in flags:
            flags[flag] = self.make(project, flag, kind='yes-no', question=flag)
        return flags[flag]

    def make(self, project, text, **fields):
        base = slugify(text)[:40].strip('-_') or 'flag'
        key, number = base, 2
        while key in self.keys[project]:
            key, number = f'{base[:36]}-{number}', number + 1
        self.keys[project].add(key)
        return self.criteria.create(project_id=project, key=key, preset=PRESET, **fields).pk

    def keep(self):
        """The rules keep the criteria, as forms and submits read them."""
        for project, flags in self.flags.items():
            kept = {'rating': self.ratings[project], 'flags': flags, 'criteria': []}
            self.rules.filter(pk=project).update(asked=kept)




def copy_to_scores(apps, schema_editor):
    """Raises RuntimeError unless each rating and each flag is found again."""
    scores = apps.get_model('labeling', 'Score')
    ranked = apps.get_model('labeling', 'RankedCandidate').objects
    said = ranked.filter(Q(rating__isnull=False) | ~Q(flags=[])).values_list(
        'pk', 'ranking', 'candidate', 'rating', 'flags', 'ranking__task__project'
    )
    preset, last, expected = Preset(apps), 0, 0
    while batch := list(said.filter(pk__gt=last).order_by('pk')[:BATCH]):
        made = []
        for last, ranking, candidate, rating, flags, project in batch:
            about = {'ranking_id': ranking, 'candidate_id': candidate}
            if rating is not None:
                made.append(scores(criterion_id=preset.ratings[project], value=rating, **about))
            for flag in dict.fromkeys(flags):  # named twice, it says no more
                made.append(scores(criterion_id=preset.flag(project, flag), value=True, **about))
        scores.objects.bulk_create(made, ignore_conflicts=True)
        expected += len(made)
    preset.keep()
    copied = scores.objects.filter(criterion__preset=PRESET).count()
    if copied != expected:
        raise RuntimeError(f'{copied} of {expected} ratings and flags were copied.')


def copy_to_columns(apps, schema_editor):
    """What the preset's scores say goes back; what other criteria and spans say has no column."""
    scores = apps.get_model('labeling', 'Score').objects
    ranked = apps.get_model('labeling', 'RankedCandidate').objects
    others = scores.exclude(criterion__preset=PRESET).count()
    spans = apps.get_model('labeling', 'Span').objects.count()
    if others or spans:
        print(f' {others} scores and {spans} spans have no column: they go.', file=sys.stderr)
    of_preset = scores.filter(criterion__preset=PRESET, candidate__isnull=False).order_by('ranking')
    last = 0
    while rankings := list(
        of_preset.filter(ranking__gt=last).values_list('ranking', flat=True).distinct()[:BATCH // 4]
    ):
        last = rankings[-1]
        rows = {
            (row.ranking_id, row.candidate_id): row for row in ranked.filter(ranking__in=rankings)
        }
        for row in rows.values():
            row.rating, row.flags = None, []
        said = of_preset.filter(ranking__in=rankings).order_by('pk').values_list(
            'ranking', 'candidate', 'value', 'criterion__kind', 'criterion__question'
        )
        for ranking, candidate, value, kind, question in said:
            row = rows[ranking, candidate]
            if kind == 'scale':
                row.rating = value
            else:
                row.flags.append(question)
        ranked.bulk_update(rows.values(), ['rating', 'flags'], batch_size=500)


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0022_criteria'),
    ]

    operations = [
        migrations.RunPython(copy_to_scores, copy_to_columns),
    ]
