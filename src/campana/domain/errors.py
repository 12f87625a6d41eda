"""Owns the error codes of the contract's methods, one closed list, and the exception that carries one.

Must not know how a door words them on its wire. What became of a delivery has codes of its own: outcome.py.
"""

from __future__ import annotations

from enum import IntEnum


class MethodCode(IntEnum):
    """ErrorCode and int results of the specification's methods, and the codes of every other door.

    From 31 to 44 they are the REST door's alone.
    """

    SUCCESS = 0
    INVALID_SESSION = 1
    INVALID_CREDENTIALS = 2
    ACCESS_DENIED = 3
    TOO_MANY_ATTEMPTS = 4
    CAMPAIGN_NOT_FOUND = 10
    CAMPAIGN_ALREADY_EXISTS = 11
    INVALID_CAMPAIGN = 12
    CAMPAIGN_ENDED = 13
    CONTACT_NOT_FOUND = 20
    CONTACT_ALREADY_EXISTS = 21
    INVALID_CONTACT = 22
    CONTACT_IN_PROGRESS = 23
    ADDING_CONTACTS_NOT_ALLOWED = 24
    REQUIRED_MEDIUM_MISSING = 25
    LIMIT_EXCEEDED = 30
    RATE_LIMITED = 31
    NOT_FOUND = 40
    ALREADY_EXISTS = 41
    INVALID_REQUEST = 42
    VERSION_MISMATCH = 43
    IDEMPOTENCY_CONFLICT = 44
    SERVICE_UNAVAILABLE = 90
    INTERNAL_ERROR = 99

    @property
    def title(self) -> str:
        """The code's name as documents and headers write it, for example `InvalidSession`."""
        return "".join(word.capitalize() for word in self.name.split("_"))


METHOD_CODE_MEANING: dict[MethodCode, str] = {
    MethodCode.SUCCESS: "The call was carried out.",
    MethodCode.INVALID_SESSION: "The session is unknown, closed or expired.",
    MethodCode.INVALID_CREDENTIALS: "The account, the user or the password is wrong.",
    MethodCode.ACCESS_DENIED: "The user may not see or change this campaign.",
    MethodCode.TOO_MANY_ATTEMPTS: "Too many failed attempts; locked for a while.",
    MethodCode.CAMPAIGN_NOT_FOUND: "There is no such campaign that the user may know of.",
    MethodCode.CAMPAIGN_ALREADY_EXISTS: "A campaign with this ID exists already.",
    MethodCode.INVALID_CAMPAIGN: "A field of the campaign breaks a rule.",
    MethodCode.CAMPAIGN_ENDED: "The end of the campaign has passed.",
    MethodCode.CONTACT_NOT_FOUND: "There is no such contact in the campaign.",
    MethodCode.CONTACT_ALREADY_EXISTS: "A contact with this Id exists already in the campaign.",
    MethodCode.INVALID_CONTACT: "A field of the contact breaks a rule.",
    MethodCode.CONTACT_IN_PROGRESS: "The medium is sending or delivering and cannot change now.",
    MethodCode.ADDING_CONTACTS_NOT_ALLOWED: "The campaign does not let agents add contacts.",
    MethodCode.REQUIRED_MEDIUM_MISSING: "A medium that the campaign requires has no destination.",
    MethodCode.LIMIT_EXCEEDED: "A limit of the account is reached.",
    MethodCode.RATE_LIMITED: "Too many requests in a short time; try again in a while.",
    MethodCode.NOT_FOUND: "There is no such thing that the user may know of.",
    MethodCode.ALREADY_EXISTS: "There is one of this name already.",
    MethodCode.INVALID_REQUEST: "The request, or a field of it, breaks a rule.",
    MethodCode.VERSION_MISMATCH: "The campaign has been changed since it was read.",
    MethodCode.IDEMPOTENCY_CONFLICT: "The Idempotency-Key belongs to another request, or one under way.",
    MethodCode.SERVICE_UNAVAILABLE: "It cannot be stored right now; it is safe to try again.",
    MethodCode.INTERNAL_ERROR: "A defect in Campana; the log has a reference.",
}


class MethodError(Exception):
    """A call that was refused: its code, one sentence for a person, and the field at fault where there is one.

    The sentence names the field and the rule, never the value: it may reach logs, and values are personal data.
    """

    def __init__(self, code: MethodCode, sentence: str | None = None, *, field: str | None = None) -> None:
        self.code = code
        self.sentence = sentence or METHOD_CODE_MEANING[code]
        self.field = field
        super().__init__(f"{code.value} {code.title}; {self.sentence}")
