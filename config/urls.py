from django.contrib import admin
from django.urls import include, path

from config.health import healthz
from labeling.views.components import components

urlpatterns = [
    path("healthz", healthz),
    path("back-office/", admin.site.urls),
    path("components/", components, name="components"),
    path("", include("people.urls")),
    path("p/<slug:slug>/", include("modelops.urls")),
    path("p/<slug:slug>/", include("labeling.urls")),
]
