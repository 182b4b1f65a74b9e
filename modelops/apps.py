"""Django's entry for the app `modelops`."""

from django.apps import AppConfig


class ModelopsConfig(AppConfig):
    name = "modelops"

    def ready(self) -> None:
        from modelops import signal_handlers  # noqa: F401  (connects them)
