"""The run of a trainer: its recipe, events, checkpoints, figures and loop."""
