"""Below /p/<slug>/."""

from django.urls import path

from labeling.views import (
    datasets,
    desk,
    downloads,
    erasure,
    history,
    models,
    people,
    prompts,
    rank,
    ring,
    tasks,
    writing,
)

urlpatterns = [
    path("", ring.project, name="project"),
    path("loop/", ring.ring, name="ring"),
    # Ranking
    path("rank/", rank.rank, name="rank"),
    path("rank/undo", rank.rank_undo, name="rank-undo"),
    path("rank/<int:assignment_id>/submit", rank.rank_submit, name="rank-submit"),
    path("rank/<int:assignment_id>/ahead", rank.rank_ahead, name="rank-ahead"),
    path("rank/<int:assignment_id>/draft", rank.rank_draft, name="rank-draft"),
    path("rank/<int:assignment_id>/skip", rank.rank_skip, name="rank-skip"),
    path("rank/<int:assignment_id>/revise", history.revise, name="rank-revise"),
    path("rank/history/", history.history, name="history"),
    path("rank/desk", desk.rank_desk, name="rank-desk"),
    path("rank/keys/", desk.rank_keys, name="rank-keys"),
    path("guidelines/", rank.guidelines, name="guidelines"),
    # Writing
    path("write/", writing.write, name="write"),
    path("write/<int:pk>/save", writing.write_save, name="write-save"),
    path("write/<int:pk>/submit", writing.write_submit, name="write-submit"),
    path("write/<int:pk>/back", writing.write_back, name="write-back"),
    path("write/review/", writing.reviews, name="reviews"),
    path("write/review/<int:pk>/", writing.review, name="review"),
    path("write/ask/demonstration/", writing.ask, {"kind": "demonstration"}, name="ask-demonstrations"),
    path("write/ask/prompt/", writing.ask, {"kind": "prompt"}, name="ask-prompts"),
    path("write/withdraw", writing.withdraw, name="wishes-withdraw"),
    # People and settings
    path("people/", people.members, name="members"),
    path("people/<int:pk>/role", people.member_role, name="member-role"),
    path("people/<int:pk>/pause", people.member_pause, name="member-pause"),
    path("people/<int:pk>/unpause", people.member_unpause, name="member-unpause"),
    path("people/<int:pk>/remove", people.member_remove, name="member-remove"),
    path("people/<int:pk>/erase", erasure.erase, name="member-erase"),
    path("leave", people.leave, name="leave"),
    path("settings/", people.settings, name="settings"),
    # Prompts
    path("prompts/", prompts.prompt_list, name="prompts"),
    path("prompts/upload", prompts.upload, name="prompts-upload"),
    path("prompts/set-aside/", tasks.set_aside_list, name="set-aside"),
    path("tasks/<int:pk>/put-back", tasks.task_put_back, name="task-put-back"),
    path("tasks/<int:pk>/retire", tasks.task_retire, name="task-retire"),
    path("tasks/<int:pk>/gold", tasks.task_gold, name="task-gold"),
    path("tasks/<int:pk>/not-gold", tasks.task_not_gold, name="task-not-gold"),
    path("prompts/<int:pk>/", prompts.prompt, name="prompt"),
    # Datasets, models, and what joins them to judgments
    path("datasets/", datasets.dataset_list, name="datasets"),
    path("datasets/<int:pk>/", datasets.dataset, name="dataset"),
    path("datasets/freeze/", datasets.freeze, name="freeze"),
    path("datasets/freeze/preview", datasets.freeze_preview, name="freeze-preview"),
    path("datasets/<int:pk>/delete", datasets.dataset_delete, name="dataset-delete"),
    path("datasets/<int:pk>/download", downloads.dataset_download, name="dataset-download"),
    path("datasets/<int:pk>/labelers", downloads.dataset_key, name="dataset-key"),
    path("jobs/<int:pk>/answers.jsonl", downloads.job_answers, name="job-answers"),
    path("models/", models.model_list, name="models"),
    path("models/<int:pk>/", models.model, name="model"),
]
