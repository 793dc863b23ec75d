"""Fingerprints of the audited records, kept for the leak check of everything that is exported."""

import json
import secrets

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from auditor.observations.model import Preprocessing
from auditor.store.fingerprints import fingerprints
from auditor.store.run_directory import RunDirectory
from auditor.targets.target import Target

FILE = "fingerprints.json"


def keep_fingerprints(directory: RunDirectory, target: Target) -> None:
    """Write the fingerprints of members, non-members and population, once for a run folder.

    Records are hashed in the units of the model and in those of the user's file. The salt stays in the restricted
    folder, so the hashes cannot be matched with guesses by somebody who has only the release.
    """
    if (directory.path / "restricted" / FILE).is_file():
        return
    arrays: dict[str, NDArray[np.float64]] = {}
    for name in ("members", "nonmembers", "population"):
        inputs: Tensor = getattr(target, name).inputs
        if len(inputs):
            arrays[name] = inputs.detach().cpu().double().numpy()
            arrays[f"{name} as read"] = _natural(arrays[name], target.model.preprocessing)
    value = fingerprints(arrays, salt=secrets.token_bytes(32))
    directory.write_restricted(FILE, json.dumps(value).encode())


def _natural(values: NDArray[np.float64], known: Preprocessing) -> NDArray[np.float64]:
    """Pictures in [0, 1], numbers of a table in the units of their column; the rest as it is."""
    if known.std:
        shape = (-1, *[1] * (values.ndim - 2))
        return np.asarray(values * np.reshape(known.std, shape) + np.reshape(known.mean, shape))
    natural = values.copy()
    for column in known.columns:
        if column.kind == "continuous":
            part = slice(column.start, column.stop)
            natural[:, part] = natural[:, part] * column.scale + column.offset
    return natural
