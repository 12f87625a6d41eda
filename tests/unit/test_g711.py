"""G.711 as the recommendation's own tables have it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.media.g711 import SILENCE, Law, decode, encode

LAWS: tuple[Law, Law] = ("PCMU", "PCMA")
EVERY_OCTET = bytes(range(256))
EVERY_SAMPLE = np.arange(-32_768, 32_768).astype(np.int16)

MU_SEGMENTS = [
    # Table 2a of G.711: the octet (as sent) at which a segment ends, and its decoder output value (14 bits).
    (0x80, 8_031),
    (0x8F, 4_191),
    (0x9F, 2_079),
    (0xAF, 1_023),
    (0xBF, 495),
    (0xCF, 231),
    (0xDF, 99),
    (0xEF, 33),
    (0xFE, 2),
    (0xFF, 0),
]
A_SEGMENTS = [
    # Table 1a of G.711: character signals before the even bits are inverted, and decoder output values (13 bits).
    (0b11111111, 4_032),
    (0b11110000, 2_112),
    (0b11100000, 1_056),
    (0b11010000, 528),
    (0b11000000, 264),
    (0b10110000, 132),
    (0b10100000, 66),
    (0b10000000, 1),
]


@pytest.mark.parametrize(("octet", "value"), MU_SEGMENTS)
def test_mu_law_has_the_values_of_table_2(octet: int, value: int) -> None:
    both = decode(bytes([octet, octet & 0x7F]), "PCMU")
    assert [int(one) for one in both] == [value * 4, -value * 4]


@pytest.mark.parametrize(("character", "value"), A_SEGMENTS)
def test_a_law_has_the_values_of_table_1(character: int, value: int) -> None:
    octet = character ^ 0x55
    both = decode(bytes([octet, octet & 0x7F]), "PCMA")
    assert [int(one) for one in both] == [value * 8, -value * 8]


@pytest.mark.parametrize(
    ("law", "edge", "octet"),
    [
        # Decision values, in 16 bits: the first sample of an interval, and the octet for it.
        ("PCMU", 4 * 1, 0xFE),
        ("PCMU", 4 * 31, 0xEF),
        ("PCMU", 4 * 95, 0xDF),
        ("PCMU", 4 * 479, 0xBF),
        ("PCMU", 4 * 4_063, 0x8F),
        ("PCMU", 4 * 7_903, 0x80),
        ("PCMA", 8 * 2, 0x81 ^ 0x55),
        ("PCMA", 8 * 64, 0xA0 ^ 0x55),
        ("PCMA", 8 * 2_048, 0xF0 ^ 0x55),
        ("PCMA", 8 * 3_968, 0xFF ^ 0x55),
    ],
)
def test_intervals_begin_at_the_decision_values(law: Law, edge: int, octet: int) -> None:
    below, at = encode(np.array([edge - 1, edge], dtype=np.int16), law)
    assert at == octet
    assert below != octet


@pytest.mark.parametrize("law", LAWS)
def test_every_octet_survives_a_round(law: Law) -> None:
    again = encode(decode(EVERY_OCTET, law), law)
    # The negative zero of mu-law comes back as the positive one: there is only one zero in between.
    expected = EVERY_OCTET.replace(b"\x7f", b"\xff") if law == "PCMU" else EVERY_OCTET
    assert again == expected


@pytest.mark.parametrize("law", LAWS)
def test_louder_samples_never_become_quieter(law: Law) -> None:
    assert (np.diff(decode(encode(EVERY_SAMPLE, law), law).astype(int)) >= 0).all()


@pytest.mark.parametrize(("law", "ratio"), [("PCMU", 36.0), ("PCMA", 36.0)])
def test_speech_levels_are_kept_to_the_noise_of_the_recommendation(law: Law, ratio: float) -> None:
    """Signal to quantising noise of a 1 kHz tone 10 dB below full scale (G.712 asks for at least 33 dB end to end)."""
    tone = (10_000 * np.sin(2 * np.pi * 1_004 * np.arange(8_000) / 8_000)).astype(np.int16)
    noise = decode(encode(tone, law), law).astype(float) - tone
    assert 10 * np.log10((tone.astype(float) ** 2).sum() / (noise**2).sum()) > ratio


@pytest.mark.parametrize(("law", "octet"), [("PCMU", 0xFF), ("PCMA", 0xD5)])
def test_silence_is_the_octet_of_a_zero(law: Law, octet: int) -> None:
    assert encode(np.zeros(3, dtype=np.int16), law) == bytes([octet]) * 3 == SILENCE[law] * 3
    assert abs(int(decode(SILENCE[law], law)[0])) <= 8


@given(st.lists(st.integers(-32_768, 32_767), max_size=50), st.sampled_from(LAWS))
def test_a_sample_alone_is_encoded_as_among_others(values: list[int], law: Law) -> None:
    samples = np.array(values, dtype=np.int16)
    assert encode(samples, law) == b"".join(encode(samples[at : at + 1], law) for at in range(len(values)))
    assert encode(samples[::-1], law) == encode(samples, law)[::-1]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_octets_come_in_any_shape(kind: type) -> None:
    assert decode(kind(b"\xff\x80"), "PCMU").tolist() == [0, 32_124]
