import os

os.umask(0o077)  # each process that make up starts, and each command: what they write is no one else's

from config.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
