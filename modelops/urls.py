"""Below /p/<slug>/."""

from django.urls import path

from modelops import views

urlpatterns = [
    path("jobs/", views.job_list, name="jobs"),
    path("jobs/live", views.jobs_live, name="jobs-live"),
    path("jobs/new/<str:kind>/", views.job_new, name="job-new"),
    path("jobs/<int:pk>/", views.job, name="job"),
    path("jobs/<int:pk>.json", views.job_json, name="job-json"),
    path("jobs/<int:pk>/log", views.job_log, name="job-log"),
    path("jobs/<int:pk>/cancel", views.job_cancel, name="job-cancel"),
    path("jobs/<int:pk>/resume", views.job_resume, name="job-resume"),
    path("models/register", views.model_register, name="model-register"),
    path("models/serve", views.model_serve, name="model-serve"),
    path("models/<int:pk>/promote", views.model_promote, name="model-promote"),
]
