"""How the suite divides its work among processes."""

import os

import pytest


@pytest.mark.torch
def test_what_computes_is_played_by_one_process(request):
    """xdist passes its groups over without a word where it does not fit to pytest."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("one process plays all")
    assert request.node.nodeid.endswith("@torch")
