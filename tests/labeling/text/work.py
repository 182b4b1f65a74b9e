"""How much work something is, counted: a clock would also measure what else the machine does."""

import sys


def lines_run(work) -> int:
    """How many lines and calls of Python `work` runs."""
    run = 0

    def count(_frame, _event, _argument):
        nonlocal run
        run += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return run
