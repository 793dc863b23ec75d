"""What is legal and probably not meant, each in one sentence with its place and what to change; free of data."""

from collections.abc import Iterator, Sequence

import numpy as np

from auditor.config.document import AuditDocument
from auditor.core.shape import Task
from auditor.observations.model import Column
from auditor.targets.fields import Values
from auditor.targets.source import place

NAMED = 3
"""So many columns are named; the others are counted."""


def doubts_of(
    document: AuditDocument, *, members: int, matrix: Values, columns: Sequence[Column], labels: Values
) -> Iterator[str]:
    """Settings and data that look like a slip; nothing is refused for them.

    Args:
        document: Settings with their places.
        members: Training records.
        matrix: Inputs of all records as the model takes them; read for tables.
        columns: Of a table; empty for other data.
        labels: Of all records.
    """
    yield from _noise(document)
    yield from _delta(document, members)
    yield from _constant(document, matrix, columns)
    yield from _once(document, labels)


def _noise(document: AuditDocument) -> Iterator[str]:
    privacy = document.settings.privacy
    if privacy.noise_multiplier == 0 and privacy.claimed_epsilon is not None:
        yield (
            f"{place(document, 'privacy.noise_multiplier')} is 0, so no noise is added and the claimed epsilon "
            f"{privacy.claimed_epsilon:g} cannot hold; raise it, or take out privacy.claimed_epsilon"
        )


def _delta(document: AuditDocument, members: int) -> Iterator[str]:
    """Against the protected units: those of the deployment where the file names them."""
    privacy = document.settings.privacy
    of_clients = privacy.protects == "client"
    units = document.settings.federation.clients if of_clients else members
    if privacy.override is not None and privacy.override.records is not None:
        units = privacy.override.records
    if privacy.mechanism != "none" and privacy.delta is not None and units and privacy.delta * units > 1:
        yield (
            f"{place(document, 'privacy.delta')} is {privacy.delta:g}, larger than one over the {units:,} "
            f"{'clients' if of_clients else 'records'} that are protected ({1 / units:.2g}), so that publishing one of "
            "them outright would pass; name a tenth of that, or less"
        )


def _constant(document: AuditDocument, matrix: Values, columns: Sequence[Column]) -> Iterator[str]:
    """Of a table alone: a pixel that never changes is no mistake."""
    if len(matrix) < 2 or matrix.ndim != 2:
        return
    names = [c.name for c in columns if (matrix[:, c.start : c.stop] == matrix[:1, c.start : c.stop]).all()]
    if names:
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        said = ", ".join(f"'{name}'" for name in names[:NAMED])
        yield (
            f"{place(document, 'target.data.inputs')}: {'column' if len(names) == 1 else 'columns'} {said}{more} "
            f"{'has' if len(names) == 1 else 'have'} the same value in all {len(matrix):,} records and "
            f"{'tells' if len(names) == 1 else 'tell'} nothing; list the other columns there"
        )


def _once(document: AuditDocument, labels: Values) -> Iterator[str]:
    if document.settings.target.task is not Task.CLASSIFICATION or labels.ndim != 1:
        return
    once = int((np.unique(labels, return_counts=True)[1] == 1).sum())
    if once:
        yield (
            f"{place(document, 'target.data.labels')}: {once:,} {'label occurs' if once == 1 else 'labels occur'} only "
            f"once in {len(labels):,} records; look for a typo there, such as another spelling or a stray capital"
        )
