"""Filters for the log."""

import logging


class WithoutTraceback(logging.Filter):
    """Log a response below 500 (403, 404, …) as one line: its traceback says nothing useful."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True
