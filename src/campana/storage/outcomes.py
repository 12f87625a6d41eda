"""Owns what a judged attempt or late news comes to in columns, on any database.

Must not decide what an outcome does: it is handed Changes. Holds no statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from campana.domain.delivery import Status
from campana.domain.outcome import Change, DeliveryCode
from campana.storage.river import Judged
from campana.storage.tables import NEVER, campaign_of, medium_of

HandoverColumns = tuple[str, str, int, int, int]
"""Route, carrier's id, delivery, attempt, instant."""
DueColumns = tuple[int, int, int, int]
"""Campaign, medium, instant, delivery."""


class LateMove(msgspec.Struct, frozen=True, gc=False):
    """What late news does to one attempt: `change` is None where only the count of open segments moves.

    A Struct, since one is made for every receipt.
    """

    delivery: int
    attempt: int
    change: Change | None
    was: int
    """The delivery's status before."""
    status: int
    code: int
    parts_open: int
    carrier_code: str | None
    carrier_text: str | None


def after_the_end(change: Change, is_over: bool) -> Change:
    """What is in progress finishes, but nothing of a campaign that is over goes again."""
    if is_over and change.status is Status.WAITING_FOR_RETRY:
        return Change(Status.CANCELLED, DeliveryCode.CANCELLED, change.consumes_attempt)
    return change


def due_of(change: Change) -> int:
    """The moment before which a delivery is not claimed after a change."""
    if change.status is not Status.WAITING_FOR_RETRY:
        return 0
    return NEVER if change.retry_at is None else change.retry_at


def due_columns(changes: Iterable[tuple[int, Change]]) -> list[DueColumns]:
    """The rows of the list of moments, for deliveries that go again by themselves."""
    return [
        (campaign_of(delivery), int(medium_of(delivery)), change.retry_at, delivery)
        for delivery, change in changes
        if change.status is Status.WAITING_FOR_RETRY and change.retry_at is not None
    ]


def handover_columns(judged: Iterable[Judged]) -> list[HandoverColumns]:
    """The rows under which the receipts of what was handed over are waited for."""
    return [
        (one.route, carrier_id, one.delivery, one.attempt, one.at)
        for one in judged
        if one.change.status is Status.DELIVERING
        for carrier_id in one.carrier_ids
    ]


def outcome_columns(one: Judged) -> tuple[int, int, int, int, int, int, int, str, int, str | None, str | None]:
    """Delivery, attempt, status, code, attempts used, due moment, instant, route, open segments, carrier's words."""
    change = one.change
    return (
        one.delivery,
        one.attempt,
        int(change.status),
        int(change.code),
        int(change.consumes_attempt),
        due_of(change),
        one.at,
        one.route,
        len(one.carrier_ids) if change.status is Status.DELIVERING else 0,
        one.carrier_code,
        one.carrier_text,
    )


def is_one_run(judged: Sequence[Judged]) -> bool:
    """Tell whether the batch is a gapless run of ids with the same outcome, which one range can write."""
    first = judged[0]
    change, parts = first.change, len(first.carrier_ids)
    if judged[-1].delivery - first.delivery != len(judged) - 1 or change.status is Status.WAITING_FOR_RETRY:
        return False
    # A loop, not a comparison of tuples: this is asked of every message.
    for one in judged:
        if (
            (one.change is not change and one.change != change)
            or one.route != first.route
            or one.at != first.at
            or len(one.carrier_ids) != parts
            or one.carrier_code != first.carrier_code
            or one.carrier_text != first.carrier_text
        ):
            return False
    return True
