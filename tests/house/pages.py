"""Makes the tables of the documentation from the code that they describe.

Run as a program (`.venv/bin/python tests/house/pages.py`) it writes them into the pages again; the tests beside it
only compare.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from pathlib import Path

import shown
from marks import table
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from campana.api.rest.problems import STATUS
from campana.channels.email import codes as email_codes
from campana.channels.errors import SendError
from campana.channels.registry import CHANNELS
from campana.channels.settings import RouteSettings
from campana.channels.sms import codes as sms_codes
from campana.channels.voice import codes as voice_codes
from campana.config.settings import Section, Settings
from campana.domain.errors import METHOD_CODE_MEANING, MethodCode
from campana.domain.outcome import DELIVERY_ERRORS, DeliveryCode
from campana.services.access import MAY, SHARED_BY_DEFAULT, Action
from campana.services.principal import Role

DOCS = Path(__file__).resolve().parents[2] / "docs"

BLOCK = re.compile(r"<!-- made from the code: (?P<name>[a-z ]+) -->\n(?P<body>.*?)<!-- end -->\n", re.DOTALL)


# --- settings ----------------------------------------------------------------------------------------------------


def sections() -> dict[str, type[BaseModel]]:
    found = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Section)}


def section_table(name: str) -> str:
    fields = sections()[name].model_fields.items()
    return table(
        ("key", "default", "what it is"),
        [(f"`{name}.{key}`", default(field), field.description) for key, field in fields],
    )


def route_table(model: type[RouteSettings]) -> str:
    known = {} if model is RouteSettings else RouteSettings.model_fields
    texts = attribute_docs(model)
    fields = [(key, field) for key, field in model.model_fields.items() if key not in known]
    return table(("key", "default", "what it is"), [(f"`{key}`", default(field), texts[key]) for key, field in fields])


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, Path):
        return f"`{value}`"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for line, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(after, ast.Expr):
            assert isinstance(after.value, ast.Constant)
            texts[line.target.id] = " ".join(str(after.value.value).split())
    return texts


# --- codes -------------------------------------------------------------------------------------------------------


def method_table() -> str:
    rows = [(code.value, code.title, STATUS[code], METHOD_CODE_MEANING[code]) for code in MethodCode]
    return table(("code", "name", "REST", "when"), rows)


def delivery_table() -> str:
    rows = [(0, "Ok", "-", "Success, or never tried.")]
    rows += [(error.code.value, error.name, error.kind.value, error.meaning) for error in DELIVERY_ERRORS.values()]
    return table(("code", "name", "again?", "what it means"), rows)


def ours(code: DeliveryCode) -> str:
    return "-" if code is DeliveryCode.OK else f"{code.value} {DELIVERY_ERRORS[code].name}"


KINDS = {
    "Throttled": "slow down, then again",
    "Unreachable": "again, no attempt is used up",
    "Misconfigured": "the route is at fault, no attempt is used up",
    "RefusedForNow": "for now",
    "RefusedForGood": "for good",
}


def kind(error: type[SendError]) -> str:
    return KINDS[error.__name__]


def smpp_statuses() -> str:
    rows = sms_codes.STATUSES.values()
    return table(
        ("command_status", "name", "wording", "code", "refused"),
        [(f"0x{row.status:02X}", row.name, row.wording, ours(row.code), kind(row.kind)) for row in rows],
    )


def smpp_states() -> str:
    rows = sms_codes.STATES
    return table(
        ("state", "word", "means", "code"), [(row.number, row.word, row.state.value, ours(row.code)) for row in rows]
    )


def smtp_replies() -> str:
    def steps(row: email_codes.ReplyRow) -> str:
        return "any" if row.verbs == email_codes.ANY else ", ".join(v.value for v in email_codes.Verb if v in row.verbs)

    rows = email_codes.REPLIES
    return table(
        ("reply", "to", "wording", "code", "refused"),
        [(row.code, steps(row), row.name, ours(row.ours), kind(row.kind)) for row in rows],
    )


def smtp_statuses() -> str:
    rows = email_codes.STATUSES
    return table(
        ("status", "wording", "with 4yz", "with 5yz"),
        [(f"X.{row.detail}", row.name, ours(row.for_now), ours(row.for_good)) for row in rows],
    )


def call_results() -> str:
    """What a call that was not answered came to: for each of our codes the network's answers that mean it."""
    words = {
        voice_codes.Problem.TIMEOUT: "no response at all in time",
        voice_codes.Problem.NO_ANSWER: "it was tried (100) or rang, and `DialMsTimeout` passed",
        voice_codes.Problem.TRANSPORT: "no connection, TLS or ICMP errors",
        voice_codes.Problem.AUTHENTICATION: "our password is refused",
        voice_codes.Problem.NO_COMMON_MEDIA: "it was answered without a law of ours",
    }
    rows = []
    for code, error in DELIVERY_ERRORS.items():
        statuses = [str(row.status) for row in voice_codes.STATUSES.values() if row.code is code]
        causes = [str(row.cause) for row in voice_codes.CAUSES.values() if row.code is code]
        others = [
            words[problem] for problem, ours_ in voice_codes.PROBLEMS.items() if ours_ is code and problem in words
        ]
        if 300 <= code < 400 and (statuses or causes or others):
            rows.append(
                (ours(code), error.kind.value, *(", ".join(some) or "-" for some in (statuses, causes, others)))
            )
    return table(("code", "again?", "SIP status", "Q.850 cause", "or"), rows)


def sip_statuses() -> str:
    rows = voice_codes.STATUSES.values()
    return table(
        ("status", "wording", "from", "code", "a cause may overrule it"),
        [(row.status, row.wording, row.source, ours(row.code), "no" if row.firm else "yes") for row in rows],
    )


def q850_causes() -> str:
    rows = voice_codes.CAUSES.values()
    return table(
        ("cause", "wording", "code", "overrules"),
        [(row.cause, row.wording, "-" if row.code is None else ours(row.code), f"{row.reach.value}") for row in rows],
    )


# --- roles -------------------------------------------------------------------------------------------------------


def role_table() -> str:
    rows = [(action.value, *("yes" if action in MAY[role] else "no" for role in Role)) for action in Action]
    rows.append(("new campaigns over SOAP are shared with", *(SHARED_BY_DEFAULT[role].value for role in Role)))
    return table(("may", *Role), rows)


def made() -> dict[str, str]:
    blocks = {f"section {name}": section_table(name) for name in sections()}
    blocks["every route"] = route_table(RouteSettings)
    blocks |= {f"routes {name}": route_table(channel.settings) for name, channel in CHANNELS.items()}
    return blocks | {
        "method codes": method_table(),
        "delivery codes": delivery_table(),
        "smpp statuses": smpp_statuses(),
        "smpp states": smpp_states(),
        "smtp replies": smtp_replies(),
        "smtp statuses": smtp_statuses(),
        "call results": call_results(),
        "sip statuses": sip_statuses(),
        "causes": q850_causes(),
        "roles": role_table(),
        **shown.made(),
    }


def blocks_of(page: str) -> dict[str, str]:
    return {found["name"]: found["body"] for found in BLOCK.finditer(page)}


def rewritten(page: str) -> str:
    blocks = made()
    return BLOCK.sub(
        lambda found: f"<!-- made from the code: {found['name']} -->\n{blocks[found['name']]}<!-- end -->\n", page
    )


if __name__ == "__main__":
    for path in sorted(DOCS.rglob("*.md")):
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
