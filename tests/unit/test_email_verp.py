"""Envelope senders: made, read back, and not to be forged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.email.verp import BounceDomain, envelope_senders, read_envelope_sender

SECRET = "0123456789abcdef"
HOME = BounceDomain("mail", "bounces.example.com", SECRET)
OTHER = BounceDomain("other", "bounces.example.com", "another secret of it")
IDS = st.integers(0, 2**63 - 1)
ATTEMPTS = st.integers(1, 999_999)


@given(IDS, ATTEMPTS)
def test_what_was_made_is_read_back(delivery_id: int, attempt: int) -> None:
    address = envelope_senders(HOME.domain, SECRET)(delivery_id, attempt).decode("ascii")
    assert len(address.partition("@")[0]) <= 64
    for received in (address, address.upper(), address.lower()):
        assert read_envelope_sender(received, [OTHER, HOME]) == (HOME, delivery_id, attempt)


@given(IDS, ATTEMPTS, st.data())
def test_a_changed_character_is_noticed(delivery_id: int, attempt: int, data: st.DataObject) -> None:
    local, _, domain = envelope_senders(HOME.domain, SECRET)(delivery_id, attempt).decode().partition("@")
    place = data.draw(st.integers(0, len(local) - 1))
    char = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567-0189"))
    forged = local[:place] + char + local[place + 1 :]
    if forged != local:
        assert read_envelope_sender(f"{forged}@{domain}", [HOME]) is None


@pytest.mark.parametrize("secret", ["another secret", SECRET + "x"])
def test_another_secret_is_another_seal(secret: str) -> None:
    address = envelope_senders(HOME.domain, secret)(7, 1).decode()
    assert read_envelope_sender(address, [HOME]) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        "b-a-1-aaaaaaaaaaaaaaaa",
        "b-a-1-aaaaaaaaaaaaaaaa@bounces.example.com",
        "b-é-1-a@bounces.example.com",
        "b-aaaaaaaaaaaaaa-1-x@b",
        "postmaster@bounces.example.com",
    ],
)
def test_what_is_none_of_ours(address: str) -> None:
    assert read_envelope_sender(address, [HOME]) is None


def test_another_domain_is_not_ours() -> None:
    address = envelope_senders("elsewhere.example", SECRET)(7, 1).decode()
    assert read_envelope_sender(address, [HOME]) is None


@given(st.text())
def test_any_text_is_ours_or_not(text: str) -> None:
    assert read_envelope_sender(text, [HOME]) is None


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(HOME)
