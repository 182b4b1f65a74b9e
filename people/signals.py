"""What the apps above must hear of, because they hold leases and jobs: sent once the deed is done.

Not inside its transaction: returning many leases in one would hold locks that claims wait for in
another order.
"""

from django.dispatch import Signal

paused = (
    Signal()
)  # user, project (None: the whole account): given no more work, what they hold goes back
willing = Signal()  # user: says now whether they are willing to judge sensitive content
reordered = Signal()  # project: its tasks are offered in another order from now on
archived = Signal()  # actor, project: read-only from now on
