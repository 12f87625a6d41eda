"""Owns what a message that came to a bounce address says of the message that it answers.

Must not know how it came in (listener.py) or which delivery it is about (verp.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from campana.channels.email.codes import bounce_meaning, clean
from campana.channels.email.dsn import Notice, RecipientStatus
from campana.domain.outcome import DeliveryCode, ReceiptState

_ACTIONS: dict[str, tuple[str, ReceiptState]] = {
    # RFC 3464 section 2.3.3. delivered, relayed and expanded add nothing: the message counts as delivered already.
    "failed": ("could not be delivered", ReceiptState.FAILED),
    "delayed": ("not delivered yet, and still tried", ReceiptState.INTERIM),
}

_FAILURE_SUBJECTS: tuple[re.Pattern[str], ...] = tuple(
    # What servers without RFC 3464 call a bounce, at the beginning of the subject.
    re.compile(wording, re.IGNORECASE)
    for wording in (
        r"undeliver(able|ed)\b",
        r"undelivered mail returned",
        r"returned mail\b",
        r"mail delivery fail(ed|ure)",
        r"mail system error",
        r"failure notice\b",
        r"delivery (status notification )?\(?fail(ed|ure)",
        r"(mail|message) (could )?not (be )?deliver(ed|able)",
        r"non-?delivery (report|notification)",
    )
)

_DETAIL = re.compile(r"\b5\.\d{1,3}\.\d{1,3}\b")
_VAGUE = frozenset({None, "5.0.0", "5.5.0"})
_TYPE = re.compile(r"^[A-Za-z0-9-]{1,40};\s*")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bounce says, ready for a receipt."""

    state: ReceiptState
    code: DeliveryCode
    carrier_code: str | None
    carrier_text: str


def judge_notice(notice: Notice, *, null_sender: bool) -> Verdict | None:
    """Return what a message to a bounce address says, or None where it is no bounce (a holiday note, say).

    A delivery status (RFC 3464) is believed. Without one, only a message from the null sender (RFC 5321 section
    4.5.5) that is called a failure in so many words counts: a wrong bounce costs more than a missed one.
    """
    if notice.statuses:
        return _by_status(notice.statuses)
    if notice.content_type == "multipart/report" and notice.report_type != "delivery-status":
        return None
    if not null_sender or notice.auto_submitted == "auto-replied":
        return None
    if any(wording.match(notice.subject) for wording in _FAILURE_SUBJECTS):
        return Verdict(ReceiptState.FAILED, DeliveryCode.EMAIL_BOUNCED, None, clean(notice.subject))
    return None


def _by_status(statuses: tuple[RecipientStatus, ...]) -> Verdict | None:
    """Of several recipients (an address that was expanded) the worst news counts."""
    for wanted, (_, state) in _ACTIONS.items():
        for status in statuses:
            if status.action == wanted:
                return _verdict(status, state)
    return None


def _verdict(status: RecipientStatus, state: ReceiptState) -> Verdict:
    enhanced, code = bounce_meaning(status.status)
    if state is ReceiptState.INTERIM:
        code = DeliveryCode.EMAIL_TEMPORARY
    elif enhanced in _VAGUE:
        detail = _DETAIL.search(status.diagnostic)
        if detail is not None:
            enhanced, code = bounce_meaning(detail[0])
    return Verdict(state, code, enhanced, clean(_TYPE.sub("", status.diagnostic)))
