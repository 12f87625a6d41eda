"""Owns the bus inside one process.

Must not be used where several processes share a database.
"""

from __future__ import annotations

from collections.abc import Callable

from campana.bus.contract import Hint


class LocalBus:
    """Calls its listeners at once, in the order in which they came."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Hint], None]] = []

    def tell(self, hint: Hint) -> None:
        """Pass a hint on to every listener."""
        for listener in tuple(self._listeners):
            listener(hint)

    def listen(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `listener` for each hint; returns the function that ends it."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end
