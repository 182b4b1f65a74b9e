"""What the log says of a request that was refused."""

import logging


class WithoutTraceback(logging.Filter):
    """A refusal (403, 404 …) is one line: its traceback only shows where Podium refused."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True
