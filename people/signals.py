"""What the apps above must hear of, because they hold leases and jobs: sent inside the transaction of the deed."""

from django.dispatch import Signal

paused = Signal()  # user, project (None: the whole account): given no more work, what they hold goes back
archived = Signal()  # actor, project: read-only from now on
