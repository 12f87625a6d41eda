"""Owns the tables of the contract's messages and types, read at start from the WSDL that clients get.

Must not know how an element is parsed or written, nor which field of the domain it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lxml import etree

from campana.api.soap import wsdl

XS = "{http://www.w3.org/2001/XMLSchema}"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"
SERIALIZATION = "http://schemas.microsoft.com/2003/10/Serialization/"


class Kind(Enum):
    """What an element holds. The value types cannot be null; the others can."""

    STRING = "string"
    INT = "int"
    BOOLEAN = "boolean"
    DATE_TIME = "dateTime"
    GUID = "guid"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Member:
    """One element of a sequence. `type` names an object's type; `many` is True for the items of a list."""

    name: str
    namespace: str
    kind: Kind
    type: str | None
    nillable: bool
    many: bool


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A complex type: its members in the order in which they are written."""

    name: str
    namespace: str
    members: tuple[Member, ...]

    @property
    def item(self) -> Member | None:
        """The item of a list type; None for any other type."""
        return self.members[0] if len(self.members) == 1 and self.members[0].many else None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its wrapper element's parameters and its result."""

    name: str
    namespace: str
    action: str
    parameters: tuple[Member, ...]
    result: Member


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything that the WSDL says, by name. No two data-contract types have one name."""

    namespace: str
    types: dict[str, ObjectType]
    operations: dict[str, Operation]


def read(document: bytes = wsdl.TEMPLATE) -> Schema:
    """Read the tables from a WSDL as wsdl-1.1 document/literal wrapped writes it (WSDL 1.1, section 3).

    Raises ValueError where the document uses something that the tables cannot express.
    """
    root = etree.fromstring(document)
    types: dict[str, ObjectType] = {}
    wrappers: dict[str, tuple[Member, ...]] = {}
    for schema in root.iterfind(f"{WSDL}types/{XS}schema"):
        namespace = schema.get("targetNamespace", "")
        for complex_type in schema.iterfind(f"{XS}complexType"):
            name = complex_type.get("name", "")
            types[name] = ObjectType(name, namespace, _members(complex_type, namespace))
        for element in schema.iterfind(f"{XS}element"):
            for anonymous in element.iterfind(f"{XS}complexType"):
                wrappers[element.get("name", "")] = _members(anonymous, namespace)
    namespace = root.get("targetNamespace", "")
    operations = {op.name: op for op in _operations(root, namespace, wrappers)}
    return Schema(namespace, types, operations)


def _members(complex_type: etree._Element, namespace: str) -> tuple[Member, ...]:
    return tuple(_member(element, namespace) for element in complex_type.iterfind(f"{XS}sequence/{XS}element"))


def _member(element: etree._Element, namespace: str) -> Member:
    name = element.get("name", "")
    prefix, _, local = element.get("type", "").rpartition(":")
    home = f"{{{element.nsmap.get(prefix or None, '')}}}"
    kind, of_type = Kind.OBJECT, local
    if home == XS or (home == f"{{{SERIALIZATION}}}" and local == "guid"):
        kind, of_type = Kind(local), ""
    return Member(
        name=name,
        namespace=namespace,
        kind=kind,
        type=of_type or None,
        nillable=element.get("nillable") == "true",
        many=element.get("maxOccurs") == "unbounded",
    )


def _operations(root: etree._Element, namespace: str, wrappers: dict[str, tuple[Member, ...]]) -> list[Operation]:
    found = []
    for bound in root.iterfind(f"{WSDL}binding/{WSDL}operation"):
        name = bound.get("name", "")
        soap = bound.find(f"{SOAP}operation")
        results = wrappers[f"{name}Response"]
        if soap is None or len(results) != 1:
            raise ValueError(f"the WSDL's operation {name} has no SOAP binding, or not one result")
        found.append(Operation(name, namespace, soap.get("soapAction", ""), wrappers[name], results[0]))
    return found
