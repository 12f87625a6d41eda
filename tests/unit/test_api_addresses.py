"""By which address a client came, where it is, and whom to believe."""

from __future__ import annotations

from typing import Any

import pytest

from campana.api.addresses import AbsurdAddress, base, is_trusted, networks, source

TRUSTED = networks(["10.0.0.0/8", "192.0.2.7", "fd00::/8"])


def scope(peer: str | None = "198.51.100.1", **headers: str) -> tuple[dict[str, Any], dict[bytes, bytes]]:
    named = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in headers.items()}
    made = {"headers": list(named.items()), "scheme": "http", "client": (peer, 1) if peer else None, "root_path": ""}
    return made, named


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "campana.test"}, "http://campana.test"),
        ({"host": "campana.test:8080"}, "http://campana.test:8080"),
        ({"host": "127.0.0.1:1"}, "http://127.0.0.1:1"),
        ({"host": "[::1]:8080"}, "http://[::1]:8080"),
        ({"host": "under_score-9.a.b"}, "http://under_score-9.a.b"),
        ({"host": "a.test", "x_forwarded_host": "evil.test", "x_forwarded_proto": "https"}, "http://a.test"),
    ],
)
def test_address_without_a_proxy(headers: dict[str, str], expected: str) -> None:
    assert base(*scope(**headers), TRUSTED) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "http://in.test"),
        ({"x_forwarded_proto": "https"}, "https://in.test"),
        ({"x_forwarded_proto": "HTTPS, http", "x_forwarded_host": "out.test, in.test"}, "https://out.test"),
        ({"x_forwarded_proto": "https", "x_forwarded_port": "443"}, "https://in.test"),
        ({"x_forwarded_proto": "https", "x_forwarded_port": "8443"}, "https://in.test:8443"),
        ({"x_forwarded_host": "out.test:81", "x_forwarded_port": "82"}, "http://out.test:82"),
        ({"x_forwarded_prefix": "/sms/"}, "http://in.test/sms"),
        ({"x_forwarded_prefix": "/a/b-c.d"}, "http://in.test/a/b-c.d"),
    ],
)
@pytest.mark.parametrize("peer", ["10.1.2.3", "192.0.2.7", "fd00::1", "::ffff:10.0.0.1"])
def test_address_behind_a_proxy(peer: str, headers: dict[str, str], expected: str) -> None:
    assert base(*scope(peer, host="in.test", **headers), TRUSTED) == expected


@pytest.mark.parametrize(
    "host",
    [
        *('a"b.test', "a<b>.test", "a&b.test", "a b.test", "a.test/path", "a.test?x", "user@a.test", "a.test:"),
        *("a.test:port", "a.test:123456", ":80", "[::1", "é.test", "a.test\x00", "-a.test", "a" * 256, "a'b"),
        *("a.test, b.test", "http://a.test", "[evil]", "%61.test"),
    ],
)
def test_absurd_hosts(host: str) -> None:
    with pytest.raises(AbsurdAddress, match="Host header"):
        base(*scope(host=host), TRUSTED)


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_host": "out.test/path"},
        {"x_forwarded_host": 'out.test"><x>, in.test'},
        {"x_forwarded_proto": "javascript"},
        {"x_forwarded_port": "https"},
        {"x_forwarded_port": "1234567"},
        {"x_forwarded_prefix": '/"><script>'},
        {"x_forwarded_prefix": "//evil.test"},
        {"x_forwarded_prefix": "relative"},
        {"x_forwarded_prefix": "/a" * 11},
    ],
)
def test_absurd_words_of_a_proxy(headers: dict[str, str]) -> None:
    with pytest.raises(AbsurdAddress):
        base(*scope("10.0.0.1", host="in.test", **headers), TRUSTED)


def test_two_hosts_are_one_too_many() -> None:
    made, headers = scope(host="a.test")
    made["headers"].append((b"host", b"b.test"))
    with pytest.raises(AbsurdAddress, match="more than one"):
        base(made, headers, ())


@pytest.mark.parametrize(
    ("server", "expected"),
    [(("127.0.0.1", 8080), "http://127.0.0.1:8080"), (("::1", 80), "http://[::1]:80"), (None, "http://localhost")],
)
def test_no_host_at_all(server: tuple[str, int] | None, expected: str) -> None:
    made, headers = scope()
    assert base({**made, "server": server}, headers, ()) == expected


def test_tls_of_our_own_and_root_path() -> None:
    made, headers = scope(host="a.test")
    assert base({**made, "scheme": "https", "root_path": "/in"}, headers, ()) == "https://a.test/in"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.1", "", "198.51.100.1"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "203.0.113.9:50123", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:50123, 10.9.9.9:443", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:50123", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "203.0.113.9:x", "10.0.0.1"),
        ("10.0.0.1", "[]:1", "10.0.0.1"),
        (None, "203.0.113.9", ""),
    ],
)
def test_source(peer: str | None, forwarded: str, expected: str) -> None:
    assert source(*scope(peer, x_forwarded_for=forwarded), TRUSTED) == expected


def test_nobody_is_trusted_by_default() -> None:
    made, _ = scope("127.0.0.1")
    assert not is_trusted(made, ())
    assert not is_trusted({**made, "client": ("/run/socket", None)}, TRUSTED)


@pytest.mark.parametrize("text", ["localhost", "10.0.0.0/33", "", "10.0.0"])
def test_networks_are_checked(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits|not"):
        networks([text])
