"""The whole cycle: its stations, the next useful step, and the lineage of a model."""
