"""Owns how a request is read: bytes in, the operation with its arguments as values of the domain out, or a fault.

Must not know who asks or what becomes of the call. The tables come from the WSDL (schema.py) and bindings.py.

The reader follows the tables from event to event and keeps nothing else of a message, so that neither a tree nor a
name of a hostile message outlives its element. (A tree parser that shares its dictionary of names, as libxml2 does
under lxml, keeps every name that any message ever brought.) What the tables know cannot repeat or nest beyond them;
only what they do not know is counted against the limits. A document type is refused before expat sees it, since
expat would expand its entities although nobody listens any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from campana.api.soap.envelope import SOAP11, SOAP12, Version
from campana.api.soap.faults import Blame, Fault
from campana.api.soap.schema import Schema
from campana.api.soap.shapes import XSI_NIL, Shape, Strangers, root_shape
from campana.api.soap.values import boolean

ENCODINGS = frozenset(
    {"utf-8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"}
)
"""What a document may declare. SOAP clients send the first; others would import a codec by a stranger's word."""

_UTF16 = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"<\x00", "utf-16-le"), (b"\x00<", "utf-16-be"))
_DOCTYPE = re.compile(rb"(?>\xef\xbb\xbf)?(?>\s+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
_NOTHING: dict[str, Shape] = {}
_NO_DOCTYPE = "A document type declaration is not allowed in a SOAP message."


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a message may hold of what the contract does not name."""

    max_depth: int = 32
    max_strangers: int = 2_000


@dataclass(frozen=True, slots=True)
class Call:
    """A valid call. What was null or left out has the default of its type, None for strings and objects."""

    version: Version
    operation: str
    arguments: dict[str, Any]


class InvalidMessage(Exception):
    """A message that is not a valid call, and the SOAP version in which to say so; None where it did not say."""

    def __init__(self, fault: Fault, version: Version | None) -> None:
        self.fault = fault
        self.version = version
        super().__init__(fault.sentence)


class Parser:
    """Reads requests by tables made once. Keeps nothing between messages."""

    def __init__(self, schema: Schema, limits: Limits) -> None:
        self._root = root_shape(schema)
        self._limits = limits

    def parse(self, body: bytes) -> Call:
        """Read one message. Raises InvalidMessage where it is not a valid call of the service."""
        reader = _Reader(self._root, self._limits)
        try:
            _feed(reader, body)
            return reader.call()
        except Fault as fault:
            raise InvalidMessage(fault, reader.version()) from None
        except expat.ExpatError as error:
            sentence = f"The message is not well-formed XML: {expat.ErrorString(error.code)}"
            where = f", line {error.lineno}, column {error.offset + 1}."
            raise InvalidMessage(Fault(sentence + where), reader.version()) from None
        except UnicodeError:
            sentence = "The message is not well-formed XML: its bytes do not fit its encoding."
            raise InvalidMessage(Fault(sentence), reader.version()) from None


def _feed(reader: _Reader, body: bytes) -> None:
    encoding = None
    for start, codec in _UTF16:
        if body.startswith(start):
            body, encoding = body.decode(codec).encode(), "utf-8"
    if b"<!DOCTYPE" in body and _DOCTYPE.match(body):
        raise Fault(_NO_DOCTYPE)
    parser = expat.ParserCreate(encoding, "}")
    parser.buffer_text = True
    parser.XmlDeclHandler = reader.declaration
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.texts.append
    parser.Parse(body, True)


class _Reader:
    """The state between two events: the element under way and those around it.

    `shape`, `members` and `values` belong to the innermost element with members that is open; `leaf` is the element
    that holds text and is open; `skipping` counts the open elements that the tables do not know.
    """

    __slots__ = ("_limits", "leaf", "members", "nil", "shape", "skipping", "stack", "strangers", "texts", "values")

    def __init__(self, root: Shape, limits: Limits) -> None:
        self.shape = root
        self.members = root.members or _NOTHING
        self.values: dict[str, Any] = {}
        self.stack: list[tuple[Shape, dict[str, Any]]] = []
        self.texts: list[str] = []
        self.leaf: Shape | None = None
        self.nil = False
        self.skipping = 0
        self.strangers = 0
        self._limits = limits

    # --- events --------------------------------------------------------------------------------------------------

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ENCODINGS:
            raise Fault("The message's XML declaration names an encoding that is not supported; UTF-8 is.")

    def doctype(self, *_: object) -> None:
        raise Fault(_NO_DOCTYPE)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.skipping:
            self._skip()
            return
        member = self.members.get(name)
        if member is None:
            member = self._look_closer(name, attributes)
            if member is None:
                return
        if self.texts:
            self._expect_blank()
        if member.key in self.values:
            raise Fault(f"The element {self._path(member)} occurs more than once.")
        if attributes:
            self.nil = self._is_nil(member, attributes)
        if member.members is None or self.nil:
            self.leaf = member
            self.members = _NOTHING
        else:
            self.stack.append((self.shape, self.values))
            self.shape = member
            self.members = member.members
            self.values = {}

    def end(self, _name: str) -> None:
        if self.skipping:
            self.skipping -= 1
            if not self.skipping:
                self.texts.clear()
            return
        leaf = self.leaf
        if leaf is None:
            self._close()
            return
        text = "".join(self.texts)
        self.texts.clear()
        if self.nil:
            value = self._nothing(leaf, text)
        elif leaf.convert is None:
            value = text
        else:
            try:
                value = leaf.convert(text)
            except ValueError as error:
                raise Fault(f"The element {self._path(leaf)} {error}.") from None
        self.values[leaf.key] = value
        self.leaf = None
        self.members = self.shape.members or _NOTHING

    def _close(self) -> None:
        if self.texts:
            self._expect_blank()
        shape = self.shape
        value = shape.build(self.values)
        self.shape, self.values = self.stack.pop()
        self.members = self.shape.members or _NOTHING
        self.values[shape.key] = value

    # --- what is rare --------------------------------------------------------------------------------------------

    def _look_closer(self, name: str, attributes: dict[str, str]) -> Shape | None:
        """Find a member that came in another namespace than the WSDL's; None where the element is to be skipped."""
        if self.leaf is not None:
            what = "is nil and must be empty" if self.nil else "must hold text, not elements"
            raise Fault(f"The element {self._path(self.leaf)} {what}.")
        namespace, _, local = name.rpartition("}")
        strangers = self.shape.strangers
        if strangers is Strangers.SKIP_OR_NAMESAKE:
            member = (self.shape.namesakes or _NOTHING).get(local)
            if member is not None:
                return member
        elif strangers is Strangers.OPERATION:
            member = (self.shape.namesakes or _NOTHING).get(local)
            if member is None:
                raise Fault(f"The operation {_printable(local)} is not one of this service.")
            return member
        elif strangers is Strangers.ENVELOPE:
            blame = Blame.VERSION_MISMATCH if local == "Envelope" else Blame.CLIENT
            raise Fault("The message must be a SOAP 1.1 or 1.2 Envelope.", blame)
        elif strangers is Strangers.HEADER:
            self._check_header(namespace, local, attributes)
        self._skip()
        return None

    def _check_header(self, namespace: str, local: str, attributes: dict[str, str]) -> None:
        version = self.version() or SOAP11
        required = attributes.get(version.must_understand, "0").strip()
        if required in ("1", "true") and attributes.get(version.role, "").strip() in version.us:
            raise Fault(
                f"The header {_printable(local)} is marked mustUnderstand, and this service does not know it.",
                Blame.MUST_UNDERSTAND,
                header=(namespace, local),
            )

    def _skip(self) -> None:
        self.skipping += 1
        self.strangers += 1
        if len(self.stack) + self.skipping > self._limits.max_depth:
            raise Fault(f"The message nests elements deeper than {self._limits.max_depth} levels.")
        if self.strangers > self._limits.max_strangers:
            raise Fault(f"The message has more than {self._limits.max_strangers} elements of unknown names.")

    def _is_nil(self, member: Shape, attributes: dict[str, str]) -> bool:
        value = attributes.get(XSI_NIL)
        if value is None:
            return False
        try:
            return boolean(value)
        except ValueError as error:
            raise Fault(f"The attribute nil of the element {self._path(member)} {error}.") from None

    def _nothing(self, leaf: Shape, text: str) -> object:
        if text.strip():
            raise Fault(f"The element {self._path(leaf)} is nil and must be empty.")
        self.nil = False
        return leaf.default

    def _expect_blank(self) -> None:
        text = "".join(self.texts)
        self.texts.clear()
        if text.strip():
            raise Fault(f"The element {self._path()} must hold elements, not text.")

    def _path(self, member: Shape | None = None) -> str:
        """The way to an element from the operation down, for people."""
        shapes = [shape for shape, _ in self.stack] + [self.shape] + ([] if member is None else [member])
        names = [shape.name for shape in shapes if shape.name]
        return "/".join(names[2:] or names[-1:])

    # --- the result ----------------------------------------------------------------------------------------------

    def version(self) -> Version | None:
        """The version of the envelope, once it was seen."""
        envelopes = [self.shape, *(shape for shape, _ in self.stack)]
        keys = [shape.key for shape in envelopes] + list(self.values)
        return SOAP11 if SOAP11.name in keys else SOAP12 if SOAP12.name in keys else None

    def call(self) -> Call:
        """The call, after the document's end."""
        version = SOAP11 if SOAP11.name in self.values else SOAP12
        body = (self.values[version.name] or {}).get("Body")
        if body is None:
            raise Fault("The Envelope has no Body.")
        if len(body) != 1:
            raise Fault("The Body must hold exactly one operation.")
        operation, arguments = next(iter(body.items()))
        return Call(version, operation, arguments or {})


def _printable(name: str) -> str:
    """A stranger's name, bounded, for a sentence."""
    return name if len(name) <= 60 else f"{name[:60]}…"
