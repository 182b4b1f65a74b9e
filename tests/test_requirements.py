"""A host that neither samples nor trains runs on requirements-web.txt."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OWN = {"config", "people", "modelops", "labeling", "workers", "tests"}
GETS_THE_MODEL = "download_model.py"
ONLY_TYPES = {"django_stubs_ext"}


def modules():
    for package in ("config", "people", "modelops", "labeling"):
        yield from (ROOT / package).rglob("*.py")
    for path in (ROOT / "workers").iterdir():
        if path.suffix == ".py" and path.name != GETS_THE_MODEL:
            yield path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_pages_and_their_jobs_import_is_pinned_for_a_host_without_torch():
    pinned = {
        normal(re.split(r"[=\[]", line)[0])
        for line in (ROOT / "requirements-web.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    distributions = packages_distributions()
    unpinned = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules()
        for name in set(imported(path)) - OWN - ONLY_TYPES - set(sys.stdlib_module_names)
        if not pinned & {normal(found) for found in distributions.get(name, [])}
    }

    assert pinned
    assert unpinned == set()
