"""Who sees a campaign, and which role may do what: the tables, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from services_kit import campaign

from campana.domain.campaign import Sharing
from campana.domain.errors import MethodCode, MethodError
from campana.services.access import MAY, Action, demand, sees
from campana.services.principal import Principal, Role
from campana.storage.store import AccountRow, CampaignRow, UserRow

ACCOUNT = AccountRow(1, "acme", "UTC", "ZZ", 0)
OWNER, OTHER = 7, 8


def user(number: int, role: str, name: str = "ann", *, agent: bool = False) -> Principal:
    return Principal(UserRow(number, ACCOUNT, name, role, "", 0), agent)


def row(sharing: Sharing, *names: str) -> CampaignRow:
    kept = replace(campaign("g"), sharing=sharing, shared_with=frozenset(names))
    return CampaignRow(1, ACCOUNT.number, OWNER, "api", 1, 1, "UTC", kept)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    ("number", "shared", "seen_by"),
    [
        (OWNER, row(Sharing.PRIVATE), set(Role)),
        (OWNER, row(Sharing.SOME, "bob"), set(Role)),
        (OTHER, row(Sharing.PRIVATE), {Role.ADMIN}),
        (OTHER, row(Sharing.PRIVATE, "ann"), {Role.ADMIN}),
        (OTHER, row(Sharing.ALL), set(Role)),
        (OTHER, row(Sharing.SOME, "bob", "ANN"), set(Role)),
        (OTHER, row(Sharing.SOME, "bob", "anna"), {Role.ADMIN}),
        (OTHER, row(Sharing.SOME), {Role.ADMIN}),
    ],
)
def test_who_sees_a_campaign(role: Role, number: int, shared: CampaignRow, seen_by: set[Role]) -> None:
    assert sees(user(number, role), shared) is (role in seen_by)


EVERYTHING = {
    Action.SEE,
    Action.ADD_CAMPAIGN,
    Action.CHANGE_CAMPAIGN,
    Action.DELETE_CAMPAIGN,
    Action.ADD_CONTACT,
    Action.CHANGE_CONTACT,
    Action.DELETE_CONTACT,
}


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("admin", EVERYTHING),
        ("operator", EVERYTHING),
        ("api", EVERYTHING),
        ("agent", {Action.SEE, Action.ADD_CONTACT, Action.CHANGE_CONTACT}),
        ("unheard-of", set()),
    ],
)
def test_what_a_role_may_do(role: str, may: set[Action]) -> None:
    who = user(OTHER, role)
    for action in may:
        demand(who, action)
    for action in set(Action) - may:
        with pytest.raises(MethodError, match=f"The role {role} may not {action.value}\\.") as caught:
            demand(who, action)
        assert caught.value.code is MethodCode.ACCESS_DENIED


def test_the_mark_of_an_agent_takes_nothing_from_the_role() -> None:
    for role in Role:
        for action in MAY[role]:
            demand(user(OTHER, role, agent=True), action)
