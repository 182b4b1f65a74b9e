"""The WSGI application."""

import gc
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from granian.utils.proxies import wrap_wsgi_with_proxy_headers

from workers.parent_death import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
if "SUPERVISOR_ENABLED" in os.environ:
    end_with_parent()  # granian serves from a child, which would outlive a killed granian
# Behind a proxy, the address of a request is the client's: locks of log-ins go by it.
application = wrap_wsgi_with_proxy_headers(get_wsgi_application(), settings.TRUSTED_PROXIES)
# Pages are made of thousands of objects that die at once: looking for cycles among each 700 took a
# twentieth of the time.
gc.set_threshold(10_000, 20, 20)
