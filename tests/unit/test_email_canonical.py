"""The canonical form of fields and bodies, against RFC 6376's example and dkimpy's reading of it."""

from __future__ import annotations

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from campana.channels.email.canonical import relaxed_body, relaxed_fields

BODIES: list[tuple[bytes, bytes]] = [
    (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # RFC 6376 section 3.4.5
    (b"", b""),
    (b"\r\n", b""),
    (b"\r\n\r\n", b""),
    (b" \t", b""),
    (b" \r\n\t\r\n", b""),
    (b"x", b"x\r\n"),
    (b"x \t", b"x\r\n"),
    (b"\r\n\r\nx\r\n", b"\r\n\r\nx\r\n"),
    (b"x\r\n\r\ny\r\n \r\n", b"x\r\n\r\ny\r\n"),
    (b".\r\n..x\r\n", b".\r\n..x\r\n"),
]


@pytest.mark.parametrize(("body", "canonical"), BODIES)
def test_bodies(body: bytes, canonical: bytes) -> None:
    assert relaxed_body(body) == canonical


FIELDS: list[tuple[bytes, dict[bytes, bytes]]] = [
    (b"A: X\r\nB : Y\t\r\n\tZ  \r\n", {b"a": b"a:X\r\n", b"b": b"b:Y Z\r\n"}),  # RFC 6376 section 3.4.5
    (b"Subject:\r\n", {b"subject": b"subject:\r\n"}),
    (b"Subject: \r\n \t\r\n", {b"subject": b"subject:\r\n"}),
    (b"Subject: a: b\r\n", {b"subject": b"subject:a: b\r\n"}),
    ("To: jörg@b.example\r\n".encode(), {b"to": "to:jörg@b.example\r\n".encode()}),
    (b"", {}),
]


@pytest.mark.parametrize(("head", "canonical"), FIELDS)
def test_fields(head: bytes, canonical: dict[bytes, bytes]) -> None:
    assert relaxed_fields(head) == canonical


LINE = st.lists(st.sampled_from([b" ", b"\t", b".", b"x", "ü".encode(), b"=20", b":", b"-"])).map(b"".join)


@settings(max_examples=300)
@given(st.lists(LINE, max_size=12))
def test_bodies_as_dkimpy_reads_them(lines: list[bytes]) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)


VALUE = st.lists(st.sampled_from([b" ", b"\t", b"\r\n ", b"\r\n\t", b"x", b"<a@b.example>,", "ü".encode()])).map(
    b"".join
)
NAME = st.sampled_from([b"From", b"TO", b"x-Y", b"Subject "])


@settings(max_examples=300)
@given(st.dictionaries(NAME, VALUE))
def test_fields_as_dkimpy_reads_them(fields: dict[bytes, bytes]) -> None:
    head = b"".join(name + b":" + value + b"\r\n" for name, value in fields.items())
    judged = Relaxed.canonicalize_headers([(name, value + b"\r\n") for name, value in fields.items()])
    assert list(relaxed_fields(head).values()) == [name + b":" + value for name, value in judged]


def test_hostile_runs_take_no_time() -> None:
    """A megabyte of blanks or of empty lines in the middle of a body: each is looked at once."""
    for run in (b" ", b"\t \t", b"\r\n", b" \r\n"):
        body = b"a" + run * (1_000_000 // len(run)) + b"b"
        assert relaxed_body(body).endswith(b"b\r\n")
