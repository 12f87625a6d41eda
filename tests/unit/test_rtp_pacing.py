"""The beat: deadlines that do not drift, delays made up for, long ones left out. Time is moved by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from campana.channels.voice.media.pacing import BEAT, LATEST, PHASES, Lateness, Pacer


class Timer:
    """What a loop gives for a call that is to come."""

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when, self.callback = when, callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Timers:
    """A clock that moves when told, and the one timer that is set on it."""

    def __init__(self, tardy: float = 0.0) -> None:
        self.now = 1_000.0
        self.tardy = tardy
        """Seconds by which timers come too late."""
        self.work = 0.0
        """Seconds that a beat takes."""
        self.timer: Timer | None = None

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        assert delay >= 0
        self.timer = Timer(self.now + delay + self.tardy, callback)
        return self.timer

    def next(self) -> None:
        """Go to the time of the timer, and call."""
        assert self.timer is not None
        assert not self.timer.cancelled
        self.now = max(self.now, self.timer.when)
        self.timer.callback()


class World:
    """A pacer, its beats with the times at which they came, and the skips."""

    def __init__(self, tardy: float = 0.0) -> None:
        self.timers = Timers(tardy)
        self.beats: list[tuple[int, float]] = []
        self.skips = 0
        self.pacer = Pacer(self._beat, self._skip, self.timers, lambda: self.timers.now)
        self.began = self.timers.now
        self.pacer.start()

    def _beat(self, number: int) -> None:
        self.beats.append((number, self.timers.now - self.began))
        self.timers.now += self.timers.work

    def _skip(self) -> None:
        self.skips += 1

    def turn(self, times: int) -> list[int]:
        """Let the timer come so many times; the numbers of the beats meanwhile."""
        before = len(self.beats)
        for _ in range(times):
            self.timers.next()
        return [number for number, _ in self.beats[before:]]


@pytest.fixture
def world() -> World:
    return World()


def test_a_beat_comes_every_five_milliseconds(world: World) -> None:
    assert world.turn(1_000) == list(range(1_000))
    assert world.beats[-1][1] == pytest.approx(1_000 * BEAT, abs=0.0005)


@pytest.mark.parametrize("tardy", [0.0003, 0.001, 0.004])
def test_timers_that_come_late_do_not_add_up(tardy: float) -> None:
    world = World(tardy)
    world.turn(1_000)
    number, at = world.beats[-1]
    assert at - (number + 1) * BEAT == pytest.approx(tardy, abs=0.0005)


def test_work_does_not_move_deadlines(world: World) -> None:
    world.timers.work = 0.003
    world.turn(1_000)
    number, at = world.beats[-1]
    assert at == pytest.approx((number + 1) * BEAT, abs=0.0005)


@pytest.mark.parametrize("late", [0.006, 0.03, LATEST - 0.001])
def test_a_short_delay_is_made_up_for_at_once(world: World, late: float) -> None:
    world.turn(10)
    world.timers.now += late
    made_up = world.turn(1)
    assert made_up == list(range(10, 10 + len(made_up)))
    assert len(made_up) == pytest.approx(late / BEAT, abs=1.1)
    assert world.turn(1) == [10 + len(made_up)]
    assert world.skips == 0


@pytest.mark.parametrize("late", [LATEST + 0.02, 0.5, 60.0])
def test_a_long_delay_is_left_out_by_whole_frames(world: World, late: float) -> None:
    world.turn(10)
    world.timers.now += late
    after = world.turn(1)
    assert world.skips == 1
    assert (after[0] - 10) % PHASES == 0
    # No more than one frame is made up for, and the numbers tell the true time again.
    assert len(after) <= PHASES + 1
    assert (after[-1] + 1) * BEAT == pytest.approx(world.timers.now - world.began, abs=BEAT)


def test_too_much_work_does_not_keep_the_loop_to_itself(world: World) -> None:
    """Each turn of the timer takes what was due when it came, so that others get theirs."""
    world.timers.work = 0.02
    assert max(len(world.turn(1)) for _ in range(100)) <= LATEST / BEAT + 1
    assert world.skips > 0


def test_a_beat_that_fails_does_not_end_the_beat() -> None:
    timers, beats = Timers(), []

    def beat(number: int) -> None:
        beats.append(number)
        raise ZeroDivisionError

    pacer = Pacer(beat, lambda: None, timers, lambda: timers.now)
    pacer.start()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            timers.next()
    assert beats == [0, 1, 2]


def test_a_stopped_beat_goes_on_with_the_next_number(world: World) -> None:
    world.turn(5)
    world.pacer.stop()
    assert world.timers.timer is not None
    assert world.timers.timer.cancelled
    world.timers.now += 3_600
    world.pacer.start()
    assert world.turn(2) == [5, 6]
    assert world.skips == 0


def test_starting_twice_is_starting_once(world: World) -> None:
    first = world.timers.timer
    world.pacer.start()
    assert world.timers.timer is first


def test_lateness_is_told_since_last_asked(world: World) -> None:
    world.timers.work = 0.001
    world.turn(99)
    world.timers.work = 0.004
    world.turn(1)
    p99, most = world.pacer.lateness()
    assert p99 == pytest.approx(1, abs=0.6)
    assert most == pytest.approx(4, abs=0.6)
    assert world.pacer.lateness() == Lateness(0.0, 0.0)


def test_a_skipped_delay_shows_in_the_lateness(world: World) -> None:
    world.turn(1)
    world.timers.now += 0.5
    world.turn(1)
    assert world.pacer.lateness().most == pytest.approx(500, abs=6)
