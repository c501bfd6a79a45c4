"""Amounts: canonical text, exact arithmetic, clear refusals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.errors import Invalid
from knarr_api.quantity import Quantity

SUFFIXES = {"": 1, "m": Fraction(1, 1000), "k": 1000, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0Mi", "0"),
        ("1", "1"),
        ("+1", "1"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("-500m", "-500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1.5Ki", "1536"),
        ("1000k", "1M"),
        ("128974848", "128974848"),
        ("123Mi", "123Mi"),
        ("129e6", "129e6"),
        ("12E2", "1200"),
        ("1e3", "1e3"),
        ("1E", "1E"),
        ("1Ei", "1Ei"),
        ("0.0000000001", "1n"),
        ("-0.0000000001", "-1n"),
        ("1e30", "9223372036854775807"),
        ("9999999999999999999Ki", "9223372036854775807"),
    ],
)
def test_text_is_canonical(text: str, canonical: str) -> None:
    assert str(Quantity(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", ".", "abc", "1mm", "1 ", " 1", "--1", "1e", "1Kb", "٣", "1_000", "0x10", "1" * 200, "NaN", "-", "Mi"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="quantities must match the regular expression"):
        Quantity(text)


def test_numbers_count_as_their_text() -> None:
    assert str(Quantity(0.1)) == "100m"
    assert str(Quantity(2)) == "2"
    assert Quantity(Quantity("1Gi")) == Quantity("1024Mi")
    with pytest.raises(Invalid):
        Quantity(True)
    with pytest.raises(Invalid):
        Quantity(float("nan"))


def test_parts_are_rounded_up() -> None:
    assert (Quantity("1").milli(), Quantity("1u").milli(), Quantity("1500m").value()) == (1000, 1, 2)
    assert (Quantity("-1500m").value(), Quantity("1Mi").value()) == (-1, 2**20)


def test_sums_keep_the_way_of_writing() -> None:
    assert str(Quantity("1Gi") + Quantity("512Mi")) == "1536Mi"
    assert str(Quantity("900m") + Quantity("100m")) == "1"
    assert str(Quantity("1") - Quantity("1500m")) == "-500m"
    assert str(-Quantity("2Ki")) == "-2Ki"
    assert not Quantity("1") - Quantity("1000m")


def test_quantities_dont_change() -> None:
    with pytest.raises(AttributeError):
        Quantity("1")._nanos = 3  # type: ignore[misc]


@given(whole=st.integers(-(10**9), 10**9), fraction=st.integers(0, 999_999), suffix=st.sampled_from(sorted(SUFFIXES)))
def test_canonical_text_means_the_same(whole: int, fraction: int, suffix: str) -> None:
    quantity = Quantity(f"{whole}.{fraction:06d}{suffix}")
    assert Quantity(str(quantity)) == quantity
    assert str(Quantity(str(quantity))) == str(quantity)
    sign = -1 if whole < 0 else 1
    exact = (Fraction(abs(whole)) + Fraction(fraction, 10**6)) * SUFFIXES[suffix]
    assert abs(Fraction(quantity.nanos(), 10**9)) == Fraction(-(-exact * 10**9 // 1), 10**9)
    assert quantity.nanos() == 0 or (quantity.nanos() > 0) == (sign > 0)


@given(st.lists(st.sampled_from(["1", "1000m", "1Gi", "1G", "999m", "-1", "0", "1e3", "1k"]), min_size=2))
def test_order_and_hash_follow_the_amount(texts: list[str]) -> None:
    quantities = sorted(Quantity(text) for text in texts)
    amounts = [quantity.nanos() for quantity in quantities]
    assert amounts == sorted(amounts)
    assert len(set(quantities)) == len(set(amounts))


@given(st.text(max_size=30))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    try:
        quantity = Quantity(text)
    except Invalid:
        return
    assert Quantity(str(quantity)) == quantity
