import datetime

import pytest

from auditor.controls.dates import applicable, leading_date, written

TODAY = datetime.date(2026, 11, 20)
ANNEXES = ("2027-12-02 (Annex III)", "2028-08-02 (Annex I)")


@pytest.mark.parametrize(
    ("applies_from", "today", "answer"),
    [
        (ANNEXES, TODAY, False),
        (ANNEXES, datetime.date(2027, 12, 1), False),
        (ANNEXES, datetime.date(2027, 12, 2), None),  # one annex now, the other later
        (ANNEXES, datetime.date(2028, 8, 2), True),
        (("2025-08-02",), TODAY, True),
        (("2026-08-02 formally; practical duty follows Sections 1-3",), TODAY, None),
        (("2026-08-02 formally; practical duty follows Sections 1-3",), datetime.date(2026, 8, 1), False),
        (("unclear: general date versus Section 3 deferral",), TODAY, None),
        ((), TODAY, None),
    ],
)
def test_applicable(applies_from, today, answer):
    assert applicable(applies_from, today) is answer


def test_dates():
    assert leading_date("2027-12-02 (Annex III)") == datetime.date(2027, 12, 2)
    assert leading_date("2027-12-021") is None
    assert written(datetime.date(2027, 12, 2)) == "2 December 2027"
    with pytest.raises(ValueError, match="month"):
        leading_date("2027-13-02")
