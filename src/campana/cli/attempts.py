"""Owns `campana attempts`.

Must not know what a code means beyond its name, and prints no destination: contacts are told by their ids.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer

from campana.cli.asking import ask
from campana.cli.output import AsJson, WrongCommand, moment, say
from campana.domain.call import CallReport, HungUpBy
from campana.domain.ids import parse_guid
from campana.domain.outcome import DELIVERY_ERRORS, DeliveryCode
from campana.services.house import Services
from campana.storage.store import AttemptRow

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
Campaign = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's id.")]
Contact = Annotated[str | None, typer.Option("--contact", metavar="ID", help="Only of the contact with this id.")]

_HUNG_UP = {
    HungUpBy.CALLEE: "hung up by the callee",
    HungUpBy.US: "hung up by us",
    HungUpBy.NETWORK: "ended by the network",
}


def attempts(
    context: typer.Context, account: Account, campaign: Campaign, contact: Contact = None, as_json: AsJson = False
) -> None:
    """Print every attempt at a campaign's contacts, and what became of it.

    For calls also how long it rang, how much was heard, which keys were pressed, and how it ended.
    """
    campaign_guid = _guid(campaign, "campaign")
    contact_guid = None if contact is None else _guid(contact, "contact")

    async def print_all(services: Services) -> None:
        pages = await _pages(services, account, campaign_guid, contact_guid)
        if as_json:
            await _say_json(pages)
        else:
            await _say_all(pages)

    ask(context, print_all)


def _guid(text: str, whose: str) -> str:
    try:
        guid = parse_guid(text)
    except ValueError as error:
        raise WrongCommand(f"the {whose}'s id is refused. {error}") from error
    if not guid:
        raise WrongCommand(f"the {whose}'s id is missing")
    return guid


async def _pages(
    services: Services, account: str, campaign: str, contact: str | None
) -> AsyncIterator[list[AttemptRow]]:
    who = await services.accounts.operator_of(account)
    if contact is None:
        return await services.attempts.of_campaign(who, campaign)
    return _one_page(await services.attempts.of_contact(who, campaign, contact))


async def _one_page(rows: list[AttemptRow]) -> AsyncIterator[list[AttemptRow]]:
    if rows:
        yield rows


# --- for people ------------------------------------------------------------------------------------------------


async def _say_all(pages: AsyncIterator[list[AttemptRow]]) -> None:
    some = False
    async for page in pages:
        some = True
        for row in page:
            _say(row)
    if not some:
        say("There were no attempts yet.")


def _say(row: AttemptRow) -> None:
    status = row.status.name.lower().replace("_", " ")
    words = [
        f"{row.medium.name.lower()} {row.contact} attempt {row.attempt}",
        moment(row.at),
        row.route or "no route",
        status,
        *([_code_name(row.code)] if row.code else []),
        _plain(" ".join(filter(None, (row.carrier_code, row.carrier_text)))),
    ]
    say("  ".join(filter(None, words)))
    if row.call is not None:
        words = _call_words(row.call)
        # The carrier's words stand in the line above already, unless they came with the hang-up.
        words += [_plain(row.call.reason)] if row.call.reason not in ("", row.carrier_text) else []
        say("  " + ", ".join(words))


def _call_words(call: CallReport) -> list[str]:
    words = ["did not ring" if call.ringing_ms is None else f"rang {_seconds(call.ringing_ms)}"]
    if call.answered_at is None:
        words.append("not answered")
    else:
        plays = f"{call.plays} play{'' if call.plays == 1 else 's'}"
        words.append(f"answered {moment(call.answered_at)}, heard {_seconds(call.heard_ms)}, {plays} to the end")
        acknowledged = " (acknowledged)" if call.acknowledged else ""
        words.append(f"keys {_plain(call.digits)}{acknowledged}" if call.digits else "no keys")
    words.append(_HUNG_UP[call.ended_by])
    words += [] if call.sip_status is None else [f"SIP {call.sip_status}"]
    words += [] if call.q850 is None else [f"Q.850 {call.q850}"]
    return words


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1_000:.1f} s"


def _plain(words: str) -> str:
    """A carrier's words, without what would do something to a terminal."""
    return "".join(one if one.isprintable() else "?" for one in words)


def _code_name(code: int) -> str:
    return DELIVERY_ERRORS[DeliveryCode(code)].name if code in DELIVERY_ERRORS else str(code)


# --- for scripts -----------------------------------------------------------------------------------------------


async def _say_json(pages: AsyncIterator[list[AttemptRow]]) -> None:
    """One JSON list, written as it is read: a campaign may have millions of attempts."""
    before = "["
    async for page in pages:
        for row in page:
            say(before + json.dumps(_json(row), ensure_ascii=False))
            before = ","
    say("[]" if before == "[" else "]")


def _json(row: AttemptRow) -> dict[str, Any]:
    return {
        "contact": row.contact,
        "medium": row.medium.name.lower(),
        "attempt": row.attempt,
        "at": moment(row.at),
        "route": row.route,
        "status": int(row.status),
        "code": row.code,
        "code_name": _code_name(row.code) if row.code else "",
        "carrier_code": row.carrier_code,
        "carrier_text": row.carrier_text,
        "call": None if row.call is None else _call_json(row.call),
    }


def _call_json(call: CallReport) -> dict[str, Any]:
    return {
        "began_at": moment(call.began_at),
        "ringing_ms": call.ringing_ms,
        "answered_at": None if call.answered_at is None else moment(call.answered_at),
        "heard_ms": call.heard_ms,
        "plays": call.plays,
        "digits": call.digits,
        "acknowledged": call.acknowledged,
        "ended_at": moment(call.ended_at),
        "ended_by": call.ended_by.value,
        "sip_status": call.sip_status,
        "q850": call.q850,
        "reason": call.reason,
    }
