"""Read a finished run: ``results.json`` and the arrays that it names by hash."""

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import StoreError
from auditor.core.measurement import ArrayRef
from auditor.core.results import Results
from auditor.policy.compare import Comparison, compare
from auditor.policy.decisions import FILE, Decided, Decisions, decide, read_decisions
from auditor.store.atomic import write_atomic

AGAINST = "against.json"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What a report is made from.

    Attributes:
        results: The run.
        arrays: By SHA-256 of their file.
        raw: The bytes of ``results.json``; attached to the PDF as they are.
        decided: What people decided (``decisions.json``), where they did.
        comparison, before: With the earlier run whose results are kept as ``against.json``, where there is one.
    """

    results: Results
    arrays: dict[str, Array]
    raw: bytes
    decided: Decided | None = None
    comparison: Comparison | None = None
    before: Results | None = None

    @cached_property
    def digest(self) -> str:
        """The digest of the results; it takes a moment, and the page prints it more than once."""
        return self.results.sha256

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
    arrays = {sha: _array(folder, ref) for sha, ref in refs.items()}
    decisions = read_decisions(folder)
    before = read_earlier(folder)
    return Evidence(
        results,
        arrays,
        raw,
        decided=decide(results, decisions) if decisions else None,
        comparison=compare(before, results) if before else None,
        before=before,
    )


def read_earlier(folder: Path) -> Results | None:
    """The earlier run that a run is compared with; None where there is none.

    Raises:
        StoreError: for a damaged file.
    """
    path = folder / AGAINST
    return parse_results(path.read_bytes(), str(path)) if path.is_file() else None


def results_of(path: Path) -> bytes:
    """The bytes of the results of a run directory, or of a file such as ``evidence.json``.

    Raises:
        StoreError: where there are none.
    """
    file = path / "results.json" if path.is_dir() else path
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}.", remedy="Give a finished run.") from None
    parse_results(raw, str(file))
    return raw


def keep_earlier(folder: Path, earlier: Path) -> Results:
    """Keep the results of ``earlier`` beside a run, so that the comparison can be made again at any time.

    Raises:
        StoreError: where there are none, or the folder cannot be written.
    """
    raw = results_of(earlier)
    write_atomic(folder / AGAINST, raw)
    return parse_results(raw, str(earlier))


def keep_decisions(folder: Path, decisions: Decisions) -> None:
    """Keep decisions beside a run, with the day on which they are applied."""
    write_atomic(folder / FILE, (json.dumps(decisions.to_json(), indent=2, ensure_ascii=False) + "\n").encode())


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
