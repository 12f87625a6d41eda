"""The plain-text part: what a reader without html sees, and that no html is too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.email.plain_text import plain_text

TABLE: list[tuple[str, str, str]] = [
    ("plain", "Hello", "Hello"),
    ("paragraphs", "<p>One</p><p>Two</p>", "One\n\nTwo"),
    ("a line break", "One<br>Two", "One\nTwo"),
    ("a link", '<p>See <a href="https://example.com/x">here</a></p>', "See [here](https://example.com/x)"),
    ("a list", "<ul><li>One</li><li>Two</li></ul>", "  * One\n  * Two"),
    ("a table", "<table><tr><td>a</td><td>b</td></tr></table>", "a  b"),
    ("not for people", "<style>p{}</style><script>x()</script><title>T</title><p>Seen</p>", "Seen"),
    ("entities", "<p>&lt;b&gt; &amp; &euro;</p>", "<b> & €"),
    ("a comment", "<!-- hidden --><p>Seen</p>", "Seen"),
    ("nothing to read", "<img src='x.png'>", ""),
    ("blank", "", ""),
    ("broken", "<p>One<div><b>Two", "One\n\nTwo"),
    ("too deep", "<div>" * 500 + "Seen" + "</div>" * 500, "Seen"),
    ("far too deep", "<div>" * 50_000 + "Seen", "Seen"),
]


@pytest.mark.parametrize(("html", "text"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_table(html: str, text: str) -> None:
    assert plain_text(html) == text


@pytest.mark.parametrize(
    "html",
    [
        "<ul>" * 200 + "<li>x" * 5000,
        "<table><tr>" + "<td>x" * 2000,
        "<p " + "a=1 " * 20_000 + ">x",
        "<blockquote>" * 240 + "x<br>" * 5000,
        "<" * 20_000,
        "&" * 20_000,
    ],
    ids=lambda html: html[:12],
)
def test_it_never_blows_up(html: str) -> None:
    assert len(plain_text(html)) <= 2 * len(html) + 1000


@given(st.text(st.characters(codec="utf-8")))
def test_any_text(html: str) -> None:
    assert len(plain_text(html)) <= 2 * len(html) + 1000
