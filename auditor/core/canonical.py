"""Canonical JSON (RFC 8785) and its SHA-256: the form that is hashed and signed."""

import hashlib
import json
import math
from decimal import Decimal
from typing import Any


def canonical_json(value: Any) -> bytes:
    """RFC 8785 form of a JSON value: sorted keys, no spaces, ECMAScript numbers, UTF-8.

    Raises:
        ValueError: for a number that is not finite; write it as a string first.
    """
    return _encode(value).encode("utf-8")


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _encode(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return "[" + ",".join(map(_encode, value)) + "]"
        case dict():
            keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
            return "{" + ",".join(f"{_encode(key)}:{_encode(value[key])}" for key in keys) + "}"
    raise TypeError(f"not a JSON value: {type(value).__name__}")


def _number(value: float) -> str:
    """ECMAScript ``Number::toString``: the shortest digits that read back, exponent outside 1e-7..1e21."""
    if not math.isfinite(value):
        raise ValueError("a number that is not finite has no canonical JSON; write it as a string")
    if value == 0:
        return "0"
    parts = Decimal(repr(value)).as_tuple()
    sign = "-" if parts.sign else ""
    written = "".join(map(str, parts.digits))
    point = len(written) + int(parts.exponent)
    digits = written.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        power = point - 1
        text = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "") + f"e{'+' if power > 0 else ''}{power}"
    return sign + text
