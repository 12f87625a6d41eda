"""Owns the two clients: how they are made, from where they know the server, and which methods they have.

Must not know what a method does.
"""

from __future__ import annotations

import os
import ssl
from typing import Self

from campana.client import calls, transfers
from campana.client.binding import OfAwaiting, OfBlocking
from campana.client.keeping import Context, LogIn, Retries, log_out
from campana.client.taking import Way

URL, API_KEY = "CAMPANA_URL", "CAMPANA_API_KEY"
USUAL_URL = "http://127.0.0.1:8080"


class Methods:
    """What can be asked: the same of both clients, but that one's methods are awaited."""

    who_am_i = calls.who_am_i
    create_api_key = calls.create_api_key
    list_api_keys = calls.list_api_keys
    revoke_api_key = calls.revoke_api_key
    list_routes = calls.list_routes
    create_campaign = calls.create_campaign
    list_campaigns = calls.list_campaigns
    get_campaign = calls.get_campaign
    change_campaign = calls.change_campaign
    delete_campaign = calls.delete_campaign
    pause_campaign = calls.pause_campaign
    resume_campaign = calls.resume_campaign
    cancel_campaign = calls.cancel_campaign
    get_balance = calls.get_balance
    add_contact = calls.add_contact
    list_contacts = calls.list_contacts
    get_contact = calls.get_contact
    change_contact = calls.change_contact
    delete_contact = calls.delete_contact
    list_deliveries = calls.list_deliveries
    get_delivery = calls.get_delivery
    decide_delivery = calls.decide_delivery
    list_attempts = calls.list_attempts
    import_contacts = transfers.import_contacts
    list_imports = calls.list_imports
    get_import = calls.get_import
    list_refusals = calls.list_refusals
    export = transfers.export
    events = transfers.events
    watch = transfers.watch
    wait_until_finished = transfers.wait_until_finished
    wait_for_delivery = transfers.wait_for_delivery


class Client(OfBlocking, Methods):
    """A Campana server, asked by a program that waits for each answer.

    With an API key, or as a user who logs in at the first call. What is not given is taken from the environment:
    CAMPANA_URL (else http://127.0.0.1:8080) and CAMPANA_API_KEY. Raises ValueError where nothing says who is calling.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        log_in: LogIn | None = None,
        retries: Retries | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        way = Way(url or os.environ.get(URL) or USUAL_URL, verify)
        super().__init__(_context(way, api_key, log_in, retries), way)

    def close(self) -> None:
        """Close the session, where there is one, and all connections."""
        self.taker.run(log_out(self.context))
        self.taker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class AsyncClient(OfAwaiting, Methods):
    """A Campana server, asked by a program that awaits each answer. Otherwise as Client."""

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        log_in: LogIn | None = None,
        retries: Retries | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        way = Way(url or os.environ.get(URL) or USUAL_URL, verify)
        super().__init__(_context(way, api_key, log_in, retries), way)

    async def close(self) -> None:
        """Close the session, where there is one, and all connections."""
        await self.taker.run(log_out(self.context))
        await self.taker.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()


def _context(way: Way, api_key: str | None, log_in: LogIn | None, given: Retries | None) -> Context:
    context = Context(given or Retries(), log_in=log_in, place=way.place())
    if log_in is not None:
        if api_key is not None:
            raise ValueError("give an API key or a log-in, not both")
        return context
    key = (api_key or os.environ.get(API_KEY, "")).strip()
    if not key:
        raise ValueError(f"an API key is needed: give one, or set {API_KEY}")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("the API key should be one word of visible ASCII characters")
    context.token = key
    return context
