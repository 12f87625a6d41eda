"""Owns how settings are shown to people and scripts: every key, its value without secrets, and where it came from.

Must not decide what is valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from campana.config.settings import Section, Settings

MASK = "***"

_SECRET_PARAMETER = re.compile(r"(?i)([^?&;#=]*(?:pass|pwd|secret|token|key)[^?&;#=]*)=[^&;#]*")


@dataclass(frozen=True, slots=True)
class SettingLine:
    """A key as people see it. `origin` is `default`, `file`, or the variable's name."""

    key: str
    value: object
    origin: str


def describe(settings: Settings) -> list[SettingLine]:
    """All keys in the order of the documentation, routes last as `routes.NAME.KEY`; secrets are masked.

    Values are what JSON can hold.
    """
    lines = []
    for section, field in Settings.model_fields.items():
        part = getattr(settings, section)
        if isinstance(part, Section) and field.annotation is not None:
            for key, value in _values(part):
                origin = settings.origins.get(f"{section}.{key}", "default")
                lines.append(SettingLine(f"{section}.{key}", value, origin))
    for route in settings.routes:
        for key, value in _values(route):
            given = key in route.model_fields_set
            origin = settings.origins.get("routes", "default") if given else "default"
            lines.append(SettingLine(f"routes.{route.name}.{key}", value, origin))
    return lines


def mask_url(url: str) -> str:
    """A URL with its password, and what looks like a secret among its parameters, masked; the user stays.

    It masks rather too much than too little where the URL is not well-formed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return MASK
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    masked = f"{scheme}://{user}{colon}{MASK if colon else ''}{at}{place}"
    return _SECRET_PARAMETER.sub(lambda found: f"{found[1]}={MASK}", masked)


def _values(model: BaseModel) -> Iterator[tuple[str, object]]:
    """The model's values as JSON has them. A field that its class keeps out of its repr holds a secret."""
    for key, value in model.model_dump(mode="json").items():
        shown = value
        if not type(model).model_fields[key].repr and value is not None:
            shown = mask_url(value) if key == "url" else MASK
        yield key, shown
