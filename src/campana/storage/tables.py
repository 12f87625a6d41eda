"""Owns the tables: their columns, keys and the arithmetic of their ids.

Must not hold statements. A campaign's rows lie together, because their ids carry where they belong: a contact's id
is campaign and running number, a delivery's id is campaign, medium and the contact's running number. So every list,
chunk and sweep is a range of a primary key, no index mentions a status, and an outcome touches no index.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql

from campana.domain.delivery import Medium

NEVER = 1 << 62
"""An instant that never comes, for what waits for a person."""

CONTACT_BITS = 32
MEDIUM_BITS = 2


def contact_id(campaign: int, number: int) -> int:
    """The id of the `number`-th contact of a campaign (numbers count from 1)."""
    return campaign << CONTACT_BITS | number


def delivery_id(campaign: int, medium: int, number: int) -> int:
    """The id of the delivery of a campaign's `number`-th contact on one medium."""
    return campaign << (CONTACT_BITS + MEDIUM_BITS) | medium << CONTACT_BITS | number


def campaign_of(delivery: int) -> int:
    """The campaign's number in a delivery's id."""
    return delivery >> (CONTACT_BITS + MEDIUM_BITS)


def medium_of(delivery: int) -> Medium:
    """The medium in a delivery's id."""
    return Medium(delivery >> CONTACT_BITS & ((1 << MEDIUM_BITS) - 1))


def number_of(delivery: int) -> int:
    """The contact's running number in a contact's or delivery's id."""
    return delivery & ((1 << CONTACT_BITS) - 1)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Guid = Text().with_variant(postgresql.UUID(as_uuid=False), "postgresql")
"""A canonical lower-case UUID; text in Python everywhere. Empty text, which is nobody's, is asked for as None."""

# SQLite makes a column the table's own key only where its type reads INTEGER.
Key = BigInteger().with_variant(Integer(), "sqlite")

accounts = Table(
    "accounts",
    metadata,
    Column("number", Key, primary_key=True),
    Column("id", Text, nullable=False),
    Column("id_folded", Text, nullable=False, unique=True),
    Column("time_zone", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("webhook_secret", Text),
    Column("earlier_secret", Text),
    Column("earlier_until", BigInteger),
)
"""`webhook_secret` signs what is told to endpoints; the one before it signs as well, until `earlier_until`."""

users = Table(
    "users",
    metadata,
    Column("number", Key, primary_key=True),
    Column("account", ForeignKey("accounts.number"), nullable=False),
    Column("name", Text, nullable=False),
    Column("name_folded", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    UniqueConstraint("account", "name_folded"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("user", ForeignKey("users.number"), nullable=False, index=True),
    Column("opened_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

failures = Table(
    "failures",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("locked_until", BigInteger, nullable=False),
    Column("moments", Text),
    sqlite_with_rowid=False,
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("number", Key, primary_key=True),
    Column("account", ForeignKey("accounts.number"), nullable=False),
    Column("owner", ForeignKey("users.number"), nullable=False),
    Column("guid", Guid, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column("revision", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("contacts", BigInteger, nullable=False),
    Column("is_paused", SmallInteger, nullable=False),
    Column("media", SmallInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("cancelled_at", BigInteger),
)
"""`body` is the client's description as JSON; the columns beside it repeat what statements ask for: whether it is
paused and which media are enabled (a bit each; none of one that was cancelled). `contacts` is the number of the last
contact that was added."""

Index(
    "uq_campaigns_guid",
    campaigns.c.account,
    campaigns.c.guid,
    unique=True,
    sqlite_where=text("deleted_at IS NULL"),
    postgresql_where=text("deleted_at IS NULL"),
)

Index("ix_campaigns_account", campaigns.c.account, campaigns.c.number)

contents = Table(
    "contents",
    metadata,
    Column("campaign", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
"""What a campaign says, frozen by revision: a delivery that has begun keeps the revision with which it began."""

contacts = Table(
    "contacts",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("campaign", BigInteger, nullable=False),
    Column("guid", Guid, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
    Column("name", Text),
    Column("reference", Text),
    Column("fields", Text),
)
"""`name` and `reference` are the client's own for a person; `fields` is what texts may take of a contact, as JSON."""

Index(
    "uq_contacts_guid",
    contacts.c.campaign,
    contacts.c.guid,
    unique=True,
    sqlite_where=text("deleted_at IS NULL"),
    postgresql_where=text("deleted_at IS NULL"),
)
Index(
    "ix_contacts_reference",
    contacts.c.campaign,
    contacts.c.reference,
    sqlite_where=text("reference IS NOT NULL"),
    postgresql_where=text("reference IS NOT NULL"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("status", SmallInteger, nullable=False),
    Column("last_error", SmallInteger, nullable=False),
    Column("attempts_left", SmallInteger, nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("revision", Integer),
    Column("due_at", BigInteger, nullable=False),
    Column("destination", Text, nullable=False),
    Column("dial", Text),
    Column("text", Text),
    postgresql_with={"fillfactor": 45},
)
"""`tries` counts the attempts ever made; `revision` is null until the delivery has begun; `dial` is null where the
destination is blank; nothing is claimed before `due_at` or without an attempt left."""

Index("ix_deliveries_dial", deliveries.c.dial)
"""To know who wrote to us. No outcome touches it."""

lanes = Table(
    "lanes",
    metadata,
    Column("campaign", BigInteger, primary_key=True, autoincrement=False),
    Column("medium", SmallInteger, primary_key=True, autoincrement=False),
    Column("account", BigInteger, nullable=False),
    Column("planned", BigInteger, nullable=False),
    Column("cancelled", BigInteger),
    sqlite_with_rowid=False,
)
"""A campaign on one medium. Contacts up to number `planned` have been cut into chunks once; `cancelled` is how far
the sweep of a deleted campaign has come."""

chunks = Table(
    "chunks",
    metadata,
    Column("id", Key, primary_key=True),
    Column("campaign", BigInteger, nullable=False),
    Column("medium", SmallInteger, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("ids", Text),
    Column("size", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("opens_at", BigInteger, nullable=False),
    Column("closes_at", BigInteger, nullable=False),
    Column("owner", Text),
    Column("epoch", Integer, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("mark", BigInteger, nullable=False),
)
"""A run of deliveries to be leased: all of first..last, or the `ids` (a JSON list in rising order). It may be claimed
from `opens_at` until `closes_at`. While owned, deliveries up to `mark` may have been handed over. `size` is how many
there are to claim; while owned, how many were claimed, or fewer where one may have been withdrawn since."""

Index("ix_chunks_campaign", chunks.c.campaign, chunks.c.medium)
Index("ix_chunks_turn", chunks.c.turn, sqlite_where=text("owner IS NULL"), postgresql_where=text("owner IS NULL"))
"""So that a claim reads as far as the first chunk that may go, not all that wait."""

due = Table(
    "due",
    metadata,
    Column("campaign", BigInteger, primary_key=True, autoincrement=False),
    Column("medium", SmallInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("delivery", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Deliveries to be planned one by one at their moment: retries, and what starts again after an edit."""

attempts = Table(
    "attempts",
    metadata,
    Column("delivery", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", SmallInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("route", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("code", SmallInteger, nullable=False),
    Column("parts_open", SmallInteger, nullable=False),
    Column("carrier_code", Text),
    Column("carrier_text", Text),
    sqlite_with_rowid=False,
)
"""One try of a delivery: the status and code that it led to, and the carrier's own words. `parts_open` counts the
segments whose receipt is still to come."""

calls = Table(
    "calls",
    metadata,
    Column("delivery", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", SmallInteger, primary_key=True, autoincrement=False),
    Column("began_at", BigInteger, nullable=False),
    Column("ringing_ms", Integer),
    Column("answered_at", BigInteger),
    Column("heard_ms", Integer, nullable=False),
    Column("plays", SmallInteger, nullable=False),
    Column("digits", Text, nullable=False),
    Column("acknowledged", SmallInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("ended_by", Text, nullable=False),
    Column("sip_status", SmallInteger),
    Column("q850", SmallInteger),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What became of the call of an attempt, where there was one that is over: a CallReport, column by column."""

handovers = Table(
    "handovers",
    metadata,
    Column("id", Key, primary_key=True),
    Column("route", Text, nullable=False),
    Column("carrier_id", Text, nullable=False),
    Column("delivery", BigInteger, nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    UniqueConstraint("carrier_id", "route"),
)
"""What a carrier took and has not yet told the end of: one row a segment, gone with its receipt. Ids rise with time."""

early_receipts = Table(
    "early_receipts",
    metadata,
    Column("id", Key, primary_key=True),
    Column("route", Text, nullable=False),
    Column("carrier_id", Text, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
"""Receipts that came before their own send was recorded, or that belong to nothing: kept for a while."""

incoming = Table(
    "incoming",
    metadata,
    Column("id", Key, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("route", Text, nullable=False),
    Column("medium", SmallInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("delivery", BigInteger),
)
"""Messages that people sent to us, with the delivery to which they most likely answer."""

# --- what processes know of each other ---------------------------------------------------------------------------

instance = Table(
    "instance",
    metadata,
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("label", Text),
    Column("epoch", BigInteger, nullable=False),
    Column("home", Text),
    Column("retired", SmallInteger, nullable=False),
    Column("oldest_code", Text, nullable=False),
)
"""One row, number 1: which of all databases this one is. `epoch` rises as long as something runs on it, `home` says
where it lay then, and `label` what its operator calls it; a retired one never sends. `oldest_code` is the oldest
revision whose program still works on the tables as they are now."""

members = Table(
    "members",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("routes", Text, nullable=False),
)
"""Processes that live, each until `until` unless it says so again. `code` is the newest revision that its program
knows, `routes` the health of the routes that it runs, as JSON."""

duties = Table(
    "duties",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
)
"""What one process does for all, and until when it has the right to."""

route_states = Table(
    "route_states",
    metadata,
    Column("route", Text, primary_key=True),
    Column("body", Text, nullable=False),
)
"""What processes that use a route keep between them, as JSON: see domain/sharing.py. On PostgreSQL it is unlogged: it
costs no log, and after a crash it is empty, which is known to mean that nothing is known."""
