"""A Podium for whole tests, of every folder: tests/conftest.py has these fixtures in it, so that
all share the one.
"""

import pytest

from tests.system.podium import QuickPodium


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    from tests.workers import tiny  # torch, which most runs don't need

    return tiny.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def running_podium(tmp_path_factory, tiny_model):
    """One Podium for all tests of the session; each leaves it well. Ctrl-C at the end must leave no
    process.
    """
    podium = QuickPodium(tmp_path_factory.mktemp("var"), tiny_model)
    podium.start()
    yield podium
    try:
        podium.stop()
    finally:
        podium.kill()


@pytest.fixture
def own_podium(tmp_path, tiny_model):
    """A Podium for one test alone, not yet started; whatever is left of it is killed afterwards."""
    podium = QuickPodium(tmp_path / "var", tiny_model)
    yield podium
    if podium.process:
        podium.kill()
