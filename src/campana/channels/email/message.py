"""Owns the message: a template made once per campaign and text, and the few header fields of each recipient.

Must not know sessions or servers. The body is encoded and dot-stuffed once; per recipient bytes are joined.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache

from campana.channels.contract import Composer, Parcel
from campana.channels.email.address import BadAddress, Mailbox, mailbox, named_mailbox, wire_address
from campana.channels.email.headers import BadHeader, sender, unstructured, without_controls
from campana.channels.email.merging import HtmlMould
from campana.channels.email.plain_text import plain_text
from campana.channels.email.signing import Seal, Signer
from campana.channels.errors import RefusedForGood
from campana.domain.campaign import SUBJECT_MAX
from campana.domain.message import Content
from campana.domain.moment import SECOND, Clock
from campana.domain.outcome import DeliveryCode
from campana.domain.text.merge import Template, Unmergeable, parse_template

_LINE_LIMIT = 998  # RFC 5322 section 2.1.1
_PRINTABLE = bytes((9, 10, 13, *range(0x20, 0x7F)))
_LITERAL = _PRINTABLE.replace(b"=", b"")  # what quoted-printable leaves as it is
_CACHED_TEXT = 64 * 1024
_CACHED_TEXTS = 64
_OWN_FIELDS = (b"to", b"date", b"message-id")
"""What each message has for itself, in the order in which they are written."""

SenderOf = Callable[[int, int], bytes]
"""(delivery id, attempt) to the envelope sender."""


@dataclass(slots=True)
class Letter:
    """A message on its way: the envelope, and the text as two pieces that are written one after the other."""

    sender: bytes
    recipient: bytes
    head: bytes
    """All header fields but those in `rest`."""
    rest: bytes
    """The fields on the body, the body itself, dot-stuffed, and the line with the dot that ends it."""
    size: int
    """Octets as RFC 1870 counts them: before dot-stuffing, without the end."""
    utf8: bool
    """Needs a server with SMTPUTF8 (RFC 6531)."""
    own: bytes = b""
    """The fields in `head` that no other message has."""
    seal: Seal | None = None
    """What is still to sign it; None where it is signed, or leaves without."""

    def sign(self) -> None:
        """Sign it where that is still to be done; from any thread, but from one at a time."""
        if self.seal is not None:
            field = self.seal.sign(self.own)
            self.head = field + self.head
            self.size += len(field)
            self.seal = None


@dataclass(frozen=True, slots=True)
class Body:
    """The fields on the body and the body, as written (see Letter.rest), and what is the same in all its messages."""

    wire: bytes
    size: int
    """Octets before dot-stuffing, without the end."""
    seal: Seal | None


def letter_composer(content: Content, clock: Clock, sender_of: SenderOf | None, signer: Signer | None) -> Composer:
    """Prepare what a campaign's messages share and return the route's composer.

    Without `sender_of` the from-address is the envelope sender. Raises RefusedForGood(UNRENDERABLE) where
    from-address, subject or html cannot stand in a message.
    """
    try:
        box = named_mailbox(content.source)
        bodies = _Bodies(_shared_fields(box, content), content.subject, signer)
        own_body = bodies.make(content.text) if content.text.strip() else None
    except (BadAddress, BadHeader, UnicodeEncodeError) as error:
        raise _unrenderable(error) from None
    merger = _Merger(box, content, signer)
    return _Writer(box, bodies, own_body, merger, clock).composer(sender_of)


class _Bodies:
    """Makes the bodies of a campaign's messages."""

    def __init__(self, shared: bytes, subject: str, signer: Signer | None) -> None:
        self.shared = shared
        """The header fields that all messages of the campaign have in common."""
        self._subject = subject
        self._signer = signer

    def make(self, html: str) -> Body:
        """Encode `html` and the plain text derived from it. Raises UnicodeEncodeError for half surrogate pairs."""
        entity = _entity(html, self._subject)
        return self.sealed(entity, re.sub(rb"(?m)^\.", b"..", entity))  # RFC 5321 section 4.5.2

    def sealed(self, entity: bytes, stuffed: bytes) -> Body:
        """The body of what was encoded and dot-stuffed already."""
        end = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
        seal = None if self._signer is None else Seal(self._signer, self.shared, _OWN_FIELDS, entity)
        return Body(stuffed + end, len(entity), seal)


class _Merger:
    """What a campaign's messages have when they take something of each recipient: subject and body of their own."""

    def __init__(self, box: Mailbox, content: Content, signer: Signer | None) -> None:
        self._box = box
        self._content = content
        self._signer = signer
        self._subject = parse_template(content.subject)
        self._shared = _shared_fields(box, content)
        self._mould = lru_cache(_CACHED_TEXTS)(_mould)

    def make(self, text: str | None, fields: Mapping[str, str]) -> tuple[bytes, Body]:
        """The header fields and the body for one recipient. Raises RefusedForGood(UNRENDERABLE)."""
        html = text if text and text.strip() else self._content.text
        if not html.strip():
            raise RefusedForGood(DeliveryCode.UNRENDERABLE, carrier_text="there is no text")
        subject, shared = self._content.subject, self._shared
        try:
            if self._subject is not None:
                subject = without_controls(self._subject.merge(fields, SUBJECT_MAX))
                shared = _shared_fields(self._box, replace(self._content, subject=subject))
            kept = html is self._content.text or len(html) <= _CACHED_TEXT
            entity = (self._mould if kept else _mould)(html).cast(fields, subject)
        except Unmergeable as error:
            raise RefusedForGood(DeliveryCode.UNRENDERABLE, carrier_text=str(error)) from None
        except (BadHeader, UnicodeEncodeError) as error:
            raise _unrenderable(error) from None
        # Each line of it ends in CR LF, and it does not begin with a dot.
        stuffed = entity.replace(b"\r\n.", b"\r\n..")
        return shared, _Bodies(shared, subject, self._signer).sealed(entity, stuffed)


def _mould(html: str) -> HtmlMould:
    return HtmlMould(parse_template(html) or Template((html,), ()))


class _Writer:
    """A campaign's message on one route: all but the recipient."""

    def __init__(self, box: Mailbox, bodies: _Bodies, body: Body | None, merger: _Merger, clock: Clock) -> None:
        self._box = box
        self._shared = bodies.shared
        self._body = body
        self._merger = merger
        self._fresh_body = bodies.make
        self._cached_body = lru_cache(_CACHED_TEXTS)(bodies.make)
        self._clock = clock
        self._dated = (-1, b"")
        self._token = secrets.token_hex(8)

    def composer(self, sender_of: SenderOf | None) -> Composer:
        """Return the function that the engine calls once a message."""
        box = self._box
        common = self._shared
        campaign_body = self._body
        merge = self._merger.make
        id_tail = f".{self._token}@{box.domain}>\r\n".encode("ascii")

        def compose(
            delivery_id: int,
            attempt: int,
            destination: str,
            text: str | None,
            fields: Mapping[str, str] | None = None,
            /,
        ) -> Parcel:
            recipient = wire_address(destination)
            utf8 = box.utf8
            if recipient is None:
                recipient, utf8 = self._unusual(destination)
            shared, body = common, campaign_body
            if fields is not None:
                shared, body = merge(text, fields)
            elif text:
                body = self._body_of(text)
            if body is None:
                raise RefusedForGood(DeliveryCode.UNRENDERABLE, carrier_text="there is no text")
            own = b"To: %b\r\n%bMessage-ID: <%d.%d%b" % (
                recipient,
                self._date_field(),
                delivery_id,
                attempt,
                id_tail,
            )
            envelope = box.wire if sender_of is None else sender_of(delivery_id, attempt)
            head = shared + own
            size = len(head) + body.size
            letter = Letter(envelope, recipient, head, body.wire, size, utf8, own, body.seal)
            return Parcel(delivery_id, attempt, destination, letter)

        return compose

    def _unusual(self, destination: str) -> tuple[bytes, bool]:
        try:
            box = mailbox(destination)
        except BadAddress as error:
            raise _unrenderable(error) from None
        return box.wire, box.utf8 or self._box.utf8

    def _body_of(self, text: str) -> Body | None:
        if not text.strip():
            return self._body
        make = self._cached_body if len(text) <= _CACHED_TEXT else self._fresh_body
        try:
            return make(text)
        except UnicodeEncodeError as error:
            raise _unrenderable(error) from None

    def _date_field(self) -> bytes:
        second = self._clock() // SECOND
        if second != self._dated[0]:
            date = format_datetime(datetime.fromtimestamp(second, UTC))
            self._dated = (second, f"Date: {date}\r\n".encode("ascii"))
        return self._dated[1]


def _shared_fields(box: Mailbox, content: Content) -> bytes:
    fields = [sender(box), unstructured("Subject", content.subject), b"Auto-Submitted: auto-generated\r\n"]
    if content.campaign:
        fields.append(unstructured("X-Campana-Campaign", content.campaign))
    return b"".join(fields)


def _entity(html: str, subject: str) -> bytes:
    """Encode `html` and the plain text derived from it as multipart/alternative (RFC 2046 section 5.1.4).

    NUL is dropped: html forbids it and mail servers refuse it. Raises UnicodeEncodeError for half surrogate pairs.
    """
    html = html.replace("\0", "")
    html.encode()
    text = plain_text(html) or subject
    message = EmailMessage(policy=SMTP)
    message.set_content(text, charset="utf-8", cte=_transfer_encoding(text))
    message.add_alternative(html, subtype="html", charset="utf-8", cte=_transfer_encoding(html))
    return message.as_bytes()


def _transfer_encoding(text: str) -> str:
    """Choose the shortest encoding that any server carries unchanged, so that signatures stay valid."""
    octets = text.encode()
    odd = len(octets.translate(None, _LITERAL))
    longest = max(map(len, octets.replace(b"\r", b"\n").split(b"\n")), default=0)
    if longest <= _LINE_LIMIT and not octets.translate(None, _PRINTABLE):
        return "7bit"
    return "quoted-printable" if len(octets) + 2 * odd <= len(octets) * 4 // 3 else "base64"


def _unrenderable(error: Exception) -> RefusedForGood:
    words = str(error) if isinstance(error, (BadAddress, BadHeader)) else "the text is not valid Unicode"
    return RefusedForGood(DeliveryCode.UNRENDERABLE, carrier_text=words)
