"""Owns the balance of a drill: what was promised beside what arrived, medium by medium, and which promises were broken.

Must not know processes, sockets or files: it compares what it is given. Times are epoch milliseconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from campana.domain.delivery import FINAL, Medium, Status
from campana.domain.moment import SECOND
from campana.domain.outcome import DeliveryCode
from campana.sandbox.drill_journals import Arrival, Span, Use
from campana.sandbox.drill_people import number_of_destination
from campana.sandbox.drill_plan import Blow, Event
from campana.sandbox.drill_soap import Standing

FLIGHT_MS: Final = SECOND
"""An attempt that began inside its window may take so long to be seen by the carrier."""
UNRECORDED_MS: Final = 2 * SECOND
"""What a message that arrived is known for at the latest, where nothing happens to the process that sent it."""
SHARE_HEARD: Final = 0.9
"""Of the longest call, at least: all hear the same text, with more or less silence around it."""
GIVES_UP: Final = {Medium.SMS: True, Medium.VOICE: True, Medium.EMAIL: False}
"""Which media give up what is uncertain; the others send it again."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one medium."""

    medium: Medium
    promised: frozenset[int]
    """Contacts that Campana accepted."""
    standings: Mapping[int, Standing]
    """How it says that they stand."""
    arrivals: Sequence[Arrival]
    windowed: frozenset[int] = frozenset()
    """Contacts of the campaign with a window."""
    windows: Sequence[Span] = ()
    """When that one was open."""
    heard_ms: Mapping[str, int] = field(default_factory=dict)
    """Of calls: how much each telephone heard."""


@dataclass(frozen=True, slots=True)
class Account:
    """The balance of one medium. Lists name contacts by their numbers, a number as often as it was at fault."""

    medium: Medium
    promised: int
    succeeded: int
    uncertain: int
    failed: int
    """For another reason than that nobody can know: no carrier refuses anything in a drill."""
    unfinished: int
    missing: tuple[int, ...]
    """Accepted, and not there any more."""
    never_arrived: tuple[int, ...]
    """Called a success, or failed, and nothing has arrived; calls too of which not all was heard."""
    denied: tuple[int, ...]
    """Arrived, and called failed for a reason that says that it did not."""
    doubled: tuple[int, ...]
    """Arrived once too often."""
    unexplained: tuple[int, ...]
    """Those of them that arrived before at a time when nothing happened to the process that sent them."""
    outside: tuple[int, ...]
    strangers: tuple[str, ...]
    """Destinations that are nobody's, and got something."""
    allowed: int
    """How many may be uncertain after all that has happened; as many may be doubled where those are sent again."""

    @property
    def gives_up(self) -> bool:
        """Whether what is uncertain is given up."""
        return GIVES_UP[self.medium]

    @property
    def lost(self) -> int:
        """Contacts that did not get what was promised, though nobody said that they may not."""
        return len(self.missing) + len(self.never_arrived) + self.unfinished

    @property
    def allowed_doubles(self) -> int:
        """How many may have arrived once too often."""
        return 0 if self.gives_up else self.allowed

    def broken(self) -> list[str]:
        """The promises that were broken, a sentence each."""
        faults = [
            (len(self.missing), 0, "accepted and not there any more"),
            (len(self.never_arrived), 0, "said to be over and never arrived whole"),
            (self.unfinished, 0, "not finished"),
            (len(self.denied), 0, "arrived and said to have failed"),
            (len(self.doubled), self.allowed_doubles, "arrived once too often"),
            (len(self.unexplained), 0, "arrived once too often though nothing had happened"),
            (self.uncertain, self.allowed, "uncertain"),
            (len(self.outside), 0, "outside a window"),
            (len(self.strangers), 0, "arrived for nobody"),
        ]
        name = self.medium.name.lower()
        return [
            f"{name}: {count} {what}" + (f", {most} allowed" if most else "")
            for count, most, what in faults
            if count > most
        ]


@dataclass(frozen=True, slots=True)
class Balance:
    """What a drill has shown."""

    accounts: Sequence[Account]
    limits: Mapping[str, Use]

    def broken(self) -> list[str]:
        """The promises that were broken, a sentence each; none where all were kept."""
        sentences = [sentence for account in self.accounts for sentence in account.broken()]
        for name, use in self.limits.items():
            if use.above:
                sentences.append(f"{name}: above the limit of {use.limit} {use.above} times, {use.most} at most")
        return sentences


def allowed(events: Sequence[Event], portions: int, size: int, processes: int) -> int:
    """How many may be uncertain after these events, each of which hits a process that has so many portions under way
    at most, of this size; a cut of the database's connections hits them all."""
    hit = sum(processes if event.blow is Blow.CUT else 1 for event in events if event.is_felt_by_senders)
    return hit * portions * size


def settle(evidence: Evidence, events: Sequence[Event], allowed: int) -> Account:
    """Balance a medium. `allowed`: how many may be uncertain after these events."""
    came: dict[int, list[Arrival]] = defaultdict(list)
    strangers = []
    for arrival in evidence.arrivals:
        number = number_of_destination(arrival.destination)
        if number is None or number not in evidence.promised:
            strangers.append(arrival.destination)
        else:
            came[number].append(arrival)
    there = {number: evidence.standings[number] for number in evidence.promised if number in evidence.standings}
    stands = Counter(map(_kind, there.values()))
    doubled = [number for number, ones in sorted(came.items()) for _ in ones[1:]]
    return Account(
        medium=evidence.medium,
        promised=len(evidence.promised),
        succeeded=stands["succeeded"],
        uncertain=stands["uncertain"],
        failed=stands["failed"],
        unfinished=stands["unfinished"],
        missing=tuple(sorted(evidence.promised - there.keys())),
        never_arrived=tuple(_never_arrived(evidence, there, came)),
        denied=tuple(number for number, one in sorted(there.items()) if _kind(one) == "failed" and number in came),
        doubled=tuple(doubled),
        unexplained=tuple(_unexplained(came, events)),
        outside=tuple(_outside(evidence, came)),
        strangers=tuple(strangers),
        allowed=allowed,
    )


def _kind(standing: Standing) -> str:
    if standing.status not in FINAL:
        return "unfinished"
    if standing.status == Status.SUCCESS:
        return "succeeded"
    return "uncertain" if standing.error == DeliveryCode.UNCERTAIN else "failed"


def _never_arrived(
    evidence: Evidence, there: Mapping[int, Standing], came: Mapping[int, Sequence[Arrival]]
) -> Iterable[int]:
    text_ms = SHARE_HEARD * max(evidence.heard_ms.values(), default=0)
    for number, standing in sorted(there.items()):
        kind = _kind(standing)
        if kind == "succeeded" and evidence.medium is Medium.VOICE:
            if evidence.heard_ms.get(standing.destination, -1) < text_ms:
                yield number
        elif kind in ("succeeded", "failed") and number not in came:
            yield number


def _unexplained(came: Mapping[int, Sequence[Arrival]], events: Sequence[Event]) -> Iterable[int]:
    """Who got something again, though nothing had happened near any time at which it arrived before."""
    spans = [
        Span(event.began - UNRECORDED_MS, event.ended + UNRECORDED_MS) for event in events if event.is_felt_by_senders
    ]
    for number, ones in sorted(came.items()):
        for arrival in sorted(ones, key=lambda one: one.at)[:-1]:
            if not any(span.since <= arrival.at <= span.at for span in spans):
                yield number


def _outside(evidence: Evidence, came: Mapping[int, Sequence[Arrival]]) -> Iterable[int]:
    for number in sorted(evidence.windowed & came.keys()):
        for arrival in came[number]:
            began = arrival.began
            if not any(
                began.at >= window.since and began.since <= window.at + FLIGHT_MS for window in evidence.windows
            ):
                yield number
