"""What schemathesis is told of the REST door beside its document: a check of our own."""

from __future__ import annotations

import schemathesis
from schemathesis import Case, CheckContext, Response

_OF_THE_SCHEMA = ("Expected ", "There is no such field", "The field is missing")


@schemathesis.check
def a_valid_request_is_refused_by_a_rule_alone(ctx: CheckContext, response: Response, case: Case) -> None:
    """What the document allows is never refused in the words of the schema."""
    generation = case.meta.generation if case.meta is not None else None
    if response.status_code == 422 and generation is not None and generation.mode.is_positive:
        detail = response.json()["detail"]
        said = detail.partition(": ")[2] or detail
        assert not said.startswith(_OF_THE_SCHEMA), f"valid by the document, refused as invalid: {detail}"
