"""SIPp as the trunk: every row of the result table, as the route tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ear_kit import ear
from sipp_kit import (
    ENDS,
    FOREIGN,
    REFUSED,
    SDP,
    TAG,
    answer,
    ask,
    branches,
    gets,
    hear,
    invite,
    needs_sipp,
    reply,
    say,
    sipp,
    wait,
)
from voice_kit import FixedSpeech, Told, calling

from campana.channels.contract import Accepted
from campana.channels.errors import Misconfigured
from campana.domain.call import HungUpBy
from campana.domain.outcome import DeliveryCode, ReceiptState

pytestmark = needs_sipp
C = DeliveryCode

# Status, Q.850 cause of a Reason header (0: none), what it means.
REFUSALS = [
    (486, 0, C.VOICE_BUSY),
    (600, 0, C.VOICE_BUSY),
    (408, 0, C.VOICE_NO_ANSWER),
    (480, 0, C.VOICE_NO_ANSWER),
    (487, 0, C.VOICE_NO_ANSWER),
    (404, 0, C.VOICE_NUMBER_UNKNOWN),
    (410, 0, C.VOICE_NUMBER_UNKNOWN),
    (484, 0, C.VOICE_NUMBER_UNKNOWN),
    (485, 0, C.VOICE_NUMBER_UNKNOWN),
    (604, 0, C.VOICE_NUMBER_UNKNOWN),
    (603, 0, C.VOICE_DECLINED),
    (607, 0, C.VOICE_DECLINED),
    (608, 0, C.VOICE_DECLINED),
    (403, 0, C.VOICE_REFUSED),
    (488, 0, C.VOICE_NO_COMMON_MEDIA),
    (415, 0, C.VOICE_NO_COMMON_MEDIA),
    (606, 0, C.VOICE_NO_COMMON_MEDIA),
    (500, 0, C.VOICE_UNREACHABLE),
    (502, 0, C.VOICE_UNREACHABLE),
    (503, 0, C.VOICE_CONGESTED),
    (504, 0, C.VOICE_UNREACHABLE),
    (480, 17, C.VOICE_BUSY),
    (480, 1, C.VOICE_NUMBER_UNKNOWN),
    (480, 21, C.VOICE_DECLINED),
    (503, 34, C.VOICE_CONGESTED),
    (503, 38, C.VOICE_UNREACHABLE),
    (500, 19, C.VOICE_NO_ANSWER),
    (404, 22, C.VOICE_NUMBER_UNKNOWN),
    (486, 16, C.VOICE_BUSY),
    (433, 0, C.VOICE_REFUSED),
    (599, 0, C.VOICE_UNREACHABLE),
]
"""Each is told right after 100, and once more (486, 480) after ringing."""


def number_of(status: int, cause: int) -> str:
    return f"+1416{status}{cause:04}"


def refusal(status: int, cause: int) -> list[str]:
    told = (f"Reason: Q.850;cause={cause};text=judged",) if cause else ()
    return [say(100), say(status, *told), *REFUSED]


async def test_each_refusal_is_what_the_table_says(tmp_path: Path) -> None:
    rows = {number_of(status, cause)[1:]: refusal(status, cause) for status, cause, _ in REFUSALS}
    async with (
        sipp(branches(rows), tmp_path, calls=len(rows)) as trunk,
        calling(trunk.url, FixedSpeech(tmp_path)) as caller,
    ):
        results = await asyncio.gather(*(caller.call(number_of(status, cause)) for status, cause, _ in REFUSALS))
    for (status, cause, code), told in zip(REFUSALS, results, strict=True):
        said = (told.code, told.report.sip_status, told.report.q850, (told.late.carrier_code or "").split()[:1])
        assert said == (code, status, cause or None, [str(status)])
        assert told.late.state is ReceiptState.FAILED
        assert (told.report.answered_at, told.report.plays, told.report.ringing_ms) == (None, 0, None)
    assert len(trunk.heard("ACK")) == len(REFUSALS)


@pytest.mark.parametrize("status", [401, 407])
async def test_a_trunk_that_wants_credentials_of_a_route_without_any_is_a_matter_of_configuration(
    status: int, tmp_path: Path
) -> None:
    name = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}[status]
    challenge = f'{name}: Digest realm="judge", nonce="n1", algorithm=MD5, qop="auth"'
    async with (
        sipp([invite(), say(status, challenge), *REFUSED], tmp_path) as trunk,
        calling(trunk.url, FixedSpeech(tmp_path)) as caller,
    ):
        told = await caller.call()
    assert told.code is C.VOICE_MISCONFIGURED
    assert isinstance(told.result, Misconfigured | Accepted)


# --- rows that take time or an answer: all at once -----------------------------------------------------------------

CANCELLED = (hear("CANCEL"), reply(tag=TAG), say(487), *REFUSED)


@dataclass(frozen=True)
class Row:
    story: Sequence[str]
    code: DeliveryCode
    by: HungUpBy
    status: int | None
    """The final response to the INVITE."""
    plan: dict[str, int] = field(default_factory=dict)
    plays: int = 0
    rang: bool = False
    answered: bool = False
    heard_ms: tuple[int, int] = (0, 0)
    q850: int | None = None


SHORT = {"dial_ms": 1_300}
US, THEM, NETWORK = HungUpBy.US, HungUpBy.CALLEE, HungUpBy.NETWORK
TALK = (say(180), answer(), hear("ACK"))

ROWS = {
    "rings until we give up": Row([say(180), *CANCELLED], C.VOICE_NO_ANSWER, US, 487, SHORT, rang=True),
    "early sound until we give up": Row(
        [say(183, "Contact: <sip:phone@[local_ip]:[local_port]>", body=SDP), *CANCELLED],
        C.VOICE_NO_ANSWER, US, 487, SHORT, rang=True,
    ),
    "trying and no more": Row([say(100), *CANCELLED], C.VOICE_NO_ANSWER, US, 487, SHORT),
    "no response at all": Row([wait(1_500)], C.VOICE_UNREACHABLE, NETWORK, None, SHORT),
    "answered after we gave up unheard": Row(
        [wait(1_700), answer(again=False), hear("ACK"), *ENDS], C.VOICE_UNREACHABLE, NETWORK, None, SHORT
    ),
    "rings, then busy": Row([say(180), wait(200), say(486), *REFUSED], C.VOICE_BUSY, THEM, 486, rang=True),
    "rings, then 480": Row(
        [say(180), wait(200), say(480), *REFUSED], C.VOICE_NO_ANSWER, THEM, 480, rang=True
    ),
    "answers, hears it twice": Row(
        [*TALK, *ENDS], C.OK, US, 200, {"plays": 2}, plays=2, rang=True, answered=True, heard_ms=(780, 820)
    ),
    "answers at once": Row(
        [answer(), hear("ACK"), *ENDS], C.OK, US, 200, plays=1, answered=True, heard_ms=(380, 420)
    ),
    "hangs up before the end": Row(
        [*TALK, wait(200), ask("BYE", 1, "Reason: Q.850;cause=16"), gets(200)],
        C.VOICE_CUT_SHORT, THEM, 200, rang=True, answered=True, heard_ms=(100, 320), q850=16,
    ),
    "hangs up at once": Row(
        [*TALK, ask("BYE", 1), gets(200)],
        C.VOICE_CUT_SHORT, THEM, 200, rang=True, answered=True, heard_ms=(0, 120),
    ),
    "hangs up in the second play": Row(
        [*TALK, wait(700), ask("BYE", 1), gets(200)],
        C.OK, THEM, 200, {"plays": 3}, plays=1, rang=True, answered=True, heard_ms=(500, 720),
    ),
    "answers without SDP": Row([answer(body=""), hear("ACK"), *ENDS], C.VOICE_NO_COMMON_MEDIA, US, 200),
    "answers with a codec that we have not": Row(
        [answer(body=FOREIGN), hear("ACK"), *ENDS], C.VOICE_NO_COMMON_MEDIA, US, 200
    ),
}  # fmt: skip


async def test_each_course_of_a_call_is_told_as_it_was(tmp_path: Path) -> None:
    stories = {f"1416777{n:04}": row.story for n, row in enumerate(ROWS.values())}
    async with (
        ear() as listener,
        sipp(branches(stories), tmp_path, calls=len(ROWS), ear=listener.port) as trunk,
        calling(trunk.url, FixedSpeech(tmp_path)) as caller,
    ):
        calls = [caller.call(f"+{number}", **row.plan) for number, row in zip(stories, ROWS.values(), strict=True)]
        results = await asyncio.gather(*calls)
        await trunk.finish()
    names = {message["Call-ID"]: message.first for message in trunk.heard("INVITE")}
    for number, (name, row), told in zip(stories, ROWS.items(), results, strict=True):
        judge(name, row, told)
        (call_id,) = told.late.carrier_ids
        assert number in names[call_id], name


def judge(name: str, row: Row, told: Told) -> None:
    report = told.report
    assert (told.code, report.ended_by, report.sip_status) == (row.code, row.by, row.status), (name, told)
    assert (report.ringing_ms is not None) is row.rang, name
    assert (report.answered_at is not None) is row.answered, name
    assert (report.plays, report.digits, report.acknowledged, report.q850) == (row.plays, "", False, row.q850), name
    assert row.heard_ms[0] <= report.heard_ms <= row.heard_ms[1], (name, report)
    assert told.delivered is (row.code is C.OK), name
    assert report.began_at <= (report.answered_at or report.began_at) <= report.ended_at, name
