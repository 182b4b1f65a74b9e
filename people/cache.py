"""All processes share a cache in the broker. While that is away, each has one of its own."""

from __future__ import annotations

import json
import logging
from time import monotonic
from typing import Any

import redis
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

log = logging.getLogger(__name__)
AGAIN_SECONDS = 5  # between two looks whether the broker is back
SHARED = ("add", "get", "set", "touch", "delete", "incr", "has_key", "clear")
SHARED += ("get_many", "set_many", "delete_many")


class Plain:
    """Values as JSON. Django pickles them: whoever can write to the broker could run code here."""

    def dumps(self, value: Any) -> Any:
        return value if type(value) is int else json.dumps(value)  # a bare number can be counted up

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class BrokerCache(RedisCache):
    """While the broker is away, which the log says, each process counts for itself."""

    away_until: float | None = None  # of all threads

    def __init__(self, server: str, params: dict[str, Any]):
        options = {"serializer": Plain} | params.get("OPTIONS", {})
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
        BrokerCache.away_until = monotonic() + AGAIN_SECONDS

    @staticmethod
    def note_back() -> None:
        if BrokerCache.away_until is not None:
            BrokerCache.away_until = None
            log.warning("the broker is back: processes count together again")


def _shared(name: str):
    def method(self, *arguments, **named):
        return self.shared(name, *arguments, **named)

    return method


for _name in SHARED:
    setattr(BrokerCache, _name, _shared(_name))
