from django.apps import AppConfig


class LabelingConfig(AppConfig):
    name = "labeling"

    def ready(self):
        from labeling import receivers  # noqa: F401  (connects them)
