"""The URLs of all apps."""

from django.contrib import admin
from django.urls import include, path, re_path

from config.health import healthz, livez, readyz
from config.metrics import metrics
from labeling.views.projects import project_new
from labeling.views.styleguide import components
from modelops.views.hosts import host_list
from people.api.root import unknown

handler400 = "people.error_pages.bad_request"
handler500 = "people.error_pages.server_error"
urlpatterns = [
    path("healthz", healthz),
    path("livez", livez),
    path("readyz", readyz),
    path("metrics", metrics),
    path("back-office/", admin.site.urls),
    path("projects/new", project_new, name="projects-new"),
    path("components/", components, name="components"),
    path("api/v1/", include("people.api.urls")),
    path("api/v1/", include("modelops.api.urls")),
    path("api/v1/", include("labeling.api.urls")),
    re_path("^api/", unknown),
    path("", include("people.urls")),
    path("hosts/", host_list, name="hosts"),
    path("p/<slug:slug>/", include("modelops.urls")),
    path("p/<slug:slug>/", include("labeling.urls")),
]
