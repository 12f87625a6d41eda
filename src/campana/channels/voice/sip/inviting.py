"""Owns how our INVITEs are written: who calls whom, in which words.

Must not know where they are sent, nor what comes of them.
"""

from __future__ import annotations

import secrets

from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.contract import Invitation
from campana.channels.voice.sip.dialog import ALLOW, USER_AGENT
from campana.channels.voice.sip.digest import Credentials
from campana.channels.voice.sip.flow import Flow, Target
from campana.channels.voice.sip.message import Request
from campana.channels.voice.sip.stack import contact_of
from campana.channels.voice.sip.uri import Transport, TrunkUri, parse_trunk


class Inviting:
    """The INVITEs of one call. All bear the same Call-ID and tag.

    Those to further hosts bear the same number too (RFC 3263, section 4.3): a phone that both lead to knows them for
    one call (RFC 3261, section 8.2.2.2).
    """

    def __init__(self, settings: VoiceRouteSettings, invitation: Invitation) -> None:
        self._invitation = invitation
        self._route = f"<{uri_at(parse_trunk(settings.proxy))};lr>" if settings.proxy else ""
        self._trunks = settings.trunks
        self._via_proxy = bool(settings.proxy)
        self._from = f"{invitation.from_header};tag={secrets.token_hex(8)}"
        self._to = f"<{uri_at(self._trunks[0], invitation.destination)}>"
        self._number = 1
        self._offer = b""

    def uri(self, target: Target) -> str:
        """The Request-URI for a host of the trunk; behind an outbound proxy, the first host's."""
        trunks = () if self._via_proxy else self._trunks
        found = [trunk for trunk in trunks if trunk.host.rstrip(".") == target.name] or [self._trunks[0]]
        trunk = next((trunk for trunk in found if trunk.port == target.port), found[0])
        return uri_at(trunk, self._invitation.destination)

    def offer_to(self, target: Target) -> None:
        """What follows goes to that host. Raises OSError where no sound can come from there."""
        self._offer = self._invitation.offer(target)

    def count(self) -> None:
        """What follows is a new request: after a challenge or a redirection."""
        self._number += 1

    def request(self, uri: str, flow: Flow, credentials: Credentials) -> Request:
        """The INVITE, without its Via."""
        request = Request("INVITE", uri, body=self._offer)
        headers = request.headers
        if self._route:
            headers.add("Route", self._route)
        headers.add("Max-Forwards", "70")
        headers.add("From", self._from)
        headers.add("To", self._to)
        headers.add("Call-ID", self._invitation.call_id)
        headers.add("CSeq", f"{self._number} INVITE")
        headers.add("Contact", contact_of(flow))
        for name, value in self._invitation.identity:
            headers.add(name, value)
        headers.add("User-Agent", USER_AGENT)
        headers.add("Allow", ALLOW)
        headers.add("Supported", "100rel")
        headers.add("Content-Type", "application/sdp")
        credentials.sign(request)
        return request


def uri_at(trunk: TrunkUri, user: str = "") -> str:
    """A URI at a host of the trunk."""
    host = f"[{trunk.host}]" if ":" in trunk.host else trunk.host
    port = f":{trunk.port}" if trunk.port is not None else ""
    transport = "" if trunk.transport is Transport.UDP else f";transport={trunk.transport.value.lower()}"
    return f"sip:{user}{'@' if user else ''}{host}{port}{transport}"
