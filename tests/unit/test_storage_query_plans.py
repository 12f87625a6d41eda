"""How SQLite reads for the statements that run for every chunk, contact and receipt: by key, however much there is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.expression import ClauseElement

from campana.storage.migrate import upgrade
from campana.storage.queries import answers, attempts, campaigns, contacts, keys, receipts, retention, river, sessions
from campana.storage.sqlite import receipts as late_news
from campana.storage.sqlite import recording
from campana.storage.sqlite import river as leases

STATEMENTS: list[tuple[str, str | ClauseElement, str]] = [
    ("plan one campaign's lanes", river.lanes_of, "chunks USING INDEX ix_chunks_campaign (campaign=?)"),
    ("move a lane's window", river.gate, "chunks USING INDEX ix_chunks_campaign (campaign=? AND medium=?)"),
    ("choose the next chunk", leases._NEXT_CHUNK, "k USING INDEX ix_chunks_turn"),
    ("take what is due", leases._TAKE_DUE, "due USING PRIMARY KEY (campaign=? AND medium=? AND at<?)"),
    (
        "take a chunk off the due list",
        leases._FORGET_DUE,
        "due USING PRIMARY KEY (campaign=? AND medium=? AND at=? AND delivery=?)",
    ),
    (
        "take a contact off the due list",
        contacts.forget_due,
        "due USING PRIMARY KEY (campaign=? AND medium=? AND at=? AND delivery=?)",
    ),
    ("cut fresh contacts", leases._TAKE_FRESH, "deliveries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    ("claim a run", leases._claim[0], "deliveries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    ("claim a list", leases._claim[1], "deliveries USING INTEGER PRIMARY KEY (rowid=?)"),
    ("record outcomes", recording._RECORD, "deliveries USING INTEGER PRIMARY KEY (rowid=?)"),
    ("match receipts", late_news._MATCH, "h USING INDEX sqlite_autoindex_handovers_1 (carrier_id=? AND route=?)"),
    ("match bounces", late_news._MATCH_DELIVERY, "d USING INTEGER PRIMARY KEY (rowid=?)"),
    ("drop spellings", late_news._DROP_SPELLINGS, "e USING INDEX ix_early_receipts_carrier_id (carrier_id=?)"),
    ("cancel a contact", contacts.cancel, "chunks USING INDEX ix_chunks_campaign (campaign=? AND medium=?)"),
    ("find a campaign", campaigns.find, "campaigns USING INDEX uq_campaigns_guid (account=? AND guid=?)"),
    ("find a contact", contacts.find, "contacts USING INDEX uq_contacts_guid (campaign=? AND guid=?)"),
    (
        "contacts of a reference",
        contacts.details_by_reference,
        "contacts USING INDEX ix_contacts_reference (campaign=? AND reference=? AND rowid>?)",
    ),
    ("a page of whole contacts", contacts.details, "contacts USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    ("a contact whole", contacts.details_of_one, "contacts USING INDEX uq_contacts_guid (campaign=? AND guid=?)"),
    ("page through attempts", attempts.page, "attempts USING PRIMARY KEY (delivery>? AND delivery<?)"),
    ("find an attempt's contact", attempts.page, "contacts USING INTEGER PRIMARY KEY (rowid=?)"),
    ("find an attempt's call", attempts.page, "calls USING PRIMARY KEY (delivery=? AND attempt=?) LEFT-JOIN"),
    ("is a campaign at rest", retention.at_rest, "campaigns USING INTEGER PRIMARY KEY (rowid=?)"),
    ("is a campaign cancelled", retention.at_rest, "lanes USING PRIMARY KEY (campaign=?)"),
    (
        "where the next old attempts end",
        retention.end_of_attempts,
        "attempts USING PRIMARY KEY (delivery>? AND delivery<?)",
    ),
    ("remove old attempts", retention.drop_attempts, "attempts USING PRIMARY KEY (delivery>? AND delivery<?)"),
    (
        "remove old deliveries",
        retention.drop_deliveries,
        "deliveries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    ),
    ("a hand-over of nothing", retention.orphan, "deliveries USING INTEGER PRIMARY KEY (rowid=?)"),
    ("find a session", sessions.find, "sessions USING PRIMARY KEY (token_hash=?)"),
    ("a page of campaigns", campaigns.page, "campaigns USING INDEX ix_campaigns_account (account=? AND number>?)"),
    ("from the newest", campaigns.page_down, "campaigns USING INDEX ix_campaigns_account (account=? AND number<?)"),
    ("find an API key", keys.find_hash, "api_keys USING INDEX sqlite_autoindex_api_keys_2 (key_hash=?)"),
    ("keys of a user", keys.page_of_user, "api_keys USING INDEX ix_api_keys_user (user=?)"),
    ("find an answer", answers.find, "answers USING PRIMARY KEY (key=?)"),
    ("forget answers", answers.purge, "answers USING COVERING INDEX ix_answers_at (at<?)"),
    ("whom a message answers", receipts.last_sent_to, "deliveries USING COVERING INDEX ix_deliveries_dial (dial=?)"),
]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = tmp_path_factory.mktemp("plans") / "campana.db"
    upgrade(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


@pytest.mark.parametrize(("statement", "step"), [row[1:] for row in STATEMENTS], ids=[row[0] for row in STATEMENTS])
def test_it_reads_by_key(connection: sqlite3.Connection, statement: str | ClauseElement, step: str) -> None:
    sql = (
        statement if isinstance(statement, str) else str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))
    )
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", _Anything())]
    assert any(line.endswith(step) for line in plan), plan
    # What another line of the plan has read by key already.
    read = {f"SCAN {line.removeprefix('CO-ROUTINE ')}" for line in plan if line.startswith("CO-ROUTINE")}
    scans = [line for line in plan if line.startswith("SCAN") and line not in read]
    whole = [line for line in scans if not line.endswith("TABLE INDEX 1:")]
    assert [line for line in whole if "USING INDEX" not in line and "(subquery" not in line] == [], plan


class _Anything(dict[str, int]):
    """A value for every parameter: plans do not depend on them."""

    def __missing__(self, name: str) -> int:
        return 0
