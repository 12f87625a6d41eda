"""Owns how many requests a minute a session or a key may make of this process: a token bucket for each.

Must not know whose they are.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from campana.api.rest.problems import Retry
from campana.domain.errors import MethodCode

REMEMBERED = 10_000
"""Buckets kept in memory: the one that was used longest ago is forgotten, which fills it."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit."""

    limit: int
    remaining: int
    reset: int
    """Seconds until nothing of it is used."""

    def headers(self) -> dict[str, str]:
        """As the draft of the IETF on RateLimit header fields had it, and as most clients read them."""
        return {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(self.reset),
        }


class Limiter:
    """Buckets of requests: each holds a minute's worth and fills evenly. Used from one event loop."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_minute` 0 is without limit, but for those that have one of their own; `clock` counts seconds."""
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()

    def take(self, credential: bytes, own: int | None = None) -> Allowance | None:
        """Take one request of a credential's bucket; None where nothing limits it.

        `own` is the limit of the credential itself. Raises 31 RateLimited, with the seconds to wait.
        """
        limit = self._per_minute if own is None else own
        if not limit:
            return None
        now = self._clock()
        bucket = self._buckets.pop(credential, None) or _Bucket(limit, now)
        bucket.left = min(float(limit), bucket.left + (now - bucket.at) * limit / 60)
        bucket.at = now
        self._buckets[credential] = bucket
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if bucket.left < 1:
            raise Limited(limit, math.ceil((1 - bucket.left) * 60 / limit))
        bucket.left -= 1
        return Allowance(limit, int(bucket.left), math.ceil((limit - bucket.left) * 60 / limit))


class Limited(Retry):
    """31 RateLimited, with what the limit is."""

    def __init__(self, limit: int, seconds: int) -> None:
        super().__init__(MethodCode.RATE_LIMITED, f"No more than {limit} requests a minute are allowed.", seconds)
        self.allowance = Allowance(limit, 0, 60)
