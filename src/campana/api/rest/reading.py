"""Owns how a request is read: its media types, its body and its query, by the types that an operation names.

Must not know what they mean. Sizes and depth are bounded; unknown fields are refused.
"""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from campana.api.rest.problems import PROBLEM, Refusal, schema_error
from campana.domain.errors import MethodCode, MethodError
from campana.domain.text.characters import is_keepable

MOST_PARAMETERS = 50
_decoder = functools.cache(msgspec.json.Decoder)


def read_body(content: bytes, of: Any, broken: MethodCode = MethodCode.INVALID_REQUEST) -> Any:
    """Read a JSON body. Raises Refusal 400 where it is no JSON, MethodError where it breaks the schema: by the code
    `broken` where it breaks a limit, else 42."""
    try:
        return _decoded(content, of)
    except msgspec.ValidationError as error:
        raise schema_error(error, broken) from None
    except RecursionError:
        raise Refusal(400, "The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(400, "The body is not JSON in UTF-8 (RFC 8259).") from None


def _decoded(content: bytes, of: Any) -> Any:
    try:
        return _decoder(of).decode(content)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    # JSON knows no integers: 3.0 is one (JSON Schema, 4.2.3).
    return msgspec.convert(_with_integers(msgspec.json.decode(content)), of)


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_integers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_value(value: Any, of: Any, broken: MethodCode) -> Any:
    """Read what was JSON and is plain values by now. Raises MethodError as `read_body` does."""
    try:
        return msgspec.convert(value, of)
    except msgspec.ValidationError as error:
        raise schema_error(error, broken) from None


def read_query(query_string: bytes, of: Any) -> Any:
    """Read the query of an address; `of` is None where the operation has none. Raises MethodError 42."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict"
        )
    except ValueError:
        said = f"The query should be at most {MOST_PARAMETERS} parameters in UTF-8, percent-encoded."
        raise MethodError(MethodCode.INVALID_REQUEST, said) from None
    given = dict(pairs)
    if len(given) < len(pairs):
        raise MethodError(MethodCode.INVALID_REQUEST, "Each parameter should be given once.")
    if not is_keepable("".join(given.values())):
        raise MethodError(MethodCode.INVALID_REQUEST, "A parameter should hold no NUL.")
    try:
        return msgspec.convert(given, NoQuery if of is None else of, strict=False)
    except msgspec.ValidationError as error:
        raise schema_error(error) from None


class NoQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The query of operations that have none."""


def check_content(content_type: str, encoding: str, takes: tuple[str, ...]) -> str:
    """Return the media type of a body. Raises Refusal 415 where it is none that the operation takes."""
    if encoding.strip().lower() not in ("", "identity"):
        raise Refusal(415, "Compressed bodies are not accepted: send no Content-Encoding.")
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    if media not in takes:
        raise Refusal(415, f"The Content-Type should be {' or '.join(takes)}.", {"accept": ", ".join(takes)})
    if media.endswith("json") and "charset" in parameters.lower() and "utf-8" not in parameters.lower():
        raise Refusal(415, "JSON should be in UTF-8.")
    return media


def check_accept(accept: str, gives: tuple[str, ...]) -> None:
    """Raises Refusal 406 where the client takes none of the media types that the operation gives (RFC 9110, 12.5.1)."""
    if not accept.strip():
        return
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if any(parameter.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for parameter in parameters):
            continue
        if media in ("*/*", *gives, PROBLEM) or any(media == f"{given.partition('/')[0]}/*" for given in gives):
            return
    raise Refusal(406, f"There is only {' or '.join(gives)} here: see the Accept header.")
