"""Owns what the two ends of a call agree on about sound: SDP offers and answers (RFC 8866, RFC 3264).

Must not know SIP messages, sockets, or how sound is sent; it takes and gives bodies.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import Final, Literal

Law = Literal["PCMA", "PCMU"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

STATIC_PAYLOADS: Final[dict[int, Law]] = {0: "PCMU", 8: "PCMA"}
"""Payload numbers that need no rtpmap (RFC 3551, table 4)."""
PAYLOAD_OF: Final[dict[Law, int]] = {law: payload for payload, law in STATIC_PAYLOADS.items()}
PTIME_MS: Final = 20

LARGEST: Final = 16_384
"""Octets of a body at most."""
MOST_LINES: Final = 400
LONGEST_LINE: Final = 1_000
MOST_MEDIA: Final = 16

_PROFILE: Final = "RTP/AVP"
_LINE = re.compile(r"([a-z])=(.*)")
_MEDIA = re.compile(r"([A-Za-z0-9-]+) +([0-9]{1,5})(?:/[0-9]{1,5})? +([A-Za-z0-9/.-]+)((?: +[!-~]+)+) *")
_CONNECTION = re.compile(r"IN +IP[46] +([0-9A-Fa-f:.]+)(?:/[0-9/]+)? *", re.IGNORECASE)
_RTPMAP = re.compile(r"([0-9]{1,3}) +([A-Za-z0-9_.-]+)/([0-9]{1,9})(?:/1)? *")
_RTCP = re.compile(r"([0-9]{1,5})(?: +(IN +IP[46] +[0-9A-Fa-f:.]+))? *", re.IGNORECASE)
_PTIME = re.compile(r"([0-9]{1,3})(?:\.0+)? *")
_REPLY: Final[dict[Direction, Direction]] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}


class SdpError(ValueError):
    """A body that no sound can be agreed on with; the text names the rule and quotes nothing."""


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Our end of one call's sound, as it stands in every offer and answer of the call."""

    address: str
    """Where we hear; IPv6 without brackets."""
    port: int
    codecs: tuple[Law, ...]
    """The better liked first."""
    dtmf_payload: int
    session_id: int
    """Unique to the call, at most 63 bits; the same in all its bodies."""


@dataclass(frozen=True, slots=True)
class MediaAnswer:
    """What both ends have agreed on."""

    address: str
    """Where they hear; IPv6 without brackets."""
    port: int
    law: Law
    payload: int
    """Payload number to send with."""
    dtmf_payloads: frozenset[int]
    """Payload numbers under which pressed keys may come (RFC 4733): the one we named, and the one they did."""
    ptime_ms: int
    rtcp: tuple[str, int]
    held: bool
    """They want to hear nothing for now."""


@dataclass(frozen=True, slots=True)
class MediaLine:
    """One m= line as offered, for the answer that must have as many (RFC 3264, section 6)."""

    kind: str
    profile: str
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MediaOffer:
    """An offer with a sound that we could agree on."""

    address: str
    port: int
    laws: tuple[tuple[Law, int], ...]
    """Law and payload number, the better liked first."""
    dtmf_payload: int | None
    ptime_ms: int
    rtcp: tuple[str, int]
    direction: Direction
    lines: tuple[MediaLine, ...]
    chosen: int
    """The m= line that this is about, counted from 0."""

    @property
    def held(self) -> bool:
        """Whether they want to hear nothing for now: by direction, or by the zero address of RFC 2543."""
        return self.direction in ("sendonly", "inactive") or ipaddress.ip_address(self.address).is_unspecified


def make_offer(local: LocalMedia, version: int = 0) -> bytes:
    """Return an offer of all our laws and of telephone-event, both directions, 20 ms a packet."""
    laws = tuple((law, PAYLOAD_OF[law]) for law in local.codecs)
    return _render(local, version, _audio_lines(local.port, laws, local.dtmf_payload, "sendrecv"))


def parse_answer(body: bytes, offered: LocalMedia) -> MediaAnswer:
    """Read the answer to an offer of ours. Raises SdpError, also where it agrees to none of our laws."""
    sound = _sound(body)
    law, payload = _first_common(sound.laws, offered.codecs)
    _check_family(sound, offered)
    numbers = {offered.dtmf_payload} if sound.dtmf_payload is None else {offered.dtmf_payload, sound.dtmf_payload}
    return _agreed(sound, law, payload, numbers)


def parse_offer(body: bytes) -> MediaOffer:
    """Read an offer from the other side. Raises SdpError, also where it has no law of G.711."""
    return _sound(body)


def make_answer(
    offer: MediaOffer, local: LocalMedia, version: int = 0, keep: Law | None = None
) -> tuple[bytes, MediaAnswer]:
    """Answer an offer: the law `keep` where it is offered, else the one they like best of ours; other media refused.

    Returns the body, and what was agreed on with it. `version` is that of o=, one more than in the body before it
    (RFC 3264, section 8). Raises SdpError where no law is common.
    """
    law, payload = _first_common(offer.laws, (keep,) if keep in dict(offer.laws) else local.codecs)
    _check_family(offer, local)
    lines: list[str] = []
    for index, line in enumerate(offer.lines):
        if index == offer.chosen:
            lines += _audio_lines(local.port, ((law, payload),), offer.dtmf_payload, _REPLY[offer.direction])
        else:
            lines.append(f"m={line.kind} 0 {line.profile} {' '.join(line.formats)}")
    numbers = {local.dtmf_payload} if offer.dtmf_payload is None else {local.dtmf_payload, offer.dtmf_payload}
    return _render(local, version, lines), _agreed(offer, law, payload, numbers)


def answer_offer(
    offer: bytes, local: LocalMedia, version: int = 0, keep: Law | None = None
) -> tuple[bytes, MediaAnswer]:
    """Answer the body of a re-INVITE or UPDATE: the same address and port as ever. Raises SdpError."""
    return make_answer(parse_offer(offer), local, version, keep)


# --- writing -----------------------------------------------------------------------------------------------------


def _render(local: LocalMedia, version: int, media: list[str]) -> bytes:
    where = f"IN IP{6 if ':' in local.address else 4} {local.address}"
    lines = ["v=0", f"o=- {local.session_id} {version} {where}", "s=-", f"c={where}", "t=0 0", *media]
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _audio_lines(
    port: int, laws: tuple[tuple[Law, int], ...], dtmf_payload: int | None, direction: Direction
) -> list[str]:
    numbers = [payload for _, payload in laws]
    lines = [f"a=rtpmap:{payload} {law}/8000" for law, payload in laws]
    if dtmf_payload is not None:
        numbers.append(dtmf_payload)
        lines += [f"a=rtpmap:{dtmf_payload} telephone-event/8000", f"a=fmtp:{dtmf_payload} 0-16"]
    head = f"m=audio {port} {_PROFILE} {' '.join(map(str, numbers))}"
    return [head, *lines, f"a=ptime:{PTIME_MS}", f"a={direction}"]


# --- agreeing ----------------------------------------------------------------------------------------------------


def _first_common(theirs: tuple[tuple[Law, int], ...], ours: tuple[Law | None, ...]) -> tuple[Law, int]:
    for law, payload in theirs:
        if law in ours:
            return law, payload
    raise SdpError("its laws must have one in common with ours")


def _check_family(theirs: MediaOffer, ours: LocalMedia) -> None:
    if (":" in theirs.address) != (":" in ours.address) and not theirs.held:
        raise SdpError("its address must be of the same IP version as ours")


def _agreed(sound: MediaOffer, law: Law, payload: int, dtmf_payloads: set[int]) -> MediaAnswer:
    return MediaAnswer(
        address=sound.address,
        port=sound.port,
        law=law,
        payload=payload,
        dtmf_payloads=frozenset(dtmf_payloads - {payload}),
        ptime_ms=sound.ptime_ms,
        rtcp=sound.rtcp,
        held=sound.held,
    )


# --- reading -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Section:
    """The session's part of a body, or that of one m= line."""

    line: MediaLine
    port: int = 0
    address: str | None = None
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def attribute(self, name: str) -> str | None:
        """The last value of an attribute."""
        return next((value for key, value in reversed(self.attributes) if key == name), None)

    def direction(self) -> Direction | None:
        for key, _ in reversed(self.attributes):
            for direction in _REPLY:
                if key == direction:
                    return direction
        return None


def _sound(body: bytes) -> MediaOffer:
    """The first sound of a body that we could take part in."""
    session, *media = _sections(body)
    lines = tuple(section.line for section in media)
    for index, section in enumerate(media):
        if section.line.kind.lower() != "audio" or section.line.profile.upper() != _PROFILE or not section.port:
            continue
        laws, dtmf_payload = _payloads(section)
        if laws:
            bare = replace(section, address=section.address or session.address)
            return _described(
                bare, session, MediaOffer("", 0, laws, dtmf_payload, 0, ("", 0), "sendrecv", lines, index)
            )
    raise SdpError(f"it must have an audio line with a port, {_PROFILE}, and PCMA or PCMU")


def _described(section: _Section, session: _Section, offer: MediaOffer) -> MediaOffer:
    """The offer with where and how the section wants its sound."""
    if section.address is None:
        raise SdpError("c= must say where the audio goes")
    return replace(
        offer,
        address=section.address,
        port=section.port,
        ptime_ms=_ptime(section.attribute("ptime")),
        rtcp=_rtcp(section.attribute("rtcp"), section.address, section.port),
        direction=section.direction() or session.direction() or "sendrecv",
    )


def _sections(body: bytes) -> list[_Section]:
    """The session's section, then one for each m= line."""
    sections = [_Section(MediaLine("", "", ()))]
    for letter, value in _lines(body):
        current = sections[-1]
        if letter == "m":
            sections.append(_media(value))
            if len(sections) > MOST_MEDIA + 1:
                raise SdpError(f"it must have at most {MOST_MEDIA} m= lines")
        elif letter == "c":
            current.address = current.address or _address(value)
        elif letter == "a":
            name, _, rest = value.partition(":")
            current.attributes.append((name.strip().lower(), rest.strip()))
    return sections


def _lines(body: bytes) -> list[tuple[str, str]]:
    if len(body) > LARGEST:
        raise SdpError(f"it must have at most {LARGEST} octets")
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n\0 ").split("\n")
    if len(lines) > MOST_LINES:
        raise SdpError(f"it must have at most {MOST_LINES} lines")
    found: list[tuple[str, str]] = []
    for line in filter(None, lines):
        parts = _LINE.fullmatch(line)
        if parts is None or len(line) > LONGEST_LINE:
            raise SdpError(f"every line must be a letter, =, and a value of at most {LONGEST_LINE} characters")
        found.append((parts[1], parts[2]))
    if not found or (found[0][0], found[0][1].strip()) != ("v", "0"):
        raise SdpError("it must begin with v=0")
    return found


def _media(value: str) -> _Section:
    parts = _MEDIA.fullmatch(value)
    if parts is None or int(parts[2]) > 65_535:
        raise SdpError("m= must be a medium, a port from 0 to 65535, a profile and formats")
    return _Section(MediaLine(parts[1], parts[3], tuple(parts[4].split())), int(parts[2]))


def _address(value: str) -> str:
    parts = _CONNECTION.fullmatch(value)
    try:
        address = ipaddress.ip_address(parts[1] if parts is not None else "")
    except ValueError:
        raise SdpError("c= must be IN, IP4 or IP6, and an IP address") from None
    if address.is_multicast:
        raise SdpError("c= must be the address of one host")
    return str(address)


def _payloads(section: _Section) -> tuple[tuple[tuple[Law, int], ...], int | None]:
    """The laws of an m= line with their payload numbers, in its order, and the number of telephone-event."""
    names = {payload: law.lower() for payload, law in STATIC_PAYLOADS.items()}
    for key, value in section.attributes:
        parts = _RTPMAP.fullmatch(value) if key == "rtpmap" else None
        if parts is not None:
            names[int(parts[1])] = parts[2].lower() if int(parts[3]) == 8_000 else ""
    by_name: dict[str, int] = {}
    for text in section.line.formats:
        if text.isdecimal() and text.isascii() and len(text) <= 3 and int(text) <= 127:
            by_name.setdefault(names.get(int(text), ""), int(text))
    laws = [(law, by_name[law.lower()]) for law in PAYLOAD_OF if law.lower() in by_name]
    order = list(by_name.values())
    return tuple(sorted(laws, key=lambda pair: order.index(pair[1]))), by_name.get("telephone-event")


def _ptime(value: str | None) -> int:
    """Milliseconds of sound per packet as wished; 20 where nothing sensible is said."""
    parts = _PTIME.fullmatch(value or "")
    wished = int(parts[1]) if parts is not None else PTIME_MS
    return wished if 10 <= wished <= 200 and wished % 10 == 0 else PTIME_MS


def _rtcp(value: str | None, address: str, port: int) -> tuple[str, int]:
    """Where RTCP goes: as told (RFC 3605), else to the port above that of the sound (RFC 3550, section 11)."""
    parts = _RTCP.fullmatch(value or "")
    if parts is None or not 0 < int(parts[1]) <= 65_535:
        return address, min(port + 1, 65_535)
    return (_address(parts[2]) if parts[2] else address), int(parts[1])
