"""Owns the closed list of what can become of an attempt: LastDeliveryErrorCode, grouped by hundreds.

Must not know any carrier's own codes (each channel's codes.py maps those to rows of this list) and makes no
retry decision (retry.py does, from the class given here).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

import msgspec

from campana.domain.call import CallReport
from campana.domain.delivery import Status


class Class(Enum):
    """What an error says about trying again."""

    RETRY = "retry"
    FINAL = "final"


class DeliveryCode(IntEnum):
    """LastDeliveryErrorCode: 1xx ours, 2xx SMS, 3xx voice, 4xx email. Zero is success or never tried."""

    OK = 0

    NO_ROUTE = 101
    CANCELLED = 104
    OPTED_OUT = 105
    UNCERTAIN = 106
    UNCERTAIN_HELD = 107
    UNRENDERABLE = 108
    INTERNAL = 109

    SMS_UNREACHABLE = 201
    SMS_THROTTLED = 202
    SMS_TEMPORARY = 203
    SMS_INVALID_DESTINATION = 204
    SMS_INVALID_SOURCE = 205
    SMS_INVALID_MESSAGE = 206
    SMS_REFUSED = 207
    SMS_MISCONFIGURED = 208
    SMS_UNDELIVERABLE = 210
    SMS_EXPIRED = 211
    SMS_DELETED = 212
    SMS_REJECTED = 213
    SMS_UNKNOWN_FATE = 214
    SMS_RECEIPT_MISSING = 215

    VOICE_UNREACHABLE = 301
    VOICE_CONGESTED = 302
    VOICE_BUSY = 303
    VOICE_NO_ANSWER = 304
    VOICE_CUT_SHORT = 305
    VOICE_NOT_ACKNOWLEDGED = 306
    VOICE_INTERRUPTED = 307
    VOICE_REFUSED = 308
    VOICE_NUMBER_UNKNOWN = 310
    VOICE_DECLINED = 311
    VOICE_NO_COMMON_MEDIA = 312
    VOICE_MISCONFIGURED = 320
    VOICE_SPEECH_UNAVAILABLE = 321

    EMAIL_UNREACHABLE = 401
    EMAIL_TEMPORARY = 402
    EMAIL_THROTTLED = 403
    EMAIL_GREYLISTED = 404
    EMAIL_MAILBOX_FULL = 405
    EMAIL_MAILBOX_UNKNOWN = 410
    EMAIL_MAILBOX_DISABLED = 411
    EMAIL_DOMAIN_UNKNOWN = 412
    EMAIL_SENDER_REFUSED = 413
    EMAIL_CONTENT_REFUSED = 414
    EMAIL_POLICY_REFUSED = 415
    EMAIL_TOO_LARGE = 416
    EMAIL_ADDRESS_NOT_SUPPORTED = 417
    EMAIL_REFUSED = 418
    EMAIL_BOUNCED = 419
    EMAIL_AUTHENTICATION_FAILED = 430
    EMAIL_TLS_FAILED = 431
    EMAIL_MISCONFIGURED = 432


@dataclass(frozen=True, slots=True)
class DeliveryError:
    """One row of the table: what it means to the person who was to be reached, and whether to try again."""

    code: DeliveryCode
    kind: Class
    meaning: str

    @property
    def name(self) -> str:
        """The name as documents write it, for example `SmsInvalidDestination`."""
        return "".join(word.capitalize() for word in self.code.name.split("_"))


_RETRY, _FINAL = Class.RETRY, Class.FINAL
_C = DeliveryCode

DELIVERY_ERRORS: dict[DeliveryCode, DeliveryError] = {
    row.code: row
    for row in (
        DeliveryError(_C.NO_ROUTE, _RETRY, "No configured route fits this destination."),
        DeliveryError(_C.CANCELLED, _FINAL, "It was cancelled before it left."),
        DeliveryError(_C.OPTED_OUT, _FINAL, "The person asked not to be contacted."),
        DeliveryError(_C.UNCERTAIN, _FINAL, "It may or may not have reached the carrier; given up, not repeated."),
        DeliveryError(_C.UNCERTAIN_HELD, _RETRY, "It may or may not have reached the carrier; an operator decides."),
        DeliveryError(_C.UNRENDERABLE, _FINAL, "No message could be made from the text."),
        DeliveryError(_C.INTERNAL, _RETRY, "A defect in Campana; the log has a reference."),
        DeliveryError(_C.SMS_UNREACHABLE, _RETRY, "The carrier's SMS centre could not be reached."),
        DeliveryError(_C.SMS_THROTTLED, _RETRY, "The carrier asked to slow down."),
        DeliveryError(_C.SMS_TEMPORARY, _RETRY, "The carrier could not take the message just then."),
        DeliveryError(_C.SMS_INVALID_DESTINATION, _FINAL, "The carrier does not know the number."),
        DeliveryError(_C.SMS_INVALID_SOURCE, _FINAL, "The carrier does not accept the from-number."),
        DeliveryError(_C.SMS_INVALID_MESSAGE, _FINAL, "The carrier does not accept the form of the message."),
        DeliveryError(_C.SMS_REFUSED, _FINAL, "The carrier refused the message."),
        DeliveryError(_C.SMS_MISCONFIGURED, _RETRY, "The route's credentials or settings are refused."),
        DeliveryError(_C.SMS_UNDELIVERABLE, _FINAL, "The phone cannot be reached with this message."),
        DeliveryError(_C.SMS_EXPIRED, _RETRY, "The phone was not reached within the message's validity."),
        DeliveryError(_C.SMS_DELETED, _FINAL, "The carrier deleted the message."),
        DeliveryError(_C.SMS_REJECTED, _FINAL, "The phone's network rejected the message."),
        DeliveryError(_C.SMS_UNKNOWN_FATE, _FINAL, "The carrier does not know what became of the message."),
        DeliveryError(_C.SMS_RECEIPT_MISSING, _FINAL, "The carrier took it and never told what became of it."),
        DeliveryError(_C.VOICE_UNREACHABLE, _RETRY, "The telephone network could not be reached or failed."),
        DeliveryError(_C.VOICE_CONGESTED, _RETRY, "The telephone network had no line free."),
        DeliveryError(_C.VOICE_BUSY, _RETRY, "The line was busy."),
        DeliveryError(_C.VOICE_NO_ANSWER, _RETRY, "Nobody answered in time."),
        DeliveryError(_C.VOICE_CUT_SHORT, _RETRY, "It was answered, and hung up before the text had ended."),
        DeliveryError(_C.VOICE_NOT_ACKNOWLEDGED, _RETRY, "The text was heard, but no acknowledging key was pressed."),
        DeliveryError(_C.VOICE_INTERRUPTED, _RETRY, "The call was answered, and broke off before the text had ended."),
        DeliveryError(_C.VOICE_REFUSED, _RETRY, "The carrier refused the call."),
        DeliveryError(_C.VOICE_NUMBER_UNKNOWN, _FINAL, "The number does not exist, or not any more."),
        DeliveryError(_C.VOICE_DECLINED, _FINAL, "The person, or someone on their behalf, declined the call."),
        DeliveryError(_C.VOICE_NO_COMMON_MEDIA, _FINAL, "The other side speaks no codec that we do."),
        DeliveryError(_C.VOICE_MISCONFIGURED, _RETRY, "The trunk refuses the route's credentials or settings."),
        DeliveryError(_C.VOICE_SPEECH_UNAVAILABLE, _RETRY, "No speech engine could speak the text just then."),
        DeliveryError(_C.EMAIL_UNREACHABLE, _RETRY, "The mail server could not be reached."),
        DeliveryError(_C.EMAIL_TEMPORARY, _RETRY, "The mail server could not take the message just then."),
        DeliveryError(_C.EMAIL_THROTTLED, _RETRY, "The mail server asked to slow down."),
        DeliveryError(_C.EMAIL_GREYLISTED, _RETRY, "The mail server wants to be asked again later."),
        DeliveryError(_C.EMAIL_MAILBOX_FULL, _RETRY, "The mailbox is full."),
        DeliveryError(_C.EMAIL_MAILBOX_UNKNOWN, _FINAL, "The mailbox does not exist."),
        DeliveryError(_C.EMAIL_MAILBOX_DISABLED, _FINAL, "The mailbox is disabled."),
        DeliveryError(_C.EMAIL_DOMAIN_UNKNOWN, _FINAL, "The domain does not exist or takes no mail."),
        DeliveryError(_C.EMAIL_SENDER_REFUSED, _FINAL, "The mail server does not accept the from-address."),
        DeliveryError(_C.EMAIL_CONTENT_REFUSED, _FINAL, "The mail server refused what the message says."),
        DeliveryError(_C.EMAIL_POLICY_REFUSED, _FINAL, "A policy of the mail server refused the message."),
        DeliveryError(_C.EMAIL_TOO_LARGE, _FINAL, "The message is too large for the mail server."),
        DeliveryError(_C.EMAIL_ADDRESS_NOT_SUPPORTED, _FINAL, "The mail server cannot carry such an address."),
        DeliveryError(_C.EMAIL_REFUSED, _FINAL, "The mail server refused the message."),
        DeliveryError(_C.EMAIL_BOUNCED, _FINAL, "A later mail server sent the message back."),
        DeliveryError(_C.EMAIL_AUTHENTICATION_FAILED, _RETRY, "The route's user or password is refused."),
        DeliveryError(_C.EMAIL_TLS_FAILED, _RETRY, "No secure connection to the mail server could be made."),
        DeliveryError(_C.EMAIL_MISCONFIGURED, _RETRY, "The mail server refuses to work with this route."),
    )
}


class ReceiptState(Enum):
    """What late news says of a message that the carrier had accepted."""

    INTERIM = "interim"
    """Still on its way (ENROUTE, ACCEPTED, a delayed-delivery DSN)."""
    DELIVERED = "delivered"
    FAILED = "failed"


class Receipt(msgspec.Struct, frozen=True):
    """Late news of an attempt: an SMS delivery receipt, the end of a call, or a bounce of an email.

    An SMS receipt is matched by `carrier_ids`: the id as text first, then other spellings where the route
    allows them. A bounce (`bounce=True`) is matched by `delivery_id` and `attempt`, which its envelope carries.
    A call is matched by its Call-ID as the carrier's id. `code` is OK when delivered, and UNCERTAIN where nobody knows
    (then the campaign's policy decides, not the code's class); `carrier_code` and `carrier_text` are the carrier's own
    words.
    """

    route: str
    state: ReceiptState
    code: DeliveryCode
    at: int
    """Epoch milliseconds at which it reached us."""
    carrier_ids: tuple[str, ...] = ()
    delivery_id: int | None = None
    attempt: int | None = None
    bounce: bool = False
    carrier_code: str | None = None
    carrier_text: str | None = None
    call: CallReport | None = None
    """Of a call alone."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an outcome does to its delivery: the decision of retry.py, ready to be stored."""

    status: Status
    code: DeliveryCode
    consumes_attempt: bool
    retry_at: int | None = None
    """Epoch milliseconds of the earliest next attempt; given exactly when the delivery is to go again by itself."""
