"""Read a finished run: ``results.json`` and the arrays that it names by hash."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import StoreError
from auditor.core.measurement import ArrayRef
from auditor.core.results import Results

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What a report is made from.

    Attributes:
        results: The run.
        arrays: By SHA-256 of their file.
        raw: The bytes of ``results.json``; attached to the PDF as they are.
    """

    results: Results
    arrays: dict[str, Array]
    raw: bytes

    def array(self, ref: ArrayRef) -> Array | None:
        """The array of ``ref``, where the run kept it."""
        return self.arrays.get(ref.sha256)


def load_evidence(folder: Path) -> Evidence:
    """Read ``results.json`` and its arrays from a run directory.

    Raises:
        StoreError: when the file is missing, is not results of this version, or an array differs from its hash.
    """
    path = folder / "results.json"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}.", remedy="Give the folder of a finished run."
        ) from None
    results = parse_results(raw, str(path))
    refs = {ref.sha256: ref for outcome in results.outcomes for ref in outcome.arrays}
    refs |= {ref.sha256: ref for ref in results.arrays}
    return Evidence(results, {sha: _array(folder, ref) for sha, ref in refs.items()}, raw)


def parse_results(raw: bytes, where: str) -> Results:
    """Results from the bytes of a file.

    Raises:
        StoreError: naming the first field that does not fit.
    """
    try:
        value: Any = json.loads(raw)
        if not isinstance(value, dict):
            raise ValueError("it does not hold a JSON object")
        return Results.from_json(value)
    except ValueError as error:
        problem = " ".join(str(error).split())[:300]
        raise StoreError(
            f"{where} cannot be used: {problem}", remedy="Run the audit again, or use the version that wrote it."
        ) from None


def _array(folder: Path, ref: ArrayRef) -> Array:
    path = (folder / ref.file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise StoreError(f"results.json names {ref.file!r}, which lies outside the run directory.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}.", remedy="Copy the whole run directory, with arrays/."
        ) from None
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise StoreError(f"{path} is not the array that results.json names.", remedy="Run the audit again.")
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:
        raise StoreError(f"{path} is not a NumPy array: {error}.", remedy="Run the audit again.") from None
    return np.asarray(array, dtype=np.float64)
