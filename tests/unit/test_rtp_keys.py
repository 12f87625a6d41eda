"""Pressed keys in RTP: each press once, whatever is lost, repeated, late or hostile."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.media.dtmf import KEYS, KeyEar
from campana.channels.voice.media.rtp import Packet

Event = tuple[int, int, int, bool, bool]
"""Timestamp, event, duration, end, marker."""

END, GOING, MARKED, PLAIN = True, False, True, False


def packet(timestamp: int, event: int, duration: int, end: bool = GOING, marker: bool = PLAIN, ssrc: int = 1) -> Packet:
    payload = struct.pack(">BBH", event, (0x80 if end else 0) | 10, duration)
    return Packet(101, marker, 0, timestamp & 0xFFFFFFFF, ssrc, memoryview(payload))


def press(timestamp: int, event: int, duration: int = 800) -> list[Event]:
    """A press as RFC 4733 has it sent: a packet every 20 ms, the last one three times."""
    updates = [(timestamp, event, at, GOING, at == 160) for at in range(160, duration, 160)]
    return updates + [(timestamp, event, duration, END, PLAIN)] * 3


def heard(events: Sequence[Event]) -> list[tuple[str, int]]:
    ear = KeyEar()
    found = (ear.hear(packet(*event)) for event in events)
    return [one for one in found if one is not None]


def keys(events: Sequence[Event]) -> str:
    return "".join(key for key, _ in heard(events))


@pytest.mark.parametrize(("event", "key"), list(enumerate("0123456789*#ABCD")))
def test_every_key_is_known_by_its_number(event: int, key: str) -> None:
    assert heard(press(1_000, event)) == [(key, 20)]


@pytest.mark.parametrize("event", [16, 17, 32, 66, 255])
def test_flash_tones_and_signals_are_no_keys(event: int) -> None:
    assert heard(press(1_000, event)) == []


@pytest.mark.parametrize(
    ("what", "events", "expected"),
    [
        ("the beginning lost", press(0, 5)[2:], "5"),
        ("only the last packets", press(0, 5)[-3:], "5"),
        ("only the last one", press(0, 5)[-1:], "5"),
        ("every packet twice", [event for event in press(0, 5) for _ in range(2)], "5"),
        ("the same key twice", press(0, 5) + press(1_600, 5), "55"),
        ("the same key twice, all ends lost", press(0, 5)[:-3] + press(1_600, 5), "55"),
        ("the same, and markers too", press(0, 5)[:-3] + press(1_600, 5)[1:], "55"),
        ("two keys without a pause", press(0, 5) + press(800, 6), "56"),
        ("an end that comes after the next press", press(0, 5)[:-1] + press(1_600, 6) + press(0, 5)[-1:], "56"),
        ("back to front", press(0, 5)[::-1], "5"),
        ("around the end of timestamps", press(0xFFFFFF00, 1) + press(0x00000600, 1), "11"),
        ("a code", [event for at, key in enumerate((1, 2, 3, 4, 11)) for event in press(at * 1_600, key)], "1234#"),
        # RFC 4733, section 2.5.1.3: after 0xFFFF the event goes on in a new segment.
        ("ten seconds", [*press(0, 7, 0xFFFF)[:-3], (0, 7, 0xFFFF, GOING, PLAIN), *press(0xFFFF, 7)[1:]], "7"),
        # Gateways that give every packet a timestamp of its own.
        ("timestamps that run along", [(at, 8, at + 160, GOING, at == 0) for at in range(0, 1_600, 160)], "8"),
    ],
)
def test_a_press_is_told_once(what: str, events: list[Event], expected: str) -> None:
    assert keys(events) == expected, what


def test_the_duration_is_the_one_of_the_first_packet_heard() -> None:
    assert heard(press(0, 1, 1_600)) == [("1", 20)]
    assert heard(press(0, 1, 1_600)[-3:]) == [("1", 200)]


def test_another_source_begins_anew() -> None:
    ear = KeyEar()
    assert ear.hear(packet(0, 1, 800, END, ssrc=1)) == ("1", 100)
    assert ear.hear(packet(0, 1, 800, END, ssrc=1)) is None
    assert ear.hear(packet(0, 1, 800, END, ssrc=2)) == ("1", 100)


@pytest.mark.parametrize("length", range(4))
def test_a_payload_too_short_is_nothing(length: int) -> None:
    assert KeyEar().hear(Packet(101, True, 0, 0, 1, memoryview(bytes(length)))) is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFFFFFF) | st.integers(0, 5_000),
            st.integers(0, 255) | st.integers(0, 2),
            st.integers(0, 0xFFFF),
            st.booleans(),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_nothing_that_comes_raises_or_tells_more_than_came(events: list[Event]) -> None:
    found = heard(events)
    # Sixteen presses are remembered: none of fewer packets can be told twice.
    different = len({(timestamp, event) for timestamp, event, *_ in events})
    assert len(found) <= (different if len(events) <= 16 else len(events))
    assert all(key in KEYS and 0 <= ms <= 8_192 for key, ms in found)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(2, 20), st.integers(3, 50)), max_size=12), st.data())
def test_losing_all_but_one_packet_of_each_press_loses_no_key(
    presses: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    at, events = 0, []
    for key, frames, pause in presses:
        whole = press(at, key, frames * 160)
        events += data.draw(st.lists(st.sampled_from(whole), min_size=1, max_size=len(whole)))
        at += (frames + pause) * 160
    assert keys(events) == "".join(KEYS[key] for key, _, _ in presses)
