"""Owns how commands ask a server over REST: where it is, who is calling, and how a refusal is told.

Must not know any single command, nor a part of the server: it may be somewhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from campana.cli.output import CommandError, WrongCommand
from campana.client import CampanaError, Client, LogIn, Refused, Retries

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar="CAMPANA_URL",
        help="The server's address, else that of CAMPANA_URL, else http://127.0.0.1:8080.",
        show_default=False,
        show_envvar=False,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        envvar="CAMPANA_API_KEY",
        help="Who is calling. Better in CAMPANA_API_KEY: what stands in a command, others on the machine can read.",
        show_default=False,
        show_envvar=False,
    ),
]
CampaignId = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's id.")]


HASTY, PATIENT = Retries(patience_s=3.0), Retries(patience_s=60.0)
"""For what a person waits for, and for what is under way for long anyway."""


def _made(url: str | None, api_key: str | None, log_in: LogIn | None, retries: Retries) -> Client:
    try:
        return Client(url, api_key=api_key, log_in=log_in, retries=retries)
    except ValueError as error:
        raise WrongCommand(str(error)) from None


@contextmanager
def server(
    url: str | None, api_key: str | None, retries: Retries = HASTY, log_in: LogIn | None = None
) -> Iterator[Client]:
    """The server, as long as the command asks it. What it refuses becomes a CommandError."""
    try:
        with _made(url, api_key, log_in, retries) as client:
            yield client
    except (CampanaError, TimeoutError) as error:
        raise CommandError(sentence_of(error)) from error


def sentence_of(error: Exception) -> str:
    """What a server refused, with the code under which docs/error-codes.md has it."""
    if isinstance(error, Refused) and error.code:
        return f"{str(error).rstrip('.')} ({error.code} {error.title})"
    return str(error)
