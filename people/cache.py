"""A cache in the broker, shared by all processes. Without the broker, each process has its own."""

from __future__ import annotations

import json
import logging
from time import monotonic
from typing import Any

import redis
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

log = logging.getLogger(__name__)
RETRY_SECONDS = 5  # between two attempts to reach the broker
SHARED = ("add", "get", "set", "touch", "delete", "incr", "has_key", "clear")
SHARED += ("get_many", "set_many", "delete_many")


class JSONSerializer:
    """Values as JSON. Django would pickle them: a writer to the broker could then run code here."""

    def dumps(self, value: Any) -> Any:
        return value if type(value) is int else json.dumps(value)  # `incr` needs a plain number

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class BrokerCache(RedisCache):
    """Redis, and a local cache per process while the broker is unreachable (which is logged)."""

    away_until: float | None = None  # shared by all threads

    def __init__(self, server: str, params: dict[str, Any]):
        options = {"serializer": JSONSerializer} | params.get("OPTIONS", {})
        super().__init__(server, params | {"OPTIONS": options})
        self.own = LocMemCache("while the broker is away", {"KEY_PREFIX": self.key_prefix})

    def shared(self, name: str, *arguments, **named) -> Any:
        if BrokerCache.away_until is None or monotonic() >= BrokerCache.away_until:
            try:
                answer = getattr(super(), name)(*arguments, **named)
            except redis.RedisError as error:
                self.note_away(error)
            else:
                self.note_back()
                return answer
        return getattr(self.own, name)(*arguments, **named)

    @staticmethod
    def note_away(error: redis.RedisError) -> None:
        if BrokerCache.away_until is None:
            log.warning("the broker is not reached, each process counts for itself: %s", error)
        BrokerCache.away_until = monotonic() + RETRY_SECONDS

    @staticmethod
    def note_back() -> None:
        if BrokerCache.away_until is not None:
            BrokerCache.away_until = None
            log.warning("the broker is back: processes count together again")


def _shared(name: str):
    def method(self: Any, *arguments, **named):
        return self.shared(name, *arguments, **named)

    return method


for _name in SHARED:
    setattr(BrokerCache, _name, _shared(_name))
