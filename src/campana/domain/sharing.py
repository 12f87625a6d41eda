"""Owns how processes share what a route allows: its rate, its lines, its connections, so that no limit is ever passed.

Must not know where the state is kept or who the owners are. Each function changes the state that it is given, at an
instant of one clock for all (epoch milliseconds).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from campana.domain.rate import MARGIN_MS, Pace, PaceMemory

GRANT_MS = 5_000
"""How long a grant lasts: what has not left by then must not leave any more. So it is known of a process that says
nothing when the last of its messages can have left."""

REST_MS = GRANT_MS + 1_000 + MARGIN_MS
"""How long a state whose past is lost grants nothing: until then, everything of that past has left or has lapsed, and
every process that lives has said what it uses."""

GRAIN_MS = 10
"""Departures are kept rounded up to this, so that a state stays small at any rate."""

TURN_MS = 10_000
"""Where there is too little for everybody, how long it stays with the same ones."""


class Holding(msgspec.Struct):
    """What an owner may use of something that is counted, and what it would like to."""

    held: int
    wanted: int


Holdings = dict[str, Holding]


class RouteState(msgspec.Struct):
    """What the processes that use a route keep between them."""

    rests_until: int = 0
    """Nothing is granted before, since what was granted in the past is not known."""
    pace: PaceMemory = msgspec.field(default_factory=PaceMemory)
    pending: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Of each owner: messages that were granted and have not been told of, and when the last of the grants lapses."""
    lines: Holdings = msgspec.field(default_factory=dict)
    connections: Holdings = msgspec.field(default_factory=dict)


class Ask(msgspec.Struct, frozen=True):
    """What an owner says of its messages: when how many left, how many will not, and how many more it would send."""

    owner: str
    wanted: int
    left: Sequence[tuple[int, int]] = ()
    unspent: int = 0
    throttled: bool = False
    """The carrier said that it is too much."""


class Answer(msgspec.Struct, frozen=True):
    """How many may leave before `lapses_at`; where none may, when to ask again."""

    granted: int
    lapses_at: int
    next_at: int


def pace(state: RouteState, rate: float, ask: Ask, now: int) -> Answer:
    """Take note of what an owner tells and grant what the route's rate leaves room for."""
    if now < state.pace.latest <= now + GRAIN_MS:
        # Two that came together, told the time in the other order: the clock was not set back.
        now = state.pace.latest
    left = _note(state, ask, now)
    together = Pace.remembering(rate, state.pace, sum(count for count, _ in state.pending.values()))
    for at, count in left:
        together.had_left(count, _grain(at))
    if ask.throttled:
        together.slow_down(now)
    granted = 0
    if ask.wanted and now >= state.rests_until:
        granted = together.grant(ask.wanted, now)
    if granted:
        count, _ = state.pending.get(ask.owner, (0, 0))
        state.pending[ask.owner] = (count + granted, now + GRANT_MS)
    next_at = max(state.rests_until, together.next_at(now))
    state.pace = together.memory()
    return Answer(granted, now + GRANT_MS, next_at)


class Wish(msgspec.Struct, frozen=True):
    """What an owner uses of something that is counted, at this moment, and what it would like to use."""

    owner: str
    used: int
    wanted: int


class Allotment(msgspec.Struct, frozen=True):
    """How much an owner may use from now on, which may be less than it uses; and whether others have less than they
    should, so that they ought to hear of what is given back."""

    may: int
    others_short: bool


def allot_lines(state: RouteState, total: int, wish: Wish, now: int) -> Allotment:
    """How many of a route's lines an owner may use from now on. What cannot be split goes around."""
    return _allot(state.lines, total, wish, turn=now // TURN_MS, rests=now < state.rests_until)


def allot_connections(state: RouteState, total: int, wish: Wish, now: int) -> Allotment:
    """How many of a route's connections an owner may have from now on. What cannot be split stays where it is."""
    return _allot(state.connections, total, wish, turn=None, rests=now < state.rests_until)


def forget(state: RouteState, owner: str, now: int) -> None:
    """An owner has ended: what it may have sent last counts as sent at the last moment, what it held is free."""
    if owner in state.pending:
        count, lapses_at = state.pending.pop(owner)
        _depart(state, count, min(now, lapses_at))
    state.lines.pop(owner, None)
    state.connections.pop(owner, None)


def _note(state: RouteState, ask: Ask, now: int) -> list[tuple[int, int]]:
    """What has left by now, of this owner as it tells and of others as far as their grants have lapsed."""
    left = list(ask.left)
    if ask.owner in state.pending:
        count, lapses_at = state.pending[ask.owner]
        count -= ask.unspent + sum(count for _, count in left)
        state.pending[ask.owner] = (max(0, count), lapses_at)
    for owner, (count, lapses_at) in list(state.pending.items()):
        if lapses_at <= now or not count:
            del state.pending[owner]
            if count:
                left.append((lapses_at, count))
    return left


def _depart(state: RouteState, count: int, at: int) -> None:
    together = Pace.remembering(None, state.pace, 0)
    together.had_left(count, _grain(at))
    state.pace = together.memory()


def _grain(at: int) -> int:
    return -(-at // GRAIN_MS) * GRAIN_MS


def _allot(holdings: Holdings, total: int, wish: Wish, *, turn: int | None, rests: bool) -> Allotment:
    """How much of `total` an owner may use from now on.

    Together they never hold more than the total, as long as none uses more than it may. What is not wanted by others
    is anybody's; where there is not enough, everybody comes to a fair share as others give back what they have above
    theirs. Who uses nothing and wants nothing is forgotten.
    """
    owner, used = wish.owner, wish.used
    if not used and not wish.wanted:
        holdings.pop(owner, None)
        return Allotment(0, others_short=_is_one_short(holdings, _fair_shares(holdings, total, turn), owner))
    before = holdings[owner].held if owner in holdings else 0
    mine = holdings[owner] = Holding(before, max(used, wish.wanted))
    if rests:
        mine.held = used
        return Allotment(used, others_short=False)
    fair = _fair_shares(holdings, total, turn)
    short = _is_one_short(holdings, fair, owner)
    free = total - sum(one.held for name, one in holdings.items() if name != owner)
    may = max(0, min(fair[owner] if short else wish.wanted, free))
    # What it uses is taken as long as it uses it, whatever it may.
    mine.held = max(used, may)
    return Allotment(may, short)


def _is_one_short(holdings: Holdings, fair: dict[str, int], owner: str) -> bool:
    """Whether anybody else has less than would be fair."""
    return any(one.held < min(one.wanted, fair[name]) for name, one in holdings.items() if name != owner)


def _fair_shares(holdings: Holdings, total: int, turn: int | None) -> dict[str, int]:
    """Max-min fair: who wants little gets it, the others get the same. What cannot be split goes to those who have it,
    or, where there is a `turn`, around."""
    names = sorted(holdings)
    if not names:
        return {}
    if turn is None:
        names.sort(key=lambda name: -holdings[name].held)
    else:
        names = names[turn % len(names) :] + names[: turn % len(names)]
    shares = dict.fromkeys(names, 0)
    left = total
    while left and (open_ := [name for name in names if shares[name] < holdings[name].wanted]):
        each = max(1, left // len(open_))
        for name in open_[:left]:
            more = min(each, holdings[name].wanted - shares[name], left)
            shares[name] += more
            left -= more
    return shares
