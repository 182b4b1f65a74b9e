"""Web processes never import torch: it costs seconds and hundreds of megabytes."""

import os
import subprocess
import sys

from tests.system.podium import ROOT

LOAD_EVERYTHING = """
import sys
import config.wsgi
from django.urls import get_resolver

def load(patterns):
    for pattern in patterns:
        load(getattr(pattern, "url_patterns", []))

load(get_resolver().url_patterns)
heavy = {"torch", "transformers", "trl", "peft", "pyarrow", "pandas"} & set(sys.modules)
sys.exit(f"imported: {sorted(heavy)}" if heavy else 0)
"""


def test_the_web_application_imports_no_torch(tmp_path):
    environment = os.environ | {"PODIUM_VAR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", LOAD_EVERYTHING], cwd=ROOT, env=environment, capture_output=True
    )

    assert done.returncode == 0, done.stderr.decode()
