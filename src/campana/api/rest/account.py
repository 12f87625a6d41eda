"""Owns the account of whoever asks as a resource: its time zone and region.

Must not know which zones and regions there are.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import Moment, moment
from campana.services.scopes import Scope
from campana.storage.store import AccountRow

operation = Operations("Account")

ZoneName = Annotated[
    str,
    Meta(min_length=1, max_length=64, description="A name of the IANA time zone database.", examples=["Europe/Rome"]),
]
Region = Annotated[
    str,
    Meta(
        pattern="^[A-Z]{2}$",
        max_length=2,
        description="Where national phone numbers belong (ISO 3166-1 alpha-2); ZZ: with a country code alone.",
        examples=["IT"],
    ),
]


class Account(msgspec.Struct, frozen=True):
    """What holds for all campaigns of an account."""

    id: Annotated[str, Meta(description="The accountId of SOAP.", examples=["acme"])]
    time_zone: ZoneName
    region: Region
    created_at: Moment


class AccountChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is to change; what is left out stays."""

    time_zone: ZoneName | UnsetType = UNSET
    region: Region | UnsetType = UNSET


def _shown(row: AccountRow) -> Account:
    return Account(row.id, row.time_zone, row.region, moment(row.created_at))


@operation("GET", "/account")
async def get_account(call: Call[None, None]) -> Answer[Account]:
    """Read the account's settings."""
    return Answer(_shown(await call.services.settings.get(call.who)))


@operation(
    "PATCH",
    "/account",
    Says(scope=Scope.ACCOUNT_ADMIN, example={"time_zone": "Europe/Rome", "region": "IT"}),
)
async def change_account(call: Call[AccountChange, None]) -> Answer[Account]:
    """Change the account's settings.

    For admins. A new time zone holds at once for all campaigns that have none of their own; a new region for contacts
    that are added or changed from now on.
    """
    zone = None if call.body.time_zone is UNSET else call.body.time_zone
    region = None if call.body.region is UNSET else call.body.region
    return Answer(_shown(await call.services.settings.change(call.who, zone, region)))
