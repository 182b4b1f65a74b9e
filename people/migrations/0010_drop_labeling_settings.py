from django.db import migrations


class Migration(migrations.Migration):
    """The labeling settings are in labeling.ProjectRules now, whose migration has copied them."""

    dependencies = [
        ('people', '0009_delivery_plural'),
        ('labeling', '0020_project_rules'),
    ]

    operations = [
        *(
            migrations.RemoveConstraint(model_name='project', name=name)
            for name in (
                'a_project_ranks_two_to_nine_answers',
                'a_task_has_a_labeler',
                'at_most_half_of_the_tasks_are_gold',
            )
        ),
        *(
            migrations.RemoveField(model_name='project', name=name)
            for name in (
                'k', 'overlap', 'completion', 'skips_to_set_aside', 'ties', 'rating', 'flags',
                'notes', 'strength', 'lease_minutes', 'daily_limit', 'gold_share',
            )
        ),
    ]
