"""People at work through the API."""

import pytest

from tests.labeling.api.hands import Hands


@pytest.fixture
def hands_of(client_for):
    """This person at work through the API."""
    return lambda person: Hands(client_for(person))


@pytest.fixture
def labeler(hands_of, alice):
    return hands_of(alice)


@pytest.fixture
def admin(hands_of, carol):
    return hands_of(carol)
