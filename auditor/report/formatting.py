"""Every number of the report is written by the functions of this module, so that each can be traced to the results."""

import math
import re
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from auditor.core.measurement import Interval, Measurement

NARROW = "\u202f"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Rounding(StrEnum):
    """Which way to round: the ends of an interval never round inwards."""

    NEAREST = ROUND_HALF_EVEN
    DOWN = ROUND_FLOOR
    UP = ROUND_CEILING


def number(value: float, *, decimals: int | None = None, rounding: Rounding = Rounding.NEAREST) -> str:
    """A plain number: ``12 000``, ``3.88``, ``1 × 10⁻⁵``, ``∞``. Trailing zeros go unless ``decimals`` is given."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and decimals is None and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", NARROW).replace("-", "−")
    if abs(value) >= 1e15 or (value != 0 and abs(value) < 1e-3 and decimals is None):
        return _scientific(value, rounding)
    places = decimals if decimals is not None else _places(abs(value))
    text = f"{_round(value, places, rounding):,f}".replace(",", NARROW).replace("-", "−")
    return text if decimals is not None or "." not in text else text.rstrip("0").rstrip(".")


def precise(value: float) -> str:
    """A plain number with six digits, so that what was computed from it can be computed again."""
    if not math.isfinite(value) or float(value).is_integer() or abs(value) < 1e-3 or abs(value) >= 1e6:
        return number(value)
    return f"{value:.6g}".replace("-", "−")


def percent(value: float, *, rounding: Rounding = Rounding.NEAREST) -> str:
    """A share as a percentage: ``3.2 %``, ``0.05 %``, ``100 %``."""
    if not math.isfinite(value):
        return number(value)
    hundred = _exact(value) * 100
    places = 1 if abs(hundred) >= 1 else 2
    rounded = hundred.quantize(Decimal(1).scaleb(-places), rounding=str(rounding))
    if rounded == 0 and value > 0 and rounding != Rounding.DOWN:
        return f"{number(value * 100, rounding=rounding)}{NARROW}%"
    text = f"{rounded:f}".replace("-", "−")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text}{NARROW}%"


def quantity(value: float, unit: str, *, rounding: Rounding = Rounding.NEAREST) -> str:
    """A value in the unit of a measurement."""
    match unit:
        case "fraction":
            return percent(value, rounding=rounding)
        case "1" | "":
            return number(value, decimals=3, rounding=rounding)
        case "count":
            return number(_whole(value, rounding))
        case _:
            return f"{number(value, decimals=1, rounding=rounding)}{NARROW}{unit}"


def _whole(value: float, rounding: Rounding) -> float:
    """A count of people or records is whole; an expected one below one stays as it is, for it is not none."""
    if not math.isfinite(value) or (rounding == Rounding.NEAREST and 0 < abs(value) < 1):
        return value
    return float(_round(value, 0, rounding))


def interval_ends(interval: Interval, unit: str) -> tuple[str, str]:
    """Both ends of an interval, rounded outwards."""
    return (
        quantity(interval.low, unit, rounding=Rounding.DOWN),
        quantity(interval.high, unit, rounding=Rounding.UP),
    )


def measured(measurement: Measurement) -> str:
    """The value of a measurement, or a dash where none may be claimed."""
    return "–" if measurement.value is None else quantity(measurement.value, measurement.unit)


def date(text: str) -> str:
    """``2026-11-20T09:00:12Z`` as ``20 November 2026, 09:00 UTC``; days inside other text are written out too."""
    return _DATE.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    try:
        moment = datetime.fromisoformat(found[0])
    except ValueError:
        return found[0]
    day = f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
    if found["time"] is None:
        return day
    zone = " UTC" if moment.utcoffset() is not None and not moment.utcoffset() else ""
    return f"{day}, {moment:%H:%M}{zone}"


_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}(?P<time>T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?(?![\w-])")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def short_hash(text: str) -> str:
    """The first twelve characters of a digest."""
    return text[:12]


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _round(value: float, places: int, rounding: Rounding) -> Decimal:
    return _exact(value).quantize(Decimal(1).scaleb(-places), rounding=str(rounding))


def _places(size: float) -> int:
    """Decimals that keep three digits, at least two."""
    if size >= 1:
        return 2
    return 2 + max(0, -math.floor(math.log10(size)) - 1)


def _scientific(value: float, rounding: Rounding) -> str:
    power = math.floor(math.log10(abs(value)))
    lead = _exact(value).scaleb(-power).quantize(Decimal("0.1"), rounding=str(rounding))
    text = f"{lead:f}".rstrip("0").rstrip(".").replace("-", "−")
    return f"{text}{NARROW}×{NARROW}10{str(power).translate(_SUPERSCRIPT)}"


def letters(index: int) -> str:
    """A, B … Z, AA, AB …"""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("A") + rest) + text
    return text
