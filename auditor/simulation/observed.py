"""An observation with the truth beside it."""

from dataclasses import dataclass

from auditor.observations.records import Records
from auditor.observations.released import Aggregate, ClientUpdate, StolenCheckpoint, SummedRounds


@dataclass(frozen=True)
class ObservedUpdate:
    """An observation and the records behind it. Only ``metrics`` may read both."""

    observation: ClientUpdate | Aggregate | SummedRounds | StolenCheckpoint
    truth: Records
