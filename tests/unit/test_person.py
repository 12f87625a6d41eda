"""Who a contact is: limits of name, reference and fields, and what is kept of them."""

from __future__ import annotations

import pytest

from campana.domain.errors import MethodCode, MethodError
from campana.domain.person import Person, check_person, field_key, packed_fields, person_of

NAMES = ["city", "Größe", "order no.", "a-b_c.d", "x" * 64, "客户"]


@pytest.mark.parametrize("name", NAMES)
def test_a_field_may_be_called(name: str) -> None:
    assert check_person(Person(fields={f"  {name} ": "v"})).fields == {name: "v"}


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a{b", "a|b", "a}b", "a\tb", "a\nb", "a,b", "\ud800", "a\x00b"])
def test_a_field_may_not_be_called(name: str) -> None:
    with pytest.raises(MethodError) as caught:
        check_person(Person(fields={name: "v"}))
    assert (caught.value.code, caught.value.field) == (MethodCode.INVALID_CONTACT, "Fields")


@pytest.mark.parametrize(
    ("person", "field"),
    [
        (Person(name="x" * 201), "Name"),
        (Person(name="a\x00"), "Name"),
        (Person(reference="x" * 201), "Reference"),
        (Person(reference="\ud800"), "Reference"),
        (Person(fields={f"f{number}": "v" for number in range(101)}), "Fields"),
        (Person(fields={"f": "x" * 2_001}), "Fields"),
        (Person(fields={"f": "\udfff"}), "Fields"),
        (Person(fields={"f": "\x00"}), "Fields"),
        (Person(fields={f"f{number}": "x" * 2_000 for number in range(9)}), "Fields"),
        (Person(fields={"City": "a", "city": "b"}), "Fields"),
        (Person(fields={"order  no": "a", "order no": "b"}), "Fields"),
    ],
)
def test_a_person_over_a_limit_is_refused_by_field_and_without_the_value(person: Person, field: str) -> None:
    with pytest.raises(MethodError) as caught:
        check_person(person)
    assert (caught.value.code, caught.value.field) == (MethodCode.INVALID_CONTACT, field)
    assert "xxx" not in caught.value.sentence


def test_a_person_at_every_limit_is_kept() -> None:
    fields = {f"f{number}": "x" * 100 for number in range(100)}
    person = Person("n" * 200, "r" * 200, fields)
    assert check_person(person) == person


def test_blanks_around_and_blank_values_are_left_out() -> None:
    assert check_person(Person(" Ann ", " 7 ", {"a": " ", "b": "", "c": " v "})) == Person("Ann", "7", {"c": " v "})


@pytest.mark.parametrize("name", ["Order  No", "order no", "ORDER NO"])
def test_a_field_is_found_however_its_name_is_written(name: str) -> None:
    assert field_key(name) == "order no"


@pytest.mark.parametrize("person", [Person(), Person("Ann"), Person("", "7", {"a": "ä"})])
def test_a_person_comes_back_as_it_was_kept(person: Person) -> None:
    kept = person_of(person.name or None, person.reference or None, packed_fields(person.fields))
    assert kept == person


def test_of_whom_nothing_could_be_said_nothing_comes_back() -> None:
    assert person_of(None, None, None) is None
