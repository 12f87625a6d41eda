"""`campana attempts`: what it prints for people and for scripts, and that it names no number."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from campana.cli import main
from campana.domain.call import CallReport, HungUpBy
from campana.domain.campaign import Campaign, SmsSettings, VoiceSettings
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import Change, DeliveryCode, Receipt, ReceiptState
from campana.domain.retry import RetryRule
from campana.storage.river import ClaimQuery, Cut, Judged, Step
from campana.storage.sqlite import SqliteStore
from campana.storage.store import NewContact
from campana.storage.tables import NEVER

NOW = 1_790_000_000_000  # 2026-09-21T14:13:20Z
CAMPAIGN = "00000000-0000-4000-8000-000000000001"
ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
NUMBER = "+14165550001"
DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, True)
VOICE = VoiceSettings(True, 30_000, None, None, "Hello", None, 2, 3, 15)

HEARD = CallReport(
    began_at=NOW,
    ended_at=NOW + 17_000,
    ringing_ms=3_240,
    answered_at=NOW + 4_000,
    heard_ms=12_440,
    plays=1,
    digits="1#",
    acknowledged=True,
    ended_by=HungUpBy.CALLEE,
    sip_status=200,
    q850=16,
    reason="Normal \x1b[31mcall clearing",
)
BUSY = CallReport(began_at=NOW, ended_at=NOW + 900, ended_by=HungUpBy.NETWORK, sip_status=486)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@dataclass
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    file = tmp_path / "campana.toml"
    file.write_text(f'[server]\ndata_dir = "{tmp_path}"\n', encoding="utf-8")

    def run_(*words: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main(["--config", str(file), *words])
        printed = capsys.readouterr()
        return Done(int(exit_.value.code or 0), printed.out, printed.err)

    return run_


@pytest.fixture
def told(tmp_path: Path, run: Run) -> None:
    """A campaign: an SMS to Ann that the carrier refused, a call that she heard, a busy one to Bob, and Bob's SMS."""
    asyncio.run(_fill(tmp_path / "campana.db"))


async def _fill(path: Path) -> None:
    store = await SqliteStore.open(path)
    account = await store.accounts.add_account("acme", "UTC", "CA", NOW)
    user = await store.accounts.add_user(account.number, "maria", "operator", "hash", NOW)
    sms = SmsSettings(True, "Campana", "Hello")
    row = await store.campaigns.add(
        account.number, user.number, Campaign(CAMPAIGN, "Autumn", sms=sms, voice=VOICE), NOW
    )
    media = tuple(Admitted(medium, NUMBER, NUMBER, None, 3) for medium in (Medium.SMS, Medium.VOICE))
    await store.contacts.add_many([NewContact(row.number, guid, media) for guid in (ANN, BOB)], NOW)
    refused = Change(Status.PERMANENT_FAILURE, DeliveryCode.SMS_INVALID_DESTINATION, True)
    for medium in (Medium.SMS, Medium.VOICE):
        await store.river.plan([Cut(row.number, medium, 10, 1, 0, NEVER)], NOW)
        lease = await store.river.claim(ClaimQuery("test", (medium,), NOW, NOW + 9))
        assert lease is not None
        ann, bob = (one.id for one in lease.deliveries)
        if medium is Medium.SMS:
            judged = [
                Judged(ann, 1, refused, "sms", NOW, carrier_code="0x0B", carrier_text="ESME_RINVDSTADR"),
                Judged(bob, 1, DELIVERING, "sms", NOW, ("7",)),
            ]
        else:
            judged = [
                Judged(ann, 1, DELIVERING, "trunk", NOW, ("a",)),
                Judged(bob, 1, DELIVERING, "trunk", NOW, ("b",)),
            ]
        await store.river.release(Step(lease, judged, (), NOW), 0)
    ends = [
        Receipt("trunk", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, ("a",), call=HEARD),
        Receipt(
            "trunk",
            ReceiptState.FAILED,
            DeliveryCode.VOICE_BUSY,
            NOW,
            ("b",),
            carrier_code="486",
            carrier_text="Busy Here",
            call=BUSY,
        ),
    ]
    await store.receipts.receipts(
        ends, lambda campaign, medium: RetryRule((1,), campaign.campaign.voice_uncertain), NOW
    )
    await store.close()


PEOPLE = f"""\
sms {ANN} attempt 1  2026-09-21T14:13:20Z  sms  permanent failure  SmsInvalidDestination  0x0B ESME_RINVDSTADR
sms {BOB} attempt 1  2026-09-21T14:13:20Z  sms  delivering
voice {ANN} attempt 1  2026-09-21T14:13:20Z  trunk  success
  rang 3.2 s, answered 2026-09-21T14:13:24Z, heard 12.4 s, 1 play to the end, keys 1# (acknowledged), \
hung up by the callee, SIP 200, Q.850 16, Normal ?[31mcall clearing
voice {BOB} attempt 1  2026-09-21T14:13:20Z  trunk  waiting for retry  VoiceBusy  486 Busy Here
  did not ring, not answered, ended by the network, SIP 486
"""


@pytest.mark.usefixtures("told")
def test_for_people(run: Run) -> None:
    done = run("attempts", "acme", CAMPAIGN)
    assert (done.code, done.err) == (0, "")
    assert done.out == PEOPLE


@pytest.mark.usefixtures("told")
def test_of_one_contact(run: Run) -> None:
    done = run("attempts", "acme", f"{{{CAMPAIGN.upper()}}}", "--contact", BOB)
    assert done.out.splitlines() == [line for line in PEOPLE.splitlines() if BOB in line or "not ring" in line]


@pytest.mark.usefixtures("told")
def test_for_scripts(run: Run) -> None:
    done = run("attempts", "acme", CAMPAIGN, "--json")
    rows = json.loads(done.out)
    assert [(row["medium"], row["contact"]) for row in rows] == [
        ("sms", ANN),
        ("sms", BOB),
        ("voice", ANN),
        ("voice", BOB),
    ]
    assert rows[0] == {
        "contact": ANN,
        "medium": "sms",
        "attempt": 1,
        "at": "2026-09-21T14:13:20Z",
        "route": "sms",
        "status": 6,
        "code": 204,
        "code_name": "SmsInvalidDestination",
        "carrier_code": "0x0B",
        "carrier_text": "ESME_RINVDSTADR",
        "call": None,
    }
    assert rows[2]["call"] == {
        "began_at": "2026-09-21T14:13:20Z",
        "ringing_ms": 3_240,
        "answered_at": "2026-09-21T14:13:24Z",
        "heard_ms": 12_440,
        "plays": 1,
        "digits": "1#",
        "acknowledged": True,
        "ended_at": "2026-09-21T14:13:37Z",
        "ended_by": "callee",
        "sip_status": 200,
        "q850": 16,
        "reason": HEARD.reason,
    }
    assert rows[3]["call"]["answered_at"] is None
    assert NUMBER[1:] not in done.out
    assert NUMBER[1:] not in PEOPLE


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("nobody", CAMPAIGN), 1, 'campana: There is no account "nobody".'),
        (("acme", "autumn"), 2, "campana: the campaign's id is refused. It is not a Guid"),
        (("acme", ""), 2, "campana: the campaign's id is missing"),
        (("acme", ANN), 1, "campana: There is no such campaign"),
        (("acme", CAMPAIGN, "--contact", "x"), 2, "campana: the contact's id is refused. It is not a Guid"),
        (("acme", CAMPAIGN, "--contact", CAMPAIGN), 1, "campana: There is no such contact"),
    ],
)
def test_what_cannot_be_told(run: Run, words: tuple[str, ...], code: int, sentence: str) -> None:
    done = run("attempts", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(sentence), done.err


def test_a_campaign_without_attempts(run: Run, tmp_path: Path) -> None:
    async def fill() -> None:
        store = await SqliteStore.open(tmp_path / "campana.db")
        account = await store.accounts.add_account("acme", "UTC", "CA", NOW)
        user = await store.accounts.add_user(account.number, "maria", "operator", "hash", NOW)
        await store.campaigns.add(account.number, user.number, Campaign(CAMPAIGN, "Autumn", voice=VOICE), NOW)
        await store.close()

    asyncio.run(fill())
    assert run("attempts", "acme", CAMPAIGN).out == "There were no attempts yet.\n"
    assert json.loads(run("attempts", "acme", CAMPAIGN, "--json").out) == []
