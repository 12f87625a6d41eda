"""Owns SOAP faults: the exception that carries one, and how each version of SOAP writes it.

Must not know what a message may contain. Faults are only for messages that are not valid calls: a call that is
refused answers with its error code. Sources: SOAP 1.1, section 4.4; SOAP 1.2 part 1, section 5.4.
"""

from __future__ import annotations

from enum import Enum

from campana.api.soap.envelope import CLOSING, SOAP11, SOAP12, VERSIONS, Version, opening
from campana.api.soap.values import escape


class Blame(Enum):
    """Whose mistake it is, or which rule of SOAP's own was broken."""

    CLIENT = "client"
    SERVER = "server"
    MUST_UNDERSTAND = "MustUnderstand"
    VERSION_MISMATCH = "VersionMismatch"


class Fault(Exception):
    """A message that is not a valid call of this service, told in one sentence that names the element.

    The sentence never repeats a value of the message: it may reach logs, and values are personal data.
    """

    def __init__(self, sentence: str, blame: Blame = Blame.CLIENT, *, header: tuple[str, str] | None = None) -> None:
        self.sentence = sentence
        self.blame = blame
        self.header = header
        """Namespace and name of the header block that was not understood."""
        super().__init__(sentence)


def render(fault: Fault, version: Version) -> bytes:
    """The whole answer in UTF-8."""
    body = _render12(fault) if version is SOAP12 else _render11(fault)
    return f"{opening(version, _header(fault, version))}<s:Fault>{body}</s:Fault>{CLOSING}".encode()


def _code(fault: Fault, version: Version) -> str:
    if fault.blame is Blame.CLIENT:
        return version.client
    return version.server if fault.blame is Blame.SERVER else fault.blame.value


def _render11(fault: Fault) -> str:
    """A fault about the body has a `detail`; clients take one without for a fault about a header (section 4.4)."""
    code = _code(fault, SOAP11)
    sentence = escape(fault.sentence)
    detail = "<detail/>" if fault.blame in (Blame.CLIENT, Blame.SERVER) else ""
    return f'<faultcode>s:{code}</faultcode><faultstring xml:lang="en">{sentence}</faultstring>{detail}'


def _render12(fault: Fault) -> str:
    code = _code(fault, SOAP12)
    sentence = escape(fault.sentence)
    return f'<s:Code><s:Value>s:{code}</s:Value></s:Code><s:Reason><s:Text xml:lang="en">{sentence}</s:Text></s:Reason>'


def _header(fault: Fault, version: Version) -> str:
    """SOAP 1.2 wants the header blocks named (section 5.4.8) and the versions that we speak (section 5.4.7)."""
    if version is SOAP12 and fault.blame is Blame.MUST_UNDERSTAND and fault.header is not None:
        namespace, name = (escape(part).replace('"', "&quot;") for part in fault.header)
        return f'<s:NotUnderstood qname="h:{name}" xmlns:h="{namespace}"/>'
    if version is SOAP12 and fault.blame is Blame.VERSION_MISMATCH:
        supported = "".join(
            f'<s:SupportedEnvelope qname="v{n}:Envelope" xmlns:v{n}="{known.namespace}"/>'
            for n, known in enumerate(VERSIONS)
        )
        return f"<s:Upgrade>{supported}</s:Upgrade>"
    return ""
