"""Engines: they answer prompts, with a model of this machine or through a server."""

import os

# Before torch is imported: threads that wait by spinning steal the cores that other processes need,
# and one forward pass on a busy two-core machine was measured ten times slower for it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
