"""The assignment queue: which task a labeler is given next, and for how long."""
