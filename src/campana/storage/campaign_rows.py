"""Owns how a campaign is written into its row and read from it, on any database.

Must not know which database it is, who may see a campaign or when it is open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from campana.domain.campaign import Campaign, media_enabled
from campana.storage.store import CampaignRow, Cancelled

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Campaign).decode

REMEMBERED = 4_096
"""Decoded campaigns kept in memory, each valid for as long as its version is the stored one."""

REMEMBERED_CHARACTERS = 32_000_000
"""All of them together: one may say a million characters."""


def campaign_columns(campaign: Campaign) -> tuple[int, int, str]:
    """Whether it is paused, its enabled media (a bit each), and its body, as they are stored."""
    media = sum(1 << medium for medium in media_enabled(campaign))
    return int(campaign.is_paused), media, _encode(campaign).decode()


def count_of(columns: Sequence[Any] | None) -> int | LookupError | Cancelled:
    """How many contacts were ever added to a campaign, of its `contacts`, `deleted_at` and `cancelled_at`; or why none
    is to be added."""
    if columns is None or columns[1] is not None:
        return LookupError("campaign")
    count: int = columns[0]
    return count if columns[2] is None else Cancelled("campaign")


class CampaignReader:
    """Makes CampaignRows of their columns, decoding a body once per version. Used from one thread."""

    def __init__(self) -> None:
        self._decoded: OrderedDict[int, tuple[int, int, Campaign]] = OrderedDict()
        """Version, characters and campaign, by number."""
        self._characters = 0

    def row(self, columns: Iterable[Any]) -> CampaignRow:
        """Make a CampaignRow of the joined columns."""
        number, version, account, owner, role, revision, deleted_at, count, *more = columns
        account_id, zone, body, cancelled_at, owner_name = more
        known = self._decoded.get(number)
        campaign = known[2] if known and known[0] == version else self._remember(number, version, body)
        return CampaignRow(
            number=number,
            account=account,
            owner=owner,
            owner_role=role,
            revision=revision,
            version=version,
            zone=campaign.time_zone or zone,
            campaign=campaign,
            account_id=account_id,
            contacts=count,
            deleted_at=deleted_at,
            cancelled_at=cancelled_at,
            owner_name=owner_name,
        )

    def _remember(self, number: int, version: int, body: str) -> Campaign:
        campaign = _decode(body)
        _, old, _ = self._decoded.pop(number, (0, 0, None))
        self._decoded[number] = (version, len(body), campaign)
        self._characters += len(body) - old
        while len(self._decoded) > REMEMBERED or self._characters > REMEMBERED_CHARACTERS:
            _, (_, characters, _) = self._decoded.popitem(last=False)
            self._characters -= characters
        return campaign
