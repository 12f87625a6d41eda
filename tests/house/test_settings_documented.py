"""The documentation says of every setting, code and role what the code says, and of nothing else."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pages
import pytest

from campana.channels.registry import CHANNELS
from campana.config import load
from campana.domain.errors import METHOD_CODE_MEANING, MethodCode
from campana.domain.outcome import DELIVERY_ERRORS, DeliveryCode
from campana.services.access import MAY, SHARED_BY_DEFAULT
from campana.services.principal import Role

WRITE_AGAIN = "run .venv/bin/python tests/house/pages.py"

CONFIGURATION = (pages.DOCS / "configuration.md").read_text(encoding="utf-8")
CODES = (pages.DOCS / "error-codes.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*(f"section {name}" for name in pages.sections()), "every route"])
def test_every_key_is_documented(name: str) -> None:
    assert pages.blocks_of(CONFIGURATION)[name] == pages.made()[name], WRITE_AGAIN


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_key_of_every_channel_is_documented(channel: str) -> None:
    assert pages.blocks_of(CONFIGURATION)[f"routes {channel}"] == pages.made()[f"routes {channel}"], WRITE_AGAIN


@pytest.mark.parametrize(
    "name", ["method codes", "delivery codes", "smpp statuses", "smpp states", "smtp replies", "smtp statuses", "roles"]
)
def test_every_code_is_documented(name: str) -> None:
    assert pages.blocks_of(CODES)[name] == pages.made()[name], WRITE_AGAIN


def test_a_key_has_a_rule_of_its_own_and_a_description() -> None:
    for name, section in pages.sections().items():
        for key, field in section.model_fields.items():
            assert field.description, f"{name}.{key}"
            assert field.description.endswith("."), f"{name}.{key}"


def test_every_channel_describes_every_key() -> None:
    for channel in CHANNELS.values():
        assert set(channel.settings.model_fields) <= {
            *pages.attribute_docs(channel.settings),
            *pages.attribute_docs(pages.RouteSettings),
        }


def test_the_example_is_a_valid_configuration_that_shows_every_section(tmp_path: Path) -> None:
    text = CONFIGURATION.split("```toml\n")[1].split("```")[0]
    file = tmp_path / "campana.toml"
    file.write_text(text, encoding="utf-8")
    settings = load(file, {})
    assert {route.channel for route in settings.routes} == set(CHANNELS)
    assert set(tomllib.loads(text)) == {*pages.sections(), "routes"}


def test_the_variables_of_the_example_are_valid(tmp_path: Path) -> None:
    lines = CONFIGURATION.split("```sh\n")[1].split("```")[0].splitlines()
    environ = {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
    file = tmp_path / "campana.toml"
    file.write_text("", encoding="utf-8")
    settings = load(file, environ)
    assert set(settings.origins.values()) == set(environ)
    assert len(settings.routes) == len(json.loads(environ["CAMPANA_ROUTES"]))


def test_codes_are_one_closed_list_each() -> None:
    assert METHOD_CODE_MEANING.keys() == set(MethodCode)
    assert DELIVERY_ERRORS.keys() | {DeliveryCode.OK} == set(DeliveryCode)
    assert len({error.name for error in DELIVERY_ERRORS.values()}) == len(DELIVERY_ERRORS)


def test_every_role_has_its_rules() -> None:
    assert MAY.keys() == SHARED_BY_DEFAULT.keys() == set(Role)
