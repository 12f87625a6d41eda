"""Owns problems (RFC 9457): what is answered where a call is not carried out, and with which HTTP status.

Must not know any operation. A problem names the field and the rule, never a value.
"""

from __future__ import annotations

import re
import secrets
import traceback
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from campana.api.exchange import BodyTooLarge
from campana.api.rest.fields import in_rest_words, rest_name
from campana.domain.errors import METHOD_CODE_MEANING, MethodCode, MethodError
from campana.services.answers import StillRunning
from campana.storage.store import StoreUnavailable

PROBLEM = "application/problem+json"

log = structlog.get_logger(__name__)

STATUS: dict[MethodCode, int] = {
    MethodCode.SUCCESS: 200,
    MethodCode.INVALID_SESSION: 401,
    MethodCode.INVALID_CREDENTIALS: 401,
    MethodCode.ACCESS_DENIED: 403,
    MethodCode.TOO_MANY_ATTEMPTS: 429,
    MethodCode.CAMPAIGN_NOT_FOUND: 404,
    MethodCode.CAMPAIGN_ALREADY_EXISTS: 409,
    MethodCode.INVALID_CAMPAIGN: 422,
    MethodCode.CAMPAIGN_ENDED: 409,
    MethodCode.CONTACT_NOT_FOUND: 404,
    MethodCode.CONTACT_ALREADY_EXISTS: 409,
    MethodCode.INVALID_CONTACT: 422,
    MethodCode.CONTACT_IN_PROGRESS: 409,
    MethodCode.ADDING_CONTACTS_NOT_ALLOWED: 403,
    MethodCode.REQUIRED_MEDIUM_MISSING: 422,
    MethodCode.LIMIT_EXCEEDED: 409,
    MethodCode.RATE_LIMITED: 429,
    MethodCode.NOT_FOUND: 404,
    MethodCode.ALREADY_EXISTS: 409,
    MethodCode.INVALID_REQUEST: 422,
    MethodCode.VERSION_MISMATCH: 412,
    MethodCode.IDEMPOTENCY_CONFLICT: 409,
    MethodCode.SERVICE_UNAVAILABLE: 503,
    MethodCode.INTERNAL_ERROR: 500,
}
"""The HTTP status of each code, but where HTTP itself says another one (400, 404, 405, 406, 413, 415)."""


class ProblemError(msgspec.Struct, frozen=True):
    """One field that breaks a rule."""

    field: Annotated[str, Meta(description="The field, with dots between its parts.", examples=["sms.from"])]
    code: Annotated[int, Meta(description="The code of the rule's kind.", examples=[12])]
    detail: Annotated[str, Meta(description="The rule, for a person. It never repeats a value.")]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a call was not carried out (RFC 9457)."""

    type: Annotated[
        str,
        Meta(
            description="Tells kinds of problems apart, one for each code.",
            examples=["urn:campana:problem:invalid-campaign"],
        ),
    ]
    title: Annotated[str, Meta(description="The code's name.", examples=["InvalidCampaign"])]
    status: Annotated[int, Meta(description="The HTTP status.", ge=400, le=599, examples=[422])]
    detail: Annotated[str, Meta(description="What is wrong, for a person.", examples=["sms.from is refused."])]
    code: Annotated[int, Meta(description="The code, the same as in SOAP.", ge=1, le=99, examples=[12])]
    field: Annotated[str, Meta(description="The field that breaks a rule, where there is one.")] = ""
    errors: Annotated[list[ProblemError], Meta(description="Every field that is known to break a rule.")] = []


class Refusal(Exception):
    """A call that HTTP itself refuses: a status of its own beside code, sentence, field and headers."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None, field: str = "") -> None:
        self.status = status
        self.code = MethodCode.NOT_FOUND if status == 404 else MethodCode.INVALID_REQUEST
        self.sentence = sentence
        self.field = field
        self.headers = headers or {}
        super().__init__(sentence)


class Retry(MethodError):
    """A refusal that says in how many seconds a new try may succeed."""

    def __init__(self, code: MethodCode, sentence: str | None, seconds: int) -> None:
        super().__init__(code, sentence)
        self.seconds = seconds


def type_of(code: MethodCode) -> str:
    """The URN of a code's problems."""
    return "urn:campana:problem:" + code.name.lower().replace("_", "-")


def problem_of(code: MethodCode, sentence: str | None = None, *, field: str = "", status: int | None = None) -> Problem:
    """Make a problem."""
    status, detail = status or STATUS[code], sentence or METHOD_CODE_MEANING[code]
    errors = [ProblemError(field, code.value, detail)] if field else []
    return Problem(type_of(code), code.title, status, detail, code.value, field, errors)


def judged(error: Exception, operation: str) -> tuple[Problem, dict[str, str]]:
    """What is answered where an error ended a call, with headers. What nobody expected is logged."""
    if isinstance(error, Refusal):
        return problem_of(error.code, error.sentence, field=error.field, status=error.status), error.headers
    if isinstance(error, MethodError):
        return _of_method(error)
    if isinstance(error, BodyTooLarge):
        headers = {} if error.drained else {"connection": "close"}
        return problem_of(MethodCode.INVALID_REQUEST, "The body is over the limit of size.", status=413), headers
    if isinstance(error, StoreUnavailable):
        log.warning("rest.store_unavailable", operation=operation, error=type(error).__name__)
        return problem_of(MethodCode.SERVICE_UNAVAILABLE), {"retry-after": "1"}
    reference = secrets.token_hex(4)
    # Only where and what, never the error's own words: they may repeat values.
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.error("rest.failed", reference=reference, operation=operation, error=type(error).__name__, trace=trace)
    return problem_of(MethodCode.INTERNAL_ERROR, f"A defect in Campana; the log has it under {reference}."), {}


def _of_method(error: MethodError) -> tuple[Problem, dict[str, str]]:
    headers: dict[str, str] = {}
    if STATUS[error.code] == 401:
        headers["www-authenticate"] = 'Bearer realm="Campana"'
    if isinstance(error, Retry | StillRunning):
        headers["retry-after"] = str(error.seconds)
    elif error.code is MethodCode.SERVICE_UNAVAILABLE:
        headers["retry-after"] = "1"
    name = error.field or ""
    return problem_of(error.code, in_rest_words(error.sentence, name), field=rest_name(name)), headers


# --- what a schema says ------------------------------------------------------------------------------------------

_PLACE = re.compile(r"(?s)(.*?) - at `(?:key in )?\$([^`]*)`")
_NAMED = re.compile(r"Object (contains unknown|missing required) field `(.{1,64})`")
_LIMIT = re.compile(r"Expected `\w+` (?:of length|matching|[<>])")
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def schema_error(error: msgspec.ValidationError, broken: MethodCode = MethodCode.INVALID_REQUEST) -> MethodError:
    """What msgspec says against a body or query, with the field; without the value that it may quote.

    A limit that is broken is told by the code `broken`, as the domain tells its own; all else is 42.
    """
    said = str(error)
    placed = _PLACE.fullmatch(said)
    rule, place = (placed[1], placed[2]) if placed else (said, "")
    field = re.sub(r"\[[^\]]*\]", "", place).strip(".")
    if rule.startswith("Invalid enum value"):
        rule = "Expected one of the values that are documented"
    named = _NAMED.fullmatch(rule)
    if named:
        if _PLAIN_NAME.fullmatch(named[2]):
            field = f"{field}.{named[2]}" if field else named[2]
        rule = "There is no such field" if named[1] == "contains unknown" else "The field is missing"
    sentence = f"{field}: {rule}." if field else f"{rule}."
    code = broken if _LIMIT.match(rule) else MethodCode.INVALID_REQUEST
    return MethodError(code, sentence, field=field or None)
