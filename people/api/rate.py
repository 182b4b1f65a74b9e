"""The rate limit of a user's requests, shared by all web processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle

if TYPE_CHECKING:  # REST framework reads this module while it makes its views
    from rest_framework.views import APIView


class Rate(UserRateThrottle):
    """A counter for each user and window (a second, minute, hour or day of the clock).

    DRF's own class stores a list of times, which concurrent processes overwrite.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        window, elapsed = divmod(self.timer(), self.duration)
        self.remaining = self.duration - elapsed
        key = f"{self.get_cache_key(request, view)}_{window:.0f}"
        return self.count(key) <= self.num_requests

    def count(self, key: str) -> int:
        """This request's number within its window."""
        try:
            return self.cache.incr(key)
        except ValueError:  # the key does not exist yet
            return 1 if self.cache.add(key, 1, self.duration) else self.cache.incr(key)

    def wait(self) -> float:
        return self.remaining
