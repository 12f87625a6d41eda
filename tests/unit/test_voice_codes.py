"""The tables of the telephone network's codes: complete, consistent, and what a cause makes of a status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.codes import CAUSES, PROBLEMS, STATUSES, Reach, outcome_of, status_row
from campana.channels.voice.sip.problem import Problem
from campana.domain.outcome import DELIVERY_ERRORS, Class, DeliveryCode

C = DeliveryCode

RESULTS = {
    C.VOICE_BUSY: {486, 600},
    C.VOICE_NO_ANSWER: {408, 480, 487},
    C.VOICE_NUMBER_UNKNOWN: {404, 410, 484, 485, 604},
    C.VOICE_DECLINED: {603, 607, 608},
    C.VOICE_MISCONFIGURED: {401, 407},
    C.VOICE_NO_COMMON_MEDIA: {415, 488, 606},
    C.VOICE_CONGESTED: {503},
}
"""The result table; every other 3xx and 4xx is a refusal, every other 5xx the network's failure."""


def test_every_status_means_what_the_result_table_says():
    named = {status: code for code, statuses in RESULTS.items() for status in statuses}
    usual = {3: C.VOICE_REFUSED, 4: C.VOICE_REFUSED, 5: C.VOICE_UNREACHABLE}
    wanted = {status: named.get(status) or usual[status // 100] for status in STATUSES}
    assert {status: outcome_of(status, None, None, rang=False) for status in STATUSES} == wanted
    assert named.keys() <= STATUSES.keys()


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (399, C.VOICE_REFUSED),
        (499, C.VOICE_REFUSED),
        (599, C.VOICE_UNREACHABLE),
        (699, C.VOICE_DECLINED),
        (799, C.VOICE_UNREACHABLE),
    ],
)
def test_a_status_that_no_table_knows_is_judged_by_its_class(status, wanted):
    assert status not in STATUSES
    assert status_row(status).code is wanted
    assert outcome_of(status, None, None, rang=True) is wanted


RFC_3261 = [
    300,
    301,
    302,
    305,
    380,
    *range(400, 409),
    410,
    413,
    414,
    415,
    416,
    420,
    421,
    423,
    *range(480, 489),
    491,
    493,
]
RFC_3261 += [500, 501, 502, 503, 504, 505, 513, 600, 603, 604, 606]


def test_every_status_of_the_standard_has_a_row():
    assert {status for status, row in STATUSES.items() if row.source == "RFC 3261"} == set(RFC_3261)


Q850 = [
    *range(1, 10),
    14,
    *range(16, 32),
    34,
    *range(38, 45),
    46,
    47,
    49,
    50,
    53,
    55,
    57,
    58,
    62,
    63,
    65,
    66,
    69,
    70,
    79,
]
Q850 += [*range(81, 89), 90, 91, *range(95, 104), 110, 111, 127]


def test_every_cause_of_the_standard_has_a_row():
    assert sorted(CAUSES) == Q850


@pytest.mark.parametrize("row", [*STATUSES.values(), *CAUSES.values()], ids=lambda row: row.wording)
def test_a_code_is_tried_again_exactly_where_our_code_is(row):
    if row.code is None:
        assert row.reach is Reach.NONE
        assert row.kind is None
        return
    assert row.kind is DELIVERY_ERRORS[row.code].kind
    assert 300 < row.code < 400
    assert (row.kind is Class.FINAL) == (310 <= row.code < 320)


def test_causes_without_a_code_are_exactly_those_that_overrule_nothing():
    silent = {cause for cause, row in CAUSES.items() if row.reach is Reach.NONE}
    assert silent == {7, 16, 23, 26, 30, 31, 40, 102, 127}
    assert all((CAUSES[cause].code is None) == (cause in silent) for cause in CAUSES)


REFINED = [
    # status, cause, result
    (486, 1, C.VOICE_NUMBER_UNKNOWN),
    (503, 34, C.VOICE_CONGESTED),
    (500, 34, C.VOICE_CONGESTED),
    (480, 18, C.VOICE_NO_ANSWER),
    (500, 19, C.VOICE_NO_ANSWER),
    (404, 20, C.VOICE_NO_ANSWER),
    (500, 17, C.VOICE_BUSY),
    (603, 17, C.VOICE_BUSY),
    (403, 1, C.VOICE_NUMBER_UNKNOWN),
    (503, 28, C.VOICE_NUMBER_UNKNOWN),
    (480, 22, C.VOICE_NUMBER_UNKNOWN),
    (404, 5, C.VOICE_MISCONFIGURED),
    (404, 42, C.VOICE_CONGESTED),
    (480, 27, C.VOICE_UNREACHABLE),
    (480, 50, C.VOICE_REFUSED),
    (500, 88, C.VOICE_NO_COMMON_MEDIA),
    (499, 17, C.VOICE_BUSY),
    # A rejection refines what is about the person, and not a trunk's refusal or failure.
    (486, 21, C.VOICE_DECLINED),
    (480, 24, C.VOICE_DECLINED),
    (600, 21, C.VOICE_DECLINED),
    (403, 21, C.VOICE_REFUSED),
    (500, 21, C.VOICE_UNREACHABLE),
    # Trouble on the way does not bring a number into being.
    (404, 3, C.VOICE_NUMBER_UNKNOWN),
    (484, 111, C.VOICE_NUMBER_UNKNOWN),
    (503, 3, C.VOICE_UNREACHABLE),
    # Causes that say nothing of their own.
    (486, 16, C.VOICE_BUSY),
    (404, 31, C.VOICE_NUMBER_UNKNOWN),
    (408, 102, C.VOICE_NO_ANSWER),
    (504, 102, C.VOICE_UNREACHABLE),
    (403, 127, C.VOICE_REFUSED),
    # Causes that nobody knows.
    (486, 0, C.VOICE_BUSY),
    (486, 33, C.VOICE_BUSY),
    (486, -1, C.VOICE_BUSY),
    (486, 10**9, C.VOICE_BUSY),
]


@pytest.mark.parametrize(("status", "cause", "wanted"), REFINED)
def test_a_cause_refines_a_status(status, cause, wanted):
    assert outcome_of(status, cause, None, rang=False) is wanted


FIRM = [401, 407, 415, 487, 488, 604, 606, 607, 608]


def test_no_cause_overrules_what_is_about_us_the_media_or_beyond_doubt():
    assert [status for status, row in STATUSES.items() if row.firm] == FIRM
    for status in FIRM:
        for cause in CAUSES:
            assert outcome_of(status, cause, None, rang=True) is STATUSES[status].code


ENDED = [
    # problem, rang, result
    (Problem.TIMEOUT, False, C.VOICE_UNREACHABLE),
    (Problem.TIMEOUT, True, C.VOICE_NO_ANSWER),
    (Problem.NO_ANSWER, True, C.VOICE_NO_ANSWER),
    (Problem.TRANSPORT, False, C.VOICE_UNREACHABLE),
    (Problem.TRANSPORT, True, C.VOICE_UNREACHABLE),
    (Problem.AUTHENTICATION, False, C.VOICE_MISCONFIGURED),
    (Problem.NO_COMMON_MEDIA, True, C.VOICE_NO_COMMON_MEDIA),
    (Problem.WITHDRAWN, False, C.CANCELLED),
    (None, False, C.VOICE_UNREACHABLE),
    (None, True, C.VOICE_NO_ANSWER),
]


@pytest.mark.parametrize(("problem", "rang", "wanted"), ENDED)
@pytest.mark.parametrize("status", [None, 180, 200])
def test_without_a_final_response_the_problem_tells(status, problem, rang, wanted):
    assert outcome_of(status, None, problem, rang) is wanted


def test_every_problem_has_a_row():
    assert PROBLEMS.keys() == set(Problem)


@pytest.mark.parametrize(
    ("status", "wanted"), [(486, C.VOICE_BUSY), (487, C.VOICE_NO_ANSWER), (404, C.VOICE_NUMBER_UNKNOWN)]
)
def test_a_final_response_that_crosses_our_cancel_is_the_last_word(status, wanted):
    assert outcome_of(status, None, Problem.NO_ANSWER, rang=True) is wanted


@given(st.none() | st.integers(), st.none() | st.integers(), st.none() | st.sampled_from(Problem), st.booleans())
def test_whatever_comes_has_a_result_that_is_not_success(status, q850, problem, rang):
    assert outcome_of(status, q850, problem, rang) in DELIVERY_ERRORS
