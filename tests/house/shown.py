"""Makes the parts of the documentation that show commands, metrics and the sandbox's fates, from the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from marks import table

from campana.cli.app import app
from campana.sandbox.magic_mail import MAGIC_ADDRESSES
from campana.sandbox.magic_sms import MAGIC_NUMBERS, MagicNumber
from campana.sandbox.magic_voice import MAGIC_TELEPHONES
from campana.telemetry import Metrics

# --- commands ----------------------------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    """Every command by its words, without `campana`."""
    return dict(_leaves(typer.main.get_command(app), ()))


def _leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(words), command
        return
    for name, one in inner.items():
        yield from _leaves(one, (*words, name))


def command_pages() -> str:
    return "\n".join(_command_page(words, command) for words, command in commands().items())


def _command_page(words: str, command: Any) -> str:
    usage = " ".join(["campana", words, *(_usage(parameter) for parameter in command.params)])
    page = f"### {words}\n\n```\n{usage}\n```\n\n{command.help.strip()}\n"
    rows = [(f"`{_name(parameter)}`", parameter.help, _default(parameter)) for parameter in command.params]
    return page + ("\n" + table(("", "what it is", "default"), rows) if rows else "")


def options_for_all() -> str:
    return table(
        ("", "what it is"),
        [(f"`{_name(option)}`", option.help) for option in typer.main.get_command(app).params],
    )


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar).strip("[]")
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    return f"{parameter.opts[0]}{value}"


def _usage(parameter: Any) -> str:
    return _name(parameter) if parameter.required else f"[{_name(parameter)}]"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    shown = parameter.param_type_name == "option" and parameter.show_default and parameter.default not in (None, False)
    return f"`{parameter.default}`" if shown else ""


# --- metrics -----------------------------------------------------------------------------------------------------


def metrics_table() -> str:
    rows = []
    for family in Metrics().registry.collect():
        if family.name.startswith("campana_"):
            suffix = "_total" if family.type == "counter" else ""
            rows.append(
                (f"`{family.name}{suffix}`", family.type, ", ".join(_labels(family.name)), family.documentation)
            )
    return table(("name", "type", "labels", "what it is"), rows)


def _labels(family: str) -> tuple[str, ...]:
    """The labels of a family, which has no child yet that could tell them."""
    metrics = Metrics()
    for one in vars(metrics).values():
        found = getattr(one, "_family", None)
        if found is not None and found.describe()[0].name == family:
            return tuple(found._labelnames)
    raise LookupError(family)


# --- the sandbox -------------------------------------------------------------------------------------------------


def magic_table(rows: tuple[MagicNumber, ...], title: str, about: str = "what becomes of a message") -> str:
    return table(
        (title, about, "what Campana shows"),
        [(f"`{row.pattern}`" if "(" not in row.pattern else row.pattern, row.meaning, row.shows) for row in rows],
    )


def made() -> dict[str, str]:
    return {
        "commands": command_pages(),
        "options for all": options_for_all(),
        "metrics": metrics_table(),
        "magic numbers": magic_table(MAGIC_NUMBERS, "number"),
        "magic telephones": magic_table(MAGIC_TELEPHONES, "number", "what the telephone does"),
        "magic addresses": magic_table(MAGIC_ADDRESSES, "address"),
    }
