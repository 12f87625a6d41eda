"""Owns the requests that benchmarks send: SOAP messages over HTTP/1.1, as bytes.

Must not import Campana, so that a process that only sends is there at once.
"""

from __future__ import annotations

CAMPAIGN = "00000000-0000-4000-8000-00000000c0de"
"""The one campaign of a server under measurement."""
PATH = "/OutboundNotifications.svc"


def call(operation: str, arguments: str) -> bytes:
    """A SOAP message."""
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<{operation} xmlns="http://tempuri.org/">{arguments}</{operation}></s:Body></s:Envelope>'
    ).encode()


def request(operation: str, arguments: str) -> bytes:
    """An HTTP request with a SOAP message, on a connection that stays."""
    body = call(operation, arguments)
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml; charset=utf-8\r\n"
        f'SOAPAction: "http://tempuri.org/IOutboundNotifications/{operation}"\r\nContent-Length: {len(body)}\r\n\r\n'
    ).encode() + body
