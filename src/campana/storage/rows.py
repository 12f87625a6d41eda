"""Owns how rows of accounts, users, failures, attempts and calls become values of the store contract, on any database.

Must not know which database they came from, nor hold statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from campana.domain.call import CallReport, HungUpBy
from campana.domain.delivery import Status
from campana.storage.store import AccountRow, AttemptRow, Failures, UserRow
from campana.storage.tables import medium_of

ATTEMPTS_IN_A_PAGE = 1_000

_Moments = tuple[tuple[int, int], ...]
_encode = msgspec.json.Encoder().encode
_moments = msgspec.json.Decoder(_Moments).decode


def user_row(columns: Iterable[Any]) -> UserRow:
    """Make a UserRow of USER_COLUMNS."""
    number, name, role, password_hash, created_at, disabled_at, *account = columns
    return UserRow(number, AccountRow(*account), name, role, password_hash, created_at, disabled_at)


def failures_row(columns: Iterable[Any]) -> Failures:
    """Make Failures of a row. One of an earlier version tells how many they are, and when the first was, no more."""
    count, first_at, locked_until, moments = columns
    known: _Moments = _moments(moments) if moments else ()
    failures = Failures(known, locked_until)
    return failures if failures.count == count else Failures(((first_at, count),), locked_until)


def failures_columns(failures: Failures) -> dict[str, Any]:
    """Failures as they are written."""
    return {
        "count": failures.count,
        "first_at": failures.first_at,
        "locked_until": failures.locked_until,
        "moments": _encode(failures.moments).decode(),
    }


def attempt_row(columns: Iterable[Any]) -> AttemptRow:
    """Make an AttemptRow of the columns of a page of attempts."""
    guid, delivery, attempt, at, route, status, code, _, carrier_code, carrier_text, *call = columns
    return AttemptRow(
        contact=str(guid),
        medium=medium_of(delivery),
        attempt=attempt,
        at=at,
        route=route,
        status=Status(status),
        code=code,
        carrier_code=carrier_code,
        carrier_text=carrier_text,
        call=None if call[0] is None else _call(call),
    )


def call_columns(delivery: int, attempt: int, call: CallReport) -> tuple[Any, ...]:
    """A call as it is written: delivery, attempt, and the report's values in the order in which they are read."""
    return (
        delivery,
        attempt,
        call.began_at,
        call.ended_at,
        call.ringing_ms,
        call.answered_at,
        call.heard_ms,
        call.plays,
        call.digits,
        int(call.acknowledged),
        call.ended_by.value,
        call.sip_status,
        call.q850,
        call.reason,
    )


def _call(columns: list[Any]) -> CallReport:
    began_at, ended_at, ringing_ms, answered_at, heard_ms, plays, digits, acknowledged, ended_by, *words = columns
    sip_status, q850, reason = words
    return CallReport(
        began_at=began_at,
        ended_at=ended_at,
        ringing_ms=ringing_ms,
        answered_at=answered_at,
        heard_ms=heard_ms,
        plays=plays,
        digits=digits,
        acknowledged=bool(acknowledged),
        ended_by=HungUpBy(ended_by),
        sip_status=sip_status,
        q850=q850,
        reason=reason,
    )
