"""The settings, the URLs, and the processes that `make up` starts."""

import os

# Each process that `make up` starts and each command imports this: what they write is private.
os.umask(0o077)

from config.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
