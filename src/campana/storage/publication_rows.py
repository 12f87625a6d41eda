"""Owns how rows of endpoints, secrets and waiting deliveries become values of the store contract, on any database.

Must not know which database they came from, nor hold statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from campana.domain.delivery import Medium, Status
from campana.storage.publications import Failure, Publication, Secrets
from campana.storage.tables import contact_id, delivery_id
from campana.storage.waits import NOWHERE, WaitRow


def publication_row(columns: Iterable[Any]) -> Publication:
    """Make a Publication of a row."""
    return Publication(*columns)


def first_publication(campaign: int, endpoint: str) -> dict[str, Any]:
    """The row of an endpoint that was told nothing, as it is written."""
    nothing = dict.fromkeys(("failing_since", "stopped_at", "last_success_at", "last_error_at", "last_error"))
    return {"campaign": campaign, "endpoint": endpoint, "sent": 0, "offered": 0, "failures": 0, "next_at": 0, **nothing}


def of(told: Publication) -> dict[str, Any]:
    """Which row is meant, as long as it is that of the same endpoint."""
    return {"of_campaign": told.campaign, "of_endpoint": told.endpoint}


def failure_columns(failure: Failure) -> dict[str, Any]:
    """A failure as it is written."""
    is_given_up = failure.next_at is None
    stopped_at = failure.at if is_given_up else None
    next_at = 0 if is_given_up else failure.next_at
    return {"at": failure.at, "reason": failure.reason, "to_next_at": next_at, "to_stopped_at": stopped_at}


def secrets_row(columns: Iterable[Any] | None) -> Secrets | None:
    """Make Secrets of a row; None where there is no secret."""
    secret, earlier, until = columns or (None, None, None)
    return None if secret is None else Secrets(secret, earlier, until)


def wait_row(columns: Iterable[Any] | None) -> WaitRow | None:
    """Make a WaitRow of a row; None where there is no such contact."""
    if columns is None:
        return None
    status, code, due_at, dial = columns
    return NOWHERE if status is None else WaitRow(Status(status), code, due_at, dial)


def distance(campaign: int, medium: Medium) -> int:
    """How far from a contact's id the id of its delivery on a medium is."""
    return delivery_id(campaign, medium, 0) - contact_id(campaign, 0)
