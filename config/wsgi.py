"""The WSGI application."""

import gc
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from granian.utils.proxies import wrap_wsgi_with_proxy_headers

from workers.parent_death import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
if "SUPERVISOR_ENABLED" in os.environ:
    end_with_parent()  # granian serves from a child process, which would outlive a killed parent
database = settings.DATABASES["default"]
database["OPTIONS"] = settings.PAGE_DATABASE_OPTIONS | database["OPTIONS"]  # DATABASE_URL's win
# Behind a proxy, use the client's IP address: log-in lockouts depend on it.
application = wrap_wsgi_with_proxy_headers(get_wsgi_application(), settings.TRUSTED_PROXIES)
# A page creates thousands of short-lived objects: a collection for each 700 of them took 5 % of
# the time.
gc.set_threshold(10_000, 20, 20)
