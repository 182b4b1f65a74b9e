"""Below /p/<slug>/."""

from django.urls import path

from modelops.views import jobs, models

urlpatterns = [
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/live", jobs.jobs_live, name="jobs-live"),
    path("jobs/new/<str:kind>/", jobs.job_new, name="job-new"),
    path("jobs/<int:pk>/", jobs.job, name="job"),
    path("jobs/<int:pk>.json", jobs.job_json, name="job-json"),
    path("jobs/<int:pk>/log", jobs.job_log, name="job-log"),
    path("jobs/<int:pk>/cancel", jobs.job_cancel, name="job-cancel"),
    path("jobs/<int:pk>/resume", jobs.job_resume, name="job-resume"),
    path("models/register", models.model_register, name="model-register"),
    path("models/serve", models.model_serve, name="model-serve"),
    path("models/<int:pk>/promote", models.model_promote, name="model-promote"),
]
