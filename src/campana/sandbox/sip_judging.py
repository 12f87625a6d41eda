"""Owns what the sandbox's carrier finds wrong with a caller's requests, so that tests can ask that nothing is.

Must not know calls, nor refuse anything: most carriers swallow such faults, and some do not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

from campana.channels.voice.sip.headers import SipSyntaxError, parse_uri, split_address
from campana.channels.voice.sip.message import Request, tag_of, via_branch

MAGIC_COOKIE: Final = "z9hG4bK"


class Rule(NamedTuple):
    """One rule for requests; `methods` is empty where it is for all."""

    sentence: str
    methods: frozenset[str]
    is_kept: Callable[[Request], bool]


def _has_hops(request: Request) -> bool:
    value = request.headers.get("Max-Forwards") or ""
    return value.isascii() and value.isdigit() and 0 < int(value[:4]) <= 255


def _has_contact(request: Request) -> bool:
    values = request.headers.all("Contact")
    with contextlib.suppress(SipSyntaxError):
        return len(values) == 1 and bool(parse_uri(split_address(values[0])[0]).host)
    return False


def _names_its_body(request: Request) -> bool:
    return not request.body or bool(request.headers.get("Content-Type"))


def _is_new(request: Request) -> bool:
    return not tag_of(request.headers.get("To") or "")


RULES: Final = (
    Rule("Via's branch must begin with z9hG4bK", frozenset(), lambda one: via_branch(one).startswith(MAGIC_COOKIE)),
    Rule("From must have a tag", frozenset(), lambda one: bool(tag_of(one.headers.get("From") or ""))),
    Rule("Max-Forwards must be a number from 1 to 255", frozenset(), _has_hops),
    Rule("an INVITE must have one Contact that is a SIP URI", frozenset({"INVITE"}), _has_contact),
    Rule("a body must have its Content-Type", frozenset(), _names_its_body),
    Rule("To must have no tag outside a call", frozenset({"REGISTER"}), _is_new),
    Rule("BYE and ACK must have To's tag", frozenset({"BYE", "ACK"}), lambda one: not _is_new(one)),
)
"""RFC 3261, sections 8.1.1, 12.1.2, 12.2.1.1 and 20.15."""


def faults_of(request: Request) -> list[str]:
    """The rules that a request breaks, each as a sentence with its method before it."""
    return [
        f"{request.method}: {rule.sentence}"
        for rule in RULES
        if (not rule.methods or request.method in rule.methods) and not rule.is_kept(request)
    ]
