"""Owns the addresses that a process listens on and the web server behind them.

Must not know what is asked there.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn

from campana.api.http import HttpFront
from campana.api.server import server_config
from campana.config import ConfigError, Settings

BACKLOG = 2_048


class Server(uvicorn.Server):
    """uvicorn, but for signals: they concern the whole process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs it."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address. Raises OSError with a sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listening


def web_server(front: HttpFront, settings: Settings, *, with_tls: bool) -> Server:
    """The server for a front."""
    config = server_config(
        front,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, int(settings.server.shutdown_seconds / 2)),
        ssl_certfile=settings.server.tls_certificate if with_tls else None,
        ssl_keyfile=settings.server.tls_key if with_tls else None,
    )
    return Server(config)


def check_tls(settings: Settings) -> None:
    """Raises ConfigError with the key at fault where HTTPS could not be served."""
    certificate, key = settings.server.tls_certificate, settings.server.tls_key
    if certificate is None or key is None:
        return
    for name, file in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigError([f"server.{name}: {file} cannot be read: {error.strerror}"]) from error
    try:
        # An empty pass phrase, since a server cannot ask a person for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        rule = "should be PEM files of a certificate and its own key, without a pass phrase"
        raise ConfigError([f"server.tls_certificate and server.tls_key: {rule}"]) from error


def address_of(listening: socket.socket, scheme: str, path: str) -> str:
    """The URL by which clients on this machine come."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}{path}"
