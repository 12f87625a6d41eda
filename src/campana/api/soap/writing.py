"""Owns how values of the domain become the contract's elements, in the order and with the nulls that WCF writes.

Must not know of requests, faults or HTTP. What the WSDL fixes is joined to pieces of text once, at start; what is left
for an answer is to fill in values. Elements of the data contracts have the prefix `a`, as WCF gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from campana.api.soap.bindings import BINDINGS
from campana.api.soap.envelope import CLOSING, VERSIONS, Version, opening
from campana.api.soap.lines import ContactLines
from campana.api.soap.schema import Kind, Member, ObjectType, Operation, Schema
from campana.api.soap.values import escape, write_boolean, write_instant, write_wall_clock

XSI = "http://www.w3.org/2001/XMLSchema-instance"

Write = Callable[[Any], str]
WriteMany = Callable[[Iterable[Any]], str]

_SCALARS: dict[Kind, Write] = {
    Kind.STRING: escape,
    Kind.INT: str,
    Kind.BOOLEAN: write_boolean,
    Kind.DATE_TIME: write_wall_clock,
    Kind.GUID: str,
}

_INSTANTS = frozenset({"created_at"})
"""Fields of the domain that hold epoch milliseconds; the other dateTimes are wall-clock."""


class Around:
    """What stands around the result of one operation in one version of SOAP.

    `head` and `tail` enclose the content of a result; `null` is the whole message with a null result.
    """

    __slots__ = ("head", "null", "tail")

    def __init__(self, version: Version, operation: Operation, namespace: str | None) -> None:
        before = f'{opening(version)}<{operation.name}Response xmlns="{operation.namespace}">'
        after = f"</{operation.name}Response>{CLOSING}"
        result = operation.result.name
        prefixes = "" if namespace is None else f' xmlns:a="{namespace}" xmlns:i="{XSI}"'
        self.head = f"{before}<{result}{prefixes}>"
        self.tail = f"</{result}>{after}"
        self.null = f'{before}<{result} i:nil="true" xmlns:i="{XSI}"/>{after}'


class Writer:
    """Writes results by tables made once."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._contents: dict[str, Write] = {}
        self.contacts = ContactLines(schema).of
        """The writer of the contacts of one campaign, given its canonical guid."""
        self._around = {
            (version, operation.name): Around(version, operation, self._namespace(operation.result))
            for version in VERSIONS
            for operation in schema.operations.values()
        }

    def around(self, version: Version, operation: str) -> Around:
        """What stands around the result of an operation."""
        return self._around[version, operation]

    def content(self, type_name: str) -> Write:
        """The writer of an object: of its members, without the element around them."""
        found = self._contents.get(type_name)
        if found is None:
            found = self._contents[type_name] = self._object(self._schema.types[type_name])
        return found

    def items(self, list_type: str) -> WriteMany:
        """The writer of the items of a list, with the element around each."""
        item = self._schema.types[list_type].members[0]
        start, end = f"<a:{item.name}>", f"</a:{item.name}>"
        write = _SCALARS[item.kind] if item.type is None else self.content(item.type)
        return lambda values: "".join([f"{start}{write(value)}{end}" for value in values])

    def _namespace(self, result: Member) -> str | None:
        """The namespace of the elements in a result; None where it is a simple value."""
        return None if result.type is None else self._schema.types[result.type].members[0].namespace

    def _object(self, of_type: ObjectType) -> Write:
        fields = BINDINGS[of_type.name].fields
        parts = [self._element(member, fields[member.name]) for member in of_type.members]
        return lambda owner: "".join([part(owner) for part in parts])

    def _element(self, member: Member, field: str) -> Write:
        """The writer of one member, given the object that has it."""
        get = attrgetter(field)
        start, end, null = f"<a:{member.name}>", f"</a:{member.name}>", f'<a:{member.name} i:nil="true"/>'
        write = _SCALARS[member.kind] if member.type is None else self.content(member.type)
        if field in _INSTANTS:
            write = write_instant
        if not member.nillable:
            return lambda owner: f"{start}{write(get(owner))}{end}"
        return lambda owner: null if get(owner) is None else f"{start}{write(get(owner))}{end}"
