"""Django's entry for the app `labeling`."""

from django.apps import AppConfig


class LabelingConfig(AppConfig):
    name = "labeling"

    def ready(self) -> None:
        from labeling import signal_handlers  # noqa: F401  (connects them)
        from modelops.kinds import PROJECT_DEFAULTS
        from people.access import READ_WITH

        READ_WITH.append("project__rules")
        PROJECT_DEFAULTS["sample"] = lambda project: {"k": project.rules.k}
