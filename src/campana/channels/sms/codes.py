"""Owns the SMSC's own codes as tables: command_status and message states, each with what it means to a delivery.

Must not know how a code reached us, nor decide whether an attempt is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from campana.channels.errors import Misconfigured, RefusedForGood, RefusedForNow, SendError, Throttled
from campana.domain.outcome import DeliveryCode, ReceiptState

Kind = type[Throttled] | type[RefusedForNow] | type[RefusedForGood] | type[Misconfigured]


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One command_status: its name and wording in SMPP 3.4 table 5-2, our code, and whose fault it is."""

    status: int
    name: str
    wording: str
    code: DeliveryCode
    kind: Kind


_C = DeliveryCode
_NOW, _GOOD, _SLOW, _SETUP = RefusedForNow, RefusedForGood, Throttled, Misconfigured

# A field that is the same for every message of a route is the route's fault (Misconfigured): no contact pays for
# it. A field that depends on the message is refused for good.
STATUSES: Final[dict[int, StatusRow]] = {
    row.status: row
    for row in (
        StatusRow(0x01, "ESME_RINVMSGLEN", "Message length is invalid", _C.SMS_INVALID_MESSAGE, _GOOD),
        StatusRow(0x02, "ESME_RINVCMDLEN", "Command length is invalid", _C.SMS_INVALID_MESSAGE, _GOOD),
        StatusRow(0x03, "ESME_RINVCMDID", "Invalid command ID", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x04, "ESME_RINVBNDSTS", "Incorrect bind status for given command", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x05, "ESME_RALYBND", "ESME already in bound state", _C.SMS_TEMPORARY, _NOW),
        StatusRow(0x06, "ESME_RINVPRTFLG", "Invalid priority flag", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x07, "ESME_RINVREGDLVFLG", "Invalid registered delivery flag", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x08, "ESME_RSYSERR", "System error", _C.SMS_TEMPORARY, _NOW),
        StatusRow(0x0A, "ESME_RINVSRCADR", "Invalid source address", _C.SMS_INVALID_SOURCE, _GOOD),
        StatusRow(0x0B, "ESME_RINVDSTADR", "Invalid destination address", _C.SMS_INVALID_DESTINATION, _GOOD),
        StatusRow(0x0C, "ESME_RINVMSGID", "Message ID is invalid", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x0D, "ESME_RBINDFAIL", "Bind failed", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x0E, "ESME_RINVPASWD", "Invalid password", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x0F, "ESME_RINVSYSID", "Invalid system ID", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x11, "ESME_RCANCELFAIL", "Cancel SM failed", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x13, "ESME_RREPLACEFAIL", "Replace SM failed", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x14, "ESME_RMSGQFUL", "Message queue full", _C.SMS_THROTTLED, _SLOW),
        StatusRow(0x15, "ESME_RINVSERTYP", "Invalid service type", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x33, "ESME_RINVNUMDESTS", "Invalid number of destinations", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x34, "ESME_RINVDLNAME", "Invalid distribution list name", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x40, "ESME_RINVDESTFLAG", "Destination flag is invalid", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x42, "ESME_RINVSUBREP", "Invalid submit with replace request", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x43, "ESME_RINVESMCLASS", "Invalid esm_class field data", _C.SMS_INVALID_MESSAGE, _GOOD),
        StatusRow(0x44, "ESME_RCNTSUBDL", "Cannot submit to distribution list", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x45, "ESME_RSUBMITFAIL", "submit_sm or submit_multi failed", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x48, "ESME_RINVSRCTON", "Invalid source address TON", _C.SMS_INVALID_SOURCE, _GOOD),
        StatusRow(0x49, "ESME_RINVSRCNPI", "Invalid source address NPI", _C.SMS_INVALID_SOURCE, _GOOD),
        StatusRow(0x50, "ESME_RINVDSTTON", "Invalid destination address TON", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x51, "ESME_RINVDSTNPI", "Invalid destination address NPI", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x53, "ESME_RINVSYSTYP", "Invalid system_type field", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x54, "ESME_RINVREPFLAG", "Invalid replace_if_present flag", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x55, "ESME_RINVNUMMSGS", "Invalid number of messages", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x58, "ESME_RTHROTTLED", "Allowed message limits exceeded", _C.SMS_THROTTLED, _SLOW),
        StatusRow(0x61, "ESME_RINVSCHED", "Invalid scheduled delivery time", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x62, "ESME_RINVEXPIRY", "Invalid validity period", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x63, "ESME_RINVDFTMSGID", "Predefined message invalid or not found", _C.SMS_MISCONFIGURED, _SETUP),
        StatusRow(0x64, "ESME_RX_T_APPN", "Receiver's temporary application error", _C.SMS_TEMPORARY, _NOW),
        StatusRow(0x65, "ESME_RX_P_APPN", "Receiver's permanent application error", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x66, "ESME_RX_R_APPN", "Receiver rejects the message", _C.SMS_REFUSED, _GOOD),
        StatusRow(0x67, "ESME_RQUERYFAIL", "query_sm request failed", _C.SMS_REFUSED, _GOOD),
        StatusRow(0xC0, "ESME_RINVOPTPARSTREAM", "Error in the optional parameters", _C.SMS_INVALID_MESSAGE, _GOOD),
        StatusRow(0xC1, "ESME_ROPTPARNOTALLWD", "Optional parameter not allowed", _C.SMS_INVALID_MESSAGE, _GOOD),
        StatusRow(0xC2, "ESME_RINVPARLEN", "Invalid parameter length", _C.SMS_INVALID_MESSAGE, _GOOD),
        StatusRow(0xC3, "ESME_RMISSINGOPTPARAM", "Optional parameter missing", _C.SMS_INVALID_MESSAGE, _GOOD),
        StatusRow(0xC4, "ESME_RINVOPTPARAMVAL", "Invalid optional parameter value", _C.SMS_INVALID_MESSAGE, _GOOD),
        StatusRow(0xFE, "ESME_RDELIVERYFAILURE", "Delivery failure", _C.SMS_UNDELIVERABLE, _GOOD),
        StatusRow(0xFF, "ESME_RUNKNOWNERR", "Unknown error", _C.SMS_TEMPORARY, _NOW),
    )
}

# Those that we say ourselves, as a client or as the sandbox's SMSC.
ROK: Final = 0x00
RINVMSGLEN: Final = 0x01
RINVCMDLEN: Final = 0x02
RINVCMDID: Final = 0x03
RINVBNDSTS: Final = 0x04
RALYBND: Final = 0x05
RINVSRCADR: Final = 0x0A
RINVDSTADR: Final = 0x0B
RINVMSGID: Final = 0x0C
RINVPASWD: Final = 0x0E
RINVSYSID: Final = 0x0F
RINVSERTYP: Final = 0x15
RINVSYSTYP: Final = 0x53
RTHROTTLED: Final = 0x58
RINVSCHED: Final = 0x61
RINVEXPIRY: Final = 0x62
RX_T_APPN: Final = 0x64
RQUERYFAIL: Final = 0x67
RINVOPTPARSTREAM: Final = 0xC0


def status_row(status: int) -> StatusRow:
    """The row of a command_status other than 0; reserved and vendor's own ones are refusals for now."""
    row = STATUSES.get(status)
    if row is not None:
        return row
    wording = "The carrier's own code" if 0x400 <= status <= 0x4FF else "A code that the specification reserves"
    return StatusRow(status, "ESME_RESERVED", wording, DeliveryCode.SMS_TEMPORARY, RefusedForNow)


def refusal(status: int) -> SendError:
    """What a command_status other than 0 says of the message that it answers."""
    row = status_row(status)
    return row.kind(row.code, f"0x{status:08X}", f"{row.name}: {row.wording}")


@dataclass(frozen=True, slots=True)
class StateRow:
    """One state of a message: its number (table 5-5), its word in a receipt (appendix B), and what it means."""

    number: int
    word: str
    state: ReceiptState
    code: DeliveryCode


_INTERIM, _DELIVERED, _FAILED = ReceiptState.INTERIM, ReceiptState.DELIVERED, ReceiptState.FAILED

STATES: Final = (
    StateRow(0, "SCHEDULED", _INTERIM, _C.OK),  # SMPP 5.0 table 4-12, told by some 3.4 carriers
    StateRow(1, "ENROUTE", _INTERIM, _C.OK),
    StateRow(2, "DELIVRD", _DELIVERED, _C.OK),
    StateRow(3, "EXPIRED", _FAILED, _C.SMS_EXPIRED),
    StateRow(4, "DELETED", _FAILED, _C.SMS_DELETED),
    StateRow(5, "UNDELIV", _FAILED, _C.SMS_UNDELIVERABLE),
    StateRow(6, "ACCEPTD", _INTERIM, _C.OK),
    StateRow(7, "UNKNOWN", _FAILED, _C.SMS_UNKNOWN_FATE),
    StateRow(8, "REJECTD", _FAILED, _C.SMS_REJECTED),
    StateRow(9, "SKIPPED", _FAILED, _C.SMS_DELETED),  # SMPP 5.0
)

STATE_BY_NUMBER: Final = {row.number: row for row in STATES}
_SPELLINGS: Final = {
    "DELIVERED": "DELIVRD",
    "UNDELIVERABLE": "UNDELIV",
    "UNDELIVERED": "UNDELIV",
    "UNDELIVRD": "UNDELIV",
    "FAILED": "UNDELIV",
    "ACCEPTED": "ACCEPTD",
    "REJECTED": "REJECTD",
}
"""Words that carriers use for the states of appendix B."""
STATE_BY_WORD: Final = {row.word: row for row in STATES}
STATE_BY_WORD.update({other: STATE_BY_WORD[word] for other, word in _SPELLINGS.items()})

NETWORKS: Final = {1: "ANSI-136", 2: "IS-95", 3: "GSM"}
"""Network types of network_error_code (section 5.3.2.31)."""
