"""Owns the tables by which a request is read, made once from the WSDL: what may stand in which element.

Must not know how events become values; parsing.py does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from campana.api.soap.bindings import BINDINGS
from campana.api.soap.envelope import VERSIONS, Version
from campana.api.soap.schema import Kind, Member, Schema
from campana.api.soap.values import boolean, guid, integer, wall_clock

XSI_NIL = "http://www.w3.org/2001/XMLSchema-instance}nil"
"""Names are as expat gives them with the separator `}`."""

Convert = Callable[[str], Any]


class Strangers(Enum):
    """What to make of a child that is not found by namespace and name."""

    SKIP_OR_NAMESAKE = "a member in any other namespace; skip the rest"
    SKIP = "skip it"
    HEADER = "skip it, unless it must be understood"
    OPERATION = "an operation in any other namespace; refuse the rest"
    ENVELOPE = "refuse it"


@dataclass(slots=True, eq=False)
class Shape:
    """What may stand in an element.

    With `members` it holds elements, found by full name or, where `strangers` allows, by local name (`namesakes`);
    its value is what `build` makes of theirs. Without, it holds text, which `convert` turns into its value (None:
    the text itself). `key` is where the value goes in the parent's; `default` is the value of nil.
    """

    name: str
    key: str
    convert: Convert | None = None
    default: Any = None
    members: dict[str, Shape] | None = None
    namesakes: dict[str, Shape] | None = None
    strangers: Strangers = Strangers.SKIP_OR_NAMESAKE
    build: Callable[[dict[str, Any]], Any] = field(default=lambda values: values)


_SCALARS: dict[Kind, tuple[Convert | None, Any]] = {
    Kind.STRING: (None, None),
    Kind.INT: (integer, 0),
    Kind.BOOLEAN: (boolean, False),
    Kind.DATE_TIME: (wall_clock, None),
    Kind.GUID: (guid, ""),
}


def root_shape(schema: Schema) -> Shape:
    """The document of a request: an envelope of either version with one operation of the schema."""
    operations = {}
    for operation in schema.operations.values():
        parameters = [(_of_member(schema, member, member.name), member) for member in operation.parameters]
        shape = Shape(operation.name, operation.name)
        _set_members(shape, parameters)
        operations[operation.name] = (shape, operation.namespace)
    envelopes = {f"{version.namespace}}}Envelope": _envelope(version, operations) for version in VERSIONS}
    return Shape("", "", members=envelopes, strangers=Strangers.ENVELOPE)


def _envelope(version: Version, operations: dict[str, tuple[Shape, str]]) -> Shape:
    body = Shape("Body", "Body", strangers=Strangers.OPERATION)
    body.members = {f"{namespace}}}{name}": shape for name, (shape, namespace) in operations.items()}
    body.namesakes = {name: shape for name, (shape, _) in operations.items()}
    header = Shape("Header", "Header", members={}, strangers=Strangers.HEADER)
    members = {f"{version.namespace}}}{part.name}": part for part in (header, body)}
    return Shape("Envelope", version.name, members=members, strangers=Strangers.SKIP)


def _of_member(schema: Schema, member: Member, key: str) -> Shape:
    if member.kind is not Kind.OBJECT:
        convert, default = _SCALARS[member.kind]
        return Shape(member.name, key, convert=convert, default=default)
    of_type = schema.types[member.type or ""]
    binding = BINDINGS[of_type.name]
    shape = Shape(member.name, key)
    dropped = [f"{name} dropped" for name in binding.ignored]

    def build(values: dict[str, Any]) -> object:
        for name in dropped:
            values.pop(name, None)
        return binding.make(**values)

    shape.build = build if dropped else lambda values: binding.make(**values)
    children = []
    for part in of_type.members:
        child_key = f"{part.name} dropped" if part.name in binding.ignored else binding.fields[part.name]
        children.append((_of_member(schema, part, child_key), part))
    _set_members(shape, children)
    return shape


def _set_members(shape: Shape, children: list[tuple[Shape, Member]]) -> None:
    shape.members = {f"{member.namespace}}}{child.name}": child for child, member in children}
    shape.namesakes = {child.name: child for child, _ in children}
