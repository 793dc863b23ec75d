"""Fingerprints of a user's data: enough to recognise a record in an exported file, not enough to read it.

Four kinds, all keyed with a salt that stays in the restricted folder:

* **numbers**: hashes of runs of consecutive values of a record. A run grows until it holds enough digits to be no
  coincidence; a long record is sampled at places spread over it, so that a copied record always contains one.
* **words**: hashes of five consecutive words of a text, or of a whole shorter text.
* **names**: hashes of record identifiers.
* **images**: difference hashes (8 × 8 gradients of the grey image), compared by Hamming distance.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEMA = "auditor.fingerprints/1"
PRECISIONS = ((3, 12), (6, 15))
DISTINCT = 4
LONGEST = 64
SHORT_RECORD = 64
STARTS_IN_LONG_RECORD = 16
SHINGLE = 5
SHORT_TEXT = 16
SHORT_NAME = 4
NEAR = 8

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Fingerprints:
    """What :func:`fingerprints` wrote, ready to compare with."""

    salt: bytes
    numbers: frozenset[int]
    words: frozenset[int]
    names: frozenset[int]
    images: Hashes

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Fingerprints":
        """Read the restricted file.

        Raises:
            ValueError: for another schema or a damaged field.
        """
        if value.get("schema") != SCHEMA:
            raise ValueError(f"not {SCHEMA!r}")
        try:
            sets = {kind: _unpacked(str(value[kind])) for kind in ("numbers", "words", "names", "images")}
            salt = bytes.fromhex(str(value["salt"]))
        except KeyError as error:
            raise ValueError(f"the field {error} is missing") from None
        numbers, words, names = (frozenset(sets[kind].tolist()) for kind in ("numbers", "words", "names"))
        return cls(salt, numbers, words, names, sets["images"])


def fingerprints(
    arrays: Mapping[str, NDArray[Any]], texts: Sequence[str] = (), *, names: Sequence[str] = (), salt: bytes
) -> dict[str, Any]:
    """Fingerprints of records, as a JSON value for ``restricted/fingerprints.json``.

    Args:
        arrays: Records by name, first axis the record: ``(n, features)``, ``(n, channels, height, width)`` or
            ``(n, height, width)``. Pass values as they stand in the user's file, and scaled ones too where both exist.
        texts: Raw texts and text cells.
        names: Record identifiers, file names included.
        salt: At least 16 random bytes.
    """
    if len(salt) < 16:
        raise ValueError("the salt must have at least 16 bytes")
    numbers: set[int] = set()
    images: list[int] = []
    for array in arrays.values():
        for record in array:
            values = np.asarray(record, dtype=np.float64).ravel().tolist()
            numbers.update(run_hashes(values, salt, starts=_starts(len(values))))
        images += [difference_hash(image) for image in _images(np.asarray(array))]
    return {
        "schema": SCHEMA,
        "salt": salt.hex(),
        "records": sum(len(array) for array in arrays.values()) + len(texts),
        "numbers": _packed(numbers),
        "words": _packed({h for text in texts for h in word_hashes(text, salt)}),
        "names": _packed({h for name in names for h in name_hashes(name, salt)}),
        "images": _packed(set(images)),
    }


def run_hashes(values: Sequence[float], salt: bytes, *, starts: Sequence[int] | None = None) -> Iterator[int]:
    """Hashes of the runs of consecutive values that begin at ``starts`` (everywhere by default), at both precisions."""
    chosen = range(len(values)) if starts is None else starts
    for precision, needed in PRECISIONS:
        rounded = cache(partial(_rounded, precision=precision))
        for start in chosen:
            run = _run(values[start : start + LONGEST], rounded, needed)
            if len(set(run)) >= min(DISTINCT, needed // precision):
                yield keyed(f"n{precision}:" + " ".join(run), salt)


def _run(values: Sequence[float], rounded: Callable[[float], tuple[str, int]], needed: int) -> list[str]:
    """The shortest run from the first value on that holds enough digits; empty where there is none."""
    digits = 0
    run: list[str] = []
    for value in values:
        token, told = rounded(value)
        run.append(token)
        digits += told
        if digits >= needed:
            return run
    return []


def _starts(length: int) -> Sequence[int]:
    """Every place of a short record; of a long one, places spread over it, since a copied record holds them all."""
    if length <= SHORT_RECORD:
        return range(length)
    return [int(place) for place in np.linspace(0, max(0, length - LONGEST), STARTS_IN_LONG_RECORD)]


def word_hashes(text: str, salt: bytes) -> Iterator[int]:
    """Hashes of five consecutive words; of the whole text where it is shorter but not trivial."""
    words = re.findall(r"\w+", text.casefold())
    if len(words) >= SHINGLE:
        for start in range(len(words) - SHINGLE + 1):
            yield keyed("w:" + " ".join(words[start : start + SHINGLE]), salt)
    elif len(words) > 1 and len(text.strip()) >= SHORT_TEXT:
        yield keyed("w:" + " ".join(words), salt)


def name_hashes(name: str, salt: bytes) -> Iterator[int]:
    """Hashes of an identifier: as it is, and without its folder and ending. Short ones say nothing."""
    name = name.strip()
    stem = re.sub(r"^.*[/\\]", "", name)
    for form in dict.fromkeys((name, stem, re.sub(r"\.\w{1,5}$", "", stem))):
        if len(form) >= SHORT_NAME and not form.isalpha():
            yield keyed("i:" + form, salt)


def keyed(text: str, salt: bytes) -> int:
    """64 bits of HMAC-SHA-256."""
    return int.from_bytes(hmac.new(salt, text.encode("utf-8"), hashlib.sha256).digest()[:8], "big")


def difference_hash(image: NDArray[Any]) -> int:
    """64 bits: is each of 8 × 8 grey cells darker than its right neighbour. ``image`` is ``(height, width)``."""
    cells = _resized(np.asarray(image, dtype=np.float64), 8, 9)
    bits = (cells[:, 1:] > cells[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def nearest(image_hash: int, known: Hashes) -> int:
    """The smallest Hamming distance to the known hashes; 64 where there are none."""
    if not len(known):
        return 64
    return int(np.bitwise_count(known ^ np.uint64(image_hash)).min())


def _resized(grey: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Means over equal areas; small images are repeated first."""
    height, width = grey.shape
    grey = np.repeat(np.repeat(grey, -(-rows * 4 // height), axis=0), -(-columns * 4 // width), axis=1)
    row_edges = np.linspace(0, grey.shape[0], rows + 1).astype(int)
    column_edges = np.linspace(0, grey.shape[1], columns + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(grey, row_edges[:-1], axis=0), column_edges[:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(row_edges), np.diff(column_edges)))


def _images(array: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Grey images of an array of records; nothing where the records are no images."""
    match array.ndim:
        case 4 if array.shape[1] in (1, 3, 4):
            yield from array[:, :3].mean(axis=1)
        case 4 if array.shape[3] in (1, 3, 4):
            yield from array[..., :3].mean(axis=3)
        case 3 if min(array.shape[1:]) >= 6:
            yield from array.astype(np.float64)


def _rounded(value: float, precision: int) -> tuple[str, int]:
    """A value at ``precision`` significant digits, with the number of digits that tell something."""
    if value != value or value in (float("inf"), float("-inf")):
        return "x", 0
    text = f"{value:.{precision - 1}e}"
    digits = len(text.partition("e")[0].replace("-", "").replace(".", "").strip("0"))
    return (text if digits else "0"), digits


def _packed(hashes: Iterable[int]) -> str:
    return base64.b64encode(np.array(sorted(hashes), dtype=">u8").tobytes()).decode()


def _unpacked(text: str) -> Hashes:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=">u8").astype(np.uint64)
