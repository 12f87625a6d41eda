"""How PostgreSQL reads for the statements that run for every chunk, contact and receipt: by key, with a plan that is
kept however much there is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.sql.expression import ClauseElement

from campana.storage.compiled import for_postgresql
from campana.storage.postgres import (
    PostgresStore,
    adding,
    leases,
    planning,
    progress,
    receipts,
    recording,
    retention,
    river,
)
from campana.storage.postgres import contacts as twins
from campana.storage.queries import answers, attempts, campaigns, contacts, keys, sessions
from campana.storage.queries import deliveries as looked_at
from campana.storage.queries import progress as folding
from campana.storage.queries import receipts as late_news
from campana.storage.queries import retention as old
from campana.storage.queries import river as portable
from tests.contract import postgres_kit

STATEMENTS: list[tuple[str, str | ClauseElement, set[str]]] = [
    ("claim the next chunk", leases._CLAIM, {"ix_chunks_turn", "pk_campaigns", "pk_chunks", "pk_deliveries"}),
    ("hold a lease", leases._HOLD, {"pk_chunks", "pk_campaigns"}),
    ("what was withdrawn", leases._withdrawn.of_run, {"pk_deliveries"}),
    ("wait again", leases._wait_again.of_run, {"pk_deliveries"}),
    ("what is stranded", river._stranded.of_list, {"pk_deliveries"}),
    ("hold lanes", planning._HOLD_LANES, {"pk_lanes"}),
    ("take what is due", planning._TAKE_DUE, {"pk_due"}),
    ("cut fresh contacts", planning._TAKE_FRESH, {"pk_deliveries"}),
    ("a step with a run of outcomes", recording._STEP_OF_RUN.final, {"pk_chunks", "pk_deliveries"}),
    ("a step with a run of hand-overs", recording._STEP_OF_RUN.handed_over, {"pk_chunks", "pk_deliveries"}),
    ("a last step with a run of hand-overs", recording._LAST_RUN.handed_over, {"pk_chunks", "pk_deliveries"}),
    ("record outcomes", recording._RECORD, {"pk_deliveries"}),
    ("move deliveries", recording._MOVE, {"pk_deliveries"}),
    ("move attempts", recording._MOVE_ATTEMPTS, {"pk_attempts"}),
    ("whose receipts they are", receipts._WHOSE, {"uq_handovers_carrier_id"}),
    ("hold deliveries", receipts._HOLD_DELIVERIES, {"pk_deliveries"}),
    ("match receipts", receipts._MATCH, {"uq_handovers_carrier_id", "pk_deliveries", "pk_attempts"}),
    ("match bounces", receipts._MATCH_DELIVERY, {"pk_deliveries"}),
    ("drop spellings", receipts._DROP_SPELLINGS, {"ix_early_receipts_carrier_id"}),
    ("number contacts", adding._COUNTERS, {"pk_campaigns"}),
    ("add contacts", adding._ADD, {"pk_campaigns"}),
    ("chunks of a contact", twins._COVERING, {"ix_chunks_campaign"}),
    ("a page of contacts", twins._PAGE, {"pk_contacts", "pk_deliveries"}),
    ("plan one campaign's lanes", portable.lanes_of, {"ix_chunks_campaign", "pk_campaigns", "pk_due", "pk_lanes"}),
    ("take a contact off the due list", contacts.forget_due, {"pk_due", "pk_deliveries"}),
    ("find a campaign", campaigns.find, {"uq_campaigns_guid", "pk_users", "pk_accounts"}),
    ("find a contact", contacts.find, {"uq_contacts_guid"}),
    ("find who a contact is", contacts.find_person, {"uq_contacts_guid"}),
    ("a contact whole", contacts.details_of_one, {"uq_contacts_guid", "pk_deliveries"}),
    ("a page of whole contacts", contacts.details, {"pk_contacts", "pk_deliveries"}),
    ("contacts of a reference", contacts.details_by_reference, {"ix_contacts_reference", "pk_deliveries"}),
    ("a page of campaigns", campaigns.page, {"ix_campaigns_account", "pk_users", "pk_accounts"}),
    ("from the newest", campaigns.page_down, {"ix_campaigns_account", "pk_users", "pk_accounts"}),
    ("find an API key", keys.find_hash, {"uq_api_keys_key_hash", "pk_users", "pk_accounts"}),
    ("find an answer", answers.find, {"pk_answers"}),
    ("forget answers", answers.purge, {"ix_answers_at"}),
    ("find a session", sessions.find, {"pk_sessions", "pk_users", "pk_accounts"}),
    ("page through attempts", attempts.page, {"pk_attempts", "pk_contacts", "pk_calls"}),
    ("is a campaign at rest", retention._AT_REST, {"pk_campaigns", "pk_lanes", "ix_chunks_campaign"}),
    ("where the next old deliveries end", old.end_of_deliveries, {"pk_deliveries"}),
    ("remove old deliveries", old.drop_deliveries, {"pk_deliveries"}),
    ("where the next old attempts end", old.end_of_attempts, {"pk_attempts"}),
    ("remove old attempts", old.drop_attempts, {"pk_attempts"}),
    ("remove old calls", old.drop_calls, {"pk_calls"}),
    ("remove old contacts", old.drop_contacts, {"pk_contacts"}),
    ("remove what was due", old.drop_due, {"pk_due"}),
    ("a hand-over of nothing", old.orphan, {"pk_handovers", "pk_deliveries"}),
    ("what is overdue", late_news.overdue, {"pk_handovers", "pk_attempts", "pk_deliveries"}),
    ("whom a message answers", late_news.last_sent_to, {"ix_deliveries_dial", "pk_attempts"}),
    ("what is to be folded", folding.next_happenings, {"pk_happenings"}),
    ("write what was folded", progress._WRITE, {"pk_happenings", "pk_progress"}),
    ("strays among happenings", progress._STRAYS, {"pk_strays"}),
    ("how campaigns stand", progress._STANDINGS, {"pk_campaigns", "pk_progress", "pk_happenings", "pk_strays"}),
    ("a page of events", folding.some_events, {"pk_events"}),
    ("whose events they are", progress._NAMES, {"pk_contacts"}),
    ("count deliveries", folding.count_deliveries, {"pk_deliveries"}),
    ("deliveries of deleted contacts", folding.deleted_deliveries, {"pk_contacts", "pk_deliveries"}),
    ("a page of deliveries", looked_at.page, {"pk_deliveries", "pk_contacts"}),
    ("cancel what waits", portable.cancel_range, {"pk_deliveries"}),
]
WITHOUT_BOUNDS = {"ix_chunks_turn", "pk_handovers"}
"""Read from its beginning as far as the first that will do."""


@pytest.fixture
async def store(postgres: postgres_kit.Server, postgres_database: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(postgres.url(postgres_database))
    yield store
    await store.close()


FORBIDDEN = {"Seq Scan", "Gather", "Gather Merge"}
TEMPTING = (
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "min_parallel_table_scan_size",
    "min_parallel_index_scan_size",
)
"""What keeps PostgreSQL from having other processes help, where tables are as small as in a test."""
FILLED = """
INSERT INTO contacts (id, campaign, guid, created_at)
SELECT (1::bigint << 32) + n, 1, gen_random_uuid(), 0 FROM generate_series(1, 20000) AS n;
INSERT INTO deliveries (id, status, last_error, attempts_left, tries, revision, due_at, destination, dial)
SELECT (1::bigint << 34) + n, 3, 0, 1, 1, 1, 0, n::text, n::text FROM generate_series(1, 20000) AS n;
INSERT INTO attempts (delivery, attempt, at, route, status, code, parts_open)
SELECT (1::bigint << 34) + n, 1, 0, 'main', 3, 0, 1 FROM generate_series(1, 20000) AS n;
INSERT INTO handovers (route, carrier_id, delivery, attempt, at)
SELECT 'main', n::text, (1::bigint << 34) + n, 1, 0 FROM generate_series(1, 20000) AS n;
INSERT INTO due (campaign, medium, at, delivery)
SELECT 1, 0, n, (1::bigint << 34) + n FROM generate_series(1, 20000) AS n;
"""


@pytest.mark.parametrize(
    "filled",
    ["", FILLED, f"{FILLED} ANALYZE contacts, deliveries, attempts, handovers, due;"],
    ids=["empty", "filled", "known"],
)
async def test_every_one_reads_by_key(store: PostgresStore, filled: str) -> None:
    """Also where much has come since PostgreSQL looked last at how much there is; and none has other processes help."""
    if filled:
        await store._database.write(lambda connection: connection.execute(filled))
    wrong = {}
    for name, statement, expected in STATEMENTS:
        plan = await explain(store, statement if isinstance(statement, str) else for_postgresql(statement).sql)
        used = {node["Index Name"] for node in plan if "Index Name" in node}
        whole = {node["Index Name"] for node in plan if "Index Name" in node and "Index Cond" not in node}
        if used != expected or whole - WITHOUT_BOUNDS or FORBIDDEN & {node["Node Type"] for node in plan}:
            wrong[name] = (used, whole)
    assert wrong == {}


async def test_the_next_chunk_is_found_without_sorting_all_that_wait(store: PostgresStore) -> None:
    kinds = {node["Node Type"] for node in await explain(store, leases._CLAIM, leases.IN_THEIR_TURN)}
    assert "Incremental Sort" in kinds
    assert "Sort" not in kinds


async def explain(store: PostgresStore, statement: str, first: str = "") -> list[dict[str, Any]]:
    """The nodes of the plan that is kept for a statement, as a store's connection makes it."""

    async def work(connection: Any) -> list[dict[str, Any]]:
        count = len((await connection.prepare(statement)).get_parameters())
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for cost in TEMPTING:
            await connection.execute(f"SET LOCAL {cost} = 0")
        await connection.execute(f"PREPARE asked AS {statement}")
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{values}")
        await connection.execute("DEALLOCATE asked")
        return nodes(json.loads(found)[0]["Plan"])

    return await store._database.write(work, first=first)


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", []) for node in nodes(below))]
