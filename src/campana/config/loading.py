"""Owns how a Settings object is made: the file, over it the environment, and one sentence for each thing wrong.

Must not print, and must not put a value into a sentence: it may be a secret.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from campana.channels.registry import CHANNELS
from campana.channels.settings import RouteSettings
from campana.config.settings import SQLITE_PREFIX, Section, Settings
from campana.telemetry import scrub

LOCAL_FILE: Final = Path("campana.toml")
SYSTEM_FILE: Final = Path("/etc/campana/campana.toml")
SYSTEM_DATA: Final = Path("/var/lib/campana")

_PREFIX: Final = "CAMPANA_"
_ROUTES_VARIABLE: Final = "CAMPANA_ROUTES"
_LARGEST_FILE: Final = 4_194_304
_LISTS: Final = "a JSON list or values with commas between them"
_TABLES: Final = "a JSON object"

_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has one line each: the key and the rule that it breaks."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def load(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Make the settings of a file, the variables that begin with CAMPANA_ in the environment, and the defaults.

    `path` None means ./campana.toml, else /etc/campana/campana.toml, else no file. Paths in a file are relative to
    its folder, paths in variables to the working folder. Raises ConfigError with all problems at once.
    """
    environ = os.environ if environ is None else environ
    file = _file_to_read(path)
    raw, routes_found = _read(file) if file is not None else ({}, None)
    problems: list[str] = []
    origins = {f"{section}.{key}": "file" for section, keys in raw.items() for key in keys}
    _rebase(raw, file)
    problems += _overlay(raw, origins, environ)
    if _ROUTES_VARIABLE in environ and environ[_ROUTES_VARIABLE].strip():
        routes_found = _routes_of_variable(environ[_ROUTES_VARIABLE], problems)
        origins["routes"] = _ROUTES_VARIABLE
    elif routes_found is not None:
        origins["routes"] = "file"
    routes = _routes(routes_found, file if origins.get("routes") == "file" else None, problems)
    settings = _settings(raw, origins, routes, problems)
    if problems or settings is None:
        raise ConfigError(problems)
    settings._file = file
    settings._origins = origins
    return settings


def environment_without_settings() -> dict[str, str]:
    """The environment for a Campana of ours that its file alone is to configure."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}


def _settings(
    raw: dict[str, Any], origins: Mapping[str, str], routes: list[RouteSettings], problems: list[str]
) -> Settings | None:
    try:
        return Settings(**raw, routes=tuple(routes))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            key = ".".join(map(str, detail["loc"]))
            origin = origins.get(".".join(map(str, detail["loc"][:2])), "file")
            known = _SECTIONS[str(detail["loc"][0])].model_fields if detail["loc"][0] in _SECTIONS else _SECTIONS
            problems.append(_sentence(key if origin == "file" else f"{key} ({origin})", detail, known))
        return None


# --- the file ----------------------------------------------------------------------------------------------------


def _file_to_read(path: Path | None) -> Path | None:
    if path is not None:
        if not path.is_file():
            raise ConfigError([f"{path}: there is no such file"])
        return path
    return next((candidate for candidate in (LOCAL_FILE, SYSTEM_FILE) if candidate.is_file()), None)


def _read(file: Path) -> tuple[dict[str, Any], Any]:
    """The sections of a file and its routes apart, both as TOML has them."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise ConfigError([f"{file}: it is too large for a configuration"])
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([f"{file}: it is not valid TOML: {scrub(str(error))}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{file}: it is not UTF-8 text"]) from None
    except OSError as error:
        raise ConfigError([f"{file}: it cannot be read: {error.strerror}"]) from None
    routes = raw.pop("routes", None)
    problems = [
        f"{name}: {_unknown(name, _SECTIONS, 'section')}" if name not in _SECTIONS else f"{name}: should be a table"
        for name, section in raw.items()
        if name not in _SECTIONS or not isinstance(section, dict)
    ]
    if problems:
        raise ConfigError(problems)
    return raw, routes


def _rebase(raw: dict[str, Any], file: Path | None) -> None:
    """Lead relative paths from the file's folder, and put the data beside the file where it does not say where."""
    base = file.parent if file is not None else Path()
    server = raw.setdefault("server", {})
    _rebase_paths(server, _SECTIONS["server"], base)
    _rebase_paths(raw.get("speech", {}), _SECTIONS["speech"], base)
    server.setdefault("data_dir", SYSTEM_DATA if file == SYSTEM_FILE else base / "campana-data")
    url = raw.get("database", {}).get("url")
    if isinstance(url, str) and len(url) > len(SQLITE_PREFIX) and url.startswith(SQLITE_PREFIX):
        raw["database"]["url"] = f"{SQLITE_PREFIX}{base / url.removeprefix(SQLITE_PREFIX)}"


def _rebase_paths(table: dict[str, Any], model: type[BaseModel], base: Path) -> None:
    for key, field in model.model_fields.items():
        takes_path = field.annotation is Path or Path in get_args(field.annotation)
        if takes_path and isinstance(table.get(key), str) and table[key]:
            table[key] = base / table[key]


# --- the environment ---------------------------------------------------------------------------------------------


def _overlay(raw: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]) -> list[str]:
    """Lay variables of the form CAMPANA_SECTION__KEY over `raw`; empty ones do not count.

    A name without the double underscore is somebody else's: Kubernetes makes CAMPANA_PORT of a service.
    """
    problems = []
    for variable in sorted(environ):
        section, separator, key = variable.removeprefix(_PREFIX).lower().partition("__")
        if not variable.startswith(_PREFIX) or not separator or not environ[variable]:
            continue
        if section not in _SECTIONS:
            problems.append(f"{variable}: {_unknown(section, _SECTIONS, 'section')}")
            continue
        field = _SECTIONS[section].model_fields.get(key)
        if field is None:
            problems.append(f"{variable}: {_unknown(key, _SECTIONS[section].model_fields, 'key')}")
            continue
        try:
            raw.setdefault(section, {})[key] = _value(environ[variable], field.annotation)
        except ValueError:
            problems.append(f"{variable}: should be {_LISTS if get_origin(field.annotation) is tuple else _TABLES}")
        origins[f"{section}.{key}"] = variable
    return problems


def _value(text: str, annotation: object) -> object:
    """A variable's text as pydantic takes it: lists as JSON or with commas, tables as JSON, all else as it is."""
    if get_origin(annotation) is dict:
        return json.loads(text)
    if get_origin(annotation) is not tuple:
        return text
    return json.loads(text) if text.lstrip().startswith("[") else [item.strip() for item in text.split(",")]


def _routes_of_variable(text: str, problems: list[str]) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        problems.append(f"{_ROUTES_VARIABLE}: it is not valid JSON")
        return None


# --- routes ------------------------------------------------------------------------------------------------------


def _routes(entries: object, file: Path | None, problems: list[str]) -> list[RouteSettings]:
    """Validate each entry with the settings of its channel; what is wrong goes to `problems`."""
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.append("routes: should be a list of tables, each under [[routes]]")
        return []
    routes: list[RouteSettings] = []
    for place, entry in enumerate(entries, 1):
        name = entry.get("name")
        label = f'routes "{scrub(name)}"' if isinstance(name, str) and name else f"routes, entry {place}"
        route = _route(label, dict(entry), file, problems)
        if route is not None and any(route.name == other.name for other in routes):
            problems.append(f"{label}: another route has this name already")
        elif route is not None:
            routes.append(route)
    return routes


def _route(label: str, entry: dict[str, Any], file: Path | None, problems: list[str]) -> RouteSettings | None:
    channel = entry.get("channel")
    if not isinstance(channel, str) or channel not in CHANNELS:
        what = "is required" if channel is None else "is not a channel"
        problems.append(f"{label}: channel: {what}; there are: {', '.join(sorted(CHANNELS))}")
        return None
    model = CHANNELS[channel].settings
    if file is not None:
        _rebase_paths(entry, model, file.parent)
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            key = ".".join(map(str, detail["loc"]))
            problems.append(_sentence(f"{label}: {key}" if key else label, detail, model.model_fields))
        return None


# --- sentences ---------------------------------------------------------------------------------------------------


def _sentence(key: str, detail: ErrorDetails, known: Iterable[str]) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"{key}: {_unknown(str(detail['loc'][-1]), known, 'key')}"
    if kind == "missing":
        return f"{key}: is required"
    rule = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{key}: {scrub(rule[:1].lower() + rule[1:])}"


def _unknown(name: str, known: Iterable[str], what: str) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"there is no such {what}" + (f"; did you mean {close[0]}?" if close else "")
