"""Owns the page on which people read what the REST door can do: made of the OpenAPI document, for a browser alone.

Must not know any noun, nor load anything from elsewhere: no script, no font, no style sheet of another host.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

Json = dict[str, Any]

_STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #e2e6ec; --paper: #fff; --wash: #f6f7f9; --accent: #8a3b12;
  --get: #1f6f43; --post: #1d4f91; --put: #7a5200; --patch: #6a3d9a; --delete: #a4262c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #2d3642; --paper: #14181e;
  --wash: #1b2129; --accent: #f0a47a; --get: #6fcf97; --post: #7fb2f0; --put: #e0b050; --patch: #c39bf0;
  --delete: #f08a8f; } }
* { box-sizing: border-box }
html { scroll-behavior: smooth; scroll-padding-top: 1rem }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
a { color: var(--accent) }
code, pre, .path { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; font-size: .875em }
code { background: var(--wash); padding: .1em .3em; border-radius: 4px }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: .4rem 0;
  overflow: auto; max-height: 26rem; line-height: 1.45 }
pre code { padding: 0; background: none; font-size: 1em }
.frame { display: grid; grid-template-columns: 19rem minmax(0, 1fr); max-width: 90rem; margin: 0 auto }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem 3rem 1.5rem;
  border-right: 1px solid var(--line); font-size: .875rem }
nav h2 { font-size: .75rem; text-transform: uppercase; letter-spacing: .06em; color: var(--soft);
  margin: 1.4rem 0 .3rem }
nav ol { list-style: none; margin: 0; padding: 0 }
nav a { display: grid; grid-template-columns: 3.9rem 1fr; padding: .12rem .4rem;
  border-radius: 5px; text-decoration: none; color: inherit }
nav h2 a { display: block; padding-left: .4rem }
nav a:hover, nav a:focus { background: var(--wash) }
main { padding: 2rem 2.5rem 6rem; min-width: 0 }
h1 { font-size: 2rem; margin: 0 0 .2rem; letter-spacing: -.01em }
main > h2 { font-size: 1.35rem; margin: 3.2rem 0 .4rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line) }
.lead { color: var(--soft); margin: 0 0 1.5rem }
article { padding: 1.5rem 0; border-bottom: 1px solid var(--line) }
article h3 { margin: 0 0 .3rem; font-size: 1.08rem }
.path { overflow-wrap: anywhere }
.verb { display: inline-block; min-width: 4.2rem; font-weight: 700; font-size: .78rem; letter-spacing: .03em }
.GET { color: var(--get) } .POST { color: var(--post) } .PUT { color: var(--put) } .PATCH { color: var(--patch) }
.DELETE { color: var(--delete) }
h4 { font-size: .78rem; text-transform: uppercase; letter-spacing: .05em; color: var(--soft); margin: 1.2rem 0 .3rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
td, th { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-top: 1px solid var(--line) }
tr:first-child td { border-top: 0 }
td:first-child { white-space: nowrap; width: 1% }
.kind { color: var(--soft); font-size: .85em }
.tag { font-size: .75rem; border: 1px solid var(--line); border-radius: 99px; padding: .1rem .55rem;
  color: var(--soft) }
details { margin: .5rem 0 } summary { cursor: pointer; color: var(--accent); font-size: .9rem }
@media (max-width: 60rem) { .frame { display: block } nav { position: static; height: auto; border: 0 }
  main { padding: 1rem 1.2rem 4rem } }
@media print { nav { display: none } .frame { display: block } pre { max-height: none } }
"""

_VERBS = ("get", "post", "put", "patch", "delete")
_DEEPEST = 4


def page(document: Json) -> bytes:
    """The page of an OpenAPI document, as HTML."""
    reader = _Reader(document)
    groups = reader.by_tag()
    info = document["info"]
    body = [f"<h1>{_text(info['title'])} <span class=tag>{_text(info['version'])}</span></h1>"]
    body.append(f"<p class=lead>{_text(info['summary'])} The same as a document: <a href=openapi.json>OpenAPI</a>.</p>")
    body.append(_prose(info["description"]))
    body.append(reader.scopes())
    for tag, operations in groups.items():
        body.append(f'<h2 id="{_slug(tag)}">{_text(tag)}</h2>')
        body += [reader.operation(*one) for one in operations]
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{_text(info['title'])}: the REST API</title><style>{_STYLE}</style></head>\n"
        f'<body><div class=frame><nav aria-label="Operations">{_menu(groups)}</nav>\n<main>\n'
        + "\n".join(body)
        + "\n</main></div></body></html>\n"
    ).encode()


Group = dict[str, list[tuple[str, str, Json]]]


def _menu(groups: Group) -> str:
    parts = []
    for tag, operations in groups.items():
        links = "".join(
            f'<li><a href="#{one["operationId"]}"><span class="verb {verb.upper()}">{verb.upper()}</span>'
            f"{_text(one['summary'])}</a></li>"
            for verb, _, one in operations
        )
        parts.append(f'<h2><a href="#{_slug(tag)}">{_text(tag)}</a></h2><ol>{links}</ol>')
    return "".join(parts)


class _Reader:
    """Words what stands in a document."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._schemas: Json = document["components"]["schemas"]

    def by_tag(self) -> Group:
        """The operations under their headings."""
        groups: Group = {one["name"]: [] for one in self._document["tags"]}
        for path, methods in self._document["paths"].items():
            for verb in _VERBS:
                if verb in methods:
                    groups[methods[verb]["tags"][0]].append((verb, path, methods[verb]))
        return groups

    def scopes(self) -> str:
        """What keys may be let do."""
        said = self._document["components"]["securitySchemes"]["api_key"]["description"]
        rows = "".join(
            f"<tr><td><code>{_text(scope)}</code></td><td>{_text(meaning)}</td></tr>"
            for scope, meaning in re.findall(r"`([a-z:]+)`: ([^`]+?)(?= `|$)", said)
        )
        return f"<h4>Scopes of API keys</h4><table>{rows}</table>"

    def operation(self, verb: str, path: str, one: Json) -> str:
        """An operation: what it does, takes, answers and refuses."""
        parts = [
            f'<article id="{one["operationId"]}"><h3>{_text(one["summary"])}</h3>',
            f'<p class=path><span class="verb {verb.upper()}">{verb.upper()}</span>/api/v1{_text(path)}</p>',
            _prose(one["description"]),
        ]
        if one["parameters"]:
            parts.append("<h4>Parameters</h4>" + self._parameters(one["parameters"]))
        if "requestBody" in one:
            parts.append(self._body(one["requestBody"]))
        parts.append(self._answers(one["responses"]))
        return "".join(parts) + "</article>"

    def _parameters(self, parameters: list[Json]) -> str:
        rows = "".join(
            f"<tr><td><code>{_text(one['name'])}</code><br><span class=kind>{one['in']}</span></td>"
            f"<td>{_inline(one['description'])} <span class=kind>{self._rule(one['schema'])}</span></td></tr>"
            for one in parameters
        )
        return f"<table>{rows}</table>"

    def _body(self, body: Json) -> str:
        content = next(iter(body["content"].values()))
        kinds = ", ".join(f"<code>{_text(kind)}</code>" for kind in body["content"])
        parts = [f"<h4>Body</h4><p class=kind>{kinds}</p>"]
        if "example" in content:
            parts.append(_example(content["example"]))
        fields = self._fields(content["schema"], "")
        if fields:
            parts.append(f"<details><summary>Fields</summary><table>{fields}</table></details>")
        return "".join(parts)

    def _answers(self, responses: Json) -> str:
        parts, refusals = [], []
        for status, one in responses.items():
            if int(status) < 400:
                parts.append(f"<h4>Answer {status}</h4><p>{_text(one['description'])}</p>")
                for media, content in one.get("content", {}).items():
                    parts.append(self._answer(media, content))
            else:
                refusals.append(f"<tr><td>{status}</td><td>{_inline(one['description'])}</td></tr>")
        table = f"<details><summary>Problems</summary><table>{''.join(refusals)}</table></details>"
        return "".join(parts) + table

    def _answer(self, media: str, content: Json) -> str:
        if "example" not in content:
            return f"<p class=kind><code>{_text(media)}</code></p>"
        fields = self._fields(content["schema"], "")
        return _example(content["example"]) + f"<details><summary>Fields</summary><table>{fields}</table></details>"

    def _fields(self, schema: Json, prefix: str, depth: int = 0) -> str:
        whole = self._resolved(schema)
        if depth > _DEEPEST:
            return ""
        rows = ""
        for name, inner in whole.get("properties", {}).items():
            said = self._description(inner)
            place = f"{prefix}{name}"
            rows += (
                f"<tr><td><code>{_text(place)}</code></td>"
                f"<td>{_inline(said)} <span class=kind>{self._rule(inner)}</span></td></tr>"
            )
            for option in self._options(inner):
                target = self._resolved(option)
                if target.get("type") == "array":
                    rows += self._fields(target.get("items", {}), f"{place}[].", depth + 1)
                elif "properties" in target:
                    rows += self._fields(target, f"{place}.", depth + 1)
        return rows

    def _description(self, schema: Json) -> str:
        for one in (schema, *self._options(schema)):
            said = one.get("description") or self._resolved(one).get("description")
            if said:
                return str(said)
        return ""

    def _options(self, schema: Json) -> list[Json]:
        return [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]

    def _resolved(self, schema: Json) -> Json:
        if "$ref" in schema:
            found: Json = self._schemas[schema["$ref"].rpartition("/")[2]]
            return found
        return schema

    def _rule(self, schema: Json) -> str:
        """A schema's limits in a few words."""
        words = []
        for option in self._options(schema):
            words += _limits(self._resolved(option) | {k: v for k, v in option.items() if k != "$ref"})
        if any(one.get("type") == "null" for one in schema.get("anyOf", ())):
            words.append("or null")
        if schema.get("default") not in (None, "", [], {}) and not isinstance(schema["default"], list):
            words.append(f"default {json.dumps(schema['default'])}")
        if schema.get("readOnly") or any(one.get("readOnly") for one in schema.get("anyOf", ())):
            words.append("read only")
        return _text(", ".join(dict.fromkeys(words)))


def _limits(schema: Json) -> list[str]:
    if "enum" in schema:
        return [" | ".join(str(one) for one in schema["enum"] if one is not None)]
    words = [str(schema.get("format") or schema.get("type", ""))]
    bounds = (
        ("minimum", "from {}"),
        ("maximum", "to {}"),
        ("minLength", "at least {} long"),
        ("maxLength", "at most {} long"),
    )
    words += [said.format(f"{schema[key]:,}") for key, said in bounds if key in schema]
    if schema.get("type") == "array" and "enum" in schema.get("items", {}):
        words.append("of " + " | ".join(schema["items"]["enum"]))
    return [word for word in words if word]


def _example(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre><code>{_text(shown)}</code></pre>"


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.strip().split("\n\n") if part)


def _inline(text: str) -> str:
    marked = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", _text(text))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", marked)


def _slug(text: str) -> str:
    return "of-" + re.sub(r"[^a-z0-9]+", "-", text.lower())


def _text(text: str) -> str:
    return html.escape(str(text))
