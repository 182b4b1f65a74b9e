import os

from django.core.wsgi import get_wsgi_application

from workers.lifeline import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
if "SUPERVISOR_ENABLED" in os.environ:
    end_with_parent()  # granian serves from a child, which would outlive a killed granian
application = get_wsgi_application()
