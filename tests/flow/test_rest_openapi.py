"""The OpenAPI document and its page: valid, whole, and with examples that are true."""

from __future__ import annotations

import html.parser
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from rest_kit import RestHouse, rest_house
from schemathesis.specs.openapi.definitions import OPENAPI_31

from campana.api.rest.fields import REST_NAMES, rest_name
from campana.api.rest.nouns import NOUNS, OPERATIONS
from campana.api.rest.openapi import document
from campana.api.rest.problems import STATUS
from campana.domain.errors import MethodCode
from campana.services.scopes import Scope

SERVER = "https://campana.example/api/v1"
DOCUMENT = document(NOUNS, SERVER)
DESCRIBED = [
    (f"{verb.upper()} {path}", one) for path, methods in DOCUMENT["paths"].items() for verb, one in methods.items()
]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RestHouse]:
    async with rest_house(tmp_path) as opened:
        yield opened


def test_the_document_is_valid() -> None:
    jsonschema_rs.Draft202012Validator(OPENAPI_31).validate(DOCUMENT)
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert jsonschema_rs.Draft202012Validator(schema | {"components": DOCUMENT["components"]}), name


def test_every_operation_is_described_in_words() -> None:
    names = [one["operationId"] for _, one in DESCRIBED]
    assert len(set(names)) == len(names) == len(OPERATIONS)
    for where, one in DESCRIBED:
        assert re.fullmatch(r"[A-Z][^\n]*[^.]", one["summary"]), where
        assert one["description"].strip(), where
        for parameter in one["parameters"]:
            assert parameter["description"], f"{where} {parameter['name']}"
        if one.get("security") != []:
            assert {"401", "403", "429"} <= one["responses"].keys(), where
        assert {"422", "500", "503"} <= one["responses"].keys(), where


def examples() -> Iterator[tuple[str, Any, Any]]:
    for where, one in DESCRIBED:
        for media, content in one.get("requestBody", {}).get("content", {}).items():
            if "json" in media and "example" in content and isinstance(content["example"], dict):
                yield f"{where} {media}", content["schema"], content["example"]
        for status, answer in one["responses"].items():
            for content in answer.get("content", {}).values():
                if "example" in content:
                    yield f"{where} {status}", content["schema"], content["example"]


@pytest.mark.parametrize(("schema", "example"), [pytest.param(s, e, id=name) for name, s, e in examples()])
def test_examples_keep_their_schema(schema: Any, example: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    if isinstance(example, str):
        return
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(example)


def test_every_code_has_its_status_and_every_scope_its_operations() -> None:
    assert STATUS.keys() == set(MethodCode)
    assert {operation.scope for operation in OPERATIONS} - {None} == set(Scope)


def test_every_field_of_the_contract_has_its_name_in_rest() -> None:
    """The names by which the domain's rules call fields, as they stand in its source, are all in the table."""
    source = Path(__file__).parents[2] / "src" / "campana" / "domain"
    text = "".join((source / f"{name}.py").read_text(encoding="utf-8") for name in ("campaign", "contact", "person"))
    called = set(re.findall(r'_refuse\("(\w+)"', text)) | set(re.findall(r'^        \("(\w+)", campaign\.', text, re.M))
    assert called > {"ShortName", "TimeZone", "QuietTo", "Days", "Fields"}
    assert sorted(name for name in called if name not in REST_NAMES) == []
    members = set(re.findall(r'f"\{(_SMS|_VOICE|_EMAIL)\}\.(\w+)"', text))
    wires = {"_SMS": "OutboundSMSNotificationInfo", "_VOICE": "OutboundVoiceNotificationInfo"}
    wires["_EMAIL"] = "OutboundEmailNotificationInfo"
    assert members
    for wire, member in members:
        assert f"{wires[wire]}.{member}" in REST_NAMES
    assert rest_name("anything else") == "anything else"


def test_names_in_rest_are_fields_of_bodies() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    known = {*schemas["CampaignBody"]["properties"], *schemas["ContactBody"]["properties"]}
    for medium, schema in (("sms", "Sms"), ("voice", "Voice"), ("email", "Email")):
        known |= {f"{medium}.{name}" for name in schemas[schema]["properties"]}
        known |= {f"{medium}.{name}" for name in schemas["ContactMedium"]["properties"]}
    assert {name for name in REST_NAMES.values() if name} <= known


# --- served ------------------------------------------------------------------------------------------------------


class _Loads(html.parser.HTMLParser):
    """What a page would load, and its ids and links."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "link", "img", "iframe", "object", "embed") or "src" in given:
            self.loads.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))


async def test_the_page_tells_every_operation_and_loads_nothing(house: RestHouse) -> None:
    answer = await house.client().get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    found = _Loads()
    found.feed(answer.text)
    assert found.loads == []
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    assert {operation.name for operation in OPERATIONS} <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)
    for link in found.links:
        assert link == "openapi.json" or link.removeprefix("#") in found.ids, link


async def test_the_document_names_the_address_by_which_the_client_came(house: RestHouse) -> None:
    answer = await house.client().get("/openapi.json")
    assert answer.json() == document(NOUNS, "http://campana.test/api/v1")
    assert (await house.client().get("/openapi.json", headers={"accept": "text/html"})).status_code == 406
    assert (await house.client().post("/docs")).headers["allow"] == "GET, HEAD, OPTIONS"
    allowed = await house.client().options("/campaigns/x")
    assert (allowed.status_code, allowed.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT")
