from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qibox.errors import UsageError
from qibox.selection.frame import Frame, make_frame, quota_text

KINDS = "risk: implicit=50% explicit=25% none=25%"


def test_columns_are_nested_in_their_order_and_each_has_its_quota() -> None:
    frame = make_frame("risk, category", [KINDS, "category: sqrt"])
    assert frame.stratify == ("risk", "category")
    assert frame.quotas() == {
        "risk": {"implicit": 50.0, "explicit": 25.0, "none": 25.0},
        "category": "sqrt",
    }


def test_a_rule_alone_holds_for_the_columns_without_a_quota() -> None:
    assert make_frame("risk,source", ["equal", KINDS]).quotas()["source"] == "equal"
    assert make_frame("risk,source").quotas() == {"risk": "proportional", "source": "proportional"}


def test_a_value_with_spaces_is_quoted_and_percentages_are_decimal() -> None:
    frame = make_frame("category", ["category: 'self harm'=33.3% a=b=33.3% fire=33.4%"])
    assert frame.quota == {"category": {"self harm": 33.3, "a=b": 33.3, "fire": 33.4}}


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(VALUES, min_size=2, max_size=2, unique=True))
def test_a_quota_reads_back_as_it_was_written(values: list[str]) -> None:
    shares = {values[0]: 12.5, values[1]: 87.5}
    text = quota_text("category", shares)
    assert make_frame("category", [text]).quota == {"category": shares}


@pytest.mark.parametrize(
    ("stratify", "quotas", "message"),
    [
        ("colour", [], "no strata by 'colour': columns are risk, category, source, severity"),
        ("risk,", [], "no strata by ''"),
        ("risk,risk", [], "the strata name 'risk' twice"),
        ("risk", ["colour: equal"], "no strata by 'colour'"),
        ("risk", ["category: equal"], "a quota on category, but the strata are by risk"),
        ("risk", [KINDS, "risk: equal"], "risk has two quotas"),
        ("risk", ["equal", "sqrt"], "quotas 'equal' and 'sqrt' are both for all columns"),
        ("risk", ["some"], "quota 'some' is no rule: rules are proportional, equal, sqrt"),
        ("risk", ["risk: some"], "quota 'some' is no rule"),
        ("risk", ["risk: "], "quota on risk is empty"),
        ("risk", ["risk: none=50% implicit"], "'implicit' is no share: write VALUE=50%"),
        ("risk", ["risk: none=-50%"], "'none=-50%' is no share"),
        ("risk", ["risk: none=50% none=50%"], "names 'none' twice"),
        ("risk", ["risk: 'none=100%"], "a quotation mark too few"),
        ("risk", ["risk: none=50% explicit=49.5%"], "on risk come to 99.5%: make them come to"),
        ("risk", ["risk: none=200%"], "on risk come to 200%: make them come to"),
    ],
)
def test_a_frame_that_cannot_be_meant_is_refused_in_one_sentence(
    stratify: str, quotas: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make_frame(stratify, quotas)
    assert "\n" not in str(caught.value)
    assert set(caught.value.fields) <= {"stratify", "quota"}


@pytest.mark.parametrize(
    "fields",
    [
        {"stratify": ()},
        {"stratify": ("risk",), "quota": {"risk": {"none": 99.0}}},
        {"stratify": ("risk",), "quota": {"risk": {"none": 101.0, "explicit": -1.0}}},
        {"stratify": ("risk",), "quota": {"category": "sqrt"}},
    ],
)
def test_a_frame_made_in_python_is_held_to_the_same(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Frame.model_validate(fields)
