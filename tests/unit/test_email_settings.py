"""The settings of an email route: defaults that follow from each other, and one clear sentence for each mistake."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from campana.channels.email.settings import EmailRouteSettings
from campana.channels.settings import RouteSettings


def settings(**values: object) -> EmailRouteSettings:
    return EmailRouteSettings.model_validate(
        {"name": "mail", "channel": "email", "url": "smtp://relay.example", **values}
    )


URLS: list[tuple[str, tuple[str, int, str | None, str, bool]]] = [
    ("smtp://relay.example", ("relay.example", 25, None, "", False)),
    ("smtp://relay.example:2525/", ("relay.example", 2525, None, "", False)),
    ("smtps://relay.example", ("relay.example", 465, None, "", True)),
    ("smtp://[::1]:26", ("::1", 26, None, "", False)),
    ("smtp://user:secret@relay.example:587", ("relay.example", 587, "user", "secret", False)),
    ("smtp://us%40er:p%3A%2Fw@relay.example", ("relay.example", 25, "us@er", "p:/w", False)),
]


@pytest.mark.parametrize(("url", "parts"), URLS)
def test_url(url: str, parts: tuple[str, int, str | None, str, bool]) -> None:
    route = settings(url=url)
    assert (route.host, route.port, route.user, route.password, route.implicit_tls) == parts


def test_what_all_processes_together_may_have() -> None:
    assert (settings().most_connections, settings(connections=3).most_connections) == (10, 3)
    assert RouteSettings(name="r", channel="x", url="x://y").most_connections == 0


TLS: list[tuple[dict[str, object], str, bool]] = [
    ({}, "if-offered", False),
    ({"url": "smtp://u:p@relay.example"}, "required", True),
    ({"url": "smtp://u:p@relay.example", "auth_without_tls": True}, "if-offered", False),
    ({"url": "smtps://relay.example"}, "required", True),
    ({"url": "smtps://relay.example", "tls": "if-offered"}, "required", True),
    ({"url": "smtps://relay.example", "tls_verify": False}, "required", False),
    ({"tls": "required"}, "required", True),
    ({"tls": "required", "tls_verify": False}, "required", False),
    ({"tls": "if-offered", "tls_verify": True}, "if-offered", True),
    ({"tls": "if-offered", "tls_ca": "ca.pem"}, "if-offered", True),
    ({"tls": "off"}, "off", False),
]


@pytest.mark.parametrize(("values", "mode", "verified"), TLS)
def test_tls_defaults(values: dict[str, object], mode: str, verified: bool) -> None:
    route = settings(**values)
    assert (route.tls_mode, route.verify_certificate) == (mode, verified)


MISTAKES: list[tuple[dict[str, object], str]] = [
    ({"url": "http://relay.example"}, "must begin with smtp:// or smtps://"),
    ({"url": "relay.example:25"}, "must begin with smtp:// or smtps://"),
    ({"url": "smtp://"}, "must name a host"),
    ({"url": "smtp://relay.example/inbox"}, "must end after host and port"),
    ({"url": "smtp://relay.example?tls=off"}, "must end after host and port"),
    ({"url": "smtp://relay.example:0"}, "a port from 1 to 65535"),
    ({"url": "smtp://relay.example:99999"}, "not well-formed"),
    ({"url": "smtp://user:s/ecret@relay.example"}, "not well-formed"),
    ({"url": "smtp://:secret@relay.example"}, "a password but no user"),
    ({"url": "smtps://relay.example", "tls": "off"}, "contradicts smtps://"),
    ({"url": "smtp://u:secret@relay.example", "tls": "off"}, "needs auth_without_tls"),
    ({"tls": "off", "tls_verify": True}, "mean nothing"),
    ({"tls_ca": "ca.pem", "tls_verify": False}, "tls_ca means nothing"),
    ({"auth_without_tls": True}, "means nothing without a user"),
    ({"connections": 0}, "greater than or equal to 1"),
    ({"connections": 101}, "less than or equal to 100"),
    ({"ehlo_name": "not a name"}, "ehlo_name must be"),
    ({"ehlo_name": "x\r\nQUIT"}, "ehlo_name must be"),
    ({"dkim_domain": "example.com"}, "needed together"),
    ({"dkim_domain": "example.com\n"}, "must be a domain name"),
    ({"bounce_domain": "b.example"}, "needed together"),
    ({"verp_secret": "0123456789abcdef"}, "needed together"),
    ({"bounce_domain": "b.example", "verp_secret": "secret"}, "at least 16"),
    ({"bounce_domain": "bücher.example", "verp_secret": "0123456789abcdef"}, "must be a domain name in ASCII"),
    ({"conections": 3}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("values", "sentence"), MISTAKES)
def test_mistakes(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**values)
    assert len(refused.value.errors()) == 1
    assert sentence in str(refused.value)
    assert "secret@" not in str(refused.value)


def test_secrets_are_not_shown() -> None:
    route = settings(url="smtp://user:hush@relay.example", bounce_domain="b.example", verp_secret="0123456789abcdef")
    assert "hush" not in repr(route)
    assert "0123456789abcdef" not in repr(route)


@pytest.mark.parametrize("name", ["mail.example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]"])
def test_ehlo_name(name: str) -> None:
    assert settings(ehlo_name=name).ehlo_name == name
