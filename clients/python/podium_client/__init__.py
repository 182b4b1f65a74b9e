"""Podium from Python.

from podium_client import Podium

podium = Podium("http://127.0.0.1:8000", token="podium_…")
demo = podium.project("demo")
for ranking in demo.rankings():
    print(ranking["order"])
demo.datasets.download(3, "conversational", "pairs.jsonl")
"""

from podium_client.client import Podium
from podium_client.errors import JobFailed, NotNow, Problem, Refused
from podium_client.project import ProjectClient

__all__ = ["JobFailed", "NotNow", "Podium", "Problem", "ProjectClient", "Refused"]
