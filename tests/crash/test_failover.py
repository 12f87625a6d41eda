"""The primary dies under load and its synchronous standby is promoted: nothing that was acknowledged is lost, and the
processes find the new primary by themselves (docs/many-machines.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from crash_kit import PASSWORD, Carrier

from campana.config import load
from campana.domain.delivery import Medium
from campana.sandbox.drill_client import Credentials, Customer
from campana.sandbox.drill_people import number_of, phone
from campana.sandbox.drill_processes import Process, campana, free_port
from campana.sandbox.drill_soap import Campaign, Standing
from campana.wiring import services_for
from tests.contract import postgres_kit, replicas

pytestmark = [
    pytest.mark.xdist_group("crash"),
    pytest.mark.timeout(240),
    pytest.mark.skipif(postgres_kit.why_not() is not None, reason=postgres_kit.why_not() or ""),
]

CAMPAIGN = "c0000000-0000-4000-8000-000000000001"
COUNT, RATE, LEASE = 400, 60, 3
FLUSH, LEASES = 20, 6
WITHIN = 90.0
_CONFIG = f"""
[server]
port = {{port}}
data_dir = "data"
shutdown_seconds = 5

[database]
url = "{{url}}"
connections = 4

[delivery]
retry_minutes = [0]
lease_seconds = {LEASE}
flush_size = {FLUSH}

[[routes]]
name = "sms"
channel = "sms"
url = "smpp://id:secret@127.0.0.1:{{smsc}}"
rate = {RATE}
binds = 2
reconnect_min = 0.05
reconnect_max = 0.2
"""


@pytest.fixture
def pair() -> Iterator[replicas.Pair]:
    with replicas.replicated() as both:
        yield both


async def test_a_standby_takes_over_under_load(pair: replicas.Pair, tmp_path: Path) -> None:
    database = await pair.primary.create()
    smsc = await Carrier.start("smsc", tmp_path, "--receipt-delay", "0.1")
    config, port = tmp_path / "campana.toml", free_port()
    config.write_text(_CONFIG.format(port=port, url=pair.url(database), smsc=smsc.port))
    running = [
        Process(f"{role} {place}", campana("--config", str(config), role), tmp_path / f"{role}-{place}.log")
        for place, role in enumerate(("api", "worker", "worker"))
    ]
    try:
        async with services_for(load(config, {})) as services:
            await services.accounts.add_account("acme", region="CA")
            await services.accounts.add_user("acme", "ann", "api", PASSWORD)
        await asyncio.gather(*(process.start() for process in running))
        client = Customer([port])
        await client.log_in(Credentials("acme", "ann", PASSWORD))
        await client.put_campaign(Campaign(CAMPAIGN, {Medium.SMS}), new=True)
        loading = asyncio.create_task(client.load([(n, CAMPAIGN, {Medium.SMS}) for n in range(COUNT)], COUNT))
        async with asyncio.timeout(WITHIN):
            while smsc.size() < COUNT // 8:
                await asyncio.sleep(0.005)
                assert not (loading.done() and smsc.size() > COUNT // 2), "it was to die under load"
        acknowledged = set(client.acknowledged)
        pair.kill_primary()
        await pair.promote()
        assert await known(pair, database, acknowledged), "what was acknowledged before is there at once"
        await loading
        assert client.acknowledged == set(range(COUNT))
        told = await ended(client)
    finally:
        for process in (smsc.process, *running):
            await process.end()
    taken = smsc.taken()
    assert {number for number in range(COUNT) if phone(number) in taken} <= set(told)
    assert set(told) == set(range(COUNT)), "nobody is lost"
    assert set(taken.values()) <= {1}, "and nobody got it twice"
    succeeded = {number for number, one in told.items() if one.status == 4}
    assert {phone(number) for number in succeeded} <= set(taken)
    uncertain = {number for number, one in told.items() if (one.status, one.error) == (6, 106)}
    assert succeeded | uncertain == set(told)
    assert len(uncertain) <= 2 * LEASES * FLUSH


async def known(pair: replicas.Pair, database: str, numbers: set[int]) -> bool:
    """Whether the standby has all these contacts."""
    connection = await asyncpg.connect(pair.standby.url(database))
    try:
        rows = await connection.fetch("SELECT guid::text FROM contacts")
    finally:
        await connection.close()
    return numbers <= {number_of(row[0]) for row in rows}


async def ended(client: Customer) -> dict[int, Standing]:
    """How the contacts stand once every delivery has ended."""
    async with asyncio.timeout(WITHIN):
        while True:
            told = (await client.standings(CAMPAIGN))[Medium.SMS]
            if all(one.status in (4, 6, 7) for one in told.values()):
                return told
            await asyncio.sleep(0.2)
