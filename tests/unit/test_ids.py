"""Guids as clients write them, and the ids that the server makes."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.domain.ids import UUID7_RANDOM_BYTES, parse_guid, uuid7, uuid7_run

GUID = "1f7490b6-10ee-4bce-96d4-f1e4c97292b2"
READ = [
    (GUID, GUID),
    (GUID.upper(), GUID),
    ("{" + GUID + "}", GUID),
    (f"  {{{GUID.upper()}}}\n", GUID),
    ("\t" + GUID + "\r\n", GUID),
    (GUID.ljust(256), GUID),
    (None, ""),
    ("", ""),
    (" \n ", ""),
    ("00000000-0000-0000-0000-000000000000", ""),
    ("{00000000-0000-0000-0000-000000000000}", ""),
    ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000001"),
]
REFUSED = [
    GUID.replace("-", ""),
    f"urn:uuid:{GUID}",
    "{" + GUID,
    GUID + "}",
    "{{" + GUID + "}}",
    f"({GUID})",
    "{ " + GUID[1:] + "}",
    "1f7490b610-ee-4bce-96d4-f1e4c97292b2",
    "1f7490b6-10ee-4bce-96d4-f1e4c97292b",
    "1f7490b6-10ee-4bce-96d4-f1e4c97292b22",
    "1f7490b6-10ee-4bce-96d4-f1e4c97292bg",
    "1f7490b6-10ee-4bce-96d4-f1e4c97292b２",
    "1f7490b6–10ee–4bce–96d4–f1e4c97292b2",
    "1f7490b6-10ee-4bce-96d4-f1e4c9729 b2",
    "0x7490b6-10ee-4bce-96d4-f1e4c97292b2",
    "İ" * 36,
    "0",
    " " * 300 + GUID,
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_a_guid_is_read_to_its_canonical_form(text: str | None, expected: str) -> None:
    assert parse_guid(text) == expected


@pytest.mark.parametrize("text", REFUSED)
def test_everything_else_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_guid(text)
    assert text not in str(refused.value)


@given(st.uuids(), st.booleans(), st.booleans())
def test_every_uuid_is_a_guid(value: uuid.UUID, upper: bool, braces: bool) -> None:
    text = str(value).upper() if upper else str(value)
    assert parse_guid("{" + text + "}" if braces else text) == (str(value) if value.int else "")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        guid = parse_guid(text)
    except ValueError:
        return
    assert guid == "" or str(uuid.UUID(guid)) == guid


def test_the_example_of_rfc_9562() -> None:
    # Appendix A.6: unix_ts_ms 0x017F22E279B0, rand_a 0xCC3, rand_b 0b01, 0x8C4DC0C0C07398F
    noise = (0xCC3 << 62 | 0b01 << 60 | 0x8C4DC0C0C07398F) << 6
    assert uuid7(0x017F22E279B0, noise.to_bytes(10, "big")) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_what_is_made_says_its_version_and_its_instant(now: int, noise: bytes) -> None:
    made = uuid.UUID(uuid7(now, noise))
    assert str(made) == uuid7(now, noise) == parse_guid(str(made))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == now


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_later_ids_sort_after_earlier_ones(now: int, one: bytes, other: bytes) -> None:
    assert uuid7(now, one) < uuid7(now + 1, other)


@pytest.mark.parametrize(("now", "noise"), [(0, b"x" * 9), (0, b"x" * 11), (-1, b"x" * 10), (1 << 48, b"x" * 10)])
def test_an_id_is_not_made_of_less(now: int, noise: bytes) -> None:
    with pytest.raises(ValueError):
        uuid7(now, noise)


def test_a_run_of_uuids_rises_and_each_is_a_uuid7_of_its_instant() -> None:
    run = uuid7_run(1_700_000_000_123, b"\xff" * UUID7_RANDOM_BYTES, 5_000)
    assert run == sorted(set(run))
    assert {one[:23] for one in run} == {run[0][:23]}
    first, last = uuid.UUID(run[0]), uuid.UUID(run[-1])
    assert (first.version, first.variant, first.int >> 80) == (7, uuid.RFC_4122, 1_700_000_000_123)
    assert last.int - first.int == 4_999
    assert uuid7_run(0, bytes(UUID7_RANDOM_BYTES), 0) == []
    for random, count in ((b"", 1), (bytes(UUID7_RANDOM_BYTES), -1), (bytes(UUID7_RANDOM_BYTES), 1 << 32)):
        with pytest.raises(ValueError, match=r"bytes|ids"):
            uuid7_run(0, random, count)
