"""Management commands: backup, restore, token."""
