"""Owns where a request came from, as its Via is made to say it (RFC 3261, section 18.2.1; RFC 3581, section 4).

Must not know what is answered.
"""

from __future__ import annotations

import ipaddress

from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.headers import parse_via
from campana.channels.voice.sip.message import Request


def received_from(request: Request, source: Target) -> None:
    """Write the request's source into its first Via, where that says something else or asks for it by `rport`.

    Raises SipSyntaxError for an unreadable Via.
    """
    vias = request.headers.all("Via")
    via = parse_via(vias[0] if vias else "")
    is_told = "rport" in via.parameters or not _is_same(via.host, source.address)
    additions = f";received={source.address}" if is_told and "received" not in via.parameters else ""
    first = vias[0]
    if "rport" in via.parameters and not via.parameters["rport"]:
        first = _with_port(first, source.port)
    if additions or first != vias[0]:
        request.headers.remove("Via")
        for value in (first + additions, *vias[1:]):
            request.headers.add("Via", value)


def _with_port(via: str, port: int) -> str:
    """The value with `rport` filled in."""
    parts = via.split(";")
    return ";".join(f"rport={port}" if part.strip().lower() == "rport" else part for part in parts)


def _is_same(host: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(address)
    except ValueError:
        return False
