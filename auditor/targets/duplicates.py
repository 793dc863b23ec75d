"""Which records are equal, and a name for a split by its content."""

import hashlib

import numpy as np

from auditor.targets.fields import Values


def record_keys(*arrays: Values) -> Values:
    """One digest a record over its entries in all arrays; shape ``(n,)``, 16 bytes each."""
    flat = [np.ascontiguousarray(array).reshape(len(array), -1) for array in arrays]
    digests = []
    for rows in zip(*flat, strict=True):
        state = hashlib.blake2b(digest_size=16)
        for row in rows:
            state.update(repr(row.tolist()).encode() if row.dtype == object else row.tobytes())
        digests.append(state.digest())
    return np.array(digests, dtype="V16")


def content_hash(keys: Values) -> str:
    """SHA-256 that names a split by the content of its records, whatever their order."""
    return hashlib.sha256(b"".join(sorted(key.tobytes() for key in keys))).hexdigest()


def first_of_each(keys: Values, rows: Values | None = None) -> Values:
    """Record numbers without repeats, in ascending order."""
    rows = np.arange(len(keys)) if rows is None else rows
    _, first = np.unique(keys[rows], return_index=True)
    kept: Values = np.sort(rows[first])
    return kept
