"""Logs tell what happened without telling on people; metrics are cheap, named and complete."""

from __future__ import annotations

import ast
import enum
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import campana
from campana import telemetry
from campana.telemetry import Metrics, configure_logging, logging_in_use, mask, scrub


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def entries(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# --- scrubbing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no route to +12025550123", "no route to <number>"),
        ("no route to +1 (202) 555-0123.", "no route to <number>."),
        ("dialled 12025550123", "dialled <number>"),
        ("refused: <ann@example.com>", "refused: <<address>>"),
        ("refused: jörg@münchen.example said no", "refused: <address> said no"),
        ("to:ann+news@example.com,bob@example.org", "to:<address>,<address>"),
        ("cannot reach smpp://id:secret@smsc.example:2775", "cannot reach smpp://***@smsc.example:2775"),
        ("cannot reach smtp://user@mail.example", "cannot reach smtp://***@mail.example"),
        (
            "(sqlite3.IntegrityError) UNIQUE\n[SQL: INSERT]\n[parameters: ('Dear Ann', 7)]",
            "(sqlite3.IntegrityError) UNIQUE\n[SQL: INSERT]\n[parameters masked]",
        ),
    ],
)
def test_what_belongs_to_people_is_taken_out(text: str, expected: str) -> None:
    assert scrub(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "campaign 0190a1b2-1111-7000-8000-123456789012 began",
        "listening on http://127.0.0.1:8080/OutboundNotifications.svc",
        "took 0.123456789 s for 5000 contacts",
        "id:1234567890123 kept",
        "version 3.11.7",
    ],
)
def test_what_is_nobodys_stays(text: str) -> None:
    assert scrub(text) == text


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), st.text(alphabet="ab :,;'\"()[]<>\n", max_size=10))
def test_no_number_survives_wherever_it_stands(number: str, around: str) -> None:
    assert number[1:] not in scrub(f"{around}{number} {around}")


@given(st.emails(), st.sampled_from(["", " ", "<", "'", "to:", "("]))
def test_no_domain_of_an_address_survives(address: str, before: str) -> None:
    assert address.partition("@")[2] not in scrub(f"{before}{address} said no")


@given(st.text())
def test_scrubbing_takes_any_text(text: str) -> None:
    assert isinstance(scrub(text), str)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"destination": "x", "Password": "y"}, {"destination": "***", "Password": "***"}),
        ({"number": 12025550123}, {"number": "***"}),
        ({"token": None}, {"token": None}),
        ({"delivery": 12025550123, "ok": True, "s": 1.5}, {"delivery": 12025550123, "ok": True, "s": 1.5}),
        ({"info": {"text": "hello", "route": "a"}}, {"info": {"text": "***", "route": "a"}}),
        ({"all": ["+12025550123", ("a@b.example",)]}, {"all": ["<number>", ["<address>"]]}),
        ({"raw": b"+12025550123"}, {"raw": "<12 bytes>"}),
        ({"error": ValueError("to a@b.example")}, {"error": "to <address>"}),
        ({"_record": "a@b.example"}, {"_record": "a@b.example"}),
    ],
)
def test_entries_are_masked_by_key_and_by_form(entry: dict[str, object], expected: dict[str, object]) -> None:
    assert mask(None, "info", entry) == expected


def test_a_value_that_contains_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "..." in json.dumps(mask(None, "info", {"loop": loop})["loop"])


# --- logs --------------------------------------------------------------------------------------------------------


def test_json_entries_carry_time_level_logger_and_values() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    structlog.get_logger("campana.engine").info("Chunk sent.", route="sms-main", size=500)
    (entry,) = entries(stream)
    assert entry.pop("timestamp", "").endswith("Z")
    assert entry == {
        "event": "Chunk sent.",
        "level": "info",
        "logger": "campana.engine",
        "route": "sms-main",
        "size": 500,
    }


@pytest.mark.parametrize("logger", ["uvicorn.error", "alembic.runtime", "sqlalchemy.engine", "somebody.else"])
def test_logs_of_libraries_come_the_same_way(logger: str) -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    logging.getLogger(logger).warning("mail for %s", "ann@example.com")
    (entry,) = entries(stream)
    assert (entry["event"], entry["logger"], entry["level"]) == ("mail for <address>", logger, "warning")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("logger", ["campana", "uvicorn.error"])
def test_exceptions_are_written_scrubbed(form: str, logger: str) -> None:
    stream = io.StringIO()
    configure_logging("info", form, stream)
    try:
        raise LookupError("nobody at +12025550123")
    except LookupError:
        log = structlog.get_logger(logger) if logger == "campana" else logging.getLogger(logger)
        log.exception("It failed.")
    written = stream.getvalue()
    assert "Traceback" in written
    assert "LookupError: nobody at <number>" in written
    assert "2025550123" not in written


def test_the_level_holds_for_all_and_configuring_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("debug", "json", first)
    configure_logging("WARNING", "json", second)
    structlog.get_logger("campana").info("quiet")
    logging.getLogger("uvicorn").info("quiet")
    structlog.get_logger("campana").warning("loud")
    assert first.getvalue() == ""
    assert [entry["event"] for entry in entries(second)] == ["loud"]


def test_console_lines_are_for_people_and_without_colours_in_a_file() -> None:
    stream = io.StringIO()
    configure_logging("info", "console", stream)
    structlog.get_logger("campana").info("Ready.", address="secret place")
    assert "Ready." in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert "secret place" not in stream.getvalue()


# --- metrics -----------------------------------------------------------------------------------------------------


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_counts_add_up_under_their_labels() -> None:
    metrics = Metrics()
    metrics.outcomes.add("sms", 201)
    metrics.outcomes.add("sms", 201, by=4)
    metrics.outcomes.add("email", 0, by=2)
    metrics.login_failures.add()
    found = samples(metrics)
    assert found["campana_outcomes_total", (("code", "201"), ("medium", "sms"))] == 5
    assert found["campana_outcomes_total", (("code", "0"), ("medium", "email"))] == 2
    assert found["campana_login_failures_total", ()] == 1


def test_members_of_an_enum_are_written_by_name() -> None:
    medium = enum.IntEnum("medium", ["SMS", "EMAIL"])
    metrics = Metrics()
    metrics.contacts_accepted.add(medium.EMAIL, by=3)
    assert samples(metrics)["campana_contacts_accepted_total", (("medium", "email"),)] == 3


def test_levels_hold_the_last_value() -> None:
    metrics = Metrics()
    metrics.route_up.set("mail", to=1)
    metrics.route_up.set("mail", to=0)
    metrics.chunks_open.set(to=7)
    metrics.queue_oldest_seconds.set("sms", to=1.5)
    found = samples(metrics)
    assert found["campana_route_up", (("route", "mail"),)] == 0
    assert found["campana_chunks_open", ()] == 7
    assert found["campana_queue_oldest_seconds", (("medium", "sms"),)] == 1.5


def test_timings_fall_into_buckets() -> None:
    metrics = Metrics()
    metrics.soap_seconds.observe("AddCampaign", seconds=0.003)
    metrics.store_commit_seconds.observe(seconds=0.02)
    found = samples(metrics)
    assert found["campana_soap_seconds_bucket", (("le", "0.0025"), ("operation", "AddCampaign"))] == 0
    assert found["campana_soap_seconds_bucket", (("le", "0.005"), ("operation", "AddCampaign"))] == 1
    assert found["campana_store_commit_seconds_sum", ()] == 0.02


def test_two_sets_of_metrics_do_not_share() -> None:
    one, other = Metrics(), Metrics()
    one.login_failures.add(by=5)
    assert samples(other)["campana_login_failures_total", ()] == 0


@pytest.mark.parametrize(("level", "form"), [("info", "console"), ("WARNING", "json"), ("debug", "json")])
def test_a_process_that_is_started_can_log_like_this_one(level: str, form) -> None:
    configure_logging(level, form, io.StringIO())
    assert logging_in_use() == (level.lower(), form)


def test_without_logs_of_ours_another_process_logs_json() -> None:
    logging.getLogger().handlers = []
    logging.getLogger().setLevel("ERROR")
    assert logging_in_use() == ("error", "json")


def test_every_metric_that_the_house_promises_is_there() -> None:
    families = text_string_to_metric_families(Metrics().render().decode())
    found = {family.name: family.type for family in families if family.name.startswith("campana_")}
    assert found == {
        "campana_contacts_accepted": "counter",
        "campana_deliveries_claimed": "counter",
        "campana_attempts_sent": "counter",
        "campana_outcomes": "counter",
        "campana_receipts": "counter",
        "campana_progress_events": "counter",
        "campana_publish_attempts": "counter",
        "campana_endpoints": "gauge",
        "campana_publish_backlog": "gauge",
        "campana_audit_repairs": "counter",
        "campana_rest_requests": "counter",
        "campana_rest_seconds": "histogram",
        "campana_soap_requests": "counter",
        "campana_login_failures": "counter",
        "campana_queue_oldest_seconds": "gauge",
        "campana_route_up": "gauge",
        "campana_route_figure": "gauge",
        "campana_route_share": "gauge",
        "campana_members": "gauge",
        "campana_planner": "gauge",
        "campana_held": "gauge",
        "campana_chunks_open": "gauge",
        "campana_soap_seconds": "histogram",
        "campana_send_seconds": "histogram",
        "campana_store_commit_seconds": "histogram",
        "campana_store_unavailable": "counter",
    }


def test_telemetry_knows_nothing_of_campana() -> None:
    tree = ast.parse(Path(telemetry.__file__).read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert not [name for name in modules if name.split(".")[0] == campana.__name__]
    assert {name.split(".")[0] for name in modules} <= sys.stdlib_module_names | {"structlog", "prometheus_client"}
