"""The served WSDL against the contract's tables (tests/data/specification.txt), field by field, and against the
conventions without which generated clients break.

The WSDL is read here by means of its own, not by the door's tables, so that both cannot be wrong together.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lxml import etree

from campana.api.soap import wsdl
from campana.api.soap.bindings import BINDINGS
from campana.api.soap.operations import OPERATIONS

NS = {
    "wsdl": "http://schemas.xmlsoap.org/wsdl/",
    "soap": "http://schemas.xmlsoap.org/wsdl/soap/",
    "soap12": "http://schemas.xmlsoap.org/wsdl/soap12/",
    "xs": "http://www.w3.org/2001/XMLSchema",
}
SERVICE = "http://tempuri.org/"
DATA = "http://schemas.datacontract.org/2004/07/OutboundNotifications"
SERIALIZATION = "http://schemas.microsoft.com/2003/10/Serialization/"
ARRAYS = f"{SERIALIZATION}Arrays"

SIMPLE = {
    "String": f"{{{NS['xs']}}}string",
    "Integer": f"{{{NS['xs']}}}int",
    "Boolean": f"{{{NS['xs']}}}boolean",
    "DateTime": f"{{{NS['xs']}}}dateTime",
    "Date": f"{{{NS['xs']}}}dateTime",
    "Time": f"{{{NS['xs']}}}dateTime",
    "Guid": f"{{{SERIALIZATION}}}guid",
    "List<Guid>": f"{{{ARRAYS}}}ArrayOfguid",
}
VALUE_TYPES = {"Integer", "Boolean", "DateTime", "Date", "Time", "Guid"}

Table = dict[str, tuple[str, dict[str, str]]]


def read_specification() -> tuple[Table, Table]:
    """Methods (name to result and parameters) and types (name to "" and members)."""
    methods: Table = {}
    types: Table = {}
    members: dict[str, str] = {}
    text = (Path(__file__).parents[1] / "data" / "specification.txt").read_text()
    for line in text.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if words[0] == "method":
            members = {}
            methods[words[1].rstrip(":")] = (words[2], members)
        elif words[0] == "type":
            members = {}
            types[words[1]] = ("", members)
        else:
            members[words[0]] = words[1]
    return methods, types


METHODS, TYPES = read_specification()
ROOT = etree.fromstring(wsdl.document("wsdl", "http://here.test/OutboundNotifications.svc") or b"")


def schema(namespace: str) -> etree._Element:
    found = ROOT.xpath("wsdl:types/xs:schema[@targetNamespace=$ns]", namespaces=NS, ns=namespace)
    assert len(found) == 1
    return found[0]


def type_of(element: etree._Element) -> str:
    prefix, _, local = element.get("type").rpartition(":")
    return f"{{{element.nsmap[prefix]}}}{local}"


def expected_type(word: str) -> str:
    listed = re.fullmatch(r"List<(\w+)>", word)
    if word in SIMPLE:
        return SIMPLE[word]
    return f"{{{DATA}}}ArrayOf{listed[1]}" if listed else f"{{{DATA}}}{word}"


def sequence(parent: etree._Element, path: str) -> list[etree._Element]:
    return parent.xpath(f"{path}/xs:sequence/xs:element", namespaces=NS)


def check_element(element: etree._Element, word: str) -> None:
    assert type_of(element) == expected_type(word)
    assert element.get("minOccurs") == "0"
    assert element.get("nillable") == (None if word in VALUE_TYPES else "true")


def test_the_specification_was_read() -> None:
    assert len(METHODS) == 13
    assert {name: len(members) for name, (_, members) in TYPES.items()} == {
        "OpenAPISessionResponse": 3,
        "CloseAPISessionResponse": 2,
        "OutboundNotificationCampaignInfo": 17,
        "OutboundSMSNotificationInfo": 3,
        "OutboundVoiceNotificationInfo": 9,
        "OutboundEmailNotificationInfo": 4,
        "OutboundNotificationContactInfo": 5,
        "CommunicationInfo": 5,
    }


def test_no_other_operation_or_type() -> None:
    names = {op.get("name") for op in ROOT.iterfind("wsdl:portType/wsdl:operation", NS)}
    assert names == set(METHODS)
    lists = {"ArrayOfOutboundNotificationCampaignInfo", "ArrayOfOutboundNotificationContactInfo"}
    assert {t.get("name") for t in schema(DATA).iterfind("xs:complexType", NS)} == set(TYPES) | lists
    assert {t.get("name") for t in schema(ARRAYS).iterfind("xs:complexType", NS)} == {"ArrayOfguid"}


@pytest.mark.parametrize("name", METHODS)
def test_operation(name: str) -> None:
    result, parameters = METHODS[name]
    service = schema(SERVICE)
    wrapper = sequence(service, f"xs:element[@name='{name}']/xs:complexType")
    assert [element.get("name") for element in wrapper] == list(parameters)
    for element in wrapper:
        check_element(element, parameters[element.get("name")])
    (answer,) = sequence(service, f"xs:element[@name='{name}Response']/xs:complexType")
    assert answer.get("name") == f"{name}Result"
    check_element(answer, result)


@pytest.mark.parametrize("name", METHODS)
def test_messages_are_document_literal_wrapped(name: str) -> None:
    operation = ROOT.find(f"wsdl:portType/wsdl:operation[@name='{name}']", NS)
    for direction, wrapper in (("input", name), ("output", f"{name}Response")):
        message = operation.find(f"wsdl:{direction}", NS).get("message").removeprefix("tns:")
        (part,) = ROOT.findall(f"wsdl:message[@name='{message}']/wsdl:part", NS)
        assert dict(part.attrib) == {"name": "parameters", "element": f"tns:{wrapper}"}
    bound = ROOT.find(f"wsdl:binding/wsdl:operation[@name='{name}']", NS)
    soap = bound.find("soap:operation", NS)
    assert soap.get("soapAction") == f"http://tempuri.org/IOutboundNotifications/{name}"
    assert soap.get("style") == "document"
    assert [body.get("use") for body in bound.iterfind(".//soap:body", NS)] == ["literal", "literal"]


@pytest.mark.parametrize("name", TYPES)
def test_type(name: str) -> None:
    members = TYPES[name][1]
    elements = sequence(schema(DATA), f"xs:complexType[@name='{name}']")
    assert {element.get("name") for element in elements} == set(members)
    for element in elements:
        check_element(element, members[element.get("name")])


@pytest.mark.parametrize("name", TYPES)
def test_members_stand_in_the_order_that_wcf_insists_on(name: str) -> None:
    names = [element.get("name") for element in sequence(schema(DATA), f"xs:complexType[@name='{name}']")]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("namespace", "name", "item", "item_type"),
    [
        (ARRAYS, "ArrayOfguid", "guid", "Guid"),
        (DATA, "ArrayOfOutboundNotificationCampaignInfo", "OutboundNotificationCampaignInfo", None),
        (DATA, "ArrayOfOutboundNotificationContactInfo", "OutboundNotificationContactInfo", None),
    ],
)
def test_list(namespace: str, name: str, item: str, item_type: str | None) -> None:
    (element,) = sequence(schema(namespace), f"xs:complexType[@name='{name}']")
    assert element.get("name") == item
    assert element.get("maxOccurs") == "unbounded"
    check_element(element, item_type or item)


def test_guid_is_wcf_s() -> None:
    pattern = schema(SERIALIZATION).find("xs:simpleType[@name='guid']/xs:restriction/xs:pattern", NS)
    hexadecimal = r"[\da-fA-F]"
    parts = "-".join(f"{hexadecimal}{{{n}}}" for n in (8, 4, 4, 4, 12))
    assert pattern.get("value") == parts


def test_schemas_are_inline_and_import_each_other_without_location() -> None:
    assert ROOT.findall(".//wsdl:import", NS) == []
    for one in ROOT.iterfind("wsdl:types/xs:schema", NS):
        assert one.get("elementFormDefault") == "qualified"
        imported = {found.get("namespace") for found in one.iterfind("xs:import", NS)}
        used = {type_of(e).partition("}")[0][1:] for e in one.iter(f"{{{NS['xs']}}}element") if e.get("type")}
        assert used - imported <= {one.get("targetNamespace"), NS["xs"]}
    assert b"schemaLocation" not in wsdl.TEMPLATE


def test_references_to_other_schemas_are_numbered() -> None:
    numbered = re.findall(rb'xmlns:q(\d+)="[^"]+" type="q(\d+):', wsdl.TEMPLATE)
    assert [(int(a), int(b)) for a, b in numbered] == [(n, n) for n in range(1, len(numbered) + 1)]
    foreign = [e for e in ROOT.iter(f"{{{NS['xs']}}}element") if re.match(r"q\d+:", e.get("type") or "")]
    assert len(foreign) == len(numbered) > 0


def test_service_and_port() -> None:
    service = ROOT.find("wsdl:service", NS)
    assert service.get("name") == "OutboundNotifications"
    assert ROOT.find("wsdl:portType", NS).get("name") == "IOutboundNotifications"
    (port,) = service.findall("wsdl:port", NS)
    assert port.find("soap:address", NS).get("location") == "http://here.test/OutboundNotifications.svc"
    assert port.get("binding") == f"tns:{ROOT.find('wsdl:binding', NS).get('name')}"


def test_soap12_has_a_document_of_its_own() -> None:
    default = wsdl.document("singleWsdl", "http://a.test") or b""
    assert b"soap12" not in default
    other = wsdl.document("wsdl12", "http://a.test") or b""
    root = etree.fromstring(other)
    assert NS["soap"] not in root.nsmap.values()
    assert root.find("wsdl:service/wsdl:port/soap12:address", NS).get("location") == "http://a.test"
    assert len(root.findall("wsdl:binding/wsdl:operation/soap12:operation", NS)) == 13
    types = [etree.tostring(r.find("wsdl:types", NS), method="c14n", exclusive=True) for r in (ROOT, root)]
    assert types[0] == types[1]


def test_every_operation_is_served_and_every_member_bound() -> None:
    assert set(OPERATIONS) == set(METHODS)
    assert {name: set(binding.fields) for name, binding in BINDINGS.items() if name != "CloseAPISessionResponse"} == {
        name: set(members) for name, (_, members) in TYPES.items() if name != "CloseAPISessionResponse"
    }
    assert set(BINDINGS["CloseAPISessionResponse"].fields) >= set(TYPES["CloseAPISessionResponse"][1])
