"""Owns how an endpoint is told by HTTP POST: the request, redirects, and what its answer means.

Must not know what is told, nor when it goes again. Nothing of the environment (proxies, credentials) is used.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote_to_bytes

import httpcore
import httpx

from campana.bus.endpoints import TAKEN, Answer, Message, Outcome, signed
from campana.bus.outside import CONNECT_SECONDS, Guard, OutsideError
from campana.domain.moment import Clock

ANSWER_SECONDS: Final = 20.0
"""From the beginning of a try to the end of its answer, redirects included."""
MOST_REDIRECTS: Final = 3
MOST_READ: Final = 16 * 1024
"""Bytes of an answer's body; nothing in it matters, but a connection can only be used again when it was read."""
CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 30.0
LONGEST_WAIT: Final = 3_600.0

_KEPT_REDIRECTS = frozenset({307, 308})
"""Those that repeat the request as it is (RFC 9110, sections 15.4.8 and 15.4.9)."""
_GONE = 410
_TIMES_OUT = {"connect": CONNECT_SECONDS, "read": ANSWER_SECONDS, "write": ANSWER_SECONDS, "pool": ANSWER_SECONDS}


class Webhooks:
    """Tells endpoints by POST. Connections are kept for a while. Used from one event loop."""

    def __init__(
        self, guard: Guard, clock: Clock, tls: ssl.SSLContext | None = None, patience: float = ANSWER_SECONDS
    ) -> None:
        """`tls` says whose certificates are believed: those of the system, unless given; `patience` how many seconds a
        try may take."""
        self._guard = guard
        self._clock = clock
        self._patience = patience
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=_Guarded(guard),
        )

    async def tell(self, endpoint: str, message: Message) -> Answer:
        """POST a message. 2xx is success, 410 the end; every other answer is a failure, as is none."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._follow(httpx.URL(endpoint), message)
        except (TimeoutError, httpcore.TimeoutException):
            reason = "It did not answer in time."
        except OutsideError as error:
            reason = str(error)
        except httpcore.ConnectError as error:
            reason = "No secure connection could be made." if _is_tls(error) else "No connection could be made."
        except (httpcore.NetworkError, httpcore.ProtocolError):
            reason = "The connection broke off before it had answered."
        except (httpx.InvalidURL, ValueError):
            reason = "It redirects to what is no address."
        return Answer(Outcome.FAILED, reason)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    async def _follow(self, url: httpx.URL, message: Message) -> Answer:
        self._guard.check(str(url))
        for _ in range(MOST_REDIRECTS + 1):
            status, location, wait = await self._post(url, message)
            if status not in _KEPT_REDIRECTS or not location:
                return _judged(status, wait)
            target = url.join(location)
            if url.scheme == "https" and target.scheme != "https":
                return Answer(Outcome.FAILED, "It redirects from https to what is not.")
            if target.scheme not in ("http", "https"):
                return Answer(Outcome.FAILED, "It redirects to what is no address.")
            self._guard.check(str(target))
            url = target
        return Answer(Outcome.FAILED, f"It redirects more than {MOST_REDIRECTS} times.")

    async def _post(self, url: httpx.URL, message: Message) -> tuple[int, str, float]:
        """Status, where it redirects to, and how long it asks to wait."""
        body = message.body.encode()
        headers = {
            "host": url.netloc.decode("ascii"),
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": "Campana",
            **_credentials(url),
            **signed(message.id, message.body, message.secrets, self._clock()),
        }
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        async with self._pool.stream(
            b"POST", target, headers=list(headers.items()), content=body, extensions={"timeout": _TIMES_OUT}
        ) as answer:
            told = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
            read = 0
            async for part in answer.aiter_stream():
                read += len(part)
                if read > MOST_READ:
                    break
            return answer.status, told.get(b"location", ""), self._wait(told.get(b"retry-after", ""))

    def _wait(self, retry_after: str) -> float:
        """Seconds of a Retry-After (RFC 9110, section 10.2.3), within bounds; 0 where it says nothing."""
        if retry_after.isascii() and retry_after.isdigit():
            return min(float(retry_after[:9]), LONGEST_WAIT)
        try:
            moment = parsedate_to_datetime(retry_after).timestamp()
        except (ValueError, OverflowError):
            return 0.0
        return min(max(moment - self._clock() / 1_000, 0.0), LONGEST_WAIT)


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the guard lets through. TLS is on the name's word all the same: httpcore has it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers. Raises OutsideError, and what httpcore's own backend raises."""
        failed: Exception | None = None
        for address in await self._guard.addresses(host):
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        assert failed is not None  # there is at least one address
        raise failed

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's own signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never: no URL leads there."""
        raise OutsideError("No connection could be made.")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _is_tls(error: httpcore.ConnectError) -> bool:
    """Whether a certificate, or the handshake, is behind an error: its pool takes the cause away, but not the words."""
    return any(isinstance(behind, ssl.SSLError) for behind in error.args)


def _judged(status: int, wait: float) -> Answer:
    if 200 <= status < 300:
        return TAKEN
    outcome = Outcome.GONE if status == _GONE else Outcome.FAILED
    return Answer(outcome, f"It answered with HTTP status {status}.", wait)


def _credentials(url: httpx.URL) -> dict[str, str]:
    """What a URL with a user and password says in a header (RFC 7617)."""
    if not url.userinfo:
        return {}
    user, _, password = url.userinfo.partition(b":")
    both = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return {"authorization": f"Basic {base64.b64encode(both).decode('ascii')}"}
