"""Owns why the other side ended something, as its Reason headers say (RFC 3326).

Must not know what a cause means.
"""

from __future__ import annotations

from dataclasses import dataclass

from campana.channels.voice.sip.headers import SipSyntaxError, parse_reason
from campana.channels.voice.sip.message import Request, Response

LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Told:
    """Q.850 cause, if one was told, and the words beside it, else those beside a SIP status."""

    cause: int | None
    text: str


def told_in(message: Request | Response) -> Told:
    """Read the Reason headers; what cannot be read is left out."""
    cause, words, other = None, "", ""
    for value in message.headers.all("Reason")[:8]:
        try:
            reason = parse_reason(value)
        except SipSyntaxError:
            continue
        if reason.protocol == "Q.850" and reason.cause is not None and reason.cause <= 127:
            cause, words = reason.cause, reason.text
        else:
            other = other or reason.text
    return Told(cause, (words or other)[:LONGEST_TEXT])
