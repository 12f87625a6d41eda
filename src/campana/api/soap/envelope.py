"""Owns the two SOAP envelopes: their names, their media types, and what stands around an answer.

Must not know what an operation takes or answers. Sources: SOAP 1.1 (W3C note of 8 May 2000), SOAP 1.2 part 1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A version of SOAP: its envelope's namespace, and what it calls things that both versions have.

    `us` are the values of the `role` attribute that make a header block ours to understand, besides none at all.
    """

    name: str
    namespace: str
    content_type: bytes
    role: str
    us: frozenset[str]
    client: str
    server: str

    @property
    def must_understand(self) -> str:
        """The attribute as the parser names it."""
        return f"{self.namespace}}}mustUnderstand"


_NS11 = "http://schemas.xmlsoap.org/soap/envelope/"
_NS12 = "http://www.w3.org/2003/05/soap-envelope"

SOAP11 = Version(
    name="1.1",
    namespace=_NS11,
    content_type=b"text/xml; charset=utf-8",
    role=f"{_NS11}}}actor",
    us=frozenset({"", "http://schemas.xmlsoap.org/soap/actor/next"}),
    client="Client",
    server="Server",
)

SOAP12 = Version(
    name="1.2",
    namespace=_NS12,
    content_type=b"application/soap+xml; charset=utf-8",
    role=f"{_NS12}}}role",
    us=frozenset({"", f"{_NS12}/role/next", f"{_NS12}/role/ultimateReceiver"}),
    client="Sender",
    server="Receiver",
)

VERSIONS = (SOAP11, SOAP12)


def opening(version: Version, header: str = "") -> str:
    """What stands before the content of the body. `header` holds whole header blocks, or nothing."""
    header = f"<s:Header>{header}</s:Header>" if header else ""
    return f'<s:Envelope xmlns:s="{version.namespace}">{header}<s:Body>'


CLOSING = "</s:Body></s:Envelope>"
"""What stands after it."""


def version_of(content_type: str) -> Version:
    """The version that a Content-Type suggests, for answers to messages that do not say it themselves."""
    return SOAP12 if content_type.lower().startswith("application/soap+xml") else SOAP11
