"""Measurements: Podium beside other software, and the loop with a scripted labeler."""
