"""How numbers are dialled and callers named, and that nothing but that gets onto the wire."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sipmessage import Address

from campana.channels.voice.numbers import LONGEST_NAME, dialled, origination
from campana.channels.voice.settings import VoiceRouteSettings


def settings(**changed: object) -> VoiceRouteSettings:
    return VoiceRouteSettings.model_validate({"name": "trunk", "url": "sip:trunk.test", **changed})


UK = {"country_code": "44", "number_format": "national"}

DIALLED = [
    ("E.164", {}, "+441632960123", "+441632960123"),
    ("digits", {"number_format": "digits"}, "+441632960123", "441632960123"),
    ("national, of the country", UK, "+441632960123", "01632960123"),
    ("national, of another", UK, "+12025550100", "0012025550100"),
    ("America, of the country", UK | {"country_code": "1", "national_prefix": "1"}, "+12025550100", "12025550100"),
    ("America, of another", UK | {"country_code": "1", "international_prefix": "011"}, "+4416329601",
        "0114416329601"),
    ("no prefix at all", UK | {"country_code": "34", "national_prefix": ""}, "+34910000000", "910000000"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "number", "wanted"), [row[1:] for row in DIALLED], ids=[row[0] for row in DIALLED])
def test_a_number_is_dialled_as_the_trunk_wants_it(changed, number, wanted):
    assert dialled(number, settings(**changed)) == wanted


@pytest.mark.parametrize("number", ["", "+", "nobody"])
def test_what_is_no_number_is_not_dialled(number):
    with pytest.raises(ValueError, match="destination"):
        dialled(number, settings())


CALLING = [
    ("E.164", {}, "+12025550100", "+12025550100"),
    ("as people write it", {}, " +1 (202) 555-0100 ", "+12025550100"),
    ("with a trunk zero", {}, "+44 (0)1632 960123", "+441632960123"),
    ("00 for +", {}, "0044 1632 960123", "+441632960123"),
    ("wide digits", {}, "＋４４１６３２９６０１２３", "+441632960123"),
    ("a URI", {}, "sip:+441632960123@pbx.test;user=phone", "+441632960123"),
    ("tel", {}, "tel:+44-1632-960123", "+441632960123"),
    ("without +, as given", {}, "01632/960 123", "01632960123"),
    ("an extension", {}, "*21#", "*21%23"),
    ("a name", {}, "front_desk-1.x", "front_desk-1.x"),
    ("a name with what may not be", {}, 'front desk"<>\r\n;x', "frontdesk"),
    ("digits, like dialled", {"number_format": "digits"}, "+12025550100", "12025550100"),
    ("national, like dialled", UK, "+441632960123", "01632960123"),
    ("in a form of its own", UK | {"caller_format": "e164"}, "+441632960123", "+441632960123"),
    ("digits of its own", {"caller_format": "digits"}, "+441632960123", "441632960123"),
    ("as given with +", UK | {"caller_format": "as given"}, "+44 1632", "+441632"),
    ("as given with 00", UK | {"caller_format": "as given"}, "0044 1632", "00441632"),
]


@pytest.mark.parametrize(("changed", "number", "wanted"), [row[1:] for row in CALLING], ids=[row[0] for row in CALLING])
def test_the_calling_number_is_what_the_client_means(changed, number, wanted):
    assert origination("", number, settings(**changed), "trunk.test").from_header == f"<sip:{wanted}@trunk.test>"


FALLING_BACK = [
    ("the campaign's", {"caller_number": "+4412", "username": "acme"}, "+4411", "<sip:+4411@trunk.test>"),
    ("the route's", {"caller_number": "+4412", "username": "acme"}, " ", "<sip:+4412@trunk.test>"),
    ("the account", {"username": "acme"}, "", "<sip:acme@trunk.test>"),
    ("of an account with a realm", {"username": "acme@realm"}, "", "<sip:acme@trunk.test>"),
    ("nothing but signs", {"username": "acme"}, "+()-", "<sip:acme@trunk.test>"),
    ("nobody", {}, "", '"Anonymous" <sip:anonymous@anonymous.invalid>'),
    ("nobody with a name", {"caller_name": "Acme"}, "", '"Acme" <sip:anonymous@anonymous.invalid>'),
]


@pytest.mark.parametrize(
    ("changed", "number", "wanted"), [row[1:] for row in FALLING_BACK], ids=[row[0] for row in FALLING_BACK]
)
def test_without_a_number_the_next_one_is_taken(changed, number, wanted):
    assert origination("", number, settings(**changed), "trunk.test").from_header == wanted


NAMES = [
    ("plain", "Acme Ltd", '"Acme Ltd" '),
    ("none", "", ""),
    ("only spaces", " \t\u3000 ", ""),
    ("quotes and strokes", 'The "best" \\ one', '"The \\"best\\" \\\\ one" '),
    ("a header of its own", 'Acme"\r\nX-Evil: 1', '"Acme\\" X-Evil: 1" '),
    ("no letters of ASCII", "Zürich 東京 عربي", '"Zürich 東京 عربي" '),
    ("controls", "A\0c\x1bm\x7fe\x85", '"Acme" '),
    ("other ends of lines", "A\u2028c\u2029m\x0be", '"A c me" '),
    ("turned around", "\u202eemcA\u2066", '"emcA" '),
    ("half a character", "A\ud800c", '"Ac" '),
    ("joined letters", "نامه\u200cای", '"نامه\u200cای" '),
    ("too long", "x" * 500, f'"{"x" * LONGEST_NAME}" '),
]


@pytest.mark.parametrize(("name", "wanted"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_a_name_is_quoted_and_has_one_line(name, wanted):
    assert origination(name, "+4411", settings(), "trunk.test").from_header == f"{wanted}<sip:+4411@trunk.test>"


def test_the_routes_name_is_taken_where_the_campaign_has_none():
    route = settings(caller_name="Acme")
    assert origination(" ", "+4411", route, "t.test").from_header == '"Acme" <sip:+4411@t.test>'
    assert origination("Own", "+4411", route, "t.test").from_header == '"Own" <sip:+4411@t.test>'


ADDRESS = '"Acme" <sip:+4411@trunk.test>'


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ((), ()),
        (None, (("P-Asserted-Identity", ADDRESS),)),
        (("P-Preferred-Identity",), (("P-Preferred-Identity", ADDRESS),)),
        (("Remote-Party-ID",), (("Remote-Party-ID", ADDRESS + ";party=calling;privacy=off;screen=no"),)),
        (
            ("P-Asserted-Identity", "Remote-Party-ID"),
            (
                ("P-Asserted-Identity", ADDRESS),
                ("Remote-Party-ID", ADDRESS + ";party=calling;privacy=off;screen=no"),
            ),
        ),
    ],
)
def test_identity_is_told_in_the_headers_of_the_route(headers, wanted):
    route = settings() if headers is None else settings(identity=headers)
    assert origination("Acme", "+4411", route, "trunk.test").identity == wanted


def test_a_caller_that_is_nobody_asserts_no_identity():
    assert origination("Acme", "", settings(), "trunk.test").identity == ()


@pytest.mark.parametrize(
    ("changed", "host", "wanted"),
    [
        ({}, "192.0.2.1", "192.0.2.1"),
        ({}, "2001:db8::1", "[2001:db8::1]"),
        ({"from_domain": "acme.test"}, "192.0.2.1", "acme.test"),
        ({"from_domain": "[2001:db8::2]"}, "192.0.2.1", "[2001:db8::2]"),
        ({"from_domain": "2001:db8::2"}, "192.0.2.1", "[2001:db8::2]"),
        ({"from_domain": "acme.test:5070"}, "192.0.2.1", "acme.test:5070"),
    ],
)
def test_the_domain_is_the_routes_or_else_the_trunks_host(changed, host, wanted):
    assert origination("", "+4411", settings(**changed), host).from_header == f"<sip:+4411@{wanted}>"


_hostile = st.text() | st.text('"\\<>\r\n\0;,@:%#*+ 0123456789aé\u2028\ud800', max_size=400)


@given(_hostile, _hostile, st.sampled_from(["same", "e164", "digits", "national", "as given"]))
def test_whatever_comes_the_headers_are_one_address_of_one_line(name, number, form):
    made = origination(name, number, settings(caller_format=form, country_code="44"), "trunk.test")
    for value in (made.from_header, *(value for _, value in made.identity)):
        value.encode("utf-8")
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", value)
        address = Address.parse(value)
        assert not address.parameters
        assert address.uri.host in ("trunk.test", "anonymous.invalid")
        assert re.fullmatch(r"[0-9+*#A-Za-z._-]+", address.uri.user or "")
        assert "#" not in value.rpartition("<")[2]
        assert len(address.name or "") <= LONGEST_NAME


@given(_hostile)
def test_whatever_comes_only_digits_are_dialled(number):
    try:
        assert re.fullmatch(r"\+[0-9]+", dialled(number, settings()))
    except ValueError:
        assert not re.search("[0-9]", number)
