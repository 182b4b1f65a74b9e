"""Prompts, tasks, judgments and datasets, for scripts."""
