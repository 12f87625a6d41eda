"""Owns the closed vocabulary of what a channel may say when a message was not simply accepted.

Each error says whose fault it is and carries one row of the outcome table with the carrier's own words. Must
not decide about retries: the engine's sending bend is the one place that catches these.
"""

from __future__ import annotations

from campana.domain.outcome import DeliveryCode


class SendError(Exception):
    """An attempt was not accepted. `carrier_code` and `carrier_text` are the carrier's own words, for people."""

    def __init__(self, code: DeliveryCode, carrier_code: str | None = None, carrier_text: str | None = None) -> None:
        super().__init__(f"{code.name} {carrier_code or ''} {carrier_text or ''}".strip())
        self.code = code
        self.carrier_code = carrier_code
        self.carrier_text = carrier_text


class Throttled(SendError):
    """The carrier asked to slow down. It provably has not taken the message; no attempt is used up."""


class Unreachable(SendError):
    """There is no working connection. The message provably never left; no attempt is used up."""


class Misconfigured(SendError):
    """The route itself is refused (credentials, settings). The message never left; no attempt is used up."""


class RefusedForNow(SendError):
    """The carrier answered: not this message, not now. The attempt counts; it may go again."""


class RefusedForGood(SendError):
    """The carrier answered: never this message to this destination. The attempt counts and is the last."""


class Uncertain(SendError):
    """It was handed over, at least in part, and no answer came: it may or may not have arrived."""


class Withdrawn(SendError):
    """The permit had gone by the time the message was to be written. It never left; no attempt is used up."""

    def __init__(self) -> None:
        super().__init__(DeliveryCode.OK)
