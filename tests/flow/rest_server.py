"""The REST door on a real port, in a thread of its own, on a real store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rest_kit import rest_house
from served import Served, served

from campana.api.rest.app import RestOptions
from campana.domain.moment import DAY
from campana.services.keys import Wanted
from campana.services.scopes import ALL_SCOPES


class RestServer(Served):
    """A door that is open."""

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}/api/v1"

    def key(self, user: str = "admin", account: str = "acme") -> str:
        """A new API key of a user, for everything."""
        assert self.house is not None
        services, time = self.house.services, self.house.time

        async def make() -> str:
            operator = await services.accounts.operator_of(account)
            who = await services.users.get(operator, user)
            principal = type(operator)(who, agent=False)
            _, key = await services.keys.add(principal, ALL_SCOPES, Wanted("test", ALL_SCOPES, time() + DAY))
            return key

        return str(self.run(make()))


@contextlib.contextmanager
def rest_server(folder: Path, options: RestOptions | None = None, **settings: Any) -> Iterator[RestServer]:
    """Serve a house on a free port; `settings` are of rest_house."""
    with served(RestServer(), rest_house(folder, options, **settings), lambda house: house.front) as door:
        yield door
