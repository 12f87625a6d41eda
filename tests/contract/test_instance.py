"""A database says which it is, and a guard on it begins, goes on or stops: on both databases."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from campana.domain.delivery import Medium
from campana.domain.instance import Doubt, Found, Instance, Self, adopted, retired, risen
from campana.engine.guard import Guard, GuardOptions, InstanceLost
from campana.storage.beside import FILE, MemoryFile, machine_name
from campana.storage.postgres import PostgresStore
from campana.storage.sqlite import SqliteStore
from campana.telemetry import Metrics
from tests.contract import postgres_kit
from tests.contract.conftest import NOW, World

WHO = Self(None, machine_name())


async def look(store: Any) -> Found:
    found: Found = await store.instances.change(lambda found: (None, found))
    return found


async def stand(store: Any, change: Any) -> Instance:
    """Have the database stand otherwise."""

    def change_it(found: Found) -> tuple[Instance, Instance]:
        new = change(found)
        return new, new

    instance: Instance = await store.instances.change(change_it)
    return instance


def guard(store: Any, folder: Path, label: str | None = None) -> Guard:
    """A process whose data lie in this folder."""
    return Guard(store.instances, MemoryFile(folder), GuardOptions(Self(label, machine_name()), 0.0), Metrics())


# --- the row -----------------------------------------------------------------------------------------------------


async def test_a_new_database_never_ran(store: Any) -> None:
    found = await look(store)
    assert len(found.instance.id) == 36
    assert (found.instance.epoch, found.instance.home, found.instance.label) == (0, None, None)
    assert found.instance.retired is False
    assert found.empty


async def test_a_database_with_a_campaign_is_not_empty(world: World) -> None:
    assert not (await look(world.store)).empty


async def test_what_was_said_is_found_again(store: Any) -> None:
    ran = await stand(store, lambda found: risen(found, Self("production", "")))
    found = await look(store)
    assert found.instance == ran
    assert (ran.epoch, ran.label) == (1, "production")
    assert ran.home is not None
    assert ran.home.place == found.here
    copy = await stand(store, lambda found: retired(found.instance))
    assert (await look(store)).instance == copy
    other = await stand(store, lambda found: adopted(found, "two", None))
    assert (await look(store)).instance == other
    assert other.id == "two"


async def test_what_a_change_raises_undoes_it(store: Any) -> None:
    def change(found: Found) -> Any:
        raise LookupError

    with pytest.raises(LookupError):
        await store.instances.change(change)
    assert (await look(store)).instance.epoch == 0


async def test_of_many_at_once_each_finds_what_the_one_before_left(store: Any) -> None:
    epochs = await asyncio.gather(*(stand(store, lambda found: risen(found, WHO)) for _ in range(20)))
    assert sorted(instance.epoch for instance in epochs) == list(range(1, 21))


async def test_what_waits_is_counted_by_medium(world: World) -> None:
    guids = await world.add(5)
    assert await world.plan(limit=2) == 2
    assert await world.claim() is not None
    await world.store.contacts.delete(world.campaign.number, guids[4], NOW)
    counts = [await world.store.contacts.count_waiting(world.campaign.number, medium) for medium in Medium]
    assert counts == [4, 0, 0]


# --- a process ---------------------------------------------------------------------------------------------------


async def test_a_process_begins_goes_on_leaves_and_begins_again(store: Any, tmp_path: Path) -> None:
    first = guard(store, tmp_path / "one")
    assert await first.enter() is True
    assert first.held is None
    await first.beat()
    await first.leave()
    assert (await look(store)).instance.epoch == 3
    assert await guard(store, tmp_path / "one").enter() is True


async def test_a_killed_process_begins_again(store: Any, tmp_path: Path) -> None:
    first = guard(store, tmp_path / "one")
    await first.enter()
    await first.beat()
    assert await guard(store, tmp_path / "one").enter() is True


async def test_another_machine_joins_and_both_go_on(store: Any, tmp_path: Path) -> None:
    guards = [guard(store, tmp_path / name) for name in ("one", "two")]
    for _ in range(2):
        for one in guards:
            assert await one.enter() is True
            await one.beat()


async def test_a_database_that_goes_back_under_a_process_stops_it_and_holds_every_other(
    store: Any, tmp_path: Path
) -> None:
    metrics = Metrics()
    first = Guard(store.instances, MemoryFile(tmp_path / "one"), GuardOptions(WHO, 0.0), metrics)
    await first.enter()
    before = (await look(store)).instance
    await first.beat()
    await stand(store, lambda found: before)
    with pytest.raises(InstanceLost):
        await asyncio.wait_for(first.watch(), 10)
    assert first.held == Doubt.WENT_BACK.value
    assert b"campana_held 1.0" in metrics.render()
    await first.leave()
    again, other = guard(store, tmp_path / "one"), guard(store, tmp_path / "two")
    assert [await again.enter(), await other.enter()] == [False, False]
    assert (again.held, other.held) == (Doubt.WENT_BACK.value, Doubt.TOLD.value)


async def test_a_held_process_begins_when_an_operator_has_spoken(store: Any, tmp_path: Path) -> None:
    await guard(store, tmp_path / "one").enter()
    await stand(store, lambda found: retired(found.instance))
    held = guard(store, tmp_path / "one")
    assert await held.enter() is False
    assert held.held == Doubt.RETIRED.value
    waiting = asyncio.create_task(held.wait_until_free(asyncio.Event()))
    await stand(store, lambda found: adopted(found, "two", None))
    assert await asyncio.wait_for(waiting, 10) is True
    assert held.held is None
    await held.beat()


async def test_a_held_process_can_be_stopped(store: Any, tmp_path: Path) -> None:
    await stand(store, lambda found: retired(found.instance))
    held, stop = guard(store, tmp_path), asyncio.Event()
    assert await held.enter() is False
    waiting = asyncio.create_task(held.wait_until_free(stop))
    asyncio.get_running_loop().call_later(0.05, stop.set)
    assert await asyncio.wait_for(waiting, 10) is False
    await held.leave()
    assert (await look(store)).instance.epoch == 0


@pytest.mark.parametrize("word", [lambda found: adopted(found, "two", None), lambda found: retired(found.instance)])
async def test_a_running_process_heeds_an_operators_word(store: Any, tmp_path: Path, word: Any) -> None:
    first = guard(store, tmp_path)
    await first.enter()
    said = await stand(store, word)
    with pytest.raises(InstanceLost):
        await first.beat()
    assert (await look(store)).instance == said


async def test_a_label_is_taken_at_the_first_start_and_asked_for_ever_after(store: Any, tmp_path: Path) -> None:
    assert await guard(store, tmp_path / "one", "production").enter() is True
    assert await guard(store, tmp_path / "two", "production").enter() is True
    for label in ("staging", None):
        clone = guard(store, tmp_path / "three", label)
        assert await clone.enter() is False
        assert clone.held == Doubt.LABEL.value


async def test_a_memory_that_cannot_be_read_or_written_stops_nobody(store: Any, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{", encoding="utf-8")
    assert await guard(store, tmp_path).enter() is True
    (tmp_path / "file").write_text("", encoding="utf-8")
    nowhere = guard(store, tmp_path / "file")
    assert await nowhere.enter() is True
    await nowhere.beat()


# --- copies ------------------------------------------------------------------------------------------------------


@dataclass
class Copies:
    """A database that ran, and how copies of it are made and restored."""

    server: postgres_kit.Server | None
    folder: Path
    name: str

    async def open(self, name: str = "") -> Any:
        if self.server:
            return await PostgresStore.open(self.server.url(name or self.name))
        return await SqliteStore.open(Path(name or self.name))

    async def clone(self) -> str:
        """A copy as another database, of the one that is closed."""
        if self.server:
            return await self.server.create(f'"{self.name}"')
        copy = self.folder / "copy" / "campana.db"
        copy.parent.mkdir()
        shutil.copy2(self.name, copy)
        return str(copy)


@pytest.fixture
async def copies(server: postgres_kit.Server | None, tmp_path: Path) -> AsyncIterator[Copies]:
    name = await server.create() if server else str(tmp_path / "campana.db")
    yield Copies(server, tmp_path, name)
    if server:
        await server.drop(name)


@pytest.mark.parametrize("with_memory", [True, False])
async def test_a_clone_is_held_and_the_original_goes_on(copies: Copies, tmp_path: Path, with_memory: bool) -> None:
    original = await copies.open()
    first = guard(original, tmp_path / "memory")
    await first.enter()
    await first.leave()
    await original.close()
    clone = await copies.clone()
    store = await copies.open(clone)
    held = guard(store, tmp_path / ("memory" if with_memory else "none"))
    assert await held.enter() is False
    assert held.held == Doubt.ELSEWHERE.value
    await store.close()
    original = await copies.open()
    assert await guard(original, tmp_path / "memory").enter() is True
    await original.close()
    if copies.server:
        await copies.server.drop(clone)


async def test_a_table_that_was_restored_into_its_database_lies_elsewhere(
    postgres: postgres_kit.Server, postgres_database: str, tmp_path: Path
) -> None:
    """As pg_restore --clean does, even where no memory is left."""
    store = await PostgresStore.open(postgres.url(postgres_database))
    await guard(store, tmp_path / "one").enter()
    for statement in (
        "CREATE TABLE restored (LIKE instance INCLUDING ALL)",
        "INSERT INTO restored SELECT * FROM instance",
        "DROP TABLE instance",
        "ALTER TABLE restored RENAME TO instance",
    ):
        await postgres.execute(statement, postgres_database)
    held = guard(store, tmp_path / "two")
    assert await held.enter() is False
    assert held.held == Doubt.ELSEWHERE.value
    await store.close()


async def test_an_ordinary_role_may_ask_where_the_database_lies(
    postgres: postgres_kit.Server, postgres_database: str
) -> None:
    role = f"plain_{postgres_database}"
    await postgres.execute(f"CREATE ROLE {role} LOGIN", postgres_database)
    await postgres.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", postgres_database)
    await postgres.execute(f"GRANT ALL ON SCHEMA public TO {role}", postgres_database)
    store = await PostgresStore.open(postgres.url(postgres_database).replace("//campana@", f"//{role}@"))
    here = (await look(store)).here
    await store.close()
    await postgres.execute(f"DROP OWNED BY {role}; DROP ROLE {role}", postgres_database)
    owner = await PostgresStore.open(postgres.url(postgres_database))
    assert (await look(owner)).here == here
    assert here.line == 1
    await owner.close()


@dataclass
class Failover:
    """A server and its standby, with a database that has run on the first."""

    primary: postgres_kit.Server
    standby: postgres_kit.Server
    database: str

    async def promote(self) -> PostgresStore:
        """Make the standby the primary, once it has everything; a store on it."""
        await self.caught_up()
        return await self.promote_as_it_is()

    async def promote_as_it_is(self) -> PostgresStore:
        """Make the standby the primary with what it has; a store on it."""
        await self.standby.execute("SELECT pg_promote()")
        return await PostgresStore.open(self.standby.url(self.database))

    async def caught_up(self) -> None:
        """Wait until the standby shows what the primary has."""
        first = await asyncpg.connect(self.primary.url("postgres"))
        end = await first.fetchval("SELECT pg_current_wal_insert_lsn()::text")
        await first.close()
        await self._until(f"pg_last_wal_replay_lsn() >= '{end}'::pg_lsn")

    async def cut_off(self) -> None:
        """Have the standby get no more."""
        await self.caught_up()
        await self.standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
        await self.standby.execute("SELECT pg_reload_conf()")
        await self._until("NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')")

    async def _until(self, condition: str) -> None:
        """Wait until a condition holds on the standby."""
        second = await asyncpg.connect(self.standby.url("postgres"))
        try:
            async with asyncio.timeout(20):
                while not await second.fetchval(f"SELECT {condition} FROM pg_sleep(0.005)"):
                    pass
        finally:
            await second.close()


@pytest.fixture
def failover(postgres: postgres_kit.Server, postgres_database: str) -> Iterator[Failover]:
    with postgres_kit.standby(postgres) as standby:
        yield Failover(postgres, standby, postgres_database)


class Way:
    """A process's way to its database, which leads to another server after a failover."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.instances = self

    async def change(self, change: Any) -> Any:
        return await self.store.instances.change(change)


async def test_a_failover_without_loss_stops_nobody(failover: Failover, tmp_path: Path) -> None:
    before = await PostgresStore.open(failover.primary.url(failover.database))
    way = Way(before)
    running, other = guard(way, tmp_path / "one"), guard(way, tmp_path / "two")
    assert [await running.enter(), await other.enter()] == [True, True]
    way.store = after = await failover.promote()
    newcomer = guard(after, tmp_path / "three")
    assert await newcomer.enter() is False
    assert newcomer.held == Doubt.ELSEWHERE.value
    await running.beat()
    assert (await look(after)).here.line == 2
    # Now it is known that nothing was lost.
    assert await newcomer.enter() is True
    await other.beat()
    assert await guard(after, tmp_path / "two").enter() is True
    await before.close()
    await after.close()


async def test_a_failover_with_loss_holds_everybody(failover: Failover, tmp_path: Path) -> None:
    before = await PostgresStore.open(failover.primary.url(failover.database))
    way = Way(before)
    behind, ahead = guard(way, tmp_path / "one"), guard(way, tmp_path / "two")
    assert [await behind.enter(), await ahead.enter()] == [True, True]
    await failover.cut_off()
    await ahead.beat()
    way.store = after = await failover.promote_as_it_is()
    # It saw nothing of what was lost, and raises the epoch beyond.
    for _ in range(3):
        await behind.beat()
    for one in (ahead, behind):
        with pytest.raises(InstanceLost):
            await one.beat()
    assert (ahead.held, behind.held) == (Doubt.WENT_BACK.value, Doubt.TOLD.value)
    await before.close()
    await after.close()


async def test_a_file_that_was_put_in_the_place_of_the_one_that_runs_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "campana.db"
    store = await SqliteStore.open(path)
    running = guard(store, tmp_path)
    await running.enter()
    with sqlite3.connect(path) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    connection.close()
    (tmp_path / "backup.db").replace(path)
    with pytest.raises(InstanceLost):
        await running.beat()
    await store.close()
