"""RFC 8785: the number examples of its appendix B and the sorting example of section 3.2.3."""

import pytest

from auditor.core.canonical import canonical_json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-5e-324, "-5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"),
        (333333333.3333332, "333333333.3333332"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert canonical_json(value).decode() == text


def test_keys_sort_by_utf16_code_units() -> None:
    value = {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7}
    keys = ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]
    written = canonical_json(value).decode()
    assert sorted(keys, key=lambda k: written.index(f"{canonical_json(k).decode()}:")) == keys


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        canonical_json(float("nan"))
