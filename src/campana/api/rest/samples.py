"""Owns sample values of schemas, for the documentation: made of the examples and limits that stand in them.

Must not know any noun.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_OF_FORMAT = {
    "uuid": "0190a1b2-0000-7000-8000-000000000001",
    "date-time": "2026-11-28T09:30:00.000Z",
    "date": "2026-12-01",
}
_OF_TYPE: dict[str, Any] = {"boolean": False, "null": None, "string": "", "integer": 0, "number": 0}


def sample(schema: Json, schemas: Json) -> Any:
    """A value that a schema allows; `schemas` are those to which it may refer."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(_fullest(schema["anyOf"]), schemas)
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, schemas)
    if kind == "array":
        items = schema.get("items")
        return [sample(items, schemas)] if isinstance(items, dict) else []
    if kind == "integer":
        return schema.get("minimum", schema.get("default", 0))
    if kind == "string" and schema.get("format") in _OF_FORMAT:
        return _OF_FORMAT[schema["format"]]
    return schema.get("default", _OF_TYPE.get(str(kind)))


def _object(schema: Json, schemas: Json) -> Json:
    return {
        name: sample(inner, schemas) for name, inner in schema.get("properties", {}).items() if not _is_set_by_us(inner)
    }


def _is_set_by_us(schema: Json) -> bool:
    return bool(schema.get("readOnly")) or any(one.get("readOnly") for one in schema.get("anyOf", ()))


def _fullest(options: list[Json]) -> Json:
    """The option that tells most: not null where there is another."""
    return next((one for one in options if one.get("type") != "null"), options[0])
