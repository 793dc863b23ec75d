from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.policy.words import count, listed, number, one_in, percent, quantity, sentence


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.123456, "12.3 %"), (0.05, "5 %"), (0.0, "0 %"), (1.0, "100 %"), (0.00123, "0.12 %"), (0.999, "99.9 %")],
)
def test_percent(rate, text):
    assert percent(rate) == text


def test_ends_of_an_interval_are_never_rounded_inwards():
    assert percent(0.01239, towards="down") == "1.2 %"
    assert percent(0.01231, towards="up") == "1.3 %"


def test_a_rate_beside_a_limit_never_reads_as_the_limit():
    assert percent(0.050001, towards="down", apart_from=0.05) == "5.0001 %"
    assert percent(0.05, apart_from=0.05) == "5 %"
    assert percent(0.0496, towards="up", apart_from=0.05) == "4.96 %"


@pytest.mark.parametrize(
    ("rate", "text"), [(0.01, "1 in 100"), (0.001, "1 in 1,000"), (0.005, "5 in 1,000"), (0.5, "5 in 10")]
)
def test_one_in_where_it_is_exact(rate, text):
    assert one_in(rate) == text


@given(st.floats(0, 1), st.floats(0, 1))
def test_words_of_an_interval_hold_the_figure_and_stay_on_the_same_side_of_the_limit(rate, limit):
    down, up = (_read(percent(rate, towards=way, apart_from=limit)) for way in ("down", "up"))
    assert down <= 100 * Decimal(repr(rate)) <= up
    if rate != limit:
        assert 100 * Decimal(repr(limit)) not in (down, up)


def _read(text):
    return Decimal(text.removesuffix(" %").replace(",", ""))


def test_one_in_falls_back_to_a_percentage():
    assert one_in(1 / 3) == "33.3 %"
    assert one_in(0) == "0 %"


def test_numbers():
    assert number(float("inf")) == "infinite"
    assert number(12345.6) == "12,346"
    assert number(0.000331) == "0.00033"
    assert number(-3.24) == "-3.2"
    assert quantity(24.31, "dB") == "24.3 dB"
    assert quantity(7, "count") == "7"
    assert (quantity(3.4, "count", towards="down"), quantity(20.1, "count", towards="up")) == ("3", "21")


def test_small_helpers():
    assert count(1, "record") == "1 record"
    assert count(1200, "record") == "1,200 records"
    assert count(2, "person", "people") == "2 people"
    assert listed([]) == ""
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert sentence("it is so") == "It is so."
    assert sentence("") == ""
