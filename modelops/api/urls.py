"""Below /api/v1/."""

from django.urls import include, path

from modelops.api import jobs, workers

JOBS = [
    path("jobs", jobs.Jobs.as_view()),
    path("jobs/<int:pk>", jobs.JobView.as_view()),
    path("jobs/<int:pk>/cancel", jobs.Cancel.as_view()),
    path("jobs/<int:pk>/resume", jobs.Resume.as_view()),
    path("jobs/<int:pk>/log", jobs.Log.as_view()),
    path("jobs/<int:pk>/metrics", jobs.Metrics.as_view()),
]
urlpatterns = [
    path("workers", workers.Workers.as_view()),
    path("recipes", jobs.Recipes.as_view()),
    path("projects/<slug:slug>/", include(JOBS)),
]
