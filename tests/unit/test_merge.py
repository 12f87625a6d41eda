"""Merge fields: what is one and what is text, what takes their places, and that it costs one pass."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.domain.person import Person
from campana.domain.text.merge import Unmergeable, parse_template, values_of

ANN = values_of(Person("Ann Lee", "A-7", {"City": "Köln", "order no": "12", "a.b-c_d": "x", "größe": "L"}))


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("Hi {{city}}!", "Hi Köln!"),
        ("{{ CITY }}{{\tcity\n}}", "KölnKöln"),
        ("{{order no}} {{Order  No}}", "12 12"),
        ("{{a.b-c_d}}{{GRÖSSE|?}}{{Größe}}", "x?L".replace("?", "L")),
        ("{{missing|customer}}", "customer"),
        ("{{missing|}}", ""),
        ("{{ missing | two | words }}", " two | words "),
        ("{{city|x}}", "Köln"),
        ("{{fullname}} {{name}} {{externalRefNo}} {{reference}}", "Ann Lee Ann Lee A-7 A-7"),
        ("{{!city}} is written {{city}}", "{{city}} is written Köln"),
        ("{{!", "{{"),
        ("{{{city}}}", "{Köln}"),
    ],
)
def test_a_field_takes_its_place(text: str, merged: str) -> None:
    template = parse_template(text)
    assert template is not None
    assert template.merge(ANN, 1_000) == merged


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello",
        "{city}",
        "{{}}",
        "{{ }}",
        "{{|x}}",
        "{{city}",
        "{{city",
        "{{a,b}}",
        "{{a{b}}",
        "{{city|a{b}}",
        "{{ {{ }} }}",
        "{{a\nb}}",
        "{{" + "x" * 65 + "}}",
        "}}{{",
        "{ {city} }",
    ],
)
def test_everything_else_in_braces_is_text(text: str) -> None:
    assert parse_template(text) is None


def test_what_a_value_says_is_not_merged_again() -> None:
    template = parse_template("{{a}}{{b|{x}}}")
    assert template is not None
    assert template.merge({"a": "{{a}}"}, 100) == "{{a}}{{b|{x}}}"


def test_a_field_of_ones_own_takes_the_name_of_one_that_is_built_in() -> None:
    assert values_of(Person("Ann", "7", {"Name": "A.", "ExternalRefNo": "8"})) == {
        "fullname": "Ann",
        "name": "A.",
        "reference": "7",
        "externalrefno": "8",
    }


def test_what_is_required_and_missing_is_named() -> None:
    template = parse_template("{{City}} {{missing}} {{other|x}} {{missing|x}}")
    assert template is not None
    assert template.required == {"city", "missing"}
    with pytest.raises(Unmergeable, match="missing"):
        template.merge(ANN, 1_000)


def test_a_merged_text_is_bounded() -> None:
    template = parse_template("{{a}}" * 1_000)
    assert template is not None
    assert len(template.merge({"a": "x" * 10}, 10_000)) == 10_000
    with pytest.raises(Unmergeable, match="9999 characters"):
        template.merge({"a": "x" * 10}, 9_999)


def test_values_are_quoted_and_defaults_are_not() -> None:
    template = parse_template("{{a}}{{b|<b>}}")
    assert template is not None
    assert template.merge({"a": "<a>"}, 100, lambda value: value.replace("<", "&lt;")) == "&lt;a><b>"


@pytest.mark.parametrize("hostile", ["{{a ", "{{a|", "{{ ", "{", "{{a}", "{{a  b", "{{!", "{{a" + " " * 50])
def test_reading_takes_time_as_the_length_alone(hostile: str) -> None:
    """A hundred times as long, and far from ten thousand times as slow."""

    def seconds(text: str) -> float:
        best = 1.0
        for _ in range(3):
            began = time.perf_counter()
            parse_template(text)
            best = min(best, time.perf_counter() - began)
        return best

    short, long = hostile * (4_000 // len(hostile)), hostile * (400_000 // len(hostile))
    assert seconds(long) < 1_000 * seconds(short) + 0.1


@given(st.text(st.sampled_from("{}|! ab\n"), max_size=60))
def test_any_text_is_read_and_without_fields_is_what_it_was(text: str) -> None:
    template = parse_template(text)
    if template is not None:
        assert len(template.pieces) == len(template.slots) + 1
        values = {slot.key: "v" for slot in template.slots}
        assert template.merge(values, 10_000) == "v".join(template.pieces)
