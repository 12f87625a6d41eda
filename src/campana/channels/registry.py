"""Owns the list of channels that are built in: for each its settings and how a route is made of them.

Must not know more of a channel than that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from campana.channels import email, sms
from campana.channels.contract import Route
from campana.channels.settings import RouteSettings
from campana.domain.delivery import Medium
from campana.domain.moment import Clock


@dataclass(frozen=True, slots=True)
class Channel:
    """A built-in channel."""

    medium: Medium
    settings: type[RouteSettings]
    build: Callable[[Any, Clock], Route]


CHANNELS: dict[str, Channel] = {
    "sms": Channel(Medium.SMS, sms.SmsRouteSettings, sms.SmsRoute),
    "email": Channel(Medium.EMAIL, email.EmailRouteSettings, email.EmailRoute),
}
