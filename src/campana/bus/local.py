"""Owns the bus inside one process.

Must not know of any other process, nor what a hint is for.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from campana.bus.contract import Hint

log = structlog.get_logger(__name__)


class LocalBus:
    """Calls its listeners at once, in the order in which they came. One at fault keeps no other from hearing."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Hint], None]] = []

    def tell(self, hint: Hint) -> None:
        """Pass a hint on to every listener."""
        for listener in tuple(self._listeners):
            try:
                listener(hint)
            except Exception:
                log.exception("bus.defect", news=hint.news.value)

    def listen(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `listener` for each hint; returns the function that ends it."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end
