"""Owns how a campaign is described to `campana campaign create`: by a file, and by options over it.

Must not know which values a server accepts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from campana.cli.output import CommandError, WrongCommand
from campana.client import CampaignDraft, Email, Sms, Voice
from campana.client.models import MEDIA

LARGEST_FILE = 4_000_000
_PARTS: Mapping[str, type[msgspec.Struct]] = {"sms": Sms, "voice": Voice, "email": Email}


def draft_of(file: Path | None, given: Mapping[str, Any]) -> CampaignDraft:
    """The campaign that a file describes, and over it what was given; None is not given.

    Raises CommandError where the file cannot be read, WrongCommand where it or an option is not what is meant.
    """
    fields = {} if file is None else _read(file)
    for problem in _unknown(fields, CampaignDraft, ""):
        raise CommandError(f"{file}: {problem}")
    for name, value in given.items():
        if isinstance(value, dict):
            said = {key: one for key, one in value.items() if one is not None}
            if said:
                fields[name] = {"enabled": True} | (fields.get(name) or {}) | said
        elif value is not None:
            fields[name] = value
    if not fields:
        raise WrongCommand("say what the campaign is: by a file, or by options such as --name and --sms-text")
    for medium in MEDIA:
        if isinstance(fields.get(medium), dict):
            fields[medium] = {"enabled": True} | fields[medium]
    try:
        return msgspec.convert(fields, CampaignDraft)
    except msgspec.ValidationError as error:
        raise WrongCommand(_sentence(error)) from None


def _read(file: Path) -> dict[str, Any]:
    if file.stat().st_size > LARGEST_FILE:
        raise CommandError(f"{file}: it is too large for a campaign")
    content, is_json = file.read_bytes(), file.suffix.lower() == ".json"
    try:
        found = msgspec.json.decode(content) if is_json else tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"{file}: it is not valid {'JSON' if is_json else 'TOML'}: {error}") from None
    if not isinstance(found, dict):
        raise CommandError(f"{file}: it should be an object with the fields of a campaign")
    return found


def _unknown(fields: Mapping[str, Any], of: type[msgspec.Struct], before: str) -> Iterator[str]:
    known = {one.encode_name for one in msgspec.structs.fields(of)}
    for name, value in fields.items():
        if name not in known:
            yield f"there is no field {before}{name}"
        elif not before and name in _PARTS and isinstance(value, dict):
            yield from _unknown(value, _PARTS[name], f"{name}.")


def _sentence(error: msgspec.ValidationError) -> str:
    rule, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`') or 'the campaign'}: {rule[0].lower()}{rule[1:]}"
