"""Which client decides epsilon: silos of different sizes run the same recipe at different rates.

Under record-level DP-SGD each client composes its own noisy steps. With batches of ``B`` out of ``n`` records the rate
is ``B / n`` and an epoch has ``ceil(n / B)`` steps, so a small silo leaks more of each record, and one record beyond a
full batch adds a step. Silos hold different people: their releases compose in parallel, and the largest epsilon counts.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from auditor.accounting.account import QUICK, account
from auditor.accounting.from_settings import spec_from_settings
from auditor.accounting.spec import PrivacySpec
from auditor.config.settings import FederationSettings, PrivacySettings

_TRIED = 12
"""Sizes that are accounted for, those with the largest sum of squared rates (what epsilon grows with)."""


class Worst(NamedTuple):
    """The specification of the silo with the largest epsilon.

    Attributes:
        spec: What is accounted for.
        held: Records in that silo; None where epsilon does not depend on it.
        note: What was assumed about the silos, as a sentence; empty where nothing was.
    """

    spec: PrivacySpec
    held: int | None = None
    note: str = ""


def worst_silo(
    federation: FederationSettings,
    privacy: PrivacySettings,
    *,
    records: int | None,
    silos: Sequence[int] | None = None,
) -> Worst:
    """The specification that decides epsilon.

    Args:
        federation: How the federation runs.
        privacy: The declared mechanism; not ``none``.
        records: Training records, where they are known.
        silos: Records at each client of the audited data; without them equal shares are assumed.

    Raises:
        Refused: Something needed is not stated.
    """
    override = privacy.override
    total = (override.records if override else None) or records
    given = override is not None and override.sampling_rate is not None and override.steps is not None
    if privacy.mechanism != "dp_sgd" or not total or given:
        return Worst(spec_from_settings(federation, privacy, records=records))
    sizes = _scaled(silos, total) if silos else _equal(total, federation.clients)
    specs = {held: spec_from_settings(federation, privacy, records=records, held=held) for held in sizes}
    likely = sorted(specs, key=lambda held: -_growth(specs[held]))[:_TRIED]
    worst = max(likely, key=lambda held: account(specs[held], QUICK).upper) if len(likely) > 1 else likely[0]
    return Worst(specs[worst], worst, _note(sizes, worst, assumed=not silos, federation=federation))


def _equal(total: int, clients: int) -> list[int]:
    return sorted({max(1, total // clients), max(1, math.ceil(total / clients))})


def _scaled(silos: Sequence[int], total: int) -> list[int]:
    """Distinct sizes in a deployment of ``total`` records that is spread like the audited data."""
    factor = total / sum(silos)
    return sorted({max(1, round(size * factor)) for size in silos if size})


def _growth(spec: PrivacySpec) -> float:
    return sum(phase.steps * phase.rate**2 for phase in spec.phases) * spec.records_per_unit**2


def _note(sizes: Sequence[int], worst: int, *, assumed: bool, federation: FederationSettings) -> str:
    if assumed and federation.partition.scheme != "iid":
        return (
            f"Each client is taken to hold {worst:,} records; the sizes of unequal clients were not known. A smaller "
            "client has a larger epsilon."
        )
    if len(sizes) == 1:
        return ""
    return (
        f"Clients hold {sizes[0]:,} to {sizes[-1]:,} records. Epsilon is that of a client with {worst:,}, where it is "
        "largest."
    )
