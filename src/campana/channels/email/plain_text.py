"""Owns the plain-text part of a message: what a reader without html sees of an html text.

Must not know MIME, campaigns or recipients.
"""

from __future__ import annotations

from html.parser import HTMLParser

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

_CONFIG = ParserConfig(css=CSS_PROFILES["strict"], display_links=True)
_SILENT = frozenset({"script", "style", "title", "head", "template"})
_BREAKING = frozenset({"br", "p", "div", "tr", "li", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "hr"})


def plain_text(html: str) -> str:
    """Return `html` as text with links written out, laid out where possible, never longer than twice the html.

    Never raises: what the layout engine cannot take (nesting too deep for it, lists that would blow up) is
    stripped of its tags instead.
    """
    try:
        text = get_text(html, _CONFIG)
    except (ValueError, RecursionError, IndexError, AttributeError, TypeError):
        # What a third party's walk over a hostile tree may end with; the text is still worth sending.
        text = ""
    if not text.strip() or len(text) > 2 * len(html) + 1000:
        text = _stripped(html)
    lines = (line.rstrip() for line in text.split("\n"))
    return "\n".join(lines).strip("\n")


class _Stripper(HTMLParser):
    """Collects the text between the tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT and self._silent is None:
            self._silent = tag
        elif tag in _BREAKING:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = None

    def handle_data(self, data: str) -> None:
        if self._silent is None:
            self.pieces.append(data)


def _stripped(html: str) -> str:
    stripper = _Stripper()
    stripper.feed(html)
    stripper.close()
    lines = (" ".join(line.split()) for line in "".join(stripper.pieces).split("\n"))
    return "\n".join(line for line in lines if line)
