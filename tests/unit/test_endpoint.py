"""Progress endpoints: their syntax, and the spellings of addresses that must not be called."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.domain.endpoint import check_endpoint, is_private

FINE = [
    "https://progress.example.test/hook?a=1&b=2&c=%3C3%3E",
    "http://example.com",
    "HTTP://EXAMPLE.COM:8080/",
    "ws://example.com/socket",
    "wss://user:secret@example.com/socket#x",
    "https://bücher.example/",
    "https://8.8.8.8/",
    "https://[2606:4700:4700::1111]:8443/",
    "https://127.0.0.1.example.com/",
    "https://0x7f.example.com/",
    "https://example.com/" + "x" * 2_028,
    "https://134744072/",  # 8.8.8.8
    "https://4294967296/",  # one more than there are: no address, so a name
    "https://localhost.example.com/",
]
PRIVATE = [
    "http://localhost/",
    "http://LOCALHOST:8080",
    "http://localhost./",
    "http://api.localhost/",
    "http://ip6-localhost/",
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "http://127.1/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7F.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0/",
    "http://0x/",
    "http://0.0.0.0/",
    "http://10.1.2.3/",
    "http://010.0.0.1/",
    "http://012.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://192.168.257/",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00::1]/",
    "http://[ff02::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[2002:7f00:1::]/",
    "http://１２７.0.0.1/",
    "http://127。0。0。1/",
    "http://①②⑦.0.0.1/",
    "http://ｌocalhost/",
    "http://user@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "wss://127.0.0.1/",
]
NO_ENDPOINTS = [
    "example.com",
    "/progress",
    "//example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://",
    "https:///path",
    "https://:8080/",
    "https://example.com:99999/",
    "https://example.com:0/",
    "https://example.com:port/",
    "https://[::1/",
    "https://[not-an-address]/",
    "https://exa mple.com/",
    " https://example.com/",
    "https://example.com/\r\nHost: other",
    "https://example.com/\tx",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/\x00",
    "https://example.com/\ud800",
    "https://example.com/" + "x" * 2_048,
]


@pytest.mark.parametrize("url", FINE)
def test_a_public_url_is_accepted(url: str) -> None:
    check_endpoint(url)


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_refused_in_any_spelling_unless_allowed(url: str) -> None:
    with pytest.raises(ValueError, match="private network"):
        check_endpoint(url)
    check_endpoint(url, allow_private=True)


@pytest.mark.parametrize("url", NO_ENDPOINTS)
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_is_no_url_is_refused(url: str, allow_private: bool) -> None:
    with pytest.raises(ValueError) as refused:
        check_endpoint(url, allow_private=allow_private)
    assert type(refused.value) is ValueError
    assert str(refused.value).startswith("A progress endpoint must ")
    assert "\n" not in str(refused.value)


@given(
    st.from_regex(
        r"(?:0x[0-9a-f]{1,3}|0[0-7]{0,4}|[0-9]{1,4})(?:\.(?:0x[0-9a-f]{1,2}|[0-9]{1,3})){0,3}", fullmatch=True
    )
)
def test_what_a_resolver_takes_for_a_private_address_is_refused(host: str) -> None:
    try:
        address = ip_address(socket.inet_aton(host))
    except OSError:
        return
    if is_private(address):
        with pytest.raises(ValueError):
            check_endpoint(f"http://{host}/")


@given(st.text(max_size=40))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"https://[{text}]/"):
        try:
            check_endpoint(url)
        except ValueError as refused:
            sentence = str(refused)
        else:
            continue
        assert sentence.startswith("A progress endpoint must ")


JUDGED = [
    ("8.8.8.8", False),
    ("2606:4700:4700::1111", False),
    ("64:ff9b::8.8.8.8", False),
    ("64:ff9b::10.0.0.1", True),
    ("64:ff9b:1::127.0.0.1", True),
    ("::ffff:0:127.0.0.1", True),
    ("fec0::1", True),
    ("4000::1", True),
    ("3fff::1", True),
    ("168.63.129.16", True),
    ("192.0.0.192", True),
    ("2002:a00:1::1", True),
    ("2001:0:a00:1::1", True),
    ("192.168.0.1", True),
    ("198.51.100.1", True),
    ("240.0.0.1", True),
    ("ff0e::1", True),
]


@pytest.mark.parametrize(("address", "private"), JUDGED)
def test_an_address_is_judged_by_what_it_stands_for(address: str, private: bool) -> None:
    assert is_private(ip_address(address)) is private
