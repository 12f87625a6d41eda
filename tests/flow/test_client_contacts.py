"""Contacts in and out by commands, and a campaign watched, against a real `campana serve` with sandbox carriers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from serve_kit import Run, Served, created, phone

HEADER = "Fullname,externalRefNo,Phone,SMS,Email\n"
pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture
def run(asking: Run) -> Run:
    return asking


def test_a_campaign_is_shown_with_its_balance(run: Run) -> None:
    guid = created(run, "--paused")
    run("contacts", "import", guid, "-", "--kind", "csv", stdin=f"{HEADER}Ada,1,,{phone(1)},\nBea,2,,{phone(2)},\n")
    shown = run("campaign", "show", guid).out
    assert re.search(r"^ *sms\.from +Campana *$", shown, re.MULTILINE)
    assert re.search(r"^ *2 contacts +sms +voice +email *$", shown, re.MULTILINE)
    assert re.search(r"^ *pending +2 +0 +0 *$", shown, re.MULTILINE)
    told = run("campaign", "show", guid, "--json").json
    assert (told["state"], told["balance"]["sms"]["pending"]) == ("paused", 2)


# --- contacts ----------------------------------------------------------------------------------------------------


def test_contacts_go_in_are_sent_to_and_come_out(run: Run, here: Served, tmp_path: Path) -> None:
    guid, file = created(run), tmp_path / "people.csv"
    rows = [f"Person {number},{number},,{phone(number)},\n" for number in range(200)]
    file.write_text(HEADER + "".join(rows), encoding="utf-8")
    done = run("contacts", "import", guid, str(file))
    assert done.out == "200 rows read: 200 contacts added, 0 refused.\n"
    lines = run("campaign", "watch", guid, "--every", "0.1").out.splitlines()
    assert lines[-1] == 'The campaign "Autumn" is finished.'
    assert re.fullmatch(r"20\S+Z  finished  SMS 200/200 200 reached", lines[-2]), lines
    watched = run("campaign", "watch", guid, "--json").out.splitlines()
    assert [json.loads(line)["sms"]["success"] for line in watched] == [200]
    assert here.taken("smsc") >= {phone(number) for number in range(200)}
    out = tmp_path / "out.jsonl"
    assert re.fullmatch(rf"{re.escape(str(out))}: [\d,]+ bytes\.\n", run("contacts", "export", guid, str(out)).out)
    assert {json.loads(line)["name"] for line in out.read_text().splitlines()} >= {"Person 7", "Person 199"}
    table = run("contacts", "export", guid, "-", "--kind", "csv", "--what", "deliveries").out
    assert table.count("\n") == 201


def test_rows_that_are_refused_are_told_and_the_others_are_in(run: Run, tmp_path: Path) -> None:
    guid, file = created(run, "--paused"), tmp_path / "people.csv"
    bad = "".join(f"Nobody,{number},,nowhere,\n" for number in range(60))
    file.write_text(f"{HEADER}Ada,1,,{phone(1)},\n{bad}", encoding="utf-8")
    done = run("contacts", "import", guid, str(file), code=1)
    assert done.out.startswith("61 rows read: 1 contacts added, 60 refused.\n")
    assert re.search(r"^ *2 +SMS +\S", done.out, re.MULTILINE), done.out
    assert done.out.endswith("... and 10 more: --json prints up to ten thousand.\n")
    told = run("contacts", "import", guid, str(file), "--json", code=1).json
    assert (told["import"]["state"], told["import"]["refused"], len(told["refusals"])) == ("done", 60, 60)
    assert "nowhere" not in json.dumps(told)


def test_columns_may_be_named_and_an_import_given_again_is_the_same_one(run: Run) -> None:
    guid = created(run, "--paused")
    rows = f"who;tel;town\nAda;{phone(1)};Rome\n"
    words = ("contacts", "import", guid, "-", "--kind", "csv", "--map", "who:name,tel:sms", "--key", "of-may", "--json")
    first, again = run(*words, stdin=rows).json["import"], run(*words, stdin=rows).json["import"]
    assert (first["accepted"], first["id"]) == (1, again["id"])
    out = run("contacts", "export", guid, "-", "--kind", "jsonl").out
    assert [(one["name"], one["fields"]["town"]) for one in map(json.loads, out.splitlines())] == [("Ada", "Rome")]
    assert "--map" in run(*words[:7], "who", stdin=rows, code=2).err
