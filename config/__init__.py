"""The settings, the URLs, and the processes that `make up` starts."""

import os

# Imported by each command and each process of `make up`, so that all files they write are private.
os.umask(0o077)

from config.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
