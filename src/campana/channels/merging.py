"""Owns how a text takes the fields of a contact, for channels whose messages are that text and nothing else.

Must not know any wire format.
"""

from __future__ import annotations

from collections.abc import Mapping

from campana.channels.errors import RefusedForGood
from campana.domain.outcome import DeliveryCode
from campana.domain.text.characters import is_blank
from campana.domain.text.merge import Template, Unmergeable


def merged(template: Template, fields: Mapping[str, str], most: int) -> str:
    """The text with its fields. Raises RefusedForGood where one is missing, or it has more than `most` characters, or
    says nothing."""
    try:
        text = template.merge(fields, most)
    except Unmergeable as error:
        raise RefusedForGood(DeliveryCode.UNRENDERABLE, None, str(error)) from None
    if is_blank(text):
        raise RefusedForGood(DeliveryCode.UNRENDERABLE, None, "There is no text.")
    return text
