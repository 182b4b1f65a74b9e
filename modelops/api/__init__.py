"""Jobs, models and what they report, for scripts."""
