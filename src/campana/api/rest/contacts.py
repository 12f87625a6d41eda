"""Owns contacts as resources: listing, adding, reading, replacing, deleting.

Must not know which destinations there are, nor what texts make of a contact's fields.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from campana.api.rest.cursors import read_cursor, write_cursor
from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import Cursor, Id, Limit, StatusName, status_name
from campana.domain.campaign import HTML_MAX
from campana.domain.contact import ATTEMPTS_MAX, DESTINATION_MAX, Communication, Contact
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.person import FIELD_VALUE_MAX, FIELDS_MAX, NAME_MAX, REFERENCE_MAX, Person
from campana.services.scopes import Scope
from campana.storage.store import ContactDetails

operation = Operations("Contacts")

FullName = Annotated[str, Meta(max_length=NAME_MAX, description="Full name.", examples=["Ada Lovelace"])]
Reference = Annotated[
    str, Meta(max_length=REFERENCE_MAX, description="The client's own reference.", examples=["customer-1815"])
]
Fields = Annotated[
    dict[str, Annotated[str, Meta(max_length=FIELD_VALUE_MAX)]],
    Meta(
        max_length=FIELDS_MAX,
        description="What texts may take of the contact, by name: `{{city}}`.",
        examples=[{"city": "London"}],
    ),
]
Destination = Annotated[
    str,
    Meta(
        max_length=DESTINATION_MAX,
        description="A phone number or an email address; blank: the medium is not tried.",
        examples=["+14165550123"],
    ),
]
OwnText = Annotated[str, Meta(max_length=HTML_MAX, description="In place of the campaign's text.")]


class ContactMedium(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A contact on one medium, as a client gives it."""

    destination: Destination | None = None
    text: OwnText | None = None
    attempts_left: Annotated[
        int, Meta(ge=0, le=ATTEMPTS_MAX, description="0: as many as the campaign or the configuration says.")
    ] = 0
    status: Annotated[StatusName, Meta(extra_json_schema={"readOnly": True})] | UnsetType = UNSET
    error_code: Annotated[int, Meta(extra_json_schema={"readOnly": True})] | UnsetType = UNSET


class ContactBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A contact as a client describes it. Status and error code may be sent back, and are ignored."""

    id: Annotated[Id, Meta(description="The client may choose it; else the server does.")] | UnsetType = UNSET
    name: FullName = ""
    reference: Reference = ""
    fields: Fields = {}
    sms: ContactMedium | None = None
    voice: ContactMedium | None = None
    email: ContactMedium | None = None


class MediumShown(msgspec.Struct, frozen=True):
    """A contact on one medium, as it stands."""

    destination: Destination
    text: Annotated[OwnText | None, Meta(examples=[None])]
    attempts_left: Annotated[int, Meta(ge=0, le=ATTEMPTS_MAX, examples=[3])]
    status: Annotated[StatusName, Meta(examples=["pending"])]
    error_code: Annotated[int, Meta(description="0: success, or never tried. See the list of error codes.")]


class ContactShown(msgspec.Struct, frozen=True):
    """A contact as it stands."""

    id: Id
    name: FullName
    reference: Reference
    fields: Fields
    sms: MediumShown | None
    voice: MediumShown | None
    email: MediumShown | None


class Contacts(msgspec.Struct, frozen=True):
    """A page of contacts."""

    items: list[ContactShown]
    next: Annotated[str | None, Meta(description="The cursor of the next page; null at the end.")]


class ContactsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which contacts are asked for."""

    limit: Limit = 100
    cursor: Cursor = ""
    reference: Annotated[str, Meta(max_length=REFERENCE_MAX, description="Only those with this very reference.")] = ""


EXAMPLE = {
    "name": "Ada Lovelace",
    "reference": "customer-1815",
    "fields": {"city": "London"},
    "sms": {"destination": "+14165550123"},
}
"""A body that is valid."""


def shown(contact: ContactDetails) -> ContactShown:
    """A contact for the client."""
    person = contact.person or Person()
    media = {state.medium: state for state in contact.media}

    def on(medium: Medium) -> MediumShown | None:
        state = media.get(medium)
        if state is None:
            return None
        status = status_name(state.status)
        return MediumShown(state.destination, state.text, state.attempts_left, status, state.last_error)

    return ContactShown(
        id=contact.guid,
        name=person.name,
        reference=person.reference,
        fields=dict(person.fields),
        sms=on(Medium.SMS),
        voice=on(Medium.VOICE),
        email=on(Medium.EMAIL),
    )


def contact_of(body: ContactBody, campaign: str, guid: str) -> Contact:
    """The domain's contact."""

    def on(given: ContactMedium | None) -> Communication | None:
        if given is None:
            return None
        return Communication(given.destination, given.text, attempts_left=given.attempts_left)

    person = Person(body.name, body.reference, body.fields)
    return Contact(guid, campaign, on(body.sms), on(body.voice), on(body.email), person)


@operation(
    "GET",
    "/campaigns/{campaign}/contacts",
    Says(scope=Scope.CONTACTS_READ, refuses=(MethodCode.CAMPAIGN_NOT_FOUND,)),
)
async def list_contacts(call: Call[None, ContactsQuery]) -> Answer[Contacts]:
    """List a campaign's contacts in the order of adding."""
    asked = call.query
    kind = f"contacts {call.path['campaign'].lower()} {asked.reference}"
    (after,) = read_cursor(asked.cursor, kind, int) or (0,)
    reference = asked.reference or None
    found = await call.services.contacts.details(
        call.who, call.guid("campaign"), after, min(asked.limit, MOST_AT_ONCE), reference
    )
    items, characters = [], 0
    for contact in found:
        items.append(shown(contact))
        characters += sum(len(state.text or "") for state in contact.media)
        if characters > MOST_CHARACTERS:
            break
    is_last = len(items) == len(found) < min(asked.limit, MOST_AT_ONCE)
    more = None if is_last else write_cursor(kind, found[len(items) - 1].number)
    return Answer(Contacts(items, more))


MOST_AT_ONCE = 1_000
MOST_CHARACTERS = 4_000_000
"""Of the contacts' own texts in a page, about."""


@operation(
    "POST",
    "/campaigns/{campaign}/contacts",
    Says(
        scope=Scope.CONTACTS_WRITE,
        status=201,
        refuses=(
            MethodCode.CAMPAIGN_NOT_FOUND,
            MethodCode.CAMPAIGN_ENDED,
            MethodCode.ADDING_CONTACTS_NOT_ALLOWED,
            MethodCode.INVALID_CONTACT,
            MethodCode.REQUIRED_MEDIUM_MISSING,
            MethodCode.LIMIT_EXCEEDED,
            MethodCode.CONTACT_ALREADY_EXISTS,
        ),
        broken=MethodCode.INVALID_CONTACT,
        example=EXAMPLE,
    ),
)
async def add_contact(call: Call[ContactBody, None]) -> Answer[ContactShown]:
    """Add a contact.

    It is on the disk when the answer comes, and goes out as soon as the campaign's window is open. For many at a time
    there are imports.
    """
    campaign = call.guid("campaign")
    given = "" if call.body.id is UNSET else call.body.id.lower()
    try:
        guid = await call.services.contacts.add(call.who, contact_of(call.body, campaign, given or call.new_id))
    except MethodError as error:
        made_before = call.again and not given and error.code is MethodCode.CONTACT_ALREADY_EXISTS
        if not made_before:
            raise
        guid = call.new_id
    found = await call.services.contacts.one(call.who, campaign, guid)
    return Answer(shown(found), headers={"location": f"{call.base}/campaigns/{campaign}/contacts/{guid}"})


_NOT_FOUND = (MethodCode.CAMPAIGN_NOT_FOUND, MethodCode.CONTACT_NOT_FOUND)


@operation("GET", "/campaigns/{campaign}/contacts/{contact}", Says(scope=Scope.CONTACTS_READ, refuses=_NOT_FOUND))
async def get_contact(call: Call[None, None]) -> Answer[ContactShown]:
    """Read a contact."""
    return Answer(shown(await call.services.contacts.one(call.who, call.guid("campaign"), call.guid("contact"))))


@operation(
    "PUT",
    "/campaigns/{campaign}/contacts/{contact}",
    Says(
        scope=Scope.CONTACTS_WRITE,
        refuses=(
            *_NOT_FOUND,
            MethodCode.INVALID_CONTACT,
            MethodCode.REQUIRED_MEDIUM_MISSING,
            MethodCode.CONTACT_IN_PROGRESS,
        ),
        broken=MethodCode.INVALID_CONTACT,
        example=EXAMPLE,
    ),
)
async def replace_contact(call: Call[ContactBody, None]) -> Answer[ContactShown]:
    """Replace a contact.

    A medium that is left out is blanked. A changed destination starts its medium again; while one is sending or
    delivering, its destination and text cannot change.
    """
    campaign, guid = call.guid("campaign"), call.guid("contact")
    if call.body.id is not UNSET and call.body.id.lower() != guid:
        raise MethodError(MethodCode.INVALID_CONTACT, "id should be that of the address.", field="id")
    await call.services.contacts.update(call.who, contact_of(call.body, campaign, guid))
    return Answer(shown(await call.services.contacts.one(call.who, campaign, guid)))


@operation(
    "DELETE",
    "/campaigns/{campaign}/contacts/{contact}",
    Says(scope=Scope.CONTACTS_WRITE, status=204, refuses=_NOT_FOUND),
)
async def delete_contact(call: Call[None, None]) -> Answer[None]:
    """Delete a contact.

    It is gone from every answer; what waits of it is cancelled, what is in progress finishes.
    """
    await call.services.contacts.delete(call.who, call.guid("campaign"), call.guid("contact"))
    return Answer(None)
