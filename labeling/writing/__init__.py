"""Demonstrations and prompts that people are asked to write, and their review."""
