"""The hand-written WSDL, the one source of truth about what goes over the wire; kept as a file, read at start.

Owns the documents that clients are generated from. Must not know how a message is read or written.
"""

from __future__ import annotations

from pathlib import Path

TEMPLATE = (Path(__file__).parent / "OutboundNotifications.wsdl").read_bytes()
"""The WSDL with SOAP 1.1's binding, at a placeholder address."""

_PLACEHOLDER = b"http://localhost/OutboundNotifications.svc"

_TO_SOAP12 = (
    (b'xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"', b'xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/"'),
    (b"<soap:", b"<soap12:"),
    (b"</soap:", b"</soap12:"),
    (b"BasicHttpBinding_", b"CustomBinding_"),
)
"""SOAP 1.2's binding extension has the elements of SOAP 1.1's under a namespace of its own (W3C member submission
of 5 April 2006). A document of its own, because clients that find both ports in one choose wrongly or take both."""


def _soap12(document: bytes) -> bytes:
    for old, new in _TO_SOAP12:
        document = document.replace(old, new)
    return document


_DOCUMENTS = {"wsdl": TEMPLATE, "singlewsdl": TEMPLATE, "wsdl12": _soap12(TEMPLATE)}


def document(query: str, address: str) -> bytes | None:
    """The WSDL that a query names (`wsdl`, `singleWsdl` or `wsdl12`, in any case), its service at `address`.

    `address` must consist of characters that need no escaping in XML (addresses.py sees to that). None where the
    query names no document.
    """
    found = _DOCUMENTS.get(query.lower())
    return None if found is None else found.replace(_PLACEHOLDER, address.encode("ascii"))
