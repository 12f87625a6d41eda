"""Owns what mail servers' answers mean: SMTP replies (RFC 5321) and enhanced status codes (RFC 3463) as tables.

Must not know sessions or messages. An enhanced code says more than the reply code, so it is asked first; the reply
code alone decides whether the answer is for now (4yz) or for good (5yz).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from campana.channels.errors import (
    Misconfigured,
    RefusedForGood,
    RefusedForNow,
    SendError,
    Throttled,
    Unreachable,
)
from campana.domain.outcome import DeliveryCode as C


class Verb(Enum):
    """The step that a reply answers."""

    GREETING = "greeting"
    HELO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "end of data"
    RSET = "RSET"
    QUIT = "QUIT"


_OPENING = frozenset({Verb.GREETING, Verb.HELO, Verb.STARTTLS, Verb.AUTH})
_LATE = frozenset({Verb.RCPT, Verb.DATA, Verb.END})
ANY = _LATE | {Verb.MAIL, Verb.RSET}
"""Every step of sending a message."""


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """One reply code at some steps. `name` is RFC 5321's wording or, where it has none, that of common servers."""

    verbs: frozenset[Verb]
    code: int
    name: str
    ours: C
    kind: type[SendError]


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One enhanced code `X.subject.detail`: what it means when it is for now and when it is for good."""

    detail: str
    name: str
    for_now: C
    for_good: C


REPLIES: tuple[ReplyRow, ...] = (
    ReplyRow(_OPENING, 421, "Service not available", C.EMAIL_UNREACHABLE, Unreachable),
    ReplyRow(frozenset({Verb.MAIL}), 421, "Service not available", C.EMAIL_THROTTLED, Throttled),
    ReplyRow(_LATE, 421, "Service not available", C.EMAIL_TEMPORARY, RefusedForNow),
    ReplyRow(frozenset({Verb.RCPT}), 450, "Mailbox unavailable", C.EMAIL_GREYLISTED, RefusedForNow),
    ReplyRow(ANY, 450, "Mailbox unavailable", C.EMAIL_TEMPORARY, RefusedForNow),
    ReplyRow(ANY, 451, "Local error in processing", C.EMAIL_TEMPORARY, RefusedForNow),
    ReplyRow(frozenset({Verb.RCPT, Verb.END}), 452, "Insufficient storage", C.EMAIL_MAILBOX_FULL, RefusedForNow),
    ReplyRow(ANY, 452, "Insufficient system storage", C.EMAIL_TEMPORARY, RefusedForNow),
    ReplyRow(frozenset({Verb.STARTTLS}), 454, "TLS not available", C.EMAIL_TLS_FAILED, Misconfigured),
    ReplyRow(frozenset({Verb.AUTH}), 454, "Temporary authentication failure", C.EMAIL_UNREACHABLE, Unreachable),
    ReplyRow(ANY, 455, "Unable to accommodate parameters", C.EMAIL_TEMPORARY, RefusedForNow),
    ReplyRow(frozenset({Verb.GREETING}), 554, "No SMTP service here", C.EMAIL_MISCONFIGURED, Misconfigured),
    ReplyRow(ANY, 521, "Host does not accept mail", C.EMAIL_DOMAIN_UNKNOWN, RefusedForGood),
    ReplyRow(ANY, 530, "Authentication required", C.EMAIL_MISCONFIGURED, Misconfigured),
    ReplyRow(ANY, 534, "Authentication mechanism is too weak", C.EMAIL_AUTHENTICATION_FAILED, Misconfigured),
    ReplyRow(ANY, 535, "Authentication credentials invalid", C.EMAIL_AUTHENTICATION_FAILED, Misconfigured),
    ReplyRow(ANY, 538, "Encryption required", C.EMAIL_MISCONFIGURED, Misconfigured),
    ReplyRow(frozenset({Verb.MAIL}), 550, "Action not taken", C.EMAIL_SENDER_REFUSED, RefusedForGood),
    ReplyRow(frozenset({Verb.RCPT}), 550, "Mailbox unavailable", C.EMAIL_MAILBOX_UNKNOWN, RefusedForGood),
    ReplyRow(frozenset({Verb.END}), 550, "Action not taken", C.EMAIL_POLICY_REFUSED, RefusedForGood),
    ReplyRow(frozenset({Verb.RCPT}), 551, "User not local", C.EMAIL_MAILBOX_UNKNOWN, RefusedForGood),
    ReplyRow(frozenset({Verb.RCPT}), 552, "Exceeded storage allocation", C.EMAIL_MAILBOX_FULL, RefusedForNow),
    ReplyRow(ANY, 552, "Exceeded storage allocation", C.EMAIL_TOO_LARGE, RefusedForGood),
    ReplyRow(frozenset({Verb.MAIL}), 553, "Mailbox name not allowed", C.EMAIL_SENDER_REFUSED, RefusedForGood),
    ReplyRow(frozenset({Verb.RCPT}), 553, "Mailbox name not allowed", C.EMAIL_MAILBOX_UNKNOWN, RefusedForGood),
    ReplyRow(frozenset({Verb.END}), 554, "Transaction failed", C.EMAIL_POLICY_REFUSED, RefusedForGood),
    ReplyRow(frozenset({Verb.MAIL}), 555, "Parameters not recognized", C.EMAIL_MISCONFIGURED, Misconfigured),
    ReplyRow(frozenset({Verb.RCPT}), 556, "Domain does not accept mail", C.EMAIL_DOMAIN_UNKNOWN, RefusedForGood),
)

STATUSES: tuple[StatusRow, ...] = (
    StatusRow("1.0", "Other address status", C.EMAIL_TEMPORARY, C.EMAIL_MAILBOX_UNKNOWN),
    StatusRow("1.1", "Bad destination mailbox address", C.EMAIL_TEMPORARY, C.EMAIL_MAILBOX_UNKNOWN),
    StatusRow("1.2", "Bad destination system address", C.EMAIL_TEMPORARY, C.EMAIL_DOMAIN_UNKNOWN),
    StatusRow("1.3", "Bad destination mailbox address syntax", C.EMAIL_TEMPORARY, C.EMAIL_ADDRESS_NOT_SUPPORTED),
    StatusRow("1.4", "Destination mailbox address ambiguous", C.EMAIL_TEMPORARY, C.EMAIL_MAILBOX_UNKNOWN),
    StatusRow("1.6", "Destination mailbox has moved", C.EMAIL_TEMPORARY, C.EMAIL_MAILBOX_UNKNOWN),
    StatusRow("1.7", "Bad sender's mailbox address syntax", C.EMAIL_TEMPORARY, C.EMAIL_SENDER_REFUSED),
    StatusRow("1.8", "Bad sender's system address", C.EMAIL_TEMPORARY, C.EMAIL_SENDER_REFUSED),
    StatusRow("1.9", "Message relayed to non-compliant mailer", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("1.10", "Recipient address has null MX", C.EMAIL_TEMPORARY, C.EMAIL_DOMAIN_UNKNOWN),
    StatusRow("2.0", "Other mailbox status", C.EMAIL_TEMPORARY, C.EMAIL_MAILBOX_DISABLED),
    StatusRow("2.1", "Mailbox disabled", C.EMAIL_TEMPORARY, C.EMAIL_MAILBOX_DISABLED),
    StatusRow("2.2", "Mailbox full", C.EMAIL_MAILBOX_FULL, C.EMAIL_MAILBOX_FULL),
    StatusRow("2.3", "Message too long for the mailbox", C.EMAIL_TEMPORARY, C.EMAIL_TOO_LARGE),
    StatusRow("2.4", "Mailing list expansion problem", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("3.1", "Mail system full", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("3.2", "System not accepting messages", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("3.3", "System not capable of selected features", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("3.4", "Message too big for system", C.EMAIL_TEMPORARY, C.EMAIL_TOO_LARGE),
    StatusRow("4.1", "No answer from host", C.EMAIL_TEMPORARY, C.EMAIL_DOMAIN_UNKNOWN),
    StatusRow("4.2", "Bad connection", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("4.3", "Directory server failure", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("4.4", "Unable to route", C.EMAIL_TEMPORARY, C.EMAIL_DOMAIN_UNKNOWN),
    StatusRow("4.5", "Mail system congestion", C.EMAIL_THROTTLED, C.EMAIL_REFUSED),
    StatusRow("4.6", "Routing loop detected", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("4.7", "Delivery time expired", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("5.3", "Too many recipients", C.EMAIL_TEMPORARY, C.EMAIL_REFUSED),
    StatusRow("6.7", "Non-ASCII addresses not permitted", C.EMAIL_TEMPORARY, C.EMAIL_ADDRESS_NOT_SUPPORTED),
    StatusRow("6.9", "UTF-8 header message cannot be transferred", C.EMAIL_TEMPORARY, C.EMAIL_ADDRESS_NOT_SUPPORTED),
    StatusRow("6.*", "Content cannot be carried or converted", C.EMAIL_TEMPORARY, C.EMAIL_CONTENT_REFUSED),
    StatusRow("7.0", "Other security status", C.EMAIL_GREYLISTED, C.EMAIL_POLICY_REFUSED),
    StatusRow("7.1", "Delivery not authorized, message refused", C.EMAIL_GREYLISTED, C.EMAIL_POLICY_REFUSED),
    StatusRow("7.2", "Mailing list expansion prohibited", C.EMAIL_TEMPORARY, C.EMAIL_POLICY_REFUSED),
    StatusRow("7.8", "Authentication credentials invalid", C.EMAIL_TEMPORARY, C.EMAIL_AUTHENTICATION_FAILED),
    StatusRow("7.9", "Authentication mechanism is too weak", C.EMAIL_TEMPORARY, C.EMAIL_AUTHENTICATION_FAILED),
    StatusRow("7.10", "Encryption needed", C.EMAIL_TEMPORARY, C.EMAIL_MISCONFIGURED),
    StatusRow("7.11", "Encryption required for the mechanism", C.EMAIL_TEMPORARY, C.EMAIL_MISCONFIGURED),
    StatusRow("7.13", "User account disabled", C.EMAIL_TEMPORARY, C.EMAIL_MAILBOX_DISABLED),
    StatusRow("7.17", "Mailbox owner has changed", C.EMAIL_TEMPORARY, C.EMAIL_MAILBOX_UNKNOWN),
    StatusRow("7.18", "Domain owner has changed", C.EMAIL_TEMPORARY, C.EMAIL_DOMAIN_UNKNOWN),
    StatusRow("7.27", "Sender address has null MX", C.EMAIL_TEMPORARY, C.EMAIL_SENDER_REFUSED),
    StatusRow("7.28", "Mail flood detected", C.EMAIL_THROTTLED, C.EMAIL_POLICY_REFUSED),
    StatusRow("7.*", "Security or policy", C.EMAIL_GREYLISTED, C.EMAIL_POLICY_REFUSED),
)

SPEAKING = frozenset({421, 521, 530, 534, 535, 538, 556})
"""Reply codes that say more than the enhanced code beside them (`530 5.7.0`)."""

WORDINGS: tuple[tuple[re.Pattern[str], str, C], ...] = (
    # What servers say only in words: a pattern, the class of reply it counts for, and the meaning.
    (re.compile(r"gr[ae]y[- ]?list", re.IGNORECASE), "4", C.EMAIL_GREYLISTED),
    (re.compile(r"relay(ing)? (access )?(denied|not (permitted|allowed))", re.IGNORECASE), "5", C.EMAIL_MISCONFIGURED),
    (re.compile(r"\b(spam|virus|malware)\b", re.IGNORECASE), "5", C.EMAIL_CONTENT_REFUSED),
)

KIND: dict[C, type[SendError]] = {
    C.EMAIL_UNREACHABLE: Unreachable,
    C.EMAIL_TEMPORARY: RefusedForNow,
    C.EMAIL_THROTTLED: Throttled,
    C.EMAIL_GREYLISTED: RefusedForNow,
    C.EMAIL_MAILBOX_FULL: RefusedForNow,
    C.EMAIL_MAILBOX_UNKNOWN: RefusedForGood,
    C.EMAIL_MAILBOX_DISABLED: RefusedForGood,
    C.EMAIL_DOMAIN_UNKNOWN: RefusedForGood,
    C.EMAIL_SENDER_REFUSED: RefusedForGood,
    C.EMAIL_CONTENT_REFUSED: RefusedForGood,
    C.EMAIL_POLICY_REFUSED: RefusedForGood,
    C.EMAIL_TOO_LARGE: RefusedForGood,
    C.EMAIL_ADDRESS_NOT_SUPPORTED: RefusedForGood,
    C.EMAIL_REFUSED: RefusedForGood,
    C.EMAIL_AUTHENTICATION_FAILED: Misconfigured,
    C.EMAIL_TLS_FAILED: Misconfigured,
    C.EMAIL_MISCONFIGURED: Misconfigured,
}
"""How the engine is told of each meaning."""

_REPLY_OF: dict[tuple[Verb, int], ReplyRow] = {(verb, row.code): row for row in reversed(REPLIES) for verb in row.verbs}
_STATUS_OF: dict[str, StatusRow] = {row.detail: row for row in STATUSES}
_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")
_SAID_IN_A_STATUS = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_TEXT_LIMIT = 500


def enhanced_code(text: str) -> str | None:
    """Return the enhanced status code that the text of a reply begins with, `5.1.1` (RFC 2034), or None."""
    match = _ENHANCED.match(text)
    return match[0] if match else None


def judge(verb: Verb, code: int, text: str) -> SendError:
    """Return what a reply that is not a success says about the message, or about the route while it opens.

    `code` is the three digits, `text` what follows them. A code that RFC 5321 does not know counts by its first
    digit; one that is neither 4yz nor 5yz (an answer to another question) as a temporary refusal.
    """
    enhanced = enhanced_code(text)
    if enhanced is not None and enhanced[0] != str(code)[0]:
        enhanced = None
    said = f"{code} {enhanced}" if enhanced else str(code)
    words = clean(text)
    ours = None if verb in _OPENING else _specific_meaning(code, enhanced, words)
    if ours is not None:
        return _kind(verb, ours)(ours, said, words)
    row = _REPLY_OF.get((verb, code))
    if row is not None:
        return row.kind(row.ours, said, words)
    ours = _meaning_by_digit(verb, code)
    return KIND[ours](ours, said, words)


def status_meaning(enhanced: str) -> C | None:
    """Return what an enhanced code means, class `4` or `5` included; None where the table has no row for it."""
    kind, _, detail = enhanced.partition(".")
    row = _STATUS_OF.get(detail) or _STATUS_OF.get(detail.partition(".")[0] + ".*")
    if row is None:
        return None
    return row.for_now if kind == "4" else row.for_good


def bounce_meaning(status: str) -> tuple[str | None, C]:
    """Return (enhanced code, meaning) of a DSN's Status field (RFC 3464 section 2.3.4) that reports a failure.

    A mail server that gave up after trying for days reports 4.y.z: that is no more to be tried than 5.y.z.
    """
    match = _SAID_IN_A_STATUS.match(status)
    if match is None:
        return None, C.EMAIL_BOUNCED
    enhanced = ".".join(match.groups())
    ours = status_meaning(enhanced) if match[1] == "5" else None
    if ours is None or ours is C.EMAIL_REFUSED or KIND[ours] is Misconfigured:
        ours = C.EMAIL_BOUNCED
    return enhanced, ours


def clean(text: str) -> str:
    """Return a peer's words fit for people and logs: one line, printable, at most 500 characters."""
    if len(text) > _TEXT_LIMIT or not text.isprintable():
        text = text[: 4 * _TEXT_LIMIT]
        text = "".join(char if char.isprintable() else " " for char in text)
        text = " ".join(text.split())[:_TEXT_LIMIT]
    return text


def _specific_meaning(code: int, enhanced: str | None, words: str) -> C | None:
    """What the enhanced code or the wording says; None where the reply code has to do."""
    for like, digit, ours in WORDINGS:
        if digit == str(code)[0] and like.search(words):
            return ours
    ours_or_none = status_meaning(enhanced) if enhanced is not None else None
    if code in SPEAKING and ours_or_none is not C.EMAIL_THROTTLED:
        return None
    return ours_or_none


def _kind(verb: Verb, ours: C) -> type[SendError]:
    """A recipient at a throttled mailbox uses up attempts: only what holds for the whole route slows the route."""
    if ours is C.EMAIL_THROTTLED and verb is Verb.RCPT:
        return RefusedForNow
    return KIND[ours]


def _meaning_by_digit(verb: Verb, code: int) -> C:
    for_good = 500 <= code < 600
    if verb is Verb.STARTTLS:
        return C.EMAIL_TLS_FAILED
    if verb is Verb.AUTH and for_good:
        return C.EMAIL_AUTHENTICATION_FAILED
    if verb in _OPENING:
        return C.EMAIL_MISCONFIGURED if for_good else C.EMAIL_UNREACHABLE
    return C.EMAIL_REFUSED if for_good else C.EMAIL_TEMPORARY
