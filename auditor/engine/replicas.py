"""Further trainings of the audited model, attacked as the released one is: how much of a figure is the luck of one."""

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.core.measurement import Measurement
from auditor.engine.game import Game
from auditor.engine.packing import unpack_output
from auditor.engine.plan import Plan, PlannedAttack
from auditor.engine.session import Session
from auditor.engine.units import Unit
from auditor.engine.views import RELEASED
from auditor.engine.work import Work
from auditor.metrics.membership import measure_membership
from auditor.metrics.trainings import over_trainings
from auditor.observations.returned import MembershipScores
from auditor.store.run_directory import RunDirectory


@dataclass(frozen=True)
class AcrossTrainings:
    """Figures of one attack over trainings, and what is missing of them."""

    measurements: tuple[Measurement, ...] = ()
    notes: tuple[str, ...] = ()


def across_trainings(
    row: PlannedAttack,
    first: MembershipScores,
    *,
    plan: Plan,
    work: Work,
    session: Session,
    directory: RunDirectory,
    game: Game,
) -> AcrossTrainings:
    """An attack on the released model, over all trainings that were finished; nothing where there is one training."""
    if plan.trainings < 2 or row.view not in RELEASED:
        return AcrossTrainings()
    scores = [first]
    for replica in work.replicas:
        unit = _unit(replica.attacks, row)
        if unit is not None and unit.key in session.finished:
            output, _ = unpack_output(directory.output_path(unit.key))
            assert isinstance(output, MembershipScores)
            scores.append(output)
    missing = plan.trainings - len(scores)
    notes = (f"{missing} of {plan.trainings} trainings were not attacked: out of time, or failed.",) if missing else ()
    return AcrossTrainings(over_trainings([measure_membership(one, game.is_member) for one in scores]), notes)


def _unit(attacks: Mapping[str, tuple[Unit, ...]], row: PlannedAttack) -> Unit | None:
    units = attacks.get(row.key, ())
    return units[0] if units else None
