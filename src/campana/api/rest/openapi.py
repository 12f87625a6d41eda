"""Owns the description of the REST door as OpenAPI 3.1: made of the operations' own types and words.

Must not know any noun. What it says is what the frame does: both read the same table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from campana.api.rest.operation import JSON, Operation, Operations, Stream, no_such
from campana.api.rest.problems import PROBLEM, STATUS, Problem, type_of
from campana.api.rest.samples import sample
from campana.api.rest.shapes import GUID_PATTERN
from campana.domain.errors import METHOD_CODE_MEANING, MethodCode
from campana.services.scopes import SCOPE_MEANING, Scope

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_IN_PATH = re.compile(r"\{(\w+)\}")

_ALWAYS = (MethodCode.INVALID_REQUEST, MethodCode.SERVICE_UNAVAILABLE, MethodCode.INTERNAL_ERROR)
_OF_CALLERS = (
    MethodCode.INVALID_SESSION,
    MethodCode.ACCESS_DENIED,
    MethodCode.TOO_MANY_ATTEMPTS,
    MethodCode.RATE_LIMITED,
)

_BY_HTTP = {
    400: "The request is malformed: no JSON, or nested too deeply.",
    406: "The client accepts none of the media types that there are.",
    413: "The body is over the limit of size (`[server] max_request_bytes`).",
    415: "The body has a media type or an encoding that is not taken, or there should be none.",
}

ABOUT = """The full contract of Campana: campaigns that reach people by SMS, voice and email.

**Coming in.** Send `Authorization: Bearer TOKEN`, with the token of a session (`POST /sessions`, the same sessions as
in SOAP) or with an API key (`POST /api-keys`), which acts as its user within its scopes. Anything in the header
`X-Campana-Agent` marks a request as made for an agent: the rules for external applications bind it.

**Errors** are problems (RFC 9457): `code` is the number that SOAP has for the same, `field` the field that breaks a
rule, `detail` the rule in a sentence. No problem ever repeats a value.

**Lists** come in pages: `limit` says how long, `next` of the answer is the `cursor` of the next page, null at the end.

**Trying again.** Every POST takes an `Idempotency-Key`. The answer to a request that succeeded is given again for 24
hours, with `Idempotency-Replayed: true`; the same key with another request is refused (44). After a time-out, a broken
connection or a 503, send the same request with the same key.

**Limits.** Each session and key may make so many requests a minute of each process: the headers `RateLimit-Limit`,
`RateLimit-Remaining` and `RateLimit-Reset` say how it stands, and a 429 says in `Retry-After` when to come again.

**Values.** Times are instants in UTC with milliseconds, ids are GUIDs, and fields that are not known are refused.
"""

_PATH_SCHEMAS: dict[str, Json] = {
    "campaign": {"description": "The campaign's id.", "schema": {"type": "string", "format": "uuid"}},
    "contact": {"description": "The contact's id.", "schema": {"type": "string", "format": "uuid"}},
    "import": {"description": "The import's id.", "schema": {"type": "string", "format": "uuid"}},
    "id": {"description": "Its id.", "schema": {"type": "string", "format": "uuid"}},
    "name": {"description": "Its name.", "schema": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}},
    "medium": {"description": "The medium.", "schema": {"type": "string", "enum": ["sms", "voice", "email"]}},
}

_HEADERS: dict[str, Json] = {
    "key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Made up by the client for this one request, such as a random UUID: a repeated request with the "
        "same key is carried out once.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    "match": {
        "name": "If-Match",
        "in": "header",
        "description": "ETags as they were read: another version is not changed (412).",
        "schema": {"type": "string", "maxLength": 1000, "pattern": '^(\\*|"[!#-~]*"(, ?"[!#-~]*")*)$'},
    },
    "none": {
        "name": "If-None-Match",
        "in": "header",
        "description": "ETags of what the client has: it is not sent again (304).",
        "schema": {"type": "string", "maxLength": 1000, "pattern": '^(\\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'},
    },
}

_TOLD: dict[str, Json] = {
    "RateLimit-Limit": {"description": "Requests a minute.", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "Requests that are left now.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until all are left.", "schema": {"type": "integer"}},
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}},
    "Location": {"description": "The address of what was made.", "schema": {"type": "string", "format": "uri"}},
    "ETag": {"description": "Stands for version and state.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "`true` where the answer was given before.",
        "schema": {"type": "string", "const": "true"},
    },
    "WWW-Authenticate": {"description": "How to come in.", "schema": {"type": "string"}},
    "Allow": {"description": "The methods of the address.", "schema": {"type": "string"}},
}


def document(nouns: Sequence[Operations], server: str) -> Json:
    """The OpenAPI document. `server` is the address of the API."""
    every = [operation for noun in nouns for operation in noun.all]
    schemas = _schemas(every)
    paths: Json = {}
    for operation in every:
        described = paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schemas)
        links = _links(operation, every)
        if links:
            described["responses"][str(operation.status)]["links"] = links
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Campana",
            "version": version("campana"),
            "summary": "Outbound notification campaigns by SMS, voice and email.",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": noun.tag} for noun in _by_tag(nouns)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": _security_schemes(),
            "headers": _TOLD,
        },
    }


def _by_tag(nouns: Sequence[Operations]) -> list[Operations]:
    return list({noun.tag: noun for noun in nouns}.values())


def _security_schemes() -> Json:
    scopes = " ".join(f"`{scope.value}`: {SCOPE_MEANING[scope]}" for scope in Scope)
    return {
        "session": {
            "type": "http",
            "scheme": "bearer",
            "description": "A session's token. It may be used for all that the user's role may do.",
        },
        "api_key": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "ck_PREFIX_SECRET",
            "description": f"An API key, which needs the scope that stands with each operation. {scopes}",
        },
    }


def _schemas(operations: Iterable[Operation]) -> Json:
    types: list[Any] = [Problem]
    for operation in operations:
        types += [one for one in (operation.body_like or operation.body, _json_answer(operation)) if one is not None]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    return dict(sorted(schemas.items()))


def _json_answer(operation: Operation) -> Any:
    """What an operation answers as JSON; None where it answers nothing, or a stream."""
    return None if operation.answer is None or operation.answer is Stream else operation.answer


def _described(operation: Operation, schemas: Json) -> Json:
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _words(operation),
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
    }
    if operation.public:
        described["security"] = []
    else:
        scope = [] if operation.scope is None else [operation.scope.value]
        described["security"] = [{"session": []}, {"api_key": scope}]
    if operation.body is not None or operation.streams_body:
        described["requestBody"] = _request_body(operation, schemas)
    return described


def _links(operation: Operation, every: Iterable[Operation]) -> Json:
    """What may be asked of what was made: operations below its own address."""
    if operation.method != "POST" or operation.status != 201:
        return {}
    links: Json = {}
    own = _IN_PATH.findall(operation.path)
    for one in every:
        names = _IN_PATH.findall(one.path)
        if not one.path.startswith(operation.path + "/{") or names[:-1] != own:
            continue
        made = names[-1]
        parameters = {name: f"$request.path.{name}" for name in own}
        parameters[made] = f"$response.body#/{'name' if made == 'name' else 'id'}"
        links[one.name] = {"operationId": one.name, "parameters": parameters}
    return links


def _words(operation: Operation) -> str:
    said = operation.description
    if operation.scope is not None:
        said = f"{said}\n\nScope: `{operation.scope.value}`.".strip()
    return said or operation.summary + "."


def _parameters(operation: Operation) -> list[Json]:
    found: list[Json] = []
    for name in _IN_PATH.findall(operation.path):
        known = _PATH_SCHEMAS.get(name, {"description": f"The {name}.", "schema": {"type": "string"}})
        schema = dict(known["schema"])
        if schema.get("format") == "uuid":
            schema |= {"pattern": GUID_PATTERN}
        found.append({"name": name, "in": "path", "required": True, **known, "schema": schema})
    found += _query(operation)
    if operation.method == "POST":
        found.append(_HEADERS["key"])
    if operation.versioned:
        found.append(_HEADERS["match" if operation.writes else "none"])
    return found


def _query(operation: Operation) -> list[Json]:
    if operation.query is None:
        return []
    (reference,), components = msgspec.json.schema_components([operation.query], ref_template="{name}")
    schema = components[reference["$ref"]]
    required = set(schema.get("required", ()))
    found = []
    for name, outer in schema["properties"].items():
        inner = _inlined(outer, components)
        if inner.get("default") == "":
            # To give nothing is to leave it out.
            del inner["default"]
        said = inner.pop("description", "") or _said(inner)
        found.append({"name": name, "in": "query", "required": name in required, "description": said, "schema": inner})
    return found


def _inlined(schema: Json, components: Json) -> Json:
    """A parameter's schema without references, and without null, which a query cannot say."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(options) == 1:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        return _inlined(options[0], components) | rest
    if "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**components[schema["$ref"]], **rest}
    if None in schema.get("enum", ()):
        schema = schema | {"enum": [one for one in schema["enum"] if one is not None]}
        schema.pop("default", None)
    return dict(schema)


def _said(schema: Json) -> str:
    return str(next((one.get("description") for one in schema.get("anyOf", ()) if one.get("description")), ""))


def _request_body(operation: Operation, schemas: Json) -> Json:
    if operation.streams_body:
        content: Json = {media: {"schema": {"type": "string"}} for media in operation.takes}
        if operation.example is not None:
            for media in content:
                content[media]["example"] = operation.example
        return {"required": True, "content": content}
    schema = _reference(operation.body_like or operation.body)
    example = operation.example if operation.example is not None else sample(schema, schemas)
    if operation.body_like is not None:
        schema = _in_part(schemas[operation.body_like.__name__], schemas)
    return {
        "required": True,
        "content": {media: {"schema": schema, "example": example} for media in operation.takes},
    }


def _in_part(whole: Json, schemas: Json) -> Json:
    """The schema of a merge patch: nothing is required, and null takes anything back to its default."""
    members = {}
    for name, inner in whole["properties"].items():
        options = [one for one in inner.get("anyOf", [inner]) if one.get("type") != "null"]
        nested = [
            _in_part(schemas[one["$ref"].rpartition("/")[2]], schemas) if "$ref" in one else one for one in options
        ]
        members[name] = {"anyOf": [*nested, {"type": "null"}]}
    return {"type": "object", "properties": members, "additionalProperties": False}


def _reference(of: Any) -> Json:
    (schema,), _ = msgspec.json.schema_components([of], ref_template=_REFERENCE)
    return dict(schema)


def _responses(operation: Operation, schemas: Json) -> Json:
    responses: Json = {str(operation.status): _success(operation, schemas)}
    if operation.versioned and not operation.writes:
        responses["304"] = {
            "description": "The client has it as it is.",
            "headers": _headers("ETag", *_limits(operation)),
        }
    for status, codes in sorted(_refusals(operation).items()):
        responses[str(status)] = _problem(operation, status, codes)
    return responses


def _success(operation: Operation, schemas: Json) -> Json:
    headers = list(_limits(operation))
    if operation.method == "POST" and operation.idempotent:
        headers.append("Idempotency-Replayed")
    if operation.status == 201:
        headers.append("Location")
    if operation.versioned and operation.status != 204:
        headers.append("ETag")
    said: Json = {"description": _DONE.get(operation.status, "Done."), "headers": _headers(*headers)}
    answer = _json_answer(operation)
    if answer is not None:
        schema = _reference(answer)
        said["content"] = {JSON: {"schema": schema, "example": sample(schema, schemas)}}
    elif operation.answer is not None:
        said["content"] = {media: {"schema": {"type": "string"}} for media in operation.gives}
    return said


_DONE = {200: "Done.", 201: "Made.", 202: "Taken, and being carried out.", 204: "Done; there is nothing to answer."}


def _limits(operation: Operation) -> tuple[str, ...]:
    return () if operation.public else ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _refusals(operation: Operation) -> dict[int, list[MethodCode]]:
    """The codes of an operation by HTTP status; those of HTTP's own have none."""
    codes = [*_ALWAYS, *operation.refuses]
    if not operation.public:
        codes += _OF_CALLERS
    if operation.method == "POST" and operation.idempotent:
        codes.append(MethodCode.IDEMPOTENCY_CONFLICT)
    codes += [no_such(name) for name in _IN_PATH.findall(operation.path)]
    found: dict[int, list[MethodCode]] = {400: [], 406: [], 413: [], 415: []}
    for code in sorted(set(codes)):
        found.setdefault(STATUS[code], []).append(code)
    return found


def _meaning(code: MethodCode) -> str:
    if code is MethodCode.ACCESS_DENIED:
        return "The user's role, or the key's scopes, do not allow it."
    return METHOD_CODE_MEANING[code]


def _problem(operation: Operation, status: int, codes: Sequence[MethodCode]) -> Json:
    said = [_BY_HTTP[status]] if status in _BY_HTTP else []
    said += [f"{code.value} {code.title}: {_meaning(code)}" for code in codes]
    headers: list[str] = []
    if status == 401:
        headers.append("WWW-Authenticate")
    if status in (409, 429, 503) and (status != 409 or MethodCode.IDEMPOTENCY_CONFLICT in codes):
        headers.append("Retry-After")
    code = codes[0] if codes else MethodCode.INVALID_REQUEST
    example = {
        "type": type_of(code),
        "title": code.title,
        "status": status,
        "detail": _meaning(code),
        "code": code.value,
    }
    described: Json = {
        "description": " ".join(said),
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
    if headers:
        described["headers"] = _headers(*headers)
    return described
