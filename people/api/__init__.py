"""The API, beside the pages: the same verbs, asked by scripts. What all parts share, and the
people's own part.
"""
