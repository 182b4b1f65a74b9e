"""A Podium whose clocks run fast, so that tests need not wait for a minute of silence."""

from benchmarks.podium import ROOT, Podium, free_port, wait_for

__all__ = ["ROOT", "QuickPodium", "free_port", "wait_for"]
QUICK = {"PODIUM_SILENT_SECONDS": "2", "PODIUM_BEAT_SECONDS": "0.5", "PODIUM_SWEEP_SECONDS": "1"}


class QuickPodium(Podium):
    def __init__(self, var, model, **environment):
        super().__init__(var, model, **QUICK | environment)
