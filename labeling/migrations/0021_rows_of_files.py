from django.db import migrations, models
import django.db.models.deletion


def refuse_shared_rows(apps, schema_editor):
    """The version before has one task of a row, and of a job's answers to a prompt."""
    shared = apps.get_model("labeling", "RankingTask").objects.filter(row_position__gt=0).count()
    if shared:
        raise RuntimeError(
            f"{shared} tasks share a row of a file, or a prompt of an import, with another task: "
            "the version before can't hold them. Restore a backup from before the import."
        )


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0020_project_rules'),
        ('modelops', '0008_alias_plural'),
        ('people', '0009_delivery_plural'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='rankingtask',
            name='a_job_makes_one_task_of_a_prompt',
        ),
        migrations.AddField(
            model_name='rankingtask',
            name='row_position',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text="From 0, where a row or a job's answers to a prompt make several tasks."),
        ),
        migrations.AlterField(
            model_name='rankingtask',
            name='row',
            field=models.ForeignKey(db_index=False, help_text='Of a file: judged elsewhere.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='tasks', to='labeling.importedrow'),
        ),
        migrations.AddConstraint(
            model_name='rankingtask',
            constraint=models.UniqueConstraint(fields=('row', 'row_position'), name='a_row_makes_one_task_at_a_position'),
        ),
        migrations.AddConstraint(
            model_name='rankingtask',
            constraint=models.UniqueConstraint(condition=models.Q(('row', None)), fields=('job', 'prompt', 'row_position'), name='a_job_makes_one_task_of_a_prompt_at_a_position'),
        ),
        migrations.RunPython(migrations.RunPython.noop, refuse_shared_rows),
    ]
