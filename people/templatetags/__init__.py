"""Template tags of the ranking form and its answers."""
