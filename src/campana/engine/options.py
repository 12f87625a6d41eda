"""Owns what the engine can be told: its numbers, and how deliveries go again.

Must not read configuration: wiring hands the values in.
"""

from __future__ import annotations

from dataclasses import dataclass

from campana.domain.campaign import UncertainPolicy
from campana.domain.delivery import Medium
from campana.domain.moment import DAY, HOUR, MINUTE, Clock
from campana.domain.retry import RetryRule
from campana.storage.store import CampaignRow
from campana.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How long what is over is kept, in milliseconds; 0 keeps it for ever."""

    deleted_ms: int = 90 * DAY
    """A deleted campaign's records, from its deletion on."""
    ended_ms: int = 0
    """A campaign from its end on; then it is deleted."""
    incoming_ms: int = 365 * DAY
    """Messages that people sent."""
    round_ms: int = HOUR
    """How often is looked for it."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Numbers of the river. Times in milliseconds."""

    owner: str
    """Unique name of this process among all that share the database."""
    retry_delays: tuple[int, ...]
    lease_ms: int = 30_000
    chunk_size: int = 500
    chunk_ms: int = 10_000
    """The chunks that a route carries at a time hold no more than this much of its work together, so that nobody
    waits long behind them."""
    flush_size: int = 100
    leases_per_route: int = 6
    """Of a route without lines; see Way.most_leases."""
    waiting_chunks: int = 2
    """Chunks of one lane that may wait for each worker: more would only make others wait."""
    rescan_ms: int = 30_000
    """How often everything is looked through, in case a hint was lost."""
    watch_ms: int = 1_000
    """How often the campaigns that are being sent are looked at, in case a hint was lost."""
    retention: RetentionOptions = RetentionOptions()


@dataclass(frozen=True, slots=True)
class Tools:
    """What the engine measures time and itself with."""

    clock: Clock
    metrics: Metrics


def retry_rule(options: EngineOptions, campaign: CampaignRow, medium: Medium) -> RetryRule:
    """How a campaign's deliveries go again on a medium: voice by the campaign's interval, others by the server's."""
    about = campaign.campaign
    if medium is Medium.VOICE:
        minutes = about.voice.retry_minutes if about.voice else 0
        return RetryRule((minutes * MINUTE,), about.voice_uncertain)
    policy: UncertainPolicy = about.sms_uncertain if medium is Medium.SMS else about.email_uncertain
    return RetryRule(options.retry_delays, policy)
