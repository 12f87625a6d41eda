"""Imports: which rows become contacts and why others do not, going on where one broke off, and who may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services_kit import START, Kit, campaign, open_kit

from campana.bus.contract import News
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings, VoiceSettings
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.merging import merge_texts
from campana.domain.moment import DAY
from campana.domain.person import Person
from campana.services.contacts import ContactOptions
from campana.services.house import ServiceOptions
from campana.services.importing.checking import Checker
from campana.services.importing.columns import FIELD, layout_of
from campana.services.importing.reading import Format, ListOptions
from campana.services.importing.single import Terms
from campana.services.imports import ROWS_IN_A_BATCH, CutOff, ImportReport
from campana.services.principal import Principal
from campana.storage.imports import ImportState
from campana.storage.store import ContactDetails

ONE = "0190a1b2-0000-7000-8000-000000000001"
HEADER = "Fullname,externalRefNo,Phone,SMS,Email"
VOICE = VoiceSettings(True, 30_000, None, None, "Hello", None, 1, 7, 5)
CSV = ListOptions()
JSON = ListOptions(format=Format.JSON_LINES)
AT_ONCE = 10.0
"""Seconds, of what would take minutes if each part of it were looked at for each other."""


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    options = ServiceOptions(contacts=ContactOptions(most_per_campaign=20_000))
    async with open_kit(tmp_path, options) as opened:
        yield opened


async def prepared(kit: Kit, **changes: Any) -> Principal:
    who = await kit.user("acme", "ann")
    await kit.services.campaigns.add(who, campaign(ONE, **changes), whole=True)
    return who


async def pieces(*texts: str | bytes, then: Exception | None = None) -> AsyncIterator[bytes]:
    for text in texts:
        yield text.encode() if isinstance(text, str) else text
    if then is not None:
        raise then


async def add(
    kit: Kit, who: Principal, *texts: str | bytes, key: str | None = None, options: ListOptions = CSV
) -> ImportReport:
    return await kit.services.imports.add(who, ONE, options, key, pieces(*texts))


async def contacts(kit: Kit, who: Principal) -> list[ContactDetails]:
    return await kit.services.contacts.details(who, ONE, 0, 100_000)


async def refused(kit: Kit, who: Principal, report: ImportReport) -> list[tuple[int, str | None, int]]:
    return [
        (one.row, one.column, one.code) for one in await kit.services.imports.refusals(who, report.row.id, 0, 1_000)
    ]


def numbered(numbers: Iterable[int]) -> str:
    return "".join(f"n{number},,,+1416555{number:04d},\n" for number in numbers)


async def test_the_classic_list(kit: Kit) -> None:
    who = await prepared(kit, voice=VOICE)
    text = f"{HEADER},City\nAnn Müller,7,+14165550101,416-555-0102,Ann@Example.com,Köln\n,,,+14165550103,,\n"
    report = await add(kit, who, text.replace("416-555-0102", "+1 416 555-0102"))
    assert (report.row.state, report.row.rows_read, report.row.accepted) == (ImportState.DONE, 2, 2)
    first, second = await contacts(kit, who)
    assert first.person == Person("Ann Müller", "7", {"City": "Köln"})
    assert [(one.medium, one.destination, one.attempts_left) for one in first.media] == [
        (Medium.SMS, "+1 416 555-0102", 3),
        (Medium.VOICE, "+14165550101", 7),
        (Medium.EMAIL, "Ann@Example.com", 3),
    ]
    assert (second.person, [one.medium for one in second.media]) == (Person(), [Medium.SMS])
    assert first.guid < second.guid


async def test_columns_of_texts_attempts_and_ids(kit: Kit) -> None:
    who = await prepared(kit)
    guid = "0190A1B2-0000-7000-8000-00000000000A"
    text = f'Id,SMS,sms.text,sms.attempts,fields\n{{{guid}}},+14165550101,Dear {{{{a}}}},9,"{{""a"":""x""}}"\n'
    report = await add(kit, who, text)
    assert await refused(kit, who, report) == []
    (one,) = await contacts(kit, who)
    assert (one.guid, one.person) == (guid.lower(), Person(fields={"a": "x"}))
    assert (one.media[0].text, one.media[0].attempts_left) == ("Dear {{a}}", 9)


async def test_objects(kit: Kit) -> None:
    who = await prepared(kit)
    lines = (
        '{"id":"0190a1b2-0000-7000-8000-00000000000a","name":"Ann","reference":7,"sms":"+14165550101","City":"Köln"}\n'
        '{"fullname":"Bo","email":{"destination":"bo@example.com","text":"<p>x</p>","attempts_left":2},'
        '"fields":{"n":1.5}}\n'
        '{"sms":true}\n{"sms":{"number":"1"}}\n{"sms":"x"}\n[]\n{"City":["x"],"sms":"+14165550101"}\n'
        '{"a":"x","A":"y","sms":"+14165550101"}\n{"name":"a\\u0000b"}\n{"id":7}\n{"fields":"{}","sms":null}\n'
    )
    report = await add(kit, who, lines, options=JSON)
    assert (report.row.rows_read, report.row.accepted) == (11, 2)
    first, second = await contacts(kit, who)
    assert first.person == Person("Ann", "7", {"City": "Köln"})
    assert second.person == Person("Bo", "", {"n": "1.5"})
    assert (second.media[0].text, second.media[0].attempts_left) == ("<p>x</p>", 2)
    assert await refused(kit, who, report) == [
        (3, "sms", 22),
        (4, "sms", 22),
        (5, "sms", 22),
        (6, None, 42),
        (7, "fields", 22),
        (8, "fields", 22),
        (9, "name", 22),
        (10, "id", 22),
    ]


async def test_keys_of_objects_are_what_the_map_says_however_it_is_written(kit: Kit) -> None:
    who = await prepared(kit)
    options = ListOptions(Format.JSON_LINES, columns={"Mobile": "SMS", "Town": "field. city", "Who": "Fullname"})
    report = await add(kit, who, b'{"mobile": "+14165550001", "TOWN": "Bath", "who": "Ann"}\n', options=options)
    assert (report.row.accepted, report.row.refused) == (1, 0)
    (contact,) = await contacts(kit, who)
    assert contact.person == Person("Ann", "", {"city": "Bath"})
    assert [(one.medium, one.destination) for one in contact.media] == [(Medium.SMS, "+14165550001")]


async def test_a_row_of_very_many_keys_is_refused_in_no_time(kit: Kit) -> None:
    who = await prepared(kit)
    row = {"sms": "+14165550001", **{f"k{number}": "1" for number in range(50_000)}}
    began = monotonic()
    report = await add(kit, who, msgspec.json.encode(row) + b"\n", options=JSON)
    assert await refused(kit, who, report) == [(1, "fields", 22)]
    assert monotonic() - began < AT_ONCE


@pytest.mark.parametrize("list_", ['SMS,Town\n+14165550001,"' + "a\n" * 15_000 + '"\n', "a" * 30_000 + ",SMS\n,\n"])
async def test_what_comes_a_byte_at_a_time_costs_no_more_time(kit: Kit, list_: str) -> None:
    who = await prepared(kit)
    began = monotonic()
    with contextlib.suppress(MethodError):
        assert (await add(kit, who, *list_)).row.rows_read == 1
    assert monotonic() - began < AT_ONCE


async def test_refused_rows_say_where_and_by_which_rule_and_no_value(kit: Kit) -> None:
    who = await prepared(kit, voice=VOICE, sms=SmsSettings(True, "Campana", "On {{day}}"))
    rows = [
        "SECRET,1,,+14165550101,,Monday,",
        "SECRET,2,,SECRET,,Monday,",
        "SECRET,3,SECRET,,,Monday,",
        "SECRET,4,,,SECRET,Monday,",
        "SECRET,5,,+14165550101,,,",
        "SECRET,6,,,a@example.com,,",
        f"{'SECRET' * 40},7,,+14165550101,,Monday,",
        "SECRET,8\0,,+14165550101,,Monday,",
        f"SECRET,9,,+14165550101,,{'SECRET' * 400},",
        "SECRET,10,,+14165550101,,Monday",
        'SECRET,"SEC"RET,,+14165550101,,Monday,',
        "SECRET,12,,+14165550101,,Monday,SECRET",
        ",,,,,,",
        " , ,,, ,,",
    ]
    report = await add(kit, who, "\n".join([f"{HEADER},day,", *rows]))
    assert (report.row.rows_read, report.row.accepted) == (14, 2)
    found = await kit.services.imports.refusals(who, report.row.id, 0, 100)
    assert [(one.row, one.column, one.code) for one in found] == [
        (2, "SMS", 22),
        (3, "Phone", 22),
        (4, "Email", 22),
        (5, "fields", 22),
        (7, "Fullname", 22),
        (8, "externalRefNo", 22),
        (9, "fields", 22),
        (10, None, 42),
        (11, None, 42),
        (12, None, 42),
    ]
    assert not any("SEC" in one.rule for one in found)
    assert found[0].rule.startswith("SMS is refused. A phone number must be")


async def test_what_the_campaign_requires_is_demanded_of_everybody(kit: Kit) -> None:
    who = await prepared(kit, sms_required=True)
    report = await add(kit, who, f"{HEADER}\nA,,,+14165550101,\nB,,,,b@example.com\n")
    assert await refused(kit, who, report) == [(2, "SMS", 25)]


async def test_who_has_to_bring_a_text_brings_one(kit: Kit) -> None:
    who = await prepared(kit, sms=SmsSettings(True, "Campana", ""))
    report = await add(kit, who, "SMS,sms.text\n+14165550101,Hi\n+14165550102,\n")
    assert await refused(kit, who, report) == [(2, "sms.text", 22)]


async def test_the_limit_of_contacts_refuses_the_rest(kit: Kit) -> None:
    who = await prepared(kit)
    lines = "".join(f"+1416{number:07d}\n" for number in range(5_550_000, 5_570_003))
    report = await add(kit, who, "SMS\n", lines)
    assert (report.row.state, report.row.rows_read) == (ImportState.DONE, 20_003)
    assert (report.row.accepted, report.row.refused) == (20_000, 3)
    assert await refused(kit, who, report) == [(row, None, 30) for row in (20_001, 20_002, 20_003)]


async def test_long_rows_make_small_batches(kit: Kit) -> None:
    who = await prepared(kit)
    kit.hints.clear()
    rows = (f"a{number}@example.com,{'x' * 900_000}\n" for number in range(25))
    report = await add(kit, who, "email,email.text\n", *rows)
    assert (report.row.state, report.row.accepted) == (ImportState.DONE, 25)
    batches = [hint for hint in kit.hints if hint.news is News.CONTACTS]
    assert len(batches) == 3, "of 8 MiB each, and the rest"


# --- going on ----------------------------------------------------------------------------------------------------


async def test_the_same_key_and_list_answer_the_report_again(kit: Kit) -> None:
    who = await prepared(kit)
    text = f"{HEADER}\n{numbered(range(10))}"
    first = await add(kit, who, text, key="k")
    again = await add(kit, who, *(text[at : at + 7] for at in range(0, len(text), 7)), key="k")
    assert (again.row, again.was_done) == (first.row, True)
    assert len(await contacts(kit, who)) == 10


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (f"{HEADER}\n{numbered(range(11))}", CSV),
        (f"{HEADER}\n{numbered(range(9))}", CSV),
        (f"{HEADER}\n{numbered(range(1, 11))}", CSV),
        (f"{HEADER}x\n{numbered(range(10))}", CSV),
        (f"{HEADER}\n{numbered(range(10))}", ListOptions(columns={"SMS": "voice", "Phone": "sms"})),
        ("", JSON),
    ],
)
async def test_the_same_key_and_another_list_conflict(kit: Kit, text: str, options: ListOptions) -> None:
    who = await prepared(kit)
    await add(kit, who, f"{HEADER}\n{numbered(range(10))}", key="k")
    with pytest.raises(MethodError) as caught:
        await add(kit, who, text, key="k", options=options)
    assert caught.value.code is MethodCode.IDEMPOTENCY_CONFLICT
    assert len(await contacts(kit, who)) == 10


async def test_who_goes_away_leaves_what_was_read_and_goes_on_later(kit: Kit) -> None:
    who = await prepared(kit)
    whole = numbered(range(ROWS_IN_A_BATCH + 700))
    cut = whole.index("n5100,") + 8
    with pytest.raises(CutOff):
        await kit.services.imports.add(who, ONE, CSV, "k", pieces(f"{HEADER}\n", whole[:cut], then=CutOff()))
    (report,) = await kit.services.imports.of_campaign(who, ONE, None, 10)
    assert (report.row.state, report.row.rows_read, report.row.accepted) == (ImportState.CUT_OFF, 5_100, 5_100)
    again = await add(kit, who, f"{HEADER}\n", whole, key="k")
    assert (again.row.id, again.row.state) == (report.row.id, ImportState.DONE)
    assert (again.row.rows_read, again.row.accepted) == (5_700, 5_700)
    names = [one.person and one.person.name for one in await contacts(kit, who)]
    assert names == [f"n{number}" for number in range(5_700)]


async def test_a_list_that_becomes_unreadable_fails_there_and_keeps_what_was_before(kit: Kit) -> None:
    who = await prepared(kit)
    report = await add(kit, who, f"{HEADER}\n{numbered(range(3))}", b"M\xc3\xbcller,,,+14165550199,\nx\xff,,,1,\n")
    assert (report.row.state, report.row.accepted) == (ImportState.FAILED, 4)
    assert report.row.problem == "Row 5 cannot be read as UTF-8."
    report = await add(kit, who, f'{HEADER}\n{numbered(range(3))}x,"')
    assert report.row.problem == "Row 4 opens a quote that is never closed."


@pytest.mark.parametrize("text", ["", "Note\nx\n", b"SMS\xff\n", "x" * 70_000])
async def test_a_list_that_cannot_be_taken_leaves_no_import(kit: Kit, text: str | bytes) -> None:
    who = await prepared(kit)
    with pytest.raises(MethodError) as caught:
        await add(kit, who, text)
    assert caught.value.code is MethodCode.INVALID_REQUEST
    assert await kit.services.imports.of_campaign(who, ONE, None, 10) == []


async def test_a_list_of_a_header_alone_is_done(kit: Kit) -> None:
    who = await prepared(kit)
    report = await add(kit, who, HEADER)
    assert (report.row.state, report.row.rows_read) == (ImportState.DONE, 0)


async def test_two_who_bring_the_same_list_add_it_once(kit: Kit) -> None:
    who = await prepared(kit)
    text = f"{HEADER}\n{numbered(range(ROWS_IN_A_BATCH + 5))}"
    both = await asyncio.gather(*(add(kit, who, text, key="k") for _ in range(2)), return_exceptions=True)
    assert all(isinstance(one, (ImportReport, MethodError)) for one in both)
    assert any(isinstance(one, ImportReport) for one in both)
    assert len(await contacts(kit, who)) == ROWS_IN_A_BATCH + 5


@pytest.mark.parametrize("how", ["ended", "cancelled", "deleted"])
async def test_a_campaign_that_is_over_meanwhile_takes_no_more(kit: Kit, how: str) -> None:
    who = await prepared(kit, active_to_date=datetime(2026, 9, 22))
    number = (await kit.store.campaigns.list(who.account.number))[0].number

    async def parts() -> AsyncIterator[bytes]:
        yield f"{HEADER}\n{numbered(range(ROWS_IN_A_BATCH))}".encode()
        if how == "ended":
            kit.clock.pass_(3 * DAY)
        elif how == "cancelled":
            await kit.store.campaigns.cancel(number, START)
        else:
            await kit.store.campaigns.delete(number, START)
        yield numbered(range(5_000, 9_999)).encode()

    report = await kit.services.imports.add(who, ONE, CSV, None, parts())
    assert report.row.state is ImportState.FAILED
    assert report.row.accepted in (0, ROWS_IN_A_BATCH), "whole batches"
    assert report.row.problem


async def test_rows_are_held_to_what_the_campaign_is_when_they_are_written(kit: Kit) -> None:
    who = await prepared(kit)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"SMS,City\n+14165550001,\n+14165550002,Bath\n"
        changed = campaign(ONE, sms=SmsSettings(True, "Campana", "Hello {{city}}"))
        await kit.services.campaigns.update(who, changed, whole=True)
        yield b"+14165550003,\n+14165550004,Ely\n"

    report = await kit.services.imports.add(who, ONE, CSV, None, slowly())
    assert (report.row.rows_read, report.row.accepted) == (4, 2)
    assert [row for row, _, _ in await refused(kit, who, report)] == [1, 3]


async def test_a_session_that_is_closed_meanwhile_ends_no_import(kit: Kit) -> None:
    who = await prepared(kit)

    async def parts() -> AsyncIterator[bytes]:
        yield f"{HEADER}\n{numbered(range(3))}".encode()
        await kit.services.accounts.set_password("acme", "ann", "another one altogether")
        yield numbered(range(3, 6)).encode()

    report = await kit.services.imports.add(who, ONE, CSV, None, parts())
    assert (report.row.state, report.row.accepted) == (ImportState.DONE, 6)


# --- who may -----------------------------------------------------------------------------------------------------


async def test_who_may_import_and_see(kit: Kit) -> None:
    who = await prepared(kit)
    report = await add(kit, who, f"{HEADER}\n{numbered(range(2))}")
    stranger = await kit.user("other", "eve")
    for asking in (
        kit.services.imports.get(stranger, report.row.id),
        kit.services.imports.refusals(stranger, report.row.id, 0, 9),
        kit.services.imports.get(who, ONE),
    ):
        with pytest.raises(MethodError) as caught:
            await asking
        assert caught.value.code is MethodCode.NOT_FOUND
    with pytest.raises(MethodError) as caught:
        await add(kit, stranger, HEADER)
    assert caught.value.code is MethodCode.CAMPAIGN_NOT_FOUND
    agent = await kit.user("acme", "ada", "agent")
    with pytest.raises(MethodError) as caught:
        await add(kit, agent, HEADER)
    assert caught.value.code is MethodCode.ADDING_CONTACTS_NOT_ALLOWED
    assert await kit.services.imports.get(who, report.row.id) == report
    await kit.services.campaigns.delete(who, ONE)
    with pytest.raises(MethodError) as caught:
        await kit.services.imports.get(who, report.row.id)
    assert caught.value.code is MethodCode.NOT_FOUND


async def test_nothing_is_imported_into_what_has_ended(kit: Kit) -> None:
    who = await prepared(kit, active_to_date=datetime(2026, 9, 20))
    with pytest.raises(MethodError) as caught:
        await add(kit, who, HEADER)
    assert caught.value.code is MethodCode.CAMPAIGN_ENDED


# --- many at a time as one by one --------------------------------------------------------------------------------

_COLUMNS = [
    "Id",
    "Fullname",
    "externalRefNo",
    "Phone",
    "SMS",
    "Email",
    "day",
    "Name2",
    "sms.text",
    "voice.attempts",
    "",
]
_CELLS = {
    "Id": st.sampled_from(["", "", ONE, "x", " "]),
    "Fullname": st.sampled_from(["", "Ann", " Ann ", " ", "x" * 201, "a\0", "\ud800"]),
    "externalRefNo": st.sampled_from(["", "7", " ", "x" * 201]),
    "Phone": st.sampled_from(["", "+14165550101", "416 555 0101", "x", " ", "+1416555010", " +14165550101"]),
    "SMS": st.sampled_from(["", "+14165550101", "(416) 555-0101", "0", " "]),
    "Email": st.sampled_from(["", "a@example.com", "A@EXAMPLE.com", "x", " a@example.com ", "ä@example.com"]),
    "day": st.sampled_from(["", "Monday", " ", "x" * 2_000, "x" * 2_001, "\0"]),
    "Name2": st.sampled_from(["", "y"]),
    "sms.text": st.sampled_from(["", "", "", "own", "own {{day}}", "own {{name2}}", " ", "\0"]),
    "voice.attempts": st.sampled_from(["", "", "", "5", "0", "256", "x", " "]),
    "": st.sampled_from(["", "", "", "", " ", "z"]),
}
_PLAIN = SmsSettings(True, "Campana", "Hello")
_KINDS = [
    Campaign("", name="x", sms=_PLAIN),
    Campaign("", name="x", sms=_PLAIN, voice=VOICE, email=EmailSettings(True, "a@b.test", "S", "<p>x</p>")),
    Campaign("", name="x", sms=SmsSettings(True, "Campana", "{{day}} {{name|you}}"), sms_required=True),
    Campaign("", name="x", sms=SmsSettings(True, "Campana", "{{day}}" * 4), voice=replace(VOICE, text="{{name}}")),
    Campaign("", name="x", sms=SmsSettings(True, "Campana", ""), email=EmailSettings(True, "a@b.test", "{{day}}", "x")),
    Campaign("", name="x", email=EmailSettings(True, "a@b.test", "S", "{{day|}}"), email_required=True),
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(_KINDS),
    st.lists(st.tuples(*(_CELLS[name] for name in _COLUMNS)), min_size=1, max_size=8),
    st.sets(st.sampled_from(_COLUMNS), max_size=6),
)
def test_a_table_is_judged_as_each_of_its_rows_alone(
    kind: Campaign, rows: list[tuple[str, ...]], left_out: set[str]
) -> None:
    names = [name for name in _COLUMNS if name not in left_out or name == "SMS"]
    places = [_COLUMNS.index(name) for name in names]
    layout = layout_of(names, {})
    terms = Terms(kind, merge_texts(kind), "CA", {Medium.SMS: 3, Medium.EMAIL: 3})
    table = [[row[place] for place in places] for row in rows]
    checker = Checker(terms, layout)
    together = checker.check(table, 1)
    objects = Checker(terms, None, {})
    alone = Checker(terms, layout).check([], 1)
    for number, row in enumerate(table, 1):
        if any(row[place].strip() for place in layout.unnamed):
            continue
        given = {role: row[place] for role, place in layout.places.items()}
        given |= {FIELD + name: row[place] for place, name in layout.fields}
        alone.add(objects.check([given], number), checker.attempts)
    unnamed = {number for number, row in enumerate(table, 1) if any(row[place].strip() for place in layout.unnamed)}
    assert together.rows == alone.rows
    assert together.guids == alone.guids
    assert (together.names, together.references, together.fields) == (alone.names, alone.references, alone.fields)
    for medium in Medium:
        assert together.media[medium].dials == alone.media[medium].dials
        assert _each(together, medium) == _each(alone, medium)
    assert [(one.row, one.code) for one in together.refusals if one.row not in unnamed] == [
        (one.row, one.code) for one in alone.refusals
    ]
    assert {one.row for one in together.refusals} >= unnamed


def _each(checked: Any, medium: Medium) -> list[Any]:
    column = checked.media[medium]
    usual = {Medium.SMS: 3, Medium.EMAIL: 3}
    if column.each is not None:
        return list(column.each)
    return [dial and (dial, None, usual.get(medium, column)) for dial in column.dials]
