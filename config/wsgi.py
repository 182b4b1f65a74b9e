"""The WSGI application."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.template.loader import get_template
from django.urls import get_resolver
from granian.utils.proxies import wrap_wsgi_with_proxy_headers

from workers.parent_death import end_with_parent

# What functions import when they need it. Left out: labeling.text.similarity and languages, whose
# packages take memory that few web processes need.
LATER = ["modelops.stores.cache", "modelops.stores.bucket", "labeling.imports.mapping.joined"]


def load_everything() -> None:
    get_resolver().url_patterns  # noqa: B018 (imports all views)
    for module in LATER:
        import_module(module)
    folder = settings.BASE_DIR / "templates"
    for file in sorted(folder.rglob("*.*")):
        get_template(str(file.relative_to(folder)))


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
if "SUPERVISOR_ENABLED" in os.environ:
    end_with_parent()  # granian serves from a child process, which would outlive a killed parent
handler = get_wsgi_application()
database = settings.DATABASES["default"]
database["OPTIONS"] = settings.PAGE_DATABASE_OPTIONS | database["OPTIONS"]  # DATABASE_URL's win
# Once the code on the disk is replaced (make reload), what this process would load of it later
# no longer fits what it has loaded: it loads all now.
load_everything()
# Behind a proxy, use the client's IP address: log-in lockouts depend on it.
application = wrap_wsgi_with_proxy_headers(handler, settings.TRUSTED_PROXIES)
# A page creates thousands of short-lived objects: a collection for each 700 of them took 5 % of
# the time.
gc.set_threshold(10_000, 20, 20)
