"""Owns what both sides of a dialog have agreed on: tags, numbers, route set and remote target (RFC 3261, section 12).

Must not know how a request is sent, nor what it is for.
"""

from __future__ import annotations

from typing import Final

from campana.channels.voice.sip.headers import SipUri, parse_uri, tag_of, uri_of
from campana.channels.voice.sip.message import Request, Response, SipSyntaxError, cseq_of

USER_AGENT: Final = "Campana"
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY"
MOST_ROUTES: Final = 32


class Dialog:
    """Our side of one dialog that an INVITE of ours began."""

    def __init__(self, invite: Request, response: Response) -> None:
        """Take the dialog from a response. Raises SipSyntaxError where its To cannot be read."""
        headers = invite.headers
        self.call_id = headers.get("Call-ID") or ""
        self.local = headers.get("From") or ""
        self.remote = response.headers.get("To") or ""
        self.local_tag = tag_of(self.local)
        self.remote_tag = tag_of(self.remote)
        self.invite_number, _ = cseq_of(invite)
        self.target = invite.uri
        self.routes: list[str] = []
        self._local_number = self.invite_number
        self._remote_number: int | None = None
        self.learn(response)

    def learn(self, response: Response) -> None:
        """Take route set and remote target from a response to our INVITE (sections 12.1.2 and 13.2.2.4).

        What cannot be read is left out: an answer without a usable Contact must still be acknowledged and ended.
        """
        routes = response.headers.all("Record-Route")[:MOST_ROUTES]
        self.routes = [route for route in reversed(routes) if _is_usable(route)]
        self.retarget(response)

    def retarget(self, message: Request | Response) -> None:
        """Take the remote target from a message that refreshes it (section 12.2), if it can be read."""
        contact = message.headers.get("Contact")
        if contact is not None and _is_usable(contact):
            self.target = uri_of(contact)

    def accept(self, request: Request) -> bool:
        """Note the number of a request of theirs; False where it is out of order (section 12.2.2)."""
        number, _ = cseq_of(request)
        if self._remote_number is not None and number <= self._remote_number:
            return False
        self._remote_number = number
        return True

    @property
    def next_hop(self) -> SipUri:
        """Where requests go first: the first route, else the remote target."""
        return parse_uri(uri_of(self.routes[0]) if self.routes else self.target)

    def request(self, method: str) -> Request:
        """A new request within the dialog, without Via and Contact."""
        if method == "ACK":
            number = self.invite_number
        else:
            self._local_number += 1
            number = self._local_number
        uri, routes = self._routed()
        request = Request(method, uri)
        headers = request.headers
        for route in routes:
            headers.add("Route", route)
        headers.add("Max-Forwards", "70")
        headers.add("From", self.local)
        headers.add("To", self.remote)
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{number} {method}")
        headers.add("User-Agent", USER_AGENT)
        return request

    def _routed(self) -> tuple[str, list[str]]:
        """Request-URI and Route values; a first route without `lr` routes strictly (section 12.2.1.1)."""
        if not self.routes or "lr" in self.next_hop.parameters:
            return self.target, self.routes
        return uri_of(self.routes[0]), [*self.routes[1:], f"<{self.target}>"]


def _is_usable(address: str) -> bool:
    try:
        parse_uri(uri_of(address))
    except SipSyntaxError:
        return False
    return True
