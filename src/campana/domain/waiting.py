"""Owns why a delivery has not gone yet: the rule that holds it back, and the next moment at which it may go.

Must not know where a delivery is kept, nor how the health of routes is found out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from campana.domain.campaign import media_enabled
from campana.domain.delivery import FINAL, IN_PROGRESS, Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.domain.progress import Course
from campana.domain.schedule import next_opening


class Rule(StrEnum):
    """What holds a delivery back. The names are part of the REST interface."""

    DONE = "done"
    """Nothing: it has its final status."""
    NO_DESTINATION = "no_destination"
    """The contact has no destination on the medium."""
    IN_PROGRESS = "in_progress"
    """It is being sent, or the carrier has it."""
    CANCELLED = "cancelled"
    """Its campaign was cancelled, and it will be."""
    MEDIUM_DISABLED = "medium_disabled"
    """The campaign does not use the medium."""
    UNCERTAIN = "uncertain"
    """Nobody knows whether it left, and a person is to decide."""
    ENDED = "ended"
    """The campaign's last window has closed."""
    PAUSED = "paused"
    NO_ROUTE = "no_route"
    """No route that is configured leads to the destination."""
    WINDOW = "window"
    """The campaign's window, or quiet hours."""
    RETRY_TIMER = "retry_timer"
    """The last attempt failed for now, and the next one is not due."""
    ROUTE_DOWN = "route_down"
    """No route that leads to the destination is up."""
    LIMIT = "limit"
    """Nothing but its turn: routes send only so much at a time, and share it between accounts and campaigns."""


class Reach(StrEnum):
    """How the routes to a destination are."""

    UP = "up"
    DOWN = "down"
    NONE = "none"
    """No route leads there."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """A contact on one medium."""

    medium: Medium
    status: Status
    code: int = 0
    """The LastDeliveryErrorCode."""
    due_at: int = 0
    """It is not to go before (epoch milliseconds)."""


@dataclass(frozen=True, slots=True)
class Why:
    """The rule that holds a delivery back, and the next moment at which it may go (epoch milliseconds): None where
    no clock says so."""

    rule: Rule
    until: int | None = None


def why(course: Course, waiter: Waiter, reach: Reach, now: int) -> Why:
    """Find the first rule that really holds a delivery back; of a window and a timer, the one that lets go last."""
    return _by_status(waiter) or _by_campaign(course, waiter) or _by_moment(course, waiter, reach, now)


def _by_status(waiter: Waiter) -> Why | None:
    if waiter.status is Status.DO_NOT_TRY:
        return Why(Rule.NO_DESTINATION)
    if waiter.status in FINAL:
        return Why(Rule.DONE)
    if waiter.status in IN_PROGRESS:
        return Why(Rule.IN_PROGRESS)
    return None


def _by_campaign(course: Course, waiter: Waiter) -> Why | None:
    if course.is_cancelled:
        return Why(Rule.CANCELLED)
    if waiter.medium not in media_enabled(course.campaign):
        return Why(Rule.MEDIUM_DISABLED)
    if waiter.code == DeliveryCode.UNCERTAIN_HELD:
        return Why(Rule.UNCERTAIN)
    return None


def _by_moment(course: Course, waiter: Waiter, reach: Reach, now: int) -> Why:
    due = max(now, waiter.due_at)
    moment = next_opening(course.window, due)
    if moment is None:
        return Why(Rule.ENDED)
    if course.campaign.is_paused:
        return Why(Rule.PAUSED)
    if reach is Reach.NONE:
        return Why(Rule.NO_ROUTE, moment if moment > now else None)
    if moment > due:
        return Why(Rule.WINDOW, moment)
    if due > now:
        return Why(Rule.RETRY_TIMER, due)
    return Why(Rule.ROUTE_DOWN if reach is Reach.DOWN else Rule.LIMIT)
