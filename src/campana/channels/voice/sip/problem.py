"""Owns why a call can end without the other side having said so.

Must not know what it means to a delivery: codes.py of the channel does.
"""

from __future__ import annotations

from enum import Enum


class Problem(Enum):
    """What ended a call, where no final response (or none that tells) did."""

    TIMEOUT = "timeout"
    """The INVITE was not answered at all: timer B, or the dial timeout without any provisional response."""
    NO_ANSWER = "no answer"
    """The dial timeout came after a provisional response."""
    TRANSPORT = "transport"
    """No host of the trunk could be reached, or the connection was lost."""
    AUTHENTICATION = "authentication"
    """The trunk asks for credentials that we have not, or refuses those that we have."""
    NO_COMMON_MEDIA = "no common media"
    """It was answered without a sound that we could agree on."""
    WITHDRAWN = "withdrawn"
    """We gave it up before it left."""
