"""Owns `campana user`.

Must not hold a rule about users or passwords, and never prints a password.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from campana.cli.asking import ask
from campana.cli.output import AsJson, moment, say, say_json, say_table, warn
from campana.services.accounts import ADVISED_PASSWORD
from campana.services.principal import Role
from campana.storage.store import UserRow

app = typer.Typer(help="Users of an account.", no_args_is_help=True)

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
User = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


@app.command("add")
def add(
    context: typer.Context,
    account: Account,
    user: User,
    role: Annotated[Role, typer.Option("--role", help="What the user may do.")],
    password_stdin: FromStdin = False,
) -> None:
    """Add a user to an account."""
    password = _password(password_stdin)
    row = ask(context, lambda services: services.accounts.add_user(account, user, role, password))
    _advise(password)
    say(f'The user "{row.name}" was added to the account "{row.account.id}" with the role {row.role}.')


@app.command("list")
def list_(context: typer.Context, account: Account, as_json: AsJson = False) -> None:
    """List the users of an account."""
    rows = ask(context, lambda services: services.accounts.list_users(account))
    if as_json:
        say_json([_json(row) for row in rows])
    else:
        say_table(("user", "role", "created"), [(row.name, row.role, moment(row.created_at)) for row in rows])


@app.command("password")
def password(context: typer.Context, account: Account, user: User, password_stdin: FromStdin = False) -> None:
    """Set a user's password, and end the user's sessions."""
    new = _password(password_stdin)
    ask(context, lambda services: services.accounts.set_password(account, user, new))
    _advise(new)
    say(f'The password of "{user}" was set.')


def _advise(password: str) -> None:
    if len(password) < ADVISED_PASSWORD:
        warn(f"The password has fewer than {ADVISED_PASSWORD} characters: it is easily guessed.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask for the password; use --password-stdin")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


def _json(row: UserRow) -> dict[str, str]:
    return {"account": row.account.id, "name": row.name, "role": row.role, "created_at": moment(row.created_at)}
