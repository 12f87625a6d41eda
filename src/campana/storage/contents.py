"""Owns what a campaign says, frozen by revision: how it is written down and read again.

Must not know when a revision is made, nor how what it says is sent.
"""

from __future__ import annotations

import msgspec

from campana.domain.call import CallPlan, VoiceSuccess
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings, VoiceSettings
from campana.domain.delivery import Medium
from campana.domain.message import Content


class _Body(msgspec.Struct):
    """The frozen content of a revision. What has a default was not written by earlier versions."""

    sms: SmsSettings | None
    voice: VoiceSettings | None
    email: EmailSettings | None
    voice_success: VoiceSuccess = VoiceSuccess.HEARD
    acknowledge_keys: str = ""
    merges: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Body).decode


def body_of(campaign: Campaign) -> str:
    """What the campaign says, as it is kept under a revision."""
    rest = (campaign.voice_success, campaign.acknowledge_keys, campaign.merges)
    body = _Body(campaign.sms, campaign.voice, campaign.email, *rest)
    return _encode(body).decode()


def content_of(body: str, medium: Medium, guid: str) -> Content | None:
    """What a frozen body says on a medium, for a campaign with this guid; None where it says nothing there."""
    says = _decode(body)
    if medium is Medium.SMS and says.sms:
        return Content(medium, says.sms.from_number or "", says.sms.text or "", campaign=guid, merges=says.merges)
    if medium is Medium.EMAIL and says.email:
        email = says.email
        html, subject = email.html or "", email.subject or ""
        return Content(medium, email.from_address or "", html, subject, guid, merges=says.merges)
    if medium is Medium.VOICE and says.voice:
        voice = says.voice
        plan = _call_plan(says, voice)
        number, text = voice.calling_number or "", voice.text or ""
        return Content(medium, number, text, campaign=guid, call=plan, merges=says.merges)
    return None


def _call_plan(says: _Body, voice: VoiceSettings) -> CallPlan:
    return CallPlan(
        dial_ms=voice.dial_timeout_ms,
        plays=voice.max_plays,
        calling_name=voice.calling_name or "",
        voice=voice.voice_name or "",
        success=says.voice_success,
        acknowledge_keys=says.acknowledge_keys,
    )
