"""Owns how a delivery receipt is told from a message and read: as text (appendix B) and by optional parameters.

Must not know which delivery it is about, nor move any status.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from campana.channels.sms.bodies import (
    ESM_TYPE_INTERMEDIATE,
    ESM_TYPE_MASK,
    ESM_TYPE_RECEIPT,
    ESM_UDHI,
    TAG_MESSAGE_STATE,
    TAG_NETWORK_ERROR_CODE,
    TAG_RECEIPTED_MESSAGE_ID,
    QueryAnswer,
    ShortMessage,
)
from campana.channels.sms.codes import NETWORKS, STATE_BY_NUMBER, STATE_BY_WORD, StateRow
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState

Spelling = Literal["text", "hex", "dec"]

_LONGEST_TEXT: Final = 1024
_LONGEST_ID: Final = 255
_DATA_CODING_UCS2: Final = 8

# Most carriers write just what appendix B shows: one match for all of it.
_USUAL: Final = re.compile(
    r"id:([^\s:]{1,255}) sub:\d+ dlvrd:\d+ submit date:\d+ done date:\d+ stat:([A-Z]{7}) err:(\w{1,16})"
)
# Others write the labels in any case and order, with spaces. Labels inside the quoted text do not count.
_ID: Final = re.compile(r"(?<![a-z])id\s{0,3}:\s{0,3}([^\s:]{1,255})(?=\s|$)", re.IGNORECASE)
_STATE: Final = re.compile(r"(?<![a-z])stat\s{0,3}:\s{0,3}([a-z]{1,20})", re.IGNORECASE)
_ERROR: Final = re.compile(r"(?<![a-z])err\s{0,3}:\s{0,3}([0-9a-z_-]{1,16})", re.IGNORECASE)
_QUOTED: Final = re.compile(r"(?<![a-z])text\s{0,3}:", re.IGNORECASE)
_DECIMAL: Final = re.compile(r"[0-9]{1,39}")
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{1,32}")


class _Told(NamedTuple):
    """What one form of a receipt says; None or "" where it does not."""

    message_id: str
    state: StateRow | None
    word: str
    error: str


_NOTHING: Final = _Told("", None, "", "")


def is_receipt(message: ShortMessage) -> bool:
    """Tell a receipt from a message that a person sent.

    Only what the carrier alone can set counts (esm_class, optional parameters): a text that looks like a receipt
    may have been typed by anybody.
    """
    kind = message.esm_class & ESM_TYPE_MASK
    return kind in (ESM_TYPE_RECEIPT, ESM_TYPE_INTERMEDIATE) or TAG_RECEIPTED_MESSAGE_ID in message.tlvs


def _is_final(message: ShortMessage) -> bool:
    return message.esm_class & ESM_TYPE_MASK != ESM_TYPE_INTERMEDIATE


def read_receipt(message: ShortMessage, route: str, at: int, spelling: Spelling) -> Receipt | None:
    """Read a receipt, however the carrier writes it; None where it names no message.

    Where both forms are there, the optional parameters say the state, and the ids of both are candidates. An
    intermediate notification, and a state that no table knows, are interim: they move nothing.
    """
    by_tlvs, by_text = _read_tlvs(message), _read_text(message)
    ids = candidates(tuple(told.message_id for told in (by_tlvs, by_text) if told.message_id), spelling)
    if not ids:
        return None
    told = by_tlvs if by_tlvs.state else by_text
    row = told.state if _is_final(message) else None
    return Receipt(
        route=route,
        state=row.state if row else ReceiptState.INTERIM,
        code=row.code if row else DeliveryCode.OK,
        at=at,
        carrier_ids=ids,
        carrier_code=(by_text.word or told.word or None),
        carrier_text=(by_tlvs.error or by_text.error or None),
    )


def read_query_answer(answer: QueryAnswer, carrier_id: str, route: str, at: int) -> Receipt | None:
    """The news in a query_sm_resp about the message asked for; None where the SMSC does not know its fate."""
    row = STATE_BY_NUMBER.get(answer.state)
    if row is None or row.code is DeliveryCode.SMS_UNKNOWN_FATE:
        return None
    error = f"err:{answer.error:03d}" if answer.error else None
    return Receipt(route, row.state, row.code, at, (carrier_id,), carrier_code=row.word, carrier_text=error)


def candidates(ids: tuple[str, ...], spelling: Spelling) -> tuple[str, ...]:
    """The spellings under which submit_sm_resp may have named a message: as told first, then as a number.

    `spelling` says how receipts write the number: "hex" is turned into decimal, "dec" into hexadecimal, each
    without padding and padded to the usual width, hexadecimal in both cases.
    """
    found = dict.fromkeys(ids)
    for told in ids:
        if spelling == "hex" and _HEXADECIMAL.fullmatch(told):
            number = int(told, 16)
            found.update(dict.fromkeys((str(number), f"{number:010d}")))
        elif spelling == "dec" and _DECIMAL.fullmatch(told):
            number = int(told)
            found.update(dict.fromkeys((f"{number:x}", f"{number:X}", f"{number:08x}", f"{number:08X}")))
    return tuple(found)


def _read_tlvs(message: ShortMessage) -> _Told:
    tlvs = message.tlvs
    if not tlvs:
        return _NOTHING
    message_id = tlvs.get(TAG_RECEIPTED_MESSAGE_ID, b"").split(b"\0", 1)[0][:_LONGEST_ID].decode("latin-1")
    number = tlvs.get(TAG_MESSAGE_STATE, b"")
    row = STATE_BY_NUMBER.get(number[0]) if number else None
    error = tlvs.get(TAG_NETWORK_ERROR_CODE, b"")
    wording = ""
    if len(error) == 3 and error[1:] != b"\0\0":
        network = NETWORKS.get(error[0], f"network {error[0]}")
        wording = f"{network} error {int.from_bytes(error[1:], 'big')}"
    return _Told(message_id, row, row.word if row else "", wording)


def _read_text(message: ShortMessage) -> _Told:
    octets = message.octets
    if not octets:
        return _NOTHING
    if message.esm_class & ESM_UDHI:
        octets = octets[1 + octets[0] :]
    encoding = "utf-16-be" if message.data_coding == _DATA_CODING_UCS2 else "latin-1"
    text = octets[: 2 * _LONGEST_TEXT].decode(encoding, errors="replace")[:_LONGEST_TEXT]
    usual = _USUAL.match(text)
    if usual:
        return _told(*usual.groups())
    quoted = _QUOTED.search(text)
    told = _read_labels(text[: quoted.start()] if quoted else text)
    # A carrier that writes the quoted text first has the labels after it.
    return told if told.message_id or not quoted else _read_labels(text)


def _read_labels(text: str) -> _Told:
    found = [pattern.search(text) for pattern in (_ID, _STATE, _ERROR)]
    return _told(*(label[1] if label else "" for label in found))


def _told(message_id: str, word: str, code: str) -> _Told:
    word = word.upper()
    return _Told(message_id, STATE_BY_WORD.get(word), word, f"err:{code}" if code.strip("0") else "")
