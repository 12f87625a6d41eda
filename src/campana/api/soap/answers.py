"""Owns what each operation answers on the wire: its result, or after a failure its code or null, with the header
that says why.

Must not know how a call was carried out, nor of sockets.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Any

from campana.api.exchange import PART_BYTES, Header
from campana.api.soap.bindings import SessionAnswer
from campana.api.soap.parsing import Call
from campana.api.soap.schema import Operation, Schema
from campana.api.soap.writing import Around, Writer
from campana.domain.errors import MethodCode, MethodError

_SESSION_TYPES = frozenset({"OpenAPISessionResponse", "CloseAPISessionResponse"})
_BLOCK = 200
"""So many items are written at a time, so that a long page does not hold up other requests."""

_HEADER_BYTES = 500


class Answers:
    """Writes answers by tables made once."""

    def __init__(self, schema: Schema) -> None:
        self._writer = Writer(schema)
        self._operations = schema.operations
        self._items = {
            name: self._writer.items(name) for name, of_type in schema.types.items() if of_type.members[0].many
        }

    def is_list(self, operation: str) -> bool:
        """Tell whether the operation answers a list."""
        return self._result_type(operation) in self._items

    def whole(self, call: Call, result: object) -> bytes:
        """The message that carries a result that is not a list."""
        around = self._writer.around(call.version, call.operation)
        of_type = self._result_type(call.operation)
        content = "0" if of_type is None else self._writer.content(of_type)(result)
        return f"{around.head}{content}{around.tail}".encode()

    def parts(self, call: Call, result: Any) -> AsyncGenerator[bytes]:
        """The message that carries a list, in parts of about PART_BYTES; `result` is a list or an iterator of pages.

        What the iterator raises comes through.
        """
        write: Callable[[Any], str] = self._items[self._result_type(call.operation) or ""]
        if call.operation == "GetCampaignContacts":
            write = self._writer.contacts(call.arguments.get("campaignId", "")).write
        pages = _one_page(result) if isinstance(result, list) else result
        return _parts(self._writer.around(call.version, call.operation), pages, write)

    def failed(self, call: Call, error: MethodError) -> bytes:
        """The message after a failure: the code where the result can carry one, null where it cannot."""
        around = self._writer.around(call.version, call.operation)
        of_type = self._result_type(call.operation)
        if of_type is None:
            return f"{around.head}{error.code.value}{around.tail}".encode()
        if of_type in _SESSION_TYPES:
            answer = SessionAnswer(error.code.value, error.sentence)
            return f"{around.head}{self._writer.content(of_type)(answer)}{around.tail}".encode()
        return around.null.encode()

    def _result_type(self, operation: str) -> str | None:
        found: Operation = self._operations[operation]
        return found.result.type


async def _one_page(items: list[Any]) -> AsyncIterator[list[Any]]:
    yield items


async def _parts(around: Around, pages: AsyncIterator[list[Any]], write: Callable[[Any], str]) -> AsyncGenerator[bytes]:
    waiting = [around.head]
    size = 0
    try:
        async for page in pages:
            for block in _blocks(page):
                text = write(block)
                waiting.append(text)
                size += len(text)
                if size >= PART_BYTES:
                    yield "".join(waiting).encode()
                    waiting, size = [], 0
    finally:
        if isinstance(pages, AsyncGenerator):
            await pages.aclose()
    waiting.append(around.tail)
    yield "".join(waiting).encode()


def _blocks(page: list[Any]) -> Iterable[list[Any]]:
    if len(page) <= _BLOCK:
        return (page,)
    return (page[start : start + _BLOCK] for start in range(0, len(page), _BLOCK))


def error_header(error: MethodError) -> Header:
    """The header X-Campana-Error: one line of ASCII with code, name and sentence."""
    code = MethodCode(error.code)
    sentence = "".join(c if " " <= c <= "~" else "?" if c > "~" else " " for c in error.sentence)
    line = f"{code.value} {code.title}; {sentence}"
    return b"x-campana-error", line[:_HEADER_BYTES].strip().encode("ascii")
