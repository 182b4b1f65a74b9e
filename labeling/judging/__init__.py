"""Judging a task: the form, its draft, the ranking that is recorded, and who hears of it."""
