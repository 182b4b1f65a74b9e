"""Trainers: one file per kind, each run as `python -m workers.trainers.KIND`."""
