"""Text as token ids: through the user's tokenizer, or ids given directly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auditor.core.errors import TargetError
from auditor.targets.code import Named, said
from auditor.targets.fields import Values

PADDING = 0


@dataclass(frozen=True)
class Tokens:
    """Token ids of all records.

    Attributes:
        ids: ``(n, tokens)`` int64, padded with id 0.
        facts: How they were made; free of data.
    """

    ids: Values
    facts: tuple[str, ...]


def tokens(raw: Values, *, tokenizer: Named | None, max_tokens: int | None, where: str) -> Tokens:
    """Token ids from text ``(n,)``, from lists of ids, or from an integer array ``(n, tokens)``.

    Raises:
        TargetError: Text without a tokenizer, a tokenizer that fails or returns no ids, or ids below 0.
    """
    facts: list[str] = []
    if raw.ndim == 2 and raw.dtype.kind in "bui":
        ids = raw.astype(np.int64)
        ids = ids[:, :max_tokens] if max_tokens else ids
    elif raw.ndim == 1 and _is_text(raw):
        rows = _tokenised(raw, tokenizer, where)
        ids = _padded(rows, max_tokens, facts)
    elif raw.ndim == 1 and raw.dtype == object:
        ids = _padded([_ids(row, where) for row in raw], max_tokens, facts)
    else:
        raise TargetError(
            f"{where}: the inputs have shape {raw.shape} and type {raw.dtype}, which is neither text nor token ids.",
            remedy="Give text with a tokenizer, lists of token ids, or an integer array (records, tokens).",
        )
    if ids.size and ids.min() < 0:
        raise TargetError(f"{where}: token ids must be 0 or more; there are negative ones.", remedy="Pad with id 0.")
    return Tokens(ids, tuple(facts))


def _is_text(raw: Values) -> bool:
    return raw.dtype.kind in "US" or (raw.dtype == object and all(isinstance(entry, str) for entry in raw))


def _tokenised(raw: Values, tokenizer: Named | None, where: str) -> list[list[int]]:
    if tokenizer is None:
        raise TargetError(
            f"{where}: the inputs are text, and no tokenizer is named.",
            remedy="Add tokenizer: FILE.py:callable, a function from one text to a list of token ids.",
        )
    function = tokenizer.load()
    rows = []
    with tokenizer.errors():
        for text in raw:
            rows.append(_ids(function(str(text)), tokenizer.where))
    return rows


def _ids(row: Any, where: str) -> list[int]:
    """One row of ids; arrays and tensors count as lists."""
    try:
        return [_id(token) for token in (row.tolist() if hasattr(row, "tolist") else row)]
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"{where}: expected a list of token ids for each text, received {type(row).__name__} ({said(error)}).",
            remedy="Return whole numbers, e.g. [12, 7, 305].",
        ) from None


def _id(token: Any) -> int:
    if isinstance(token, str) or token != int(token):
        raise ValueError("a token is no whole number")
    return int(token)


def _padded(rows: Sequence[list[int]], max_tokens: int | None, facts: list[str]) -> Values:
    longest = max((len(row) for row in rows), default=0)
    width = max(1, min(longest, max_tokens) if max_tokens else longest)
    if max_tokens and longest < max_tokens:
        width = max_tokens
    ids = np.full((len(rows), width), PADDING, dtype=np.int64)
    for target, row in zip(ids, rows, strict=True):
        target[: min(len(row), width)] = row[:width]
    cut = sum(len(row) > width for row in rows)
    facts.append(f"texts are {width} tokens long: shorter ones padded with id 0, {cut:,} of {len(rows):,} cut")
    if empty := sum(not row for row in rows):
        facts.append(f"{empty:,} texts have no token at all")
    return ids
