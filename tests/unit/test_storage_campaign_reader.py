"""Decoded campaigns kept in memory: always the stored version, and never more than there is room for."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import pytest

from campana.domain.campaign import Campaign, EmailSettings
from campana.storage.campaign_rows import REMEMBERED_CHARACTERS, CampaignReader

LONG = 1_000_000


def columns(number: int, version: int, html: str) -> tuple[Any, ...]:
    """A row of the statement that finds a campaign."""
    email = EmailSettings(True, "news@example.com", "Hello", html)
    body = msgspec.json.encode(Campaign(guid=str(number), name="Autumn", email=email)).decode()
    return (number, version, 1, 1, "api", 1, None, 0, "acme", "UTC", body, None, "ann")


def html_of(reader: CampaignReader, *row: Any) -> str | None:
    email = reader.row(columns(*row)).campaign.email
    assert email is not None
    return email.html


def test_the_version_decides() -> None:
    reader = CampaignReader()
    assert html_of(reader, 1, 1, "first") == "first"
    assert html_of(reader, 1, 1, "not decoded again") == "first"
    assert html_of(reader, 1, 2, "second") == "second"
    assert html_of(reader, 2, 2, "another campaign") == "another campaign"


@pytest.mark.parametrize("other", [False, True], ids=["one campaign changed again and again", "many campaigns"])
def test_long_campaigns_take_no_more_room_than_there_is(other: bool) -> None:
    reader = CampaignReader()
    tracemalloc.start()
    try:
        for version in range(1, 2 * REMEMBERED_CHARACTERS // LONG):
            assert html_of(reader, version if other else 1, version, "x" * LONG) is not None
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < (REMEMBERED_CHARACTERS * 1.1 if other else 4 * LONG)
