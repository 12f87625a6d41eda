"""Owns `campana account`.

Must not hold a rule about accounts.
"""

from __future__ import annotations

from typing import Annotated

import typer

from campana.cli.asking import ask
from campana.cli.output import AsJson, moment, say, say_json, say_table
from campana.services.accounts import NO_REGION
from campana.storage.store import AccountRow

app = typer.Typer(help="Accounts: the tenants of this server.", no_args_is_help=True)


@app.command("add")
def add(
    context: typer.Context,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id, which its clients send.")],
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="Time zone of its campaigns (IANA).")
    ] = "UTC",
    region: Annotated[
        str,
        typer.Option(
            "--region",
            metavar="CC",
            help="Country of phone numbers without a country code (ISO 3166-1); none by default.",
            show_default=False,
        ),
    ] = NO_REGION,
    as_json: AsJson = False,
) -> None:
    """Add an account."""
    row = ask(context, lambda services: services.accounts.add_account(account, time_zone, region))
    if as_json:
        say_json(_json(row))
    else:
        say(f'The account "{row.id}" was added.')


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List all accounts."""
    rows = ask(context, lambda services: services.accounts.list_accounts())
    if as_json:
        say_json([_json(row) for row in rows])
    else:
        titles = ("account", "time zone", "region", "created")
        say_table(titles, [(row.id, row.time_zone, _region(row) or "-", moment(row.created_at)) for row in rows])


def _region(row: AccountRow) -> str | None:
    return None if row.region == NO_REGION else row.region


def _json(row: AccountRow) -> dict[str, str | None]:
    return {
        "id": row.id,
        "time_zone": row.time_zone,
        "region": _region(row),
        "created_at": moment(row.created_at),
    }
