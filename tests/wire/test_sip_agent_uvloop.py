"""The same calls on uvloop, which the media process runs on: timers, UDP, TCP and ICMP behave alike there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.wire import test_sip_agent as calls
from tests.wire import test_sip_agent_hosts as hosts
from tests.wire import test_sip_agent_within as within
from tests.wire import test_sip_watching as watching


@pytest.mark.parametrize(
    "scenario",
    [
        calls.test_a_call_that_is_answered_and_hung_up_by_us,
        calls.test_they_hang_up_and_say_why,
        calls.test_an_invite_is_repeated_at_doubling_pauses_until_it_is_heard_of,
        calls.test_an_invite_that_nobody_answers_ends_with_timer_b,
        calls.test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up,
        calls.test_over_tcp_nothing_is_repeated_and_the_dialog_keeps_its_connection,
        calls.test_a_connection_that_breaks_while_it_rings_ends_the_call_and_a_new_one_carries_the_cancel,
        calls.test_stopping_hangs_up_what_is_left,
        hosts.test_a_host_that_is_not_there_is_passed_over_with_the_same_call,
        hosts.test_a_silent_host_is_left_and_whoever_answers_there_late_is_hung_up,
        within.test_our_answer_to_a_reinvite_is_repeated_until_its_ack,
        watching.test_a_trunk_that_goes_and_comes_back,
    ],
)
def test_on_uvloop(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
