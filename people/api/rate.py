"""How many requests one person's scripts may send, counted for all web processes together."""

from rest_framework.throttling import UserRateThrottle


class Rate(UserRateThrottle):
    """One number for each person and each second, minute, hour or day of the clock.

    DRF's own keeps a list of times, which two processes at once write over for each other.
    """

    def allow_request(self, request, view) -> bool:
        window, gone = divmod(self.timer(), self.duration)
        self.left = self.duration - gone
        return self.count(f"{self.get_cache_key(request, view)}_{window:.0f}") <= self.num_requests

    def count(self, key: str) -> int:
        """This request's number within its window."""
        try:
            return self.cache.incr(key)
        except ValueError:  # there is no such number yet
            return 1 if self.cache.add(key, 1, self.duration) else self.cache.incr(key)

    def wait(self) -> float:
        return self.left
