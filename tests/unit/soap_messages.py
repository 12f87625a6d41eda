"""What the tests of reading share: the samples of real clients, and messages around what is to be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from campana.api.soap import schema
from campana.api.soap.envelope import SOAP11, Version
from campana.api.soap.parsing import Call, InvalidMessage, Limits, Parser

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "soap").glob("*.http"))
PARSER = Parser(schema.read(), Limits())

DATA = "http://schemas.datacontract.org/2004/07/OutboundNotifications"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CAMPAIGN = "73862a28-a715-43c5-855e-5827b474ed98"
CONTACT = "8d862a28-a715-43c5-855e-5827b474ed99"


def envelope(body: str, *, header: str = "", version: Version = SOAP11) -> str:
    """A message with this body."""
    return (
        f'<s:Envelope xmlns:s="{version.namespace}" xmlns="http://tempuri.org/" xmlns:d="{DATA}" xmlns:i="{XSI}">'
        f"{header}<s:Body>{body}</s:Body></s:Envelope>"
    )


def contact(members: str) -> str:
    return envelope(f"<AddCampaignContact><contact>{members}</contact></AddCampaignContact>")


def campaign(members: str) -> str:
    return envelope(f"<AddCampaign><campaign>{members}</campaign></AddCampaign>")


def parse(message: str | bytes) -> Call:
    return PARSER.parse(message.encode() if isinstance(message, str) else message)


def refusal(message: str | bytes) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        parse(message)
    return caught.value


def body_of(sample: Path) -> bytes:
    return sample.read_bytes().partition(b"\n\n")[2].rstrip(b"\n")
