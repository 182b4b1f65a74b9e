"""Signals for the apps above, which hold leases and jobs. Sent after the action has committed.

They are not sent inside the action's transaction: returning many leases there could deadlock with
concurrent claims, which take the same locks in another order.
"""

from django.dispatch import Signal

# user, project (None: all projects): gets no new tasks; leases are returned
paused = Signal()
# user: opted in to sensitive content, or out of it
willing = Signal()
# returns what rows refer to in the data folder: {path below it: what it is, in words}
kept_files = Signal()
# actor, project: the project is now read-only
archived = Signal()
