"""Who may read attempts, and what reading them answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services_kit import START, Kit, campaign, contact, open_kit

from campana.domain.campaign import Sharing
from campana.domain.delivery import Medium, Status
from campana.domain.errors import MethodCode, MethodError
from campana.domain.outcome import Change, DeliveryCode
from campana.services.accounts import AccountError
from campana.services.principal import Principal, Role
from campana.storage.river import ClaimQuery, Cut, Judged, Step
from campana.storage.store import AttemptRow
from campana.storage.tables import NEVER

ONE = "00000000-0000-4000-8000-000000000001"
ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
REFUSED = Change(Status.WAITING_FOR_RETRY, DeliveryCode.SMS_TEMPORARY, True, START + 60_000)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with open_kit(tmp_path) as opened:
        yield opened


async def tried(kit: Kit, who: Principal, sharing: Sharing = Sharing.ALL) -> None:
    """A campaign with two contacts, each of whom an SMS was tried once."""
    await kit.services.campaigns.add(who, campaign(ONE, sharing=sharing), whole=True)
    for guid, number in ((ANN, "+12025550123"), (BOB, "+12025550124")):
        await kit.services.contacts.add(who, contact(ONE, guid, number))
    row = await kit.store.campaigns.find(who.account.number, ONE)
    assert row is not None
    await kit.store.river.plan([Cut(row.number, Medium.SMS, 10, 1, 0, NEVER)], START)
    lease = await kit.store.river.claim(ClaimQuery("test", (Medium.SMS,), START, START + 9))
    assert lease is not None
    judged = [
        Judged(one.id, 1, REFUSED, "sms", START, carrier_code="0x14", carrier_text="ESME_RMSGQFUL")
        for one in lease.deliveries
    ]
    await kit.store.river.release(Step(lease, judged, (), START), 0)


async def of_campaign(kit: Kit, who: Principal) -> list[AttemptRow]:
    return [row async for page in await kit.services.attempts.of_campaign(who, ONE) for row in page]


def attempt(guid: str) -> AttemptRow:
    status, code = Status.WAITING_FOR_RETRY, int(DeliveryCode.SMS_TEMPORARY)
    return AttemptRow(guid, Medium.SMS, 1, START, "sms", status, code, "0x14", "ESME_RMSGQFUL", None)


async def test_attempts_are_read_by_campaign_and_by_contact(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    await tried(kit, who)
    assert await of_campaign(kit, who) == [attempt(ANN), attempt(BOB)]
    assert await kit.services.attempts.of_contact(who, ONE, BOB) == [attempt(BOB)]


@pytest.mark.parametrize("role", Role)
async def test_who_sees_the_campaign_sees_its_attempts(kit: Kit, role: str) -> None:
    await tried(kit, await kit.user("acme", "owner"))
    assert len(await of_campaign(kit, await kit.user("acme", f"the-{role}", role))) == 2


async def test_who_does_not_see_the_campaign_sees_nothing(kit: Kit) -> None:
    await tried(kit, await kit.user("acme", "owner"), Sharing.PRIVATE)
    for who in (await kit.user("acme", "bob", "operator"), await kit.user("other", "eve", "admin")):
        for ask in (
            lambda who=who: kit.services.attempts.of_campaign(who, ONE),
            lambda who=who: kit.services.attempts.of_contact(who, ONE, ANN),
        ):
            with pytest.raises(MethodError) as refused:
                await ask()
            assert refused.value.code is MethodCode.CAMPAIGN_NOT_FOUND


async def test_an_unknown_contact(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    await tried(kit, who)
    await kit.services.contacts.delete(who, ONE, BOB)
    for guid in (ONE, BOB):
        with pytest.raises(MethodError) as refused:
            await kit.services.attempts.of_contact(who, ONE, guid)
        assert refused.value.code is MethodCode.CONTACT_NOT_FOUND


async def test_the_operator_on_the_machine_sees_all_of_one_account(kit: Kit) -> None:
    await tried(kit, await kit.user("acme", "owner"), Sharing.PRIVATE)
    await kit.user("other", "eve")
    assert len(await of_campaign(kit, await kit.services.accounts.operator_of("ACME"))) == 2
    with pytest.raises(MethodError):
        await of_campaign(kit, await kit.services.accounts.operator_of("other"))
    with pytest.raises(AccountError, match="nobody"):
        await kit.services.accounts.operator_of("nobody")
