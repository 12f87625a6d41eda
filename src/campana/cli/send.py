"""Owns `campana send`: one message to one person, and what became of it.

Must not know how a message travels, nor what a code means beyond its name and its words.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from campana.cli.output import AsJson, CommandError, WrongCommand, say, say_json, warn
from campana.cli.remote import PATIENT, ApiKey, Url, server
from campana.client import (
    CampaignDraft,
    CampanaError,
    Client,
    Contact,
    Delivery,
    Destination,
    Email,
    NewContact,
    Sms,
    Voice,
)
from campana.client.models import Medium
from campana.domain.outcome import DELIVERY_ERRORS, DeliveryCode

INTERRUPTED = 130
STDIN: Final = "-"


def _option(flag: str, metavar: str, about: str) -> object:
    return typer.Option(flag, metavar=metavar, help=about, show_default=False)


def send(
    *,
    medium: Annotated[Medium, typer.Argument(metavar="MEDIUM", help="sms, voice or email.")],
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", help="A telephone number, or an email address.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads it from standard input.")],
    sender: Annotated[
        str | None, _option("--from", "SENDER", "The sender: for SMS and email it is needed, else who calls.")
    ] = None,
    subject: Annotated[str | None, _option("--subject", "TEXT", "The subject of an email.")] = None,
    is_html: Annotated[bool, typer.Option("--html", help="TEXT is the HTML of an email.")] = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for what becomes of it.")
    ] = 300.0,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Send one message to one person on one medium, and wait for what became of it.

    It is a campaign of one contact on the server, where it can be looked at afterwards. Exit code 0: it was delivered;
    1: it was not, or nothing is known of it in time.
    """
    said = typer.get_text_stream("stdin").read() if text == STDIN else text
    draft = _draft(medium, said, sender, subject, is_html)
    with server(url, api_key, PATIENT) as client:
        made = client.create_campaign(draft)
        contact = _added(client, made.id, _contact(medium, destination))
        with _interruptible(made.id):
            end = _waited(client, made.id, contact, medium, wait)
    if as_json:
        say_json(msgspec.to_builtins(end) | {"campaign": made.id})
    else:
        say(_words(end))
    if end.status != "success":
        raise typer.Exit(1)


def _added(client: Client, campaign: str, contact: NewContact) -> Contact:
    try:
        return client.add_contact(campaign, contact)
    except CampanaError:
        # Nobody is to find a campaign that says nothing to anybody.
        client.delete_campaign(campaign)
        raise


def _draft(medium: Medium, text: str, sender: str | None, subject: str | None, is_html: bool) -> CampaignDraft:
    if medium != "email" and (subject is not None or is_html):
        raise WrongCommand("--subject and --html go with an email")
    name = f"One message by {medium}"
    if medium == "sms":
        return CampaignDraft(name=name, sms=Sms(enabled=True, from_=sender, text=text))
    if medium == "voice":
        return CampaignDraft(name=name, voice=Voice(enabled=True, calling_number=sender, text=text))
    if subject is None:
        raise WrongCommand("an email needs a --subject")
    body = text if is_html else "".join(f"<p>{html.escape(part)}</p>" for part in text.split("\n\n"))
    return CampaignDraft(name=name, email=Email(enabled=True, from_=sender, subject=subject, html=body))


def _contact(medium: Medium, destination: str) -> NewContact:
    where = Destination(destination=destination)
    return NewContact(
        sms=where if medium == "sms" else None,
        voice=where if medium == "voice" else None,
        email=where if medium == "email" else None,
    )


def _waited(client: Client, campaign: str, contact: Contact, medium: Medium, seconds: float) -> Delivery:
    console = Console(stderr=True)
    with console.status("waiting for what becomes of it") if console.is_terminal else _nothing():
        try:
            return client.wait_for_delivery(campaign, contact.id, medium, timeout=seconds)
        except TimeoutError:
            last = client.get_delivery(campaign, contact.id, medium)
    why = "" if last.waits_for is None else f", held back by: {last.waits_for.rule}"
    raise CommandError(
        f"after {seconds:g} seconds it is {last.status.replace('_', ' ')}{why}; it goes on as campaign {campaign}"
    )


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _interruptible(campaign: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        warn(f"interrupted; the message goes on as campaign {campaign}: campana campaign cancel {campaign}")
        sys.exit(INTERRUPTED)


def _words(end: Delivery) -> str:
    if end.status == "success":
        return "Delivered."
    known = DELIVERY_ERRORS.get(DeliveryCode(end.error_code)) if end.error_code in DELIVERY_ERRORS else None
    if known is None:
        return f"Not delivered: {end.status.replace('_', ' ')} ({end.error_code})."
    return f"Not delivered: {known.meaning} ({end.error_code} {known.name})"
