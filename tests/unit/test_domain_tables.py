"""The closed lists of the domain: statuses and how they move, outcomes, error codes of the methods."""

from __future__ import annotations

import pytest

from campana.domain.delivery import FINAL, IN_PROGRESS, WAITING, Medium, Status, may_move
from campana.domain.errors import METHOD_CODE_MEANING, MethodCode, MethodError
from campana.domain.outcome import DELIVERY_ERRORS, Class, DeliveryCode

# One line a status that it is in; columns in the order of the numbers: y where news may move it there.
#   do not try, pending, sending, delivering, success, waiting for retry, permanent failure, cancelled
MOVES = {
    Status.DO_NOT_TRY: "- - - - - - - -",
    Status.PENDING: "- - y - - - - y",
    Status.SENDING: "- y - y y y y y",
    Status.DELIVERING: "- - - - y y y y",
    Status.SUCCESS: "- - - - - - - -",
    Status.WAITING_FOR_RETRY: "- - y - y - y y",
    Status.PERMANENT_FAILURE: "- - - - - - - -",
    Status.CANCELLED: "- - - - - - - -",
}
PAIRS = [(old, new, row.split()[new] == "y") for old, row in MOVES.items() for new in Status]


@pytest.mark.parametrize(("old", "new", "expected"), PAIRS)
def test_a_status_moves_forward_only(old: Status, new: Status, expected: bool) -> None:
    assert may_move(old, new) is expected


@pytest.mark.parametrize("old", Status)
@pytest.mark.parametrize("new", Status)
def test_a_bounce_ends_a_success_and_no_attempt_under_way(old: Status, new: Status) -> None:
    ends = new is Status.PERMANENT_FAILURE and old in {Status.SUCCESS, Status.WAITING_FOR_RETRY}
    assert may_move(old, new, bounce=True) is ends


def test_every_status_is_of_one_kind() -> None:
    assert [status.value for status in Status] == list(range(8))
    assert WAITING | IN_PROGRESS | FINAL | {Status.DO_NOT_TRY} == set(Status)
    assert len(WAITING) + len(IN_PROGRESS) + len(FINAL) + 1 == len(Status)


def test_the_numbers_of_media_never_change() -> None:
    assert {medium.name: medium.value for medium in Medium} == {"SMS": 0, "VOICE": 1, "EMAIL": 2}


HUNDREDS = {"SMS": 2, "VOICE": 3, "EMAIL": 4}
CODES = [code for code in DeliveryCode if code is not DeliveryCode.OK]


@pytest.mark.parametrize("code", CODES)
def test_every_delivery_code_has_a_row_in_its_mediums_hundred(code: DeliveryCode) -> None:
    row = DELIVERY_ERRORS[code]
    assert row.code is code
    assert isinstance(row.kind, Class)
    assert row.meaning.endswith(".")
    assert row.meaning.isascii()
    assert code // 100 == HUNDREDS.get(code.name.partition("_")[0], 1)
    assert row.name.isalnum()


def test_the_table_of_outcomes_has_no_other_rows() -> None:
    assert set(DELIVERY_ERRORS) == set(CODES)
    assert len({row.meaning for row in DELIVERY_ERRORS.values()}) == len(CODES), "two rows say the same"
    assert len({row.name for row in DELIVERY_ERRORS.values()}) == len(CODES)


METHOD_CODES = {
    0: "Success",
    1: "InvalidSession",
    2: "InvalidCredentials",
    3: "AccessDenied",
    4: "TooManyAttempts",
    10: "CampaignNotFound",
    11: "CampaignAlreadyExists",
    12: "InvalidCampaign",
    13: "CampaignEnded",
    20: "ContactNotFound",
    21: "ContactAlreadyExists",
    22: "InvalidContact",
    23: "ContactInProgress",
    24: "AddingContactsNotAllowed",
    25: "RequiredMediumMissing",
    30: "LimitExceeded",
    31: "RateLimited",
    40: "NotFound",
    41: "AlreadyExists",
    42: "InvalidRequest",
    43: "VersionMismatch",
    44: "IdempotencyConflict",
    90: "ServiceUnavailable",
    99: "InternalError",
}


def test_the_codes_of_the_methods_are_the_published_ones() -> None:
    assert {code.value: code.title for code in MethodCode} == METHOD_CODES
    assert set(METHOD_CODE_MEANING) == set(MethodCode)
    assert all(sentence.endswith(".") and sentence.isascii() for sentence in METHOD_CODE_MEANING.values())


def test_an_error_speaks_for_itself() -> None:
    plain = MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
    assert plain.field is None
    assert str(plain) == f"10 CampaignNotFound; {METHOD_CODE_MEANING[MethodCode.CAMPAIGN_NOT_FOUND]}"
    exact = MethodError(MethodCode.INVALID_CAMPAIGN, "ShortName must not be blank.", field="ShortName")
    assert (exact.code, exact.field, str(exact)) == (
        MethodCode.INVALID_CAMPAIGN,
        "ShortName",
        "12 InvalidCampaign; ShortName must not be blank.",
    )
