"""Owns the medium and the status of a delivery (one contact on one medium) and how a status may move.

Must not know how a delivery is stored, sent or shown.
"""

from __future__ import annotations

from enum import IntEnum


class Medium(IntEnum):
    """A way to reach a person. The numbers are part of the stored delivery ids and never change."""

    SMS = 0
    VOICE = 1
    EMAIL = 2


class Status(IntEnum):
    """StatusCode of the specification's CommunicationInfo, with its numbers."""

    DO_NOT_TRY = 0
    PENDING = 1
    SENDING = 2
    DELIVERING = 3
    SUCCESS = 4
    WAITING_FOR_RETRY = 5
    PERMANENT_FAILURE = 6
    CANCELLED = 7


WAITING = frozenset({Status.PENDING, Status.WAITING_FOR_RETRY})
"""Nothing is under way; the engine may claim it when it is due."""

IN_PROGRESS = frozenset({Status.SENDING, Status.DELIVERING})
"""A worker, or the carrier behind it, has it: its destination and text cannot change."""

FINAL = frozenset({Status.SUCCESS, Status.PERMANENT_FAILURE, Status.CANCELLED})
"""No news moves it any more, except a bounce after success."""

_FORWARD: dict[Status, frozenset[Status]] = {
    Status.DO_NOT_TRY: frozenset(),
    Status.PENDING: frozenset({Status.SENDING, Status.CANCELLED}),
    Status.WAITING_FOR_RETRY: frozenset(
        {
            Status.SENDING,
            Status.SUCCESS,  # a receipt of the last attempt that came after we had given up waiting for it
            Status.PERMANENT_FAILURE,
            Status.CANCELLED,
        }
    ),
    Status.SENDING: frozenset(
        {
            Status.PENDING,  # given back: it provably never left
            Status.WAITING_FOR_RETRY,
            Status.DELIVERING,
            Status.SUCCESS,
            Status.PERMANENT_FAILURE,
            Status.CANCELLED,
        }
    ),
    Status.DELIVERING: frozenset(
        {
            Status.SUCCESS,
            Status.WAITING_FOR_RETRY,
            Status.PERMANENT_FAILURE,
            Status.CANCELLED,  # it failed, and its campaign was deleted meanwhile
        }
    ),
    Status.SUCCESS: frozenset(),
    Status.PERMANENT_FAILURE: frozenset(),
    Status.CANCELLED: frozenset(),
}


_BOUNCES = frozenset({Status.SUCCESS, Status.WAITING_FOR_RETRY})
"""What a bounce ends. Not what is being sent: that is another attempt, perhaps to another address."""


def may_move(old: Status, new: Status, *, bounce: bool = False) -> bool:
    """Tell whether news may move a delivery from `old` to `new`.

    The rule goes forward only: late, repeated or reordered receipts never move a final status back. The one
    exception is a `bounce` (RFC 3464), which turns a success into a permanent failure. A client's edit of the
    destination is not news: it starts the delivery again and does not ask here.
    """
    if bounce:
        return new is Status.PERMANENT_FAILURE and old in _BOUNCES
    return new in _FORWARD[old]
