"""Figures in plain words. Rates are fractions everywhere else; only here do they become percentages."""

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

_BASES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_ROUNDINGS = {"nearest": ROUND_HALF_EVEN, "down": ROUND_FLOOR, "up": ROUND_CEILING}


def percent(rate: float, *, towards: str = "nearest", apart_from: float | None = None) -> str:
    """A fraction as a percentage, e.g. ``12.3 %``.

    Args:
        rate: Fraction.
        towards: ``nearest``, or ``down`` and ``up`` for the ends of an interval, so that no rounding narrows it.
        apart_from: A limit. Digits are added until a rate that differs from it also reads differently.
    """
    limit = None if apart_from is None else 100 * _exact(apart_from)
    return f"{_rounded(100 * _exact(rate), towards=towards, apart_from=limit)} %"


def number(value: float, *, towards: str = "nearest", apart_from: float | None = None) -> str:
    """A figure without unit, three significant digits or as many as keep it apart from a limit."""
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinity"
    return _rounded(_exact(value), towards=towards, apart_from=None if apart_from is None else _exact(apart_from))


def two_decimals(value: float, *, towards: str = "nearest", apart_from: float | None = None) -> str:
    """An epsilon as tables print it: two decimals from 1 on, so that a sentence and a table agree."""
    if math.isinf(value) or abs(value) < 1:
        return number(value, towards=towards, apart_from=apart_from)
    shown = _exact(value).quantize(Decimal("0.01"), rounding=_ROUNDINGS[towards])
    if apart_from is not None and shown == _exact(apart_from) != _exact(value):
        return number(value, towards=towards, apart_from=apart_from)
    return f"{shown:,f}"


def one_in(rate: float) -> str:
    """A fraction as ``1 in 100`` where that is exact, as a percentage otherwise."""
    for base in _BASES:
        count = rate * base
        if count >= 1 and math.isclose(count, round(count), rel_tol=1e-9):
            return f"{round(count):,} in {base:,}"
    return percent(rate)


def quantity(value: float, unit: str, *, towards: str = "nearest", apart_from: float | None = None) -> str:
    """A value in its unit: fractions as percentages, ``dB`` and ``nats`` with the unit behind."""
    if unit == "fraction":
        return percent(value, towards=towards, apart_from=apart_from)
    if unit == "count" and towards != "nearest" and math.isfinite(value):
        value = math.floor(value) if towards == "down" else math.ceil(value)
    text = number(value, towards=towards, apart_from=apart_from)
    return text if unit in {"1", "count", ""} else f"{text} {unit}"


def count(number_of: int, singular: str, plural: str = "") -> str:
    """``1 record``, ``1,200 records``."""
    return f"{number_of:,} {singular if number_of == 1 else plural or singular + 's'}"


def listed(parts: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    words = list(parts)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def clauses(reasons: Iterable[str]) -> str:
    """Reasons of an attack as clauses after ``because``; one that says what the attack ``is for`` gets its subject."""
    said = (reason.strip().rstrip(".") for reason in reasons if reason.strip())
    return "; ".join(f"it {reason}" if reason.startswith("is ") else reason for reason in said)


def sentence(text: str) -> str:
    """``text`` with a capital and a full stop."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _exact(value: float) -> Decimal:
    """The decimal that is written, not the binary fraction behind it."""
    return Decimal(repr(float(value)))


def _rounded(exact: Decimal, *, towards: str, apart_from: Decimal | None) -> str:
    if exact == 0:
        return "0"
    for digits in range(3, 20):
        rounded = _digits(exact, digits=digits, towards=towards)
        if rounded != apart_from or exact == apart_from:
            break
    return f"{rounded:,f}"


def _digits(exact: Decimal, *, digits: int, towards: str) -> Decimal:
    """``exact`` to ``digits`` significant digits, but never more than one decimal from 1 on at three digits."""
    last = exact.adjusted() - digits + 1
    if digits == 3 and exact.adjusted() >= 0:
        last = max(last, -1)
    if digits == 3 and exact.adjusted() < 0:
        last += 1
    rounded = exact.quantize(Decimal(1).scaleb(min(last, 0)), rounding=_ROUNDINGS[towards])
    return rounded.to_integral_value() if rounded == rounded.to_integral_value() else rounded.normalize()
