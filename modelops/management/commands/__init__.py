"""The commands of labeling."""
