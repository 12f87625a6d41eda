"""Owns how a campaign goes on as resources: balance, report, how its endpoint is told, and the secret that signs it.

Must not know how anything is counted or told.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from campana.api.rest.events import Tally, counters_of
from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import Id, Moment, moment, moment_or_none
from campana.bus.wording import balance_words
from campana.domain.errors import MethodCode
from campana.services.progress import Position, PublicationState
from campana.services.scopes import Scope
from campana.storage.publications import Publication as Told
from campana.storage.publications import Secrets

operation = Operations("Progress")

StateName = Literal["scheduled", "running", "waiting", "paused", "finished", "ended", "cancelled"]
_NO_CAMPAIGN = (MethodCode.CAMPAIGN_NOT_FOUND,)


class Balance(msgspec.Struct, frozen=True):
    """How many contacts are in each status, right now. On each medium the sum is the number of contacts."""

    contacts: int
    sms: Tally
    voice: Tally
    email: Tally
    finished: Annotated[bool, Meta(description="Whether nothing of the campaign can still change by itself.")]
    state: StateName


class Report(msgspec.Struct, frozen=True):
    """A campaign and how it stands."""

    campaign: Id
    name: Annotated[str, Meta(description="The campaign's name.")]
    at: Annotated[Moment, Meta(description="When this was so.")]
    created_at: Moment
    started_at: Annotated[Moment | None, Meta(description="When attempts could begin for the first time.")]
    finished_at: Annotated[Moment | None, Meta(description="When it was told to be finished; null while it is not.")]
    cancelled_at: Moment | None
    last_event: Annotated[int, Meta(description="The number of the last event; 0 where there is none.")]
    balance: Balance


class Publication(msgspec.Struct, frozen=True):
    """How the endpoint of a campaign is told what happens."""

    endpoint: Annotated[str | None, Meta(description="progress_endpoint of the campaign; null where it has none.")]
    status: Annotated[
        Literal["none", "up_to_date", "behind", "failing", "stopped"],
        Meta(description="`failing` is tried again by itself; `stopped` was given up and waits for a retry."),
    ]
    told: Annotated[int, Meta(description="The number of the last event that the endpoint has taken.")]
    last_event: Annotated[int, Meta(description="The number of the last event that there is.")]
    behind: Annotated[int, Meta(description="How many events the endpoint has not taken.")]
    last_success_at: Moment | None
    last_error_at: Moment | None
    last_error: Annotated[str | None, Meta(description="Why it was not taken, for a person.")]
    failures: Annotated[int, Meta(description="How often in a row.")]
    failing_since: Moment | None
    next_try_at: Moment | None
    stopped_at: Moment | None


class Secret(msgspec.Struct, frozen=True):
    """What signs the messages to an account's endpoints (Standard Webhooks)."""

    secret: Annotated[str, Meta(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]
    earlier_secret: Annotated[str | None, Meta(description="The one before, which signs as well for a day.")]
    earlier_until: Moment | None


def balance_of(position: Position) -> Balance:
    """A balance as it is shown."""
    counters = counters_of(balance_words(position.balance))
    media = (counters.sms, counters.voice, counters.email)
    return Balance(counters.contacts, *media, finished=position.finished, state=position.state.value)


@operation("GET", "/campaigns/{campaign}/balance", Says(scope=Scope.CAMPAIGNS_READ, refuses=_NO_CAMPAIGN))
async def get_balance(call: Call[None, None]) -> Answer[Balance]:
    """Read how many contacts of a campaign are in each status.

    It takes the same time whatever the campaign's size.
    """
    return Answer(balance_of(await call.services.progress.balance(call.who, call.guid("campaign"))))


@operation("GET", "/campaigns/{campaign}/report", Says(scope=Scope.CAMPAIGNS_READ, refuses=_NO_CAMPAIGN))
async def get_report(call: Call[None, None]) -> Answer[Report]:
    """Read a campaign's course and balance in one answer."""
    report = await call.services.progress.report(call.who, call.guid("campaign"))
    row, standing = report.row, report.standing
    return Answer(
        Report(
            campaign=row.campaign.guid,
            name=row.campaign.name or "",
            at=moment(report.at),
            created_at=moment(row.campaign.created_at),
            started_at=moment_or_none(standing.started_at),
            finished_at=moment_or_none(standing.finished_at),
            cancelled_at=moment_or_none(row.cancelled_at),
            last_event=standing.number,
            balance=balance_of(report.position),
        )
    )


@operation("GET", "/campaigns/{campaign}/progress", Says(scope=Scope.EVENTS_READ, refuses=_NO_CAMPAIGN))
async def get_progress(call: Call[None, None]) -> Answer[Publication]:
    """Read how the campaign's endpoint is told: how far, its last success, its last error."""
    return Answer(_shown(await call.services.progress.publication(call.who, call.guid("campaign"))))


@operation(
    "POST",
    "/campaigns/{campaign}/progress/retry",
    Says(
        scope=Scope.CAMPAIGNS_WRITE,
        refuses=(MethodCode.CAMPAIGN_NOT_FOUND, MethodCode.ACCESS_DENIED, MethodCode.NOT_FOUND),
    ),
)
async def retry_progress(call: Call[None, None]) -> Answer[Publication]:
    """Have the campaign's endpoint told again now.

    Also where it was given up. It goes on with the first event that was not taken, so that none is missed. A campaign
    without an endpoint is answered with 40.
    """
    return Answer(_shown(await call.services.progress.retry(call.who, call.guid("campaign"))))


@operation("GET", "/account/webhook-secret", Says(scope=Scope.ACCOUNT_ADMIN, refuses=(MethodCode.ACCESS_DENIED,)))
async def get_webhook_secret(call: Call[None, None]) -> Answer[Secret]:
    """Read the secret that signs the account's messages to endpoints.

    For admins. The first one is made when it is first asked for, or when the first message leaves.
    """
    return Answer(_shown_secret(await call.services.webhooks.secret(call.who)))


@operation(
    "POST",
    "/account/webhook-secret/rotate",
    Says(scope=Scope.ACCOUNT_ADMIN, refuses=(MethodCode.ACCESS_DENIED,), idempotent=False),
)
async def rotate_webhook_secret(call: Call[None, None]) -> Answer[Secret]:
    """Renew the secret that signs the account's messages.

    For admins. The one before signs as well for a day, so that receivers can be given the new one meanwhile. An
    Idempotency-Key is accepted and changes nothing: no secret is ever kept to be answered again.
    """
    return Answer(_shown_secret(await call.services.webhooks.rotate(call.who)))


def _shown(state: PublicationState) -> Publication:
    told = state.told or Told(0, "")
    return Publication(
        endpoint=state.endpoint or None,
        status=_status(state),
        told=told.sent,
        last_event=state.last,
        behind=state.behind,
        last_success_at=moment_or_none(told.last_success_at),
        last_error_at=moment_or_none(told.last_error_at),
        last_error=told.last_error,
        failures=told.failures,
        failing_since=moment_or_none(told.failing_since),
        next_try_at=moment_or_none(told.next_at or None),
        stopped_at=moment_or_none(told.stopped_at),
    )


def _status(state: PublicationState) -> Literal["none", "up_to_date", "behind", "failing", "stopped"]:
    told = state.told
    if not state.endpoint:
        return "none"
    if told is not None and told.stopped_at is not None:
        return "stopped"
    if told is not None and told.failures:
        return "failing"
    return "behind" if state.behind else "up_to_date"


def _shown_secret(secrets: Secrets) -> Secret:
    return Secret(secrets.secret, secrets.earlier, moment_or_none(secrets.earlier_until))
