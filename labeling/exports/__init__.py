"""Datasets: what is frozen, its statistics and card, and the formats it is downloaded in."""
