"""Django's entry for the app `labeling`."""

from django.apps import AppConfig


class LabelingConfig(AppConfig):
    name = "labeling"

    def ready(self):
        from labeling import signal_handlers  # noqa: F401  (connects them)
