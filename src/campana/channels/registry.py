"""Owns the list of channels that are built in: for each its settings and how a route is made of them.

Must not know more of a channel than that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from campana.channels import email, sms, voice
from campana.channels.contract import Route
from campana.channels.settings import RouteSettings
from campana.channels.voice.channel import VoiceRoute
from campana.channels.voice.speech.speech import Speech
from campana.domain.delivery import Medium
from campana.domain.moment import Clock


@dataclass(frozen=True, slots=True)
class Means:
    """What routes are made with, beside their settings."""

    clock: Clock
    speech: Speech
    """One for all routes of a process: what one has spoken, the others need not."""
    process: str = field(default_factory=lambda: token_hex(4))
    """The mark of this process, 8 hex digits: what goes by it alone and outlives it, as a call, bears the mark."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A built-in channel."""

    medium: Medium
    settings: type[RouteSettings]
    build: Callable[[Any, Means], Route]


def _sms(settings: Any, means: Means) -> Route:
    return sms.SmsRoute(settings, means.clock)


def _email(settings: Any, means: Means) -> Route:
    return email.EmailRoute(settings, means.clock)


def _voice(settings: Any, means: Means) -> Route:
    return VoiceRoute(settings, means.clock, means.speech, means.process)


CHANNELS: dict[str, Channel] = {
    "sms": Channel(Medium.SMS, sms.SmsRouteSettings, _sms),
    "voice": Channel(Medium.VOICE, voice.VoiceRouteSettings, _voice),
    "email": Channel(Medium.EMAIL, email.EmailRouteSettings, _email),
}
