"""Owns what the telephone network's codes mean: SIP responses and Q.850 causes as tables.

Must not know how a code reached us, nor decide whether a call is repeated.

A cause says what the telephone network behind a gateway met; the SIP status is the gateway's translation of it
(RFC 3398, section 7.2.4), and a coarse one. So a cause that says something of its own overrules the status, but for
statuses that are about us or about the media (`firm`), and within the cause's reach (`Reach`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from campana.channels.voice.sip.problem import Problem
from campana.domain.outcome import DELIVERY_ERRORS, Class, DeliveryCode


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One final response to an INVITE: its reason phrase, where it is defined, and our code."""

    status: int
    wording: str
    source: str
    code: DeliveryCode
    firm: bool = False
    """No cause overrules it."""

    @property
    def kind(self) -> Class:
        """Whether it is tried again."""
        return DELIVERY_ERRORS[self.code].kind


class Reach(Enum):
    """Which statuses a cause may overrule, of those that are not firm."""

    ALL = "all"
    ROUTING = "all but those about the number"
    PERSON = "480, 486 and 600"
    NONE = "none"
    """The cause says no more than the status does."""


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One cause value of ITU-T Q.850: its wording there, our code, and what it overrules."""

    cause: int
    wording: str
    code: DeliveryCode | None
    reach: Reach

    @property
    def kind(self) -> Class | None:
        """Whether it is tried again; None where the status decides."""
        return None if self.code is None else DELIVERY_ERRORS[self.code].kind


_C = DeliveryCode
_UNREACHABLE, _CONGESTED, _REFUSED = _C.VOICE_UNREACHABLE, _C.VOICE_CONGESTED, _C.VOICE_REFUSED
_BUSY, _NO_ANSWER, _DECLINED = _C.VOICE_BUSY, _C.VOICE_NO_ANSWER, _C.VOICE_DECLINED
_UNKNOWN, _NO_MEDIA, _SETUP = _C.VOICE_NUMBER_UNKNOWN, _C.VOICE_NO_COMMON_MEDIA, _C.VOICE_MISCONFIGURED
_3261: Final = "RFC 3261"

STATUSES: Final[dict[int, StatusRow]] = {
    row.status: row
    for row in (
        StatusRow(300, "Multiple Choices", _3261, _REFUSED),
        StatusRow(301, "Moved Permanently", _3261, _REFUSED),
        StatusRow(302, "Moved Temporarily", _3261, _REFUSED),
        StatusRow(305, "Use Proxy", _3261, _REFUSED),
        StatusRow(380, "Alternative Service", _3261, _REFUSED),
        StatusRow(400, "Bad Request", _3261, _REFUSED),
        StatusRow(401, "Unauthorized", _3261, _SETUP, firm=True),
        StatusRow(402, "Payment Required", _3261, _REFUSED),
        StatusRow(403, "Forbidden", _3261, _REFUSED),
        StatusRow(404, "Not Found", _3261, _UNKNOWN),
        StatusRow(405, "Method Not Allowed", _3261, _REFUSED),
        StatusRow(406, "Not Acceptable", _3261, _REFUSED),
        StatusRow(407, "Proxy Authentication Required", _3261, _SETUP, firm=True),
        StatusRow(408, "Request Timeout", _3261, _NO_ANSWER),
        StatusRow(410, "Gone", _3261, _UNKNOWN),
        StatusRow(412, "Conditional Request Failed", "RFC 3903", _REFUSED),
        StatusRow(413, "Request Entity Too Large", _3261, _REFUSED),
        StatusRow(414, "Request-URI Too Long", _3261, _REFUSED),
        StatusRow(415, "Unsupported Media Type", _3261, _NO_MEDIA, firm=True),
        StatusRow(416, "Unsupported URI Scheme", _3261, _REFUSED),
        StatusRow(417, "Unknown Resource-Priority", "RFC 4412", _REFUSED),
        StatusRow(420, "Bad Extension", _3261, _REFUSED),
        StatusRow(421, "Extension Required", _3261, _REFUSED),
        StatusRow(422, "Session Interval Too Small", "RFC 4028", _REFUSED),
        StatusRow(423, "Interval Too Brief", _3261, _REFUSED),
        StatusRow(424, "Bad Location Information", "RFC 6442", _REFUSED),
        StatusRow(425, "Bad Alert Message", "RFC 8876", _REFUSED),
        StatusRow(428, "Use Identity Header", "RFC 8224", _REFUSED),
        StatusRow(429, "Provide Referrer Identity", "RFC 3892", _REFUSED),
        StatusRow(430, "Flow Failed", "RFC 5626", _REFUSED),
        StatusRow(433, "Anonymity Disallowed", "RFC 5079", _REFUSED),
        StatusRow(436, "Bad Identity-Info", "RFC 8224", _REFUSED),
        StatusRow(437, "Unsupported Certificate", "RFC 8224", _REFUSED),
        StatusRow(438, "Invalid Identity Header", "RFC 8224", _REFUSED),
        StatusRow(439, "First Hop Lacks Outbound Support", "RFC 5626", _REFUSED),
        StatusRow(440, "Max-Breadth Exceeded", "RFC 5393", _REFUSED),
        StatusRow(469, "Bad Info Package", "RFC 6086", _REFUSED),
        StatusRow(470, "Consent Needed", "RFC 5360", _REFUSED),
        StatusRow(480, "Temporarily Unavailable", _3261, _NO_ANSWER),
        StatusRow(481, "Call/Transaction Does Not Exist", _3261, _REFUSED),
        StatusRow(482, "Loop Detected", _3261, _REFUSED),
        StatusRow(483, "Too Many Hops", _3261, _REFUSED),
        StatusRow(484, "Address Incomplete", _3261, _UNKNOWN),
        StatusRow(485, "Ambiguous", _3261, _UNKNOWN),
        StatusRow(486, "Busy Here", _3261, _BUSY),
        StatusRow(487, "Request Terminated", _3261, _NO_ANSWER, firm=True),
        StatusRow(488, "Not Acceptable Here", _3261, _NO_MEDIA, firm=True),
        StatusRow(489, "Bad Event", "RFC 6665", _REFUSED),
        StatusRow(491, "Request Pending", _3261, _REFUSED),
        StatusRow(493, "Undecipherable", _3261, _REFUSED),
        StatusRow(494, "Security Agreement Required", "RFC 3329", _REFUSED),
        StatusRow(500, "Server Internal Error", _3261, _UNREACHABLE),
        StatusRow(501, "Not Implemented", _3261, _UNREACHABLE),
        StatusRow(502, "Bad Gateway", _3261, _UNREACHABLE),
        StatusRow(503, "Service Unavailable", _3261, _CONGESTED),
        StatusRow(504, "Server Time-out", _3261, _UNREACHABLE),
        StatusRow(505, "Version Not Supported", _3261, _UNREACHABLE),
        StatusRow(513, "Message Too Large", _3261, _UNREACHABLE),
        StatusRow(555, "Push Notification Service Not Supported", "RFC 8599", _UNREACHABLE),
        StatusRow(580, "Precondition Failure", "RFC 3312", _UNREACHABLE),
        StatusRow(600, "Busy Everywhere", _3261, _BUSY),
        StatusRow(603, "Decline", _3261, _DECLINED),
        StatusRow(604, "Does Not Exist Anywhere", _3261, _UNKNOWN, firm=True),
        StatusRow(606, "Not Acceptable", _3261, _NO_MEDIA, firm=True),
        StatusRow(607, "Unwanted", "RFC 8197", _DECLINED, firm=True),
        StatusRow(608, "Rejected", "RFC 8688", _DECLINED, firm=True),
    )
}

CLASSES: Final[dict[int, DeliveryCode]] = {3: _REFUSED, 4: _REFUSED, 5: _UNREACHABLE, 6: _DECLINED}
"""Statuses that no row knows, by their hundreds (RFC 3261, section 8.1.3.2)."""

_ALL, _ROUTING, _PERSON, _NONE = Reach.ALL, Reach.ROUTING, Reach.PERSON, Reach.NONE

CAUSES: Final[dict[int, CauseRow]] = {
    row.cause: row
    for row in (
        CauseRow(1, "Unallocated (unassigned) number", _UNKNOWN, _ALL),
        CauseRow(2, "No route to specified transit network", _UNREACHABLE, _ROUTING),
        CauseRow(3, "No route to destination", _UNREACHABLE, _ROUTING),
        CauseRow(4, "Send special information tone", _UNREACHABLE, _ROUTING),
        CauseRow(5, "Misdialled trunk prefix", _SETUP, _ALL),
        CauseRow(6, "Channel unacceptable", _UNREACHABLE, _ROUTING),
        CauseRow(7, "Call awarded and being delivered in an established channel", None, _NONE),
        CauseRow(8, "Preemption", _CONGESTED, _ALL),
        CauseRow(9, "Preemption, circuit reserved for reuse", _CONGESTED, _ALL),
        CauseRow(14, "QoR: ported number", _UNREACHABLE, _ROUTING),
        CauseRow(16, "Normal call clearing", None, _NONE),
        CauseRow(17, "User busy", _BUSY, _ALL),
        CauseRow(18, "No user responding", _NO_ANSWER, _ALL),
        CauseRow(19, "No answer from user (user alerted)", _NO_ANSWER, _ALL),
        CauseRow(20, "Subscriber absent", _NO_ANSWER, _ALL),
        CauseRow(21, "Call rejected", _DECLINED, _PERSON),
        CauseRow(22, "Number changed", _UNKNOWN, _ALL),
        CauseRow(23, "Redirection to new destination", None, _NONE),
        CauseRow(24, "Call rejected due to feature at the destination", _DECLINED, _PERSON),
        CauseRow(25, "Exchange routing error", _UNREACHABLE, _ROUTING),
        CauseRow(26, "Non-selected user clearing", None, _NONE),
        CauseRow(27, "Destination out of order", _UNREACHABLE, _ALL),
        CauseRow(28, "Invalid number format (address incomplete)", _UNKNOWN, _ALL),
        CauseRow(29, "Facility rejected", _REFUSED, _ROUTING),
        CauseRow(30, "Response to STATUS ENQUIRY", None, _NONE),
        CauseRow(31, "Normal, unspecified", None, _NONE),
        CauseRow(34, "No circuit/channel available", _CONGESTED, _ALL),
        CauseRow(38, "Network out of order", _UNREACHABLE, _ALL),
        CauseRow(39, "Permanent frame mode connection out of service", _UNREACHABLE, _ROUTING),
        CauseRow(40, "Permanent frame mode connection operational", None, _NONE),
        CauseRow(41, "Temporary failure", _UNREACHABLE, _ROUTING),
        CauseRow(42, "Switching equipment congestion", _CONGESTED, _ALL),
        CauseRow(43, "Access information discarded", _UNREACHABLE, _ROUTING),
        CauseRow(44, "Requested circuit/channel not available", _CONGESTED, _ALL),
        CauseRow(46, "Precedence call blocked", _CONGESTED, _ALL),
        CauseRow(47, "Resource unavailable, unspecified", _CONGESTED, _ALL),
        CauseRow(49, "Quality of service not available", _CONGESTED, _ROUTING),
        CauseRow(50, "Requested facility not subscribed", _REFUSED, _ROUTING),
        CauseRow(53, "Outgoing calls barred within CUG", _REFUSED, _ROUTING),
        CauseRow(55, "Incoming calls barred within CUG", _REFUSED, _ROUTING),
        CauseRow(57, "Bearer capability not authorized", _REFUSED, _ROUTING),
        CauseRow(58, "Bearer capability not presently available", _CONGESTED, _ROUTING),
        CauseRow(62, "Inconsistency in outgoing access information and subscriber class", _REFUSED, _ROUTING),
        CauseRow(63, "Service or option not available, unspecified", _REFUSED, _ROUTING),
        CauseRow(65, "Bearer capability not implemented", _NO_MEDIA, _ROUTING),
        CauseRow(66, "Channel type not implemented", _UNREACHABLE, _ROUTING),
        CauseRow(69, "Requested facility not implemented", _REFUSED, _ROUTING),
        CauseRow(70, "Only restricted digital information bearer capability is available", _NO_MEDIA, _ROUTING),
        CauseRow(79, "Service or option not implemented, unspecified", _REFUSED, _ROUTING),
        CauseRow(81, "Invalid call reference value", _UNREACHABLE, _ROUTING),
        CauseRow(82, "Identified channel does not exist", _UNREACHABLE, _ROUTING),
        CauseRow(83, "A suspended call exists, but this call identity does not", _UNREACHABLE, _ROUTING),
        CauseRow(84, "Call identity in use", _UNREACHABLE, _ROUTING),
        CauseRow(85, "No call suspended", _UNREACHABLE, _ROUTING),
        CauseRow(86, "Call having the requested call identity has been cleared", _UNREACHABLE, _ROUTING),
        CauseRow(87, "User not member of CUG", _REFUSED, _ROUTING),
        CauseRow(88, "Incompatible destination", _NO_MEDIA, _ROUTING),
        CauseRow(90, "Non-existent CUG", _REFUSED, _ROUTING),
        CauseRow(91, "Invalid transit network selection", _UNREACHABLE, _ROUTING),
        CauseRow(95, "Invalid message, unspecified", _UNREACHABLE, _ROUTING),
        CauseRow(96, "Mandatory information element is missing", _UNREACHABLE, _ROUTING),
        CauseRow(97, "Message type non-existent or not implemented", _UNREACHABLE, _ROUTING),
        CauseRow(98, "Message not compatible with call state, or type non-existent", _UNREACHABLE, _ROUTING),
        CauseRow(99, "Information element/parameter non-existent or not implemented", _UNREACHABLE, _ROUTING),
        CauseRow(100, "Invalid information element contents", _UNREACHABLE, _ROUTING),
        CauseRow(101, "Message not compatible with call state", _UNREACHABLE, _ROUTING),
        CauseRow(102, "Recovery on timer expiry", None, _NONE),  # gateways put it on 408 and 504 alike
        CauseRow(103, "Parameter non-existent or not implemented, passed on", _UNREACHABLE, _ROUTING),
        CauseRow(110, "Message with unrecognized parameter, discarded", _UNREACHABLE, _ROUTING),
        CauseRow(111, "Protocol error, unspecified", _UNREACHABLE, _ROUTING),
        CauseRow(127, "Interworking, unspecified", None, _NONE),
    )
}

ABOUT_NUMBER: Final = frozenset({404, 410, 484, 485})
ABOUT_PERSON: Final = frozenset({480, 486, 600})

PROBLEMS: Final[dict[Problem, DeliveryCode]] = {
    Problem.TIMEOUT: _UNREACHABLE,
    Problem.NO_ANSWER: _NO_ANSWER,
    Problem.TRANSPORT: _UNREACHABLE,
    Problem.AUTHENTICATION: _SETUP,
    Problem.NO_COMMON_MEDIA: _NO_MEDIA,
    Problem.WITHDRAWN: _C.CANCELLED,
}
"""What ended a call without a final response that tells."""


def status_row(status: int) -> StatusRow:
    """The row of a final response from 300 on; one that no table knows is judged by its class."""
    row = STATUSES.get(status)
    if row is not None:
        return row
    return StatusRow(status, "A status of the peer's own", "", CLASSES.get(status // 100, _UNREACHABLE))


def outcome_of(status: int | None, q850: int | None, problem: Problem | None, rang: bool) -> DeliveryCode:
    """Tell why a call was not answered.

    `status` is the final response to the INVITE, `q850` the cause of its Reason header (RFC 3326), `problem` what ended
    the call without one, `rang` whether a provisional response above 100 had come. A final response tells more than
    the problem beside it: it is what the other side had to say last.
    """
    if status is not None and status >= 300:
        row = status_row(status)
        return _refined(row, CAUSES.get(q850 or 0)) or row.code
    if problem is not None and not (problem is Problem.TIMEOUT and rang):
        return PROBLEMS[problem]
    return _NO_ANSWER if rang else _UNREACHABLE


def _refined(row: StatusRow, cause: CauseRow | None) -> DeliveryCode | None:
    """What the cause makes of a status; None where the status stays."""
    if cause is None or row.firm:
        return None
    reaches = {
        Reach.ALL: True,
        Reach.ROUTING: row.status not in ABOUT_NUMBER,
        Reach.PERSON: row.status in ABOUT_PERSON,
        Reach.NONE: False,
    }[cause.reach]
    return cause.code if reaches else None
