"""HTTPS: a real server with a certificate, and what it says of a certificate that it cannot use."""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path

import pytest
import structlog
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from campana import wiring
from campana.config import ConfigError, load

DEADLINE = 60
CAMPANA = str(Path(sys.executable).with_name("campana"))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def file(tmp_path: Path, authority: trustme.CA) -> Path:
    """A configuration beside which a certificate and its key lie, by relative paths."""
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    path = tmp_path / "campana.toml"
    path.write_text('[server]\nport = 0\ntls_certificate = "server.pem"\ntls_key = "server.key"\n')
    return path


@contextmanager
def serving(file: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CAMPANA_")}
    process = subprocess.Popen(
        [CAMPANA, "--config", str(file), "serve"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ | variables,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


def test_the_service_is_served_and_described_over_https(file: Path, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving(file) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"Campana is listening on (https://127\.0\.0\.1:(\d+)/OutboundNotifications\.svc)\n", line)
        assert found, line
        connection = HTTPSConnection("127.0.0.1", int(found[2]), timeout=DEADLINE, context=context)
        connection.request("GET", "/OutboundNotifications.svc?wsdl")
        assert f'location="{found[1]}"'.encode() in connection.getresponse().read()
        connection.close()


def _encrypt_key(folder: Path) -> None:
    key = load_pem_private_key((folder / "server.key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (folder / "server.key").write_bytes(locked)


def _take_key_of_another(folder: Path) -> None:
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(str(folder / "server.key"))


UNUSABLE = [
    (lambda folder: (folder / "server.pem").unlink(), r"server\.tls_certificate: \S+ cannot be read: No such file .*"),
    (lambda folder: (folder / "server.key").unlink(), r"server\.tls_key: \S+ cannot be read: No such file .*"),
    (lambda folder: (folder / "server.pem").write_text("hello"), r"server\.tls_certificate and server\.tls_key: .*"),
    (_take_key_of_another, r"server\.tls_certificate and server\.tls_key: .* its own key.*"),
    (_encrypt_key, r"server\.tls_certificate and server\.tls_key: .* without a pass phrase"),
]


@pytest.fixture
def _process_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, interval = root.handlers, root.level, sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_process_as_before")
@pytest.mark.parametrize(("spoil", "problem"), UNUSABLE)
async def test_a_certificate_that_cannot_be_used_is_told_before_anything_is_made(
    file: Path, spoil: Callable[[Path], None], problem: str
) -> None:
    spoil(file.parent)
    said: list[str] = []
    with pytest.raises(ConfigError) as refused:
        await wiring.serve(load(file, {}), said.append)
    assert [bool(re.fullmatch(problem, found)) for found in refused.value.problems] == [True], refused.value.problems
    assert said == []
    assert not (file.parent / "campana-data" / "campana.db").exists()


@pytest.mark.usefixtures("_process_as_before")
async def test_a_host_that_does_not_exist_is_told_in_words(file: Path) -> None:
    settings = load(file, {"CAMPANA_SERVER__HOST": "no.such.host.invalid"})
    with pytest.raises(OSError, match=r"cannot listen on no\.such\.host\.invalid port 0: (?!Unknown)[A-Z][a-z ]+"):
        await wiring.serve(settings, print)


def test_a_bounce_listener_without_its_address_stops_the_start(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with serving(file, CAMPANA_BOUNCES__LISTEN=listen) as process:
            out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (1, "")
    assert "address already in use" in err.splitlines()[-1]
