"""Sweeps of an audit as adversaries of their own, and their outcomes as curves beside the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.config.document import AuditDocument
from auditor.config.load import load_scenario
from auditor.config.scenario import Scenario
from auditor.config.settings import SweepSettings
from auditor.config.sweeps import declared_value, varied
from auditor.core.errors import SettingsError
from auditor.core.measurement import Outcome
from auditor.core.results import Sweep, SweepPoint

MODEL_ATTACK = (
    "reads the finished model; a sweep plays single rounds. To see the effect on the model, change the setting and run "
    "the audit again in another folder"
)


@dataclass(frozen=True)
class Variant:
    """One value of one sweep.

    Attributes:
        sweep: Which entry of ``sweeps``.
        base: The scenario whose rounds are varied.
        scenario: The one that plays the value.
        value: The value; the audit's own where ``declared`` is true.
    """

    sweep: int
    base: Scenario
    scenario: Scenario
    value: float
    declared: bool


def variants_of(document: AuditDocument) -> tuple[Variant, ...]:
    """Every value of every sweep in rising order, the audit's own among them.

    Raises:
        SettingsError: where a scenario cannot play a value.
        AuditorError: where a scenario does not exist.
    """
    found: list[Variant] = []
    for index, sweep in enumerate(document.settings.sweeps):
        base = load_scenario(sweep.scenario, relative_to=document.folder)
        own = declared_value(sweep, document.settings)
        values = {float(value): value for value in (*sweep.values, *(() if own is None else (own,)))}
        for number in sorted(values):
            scenario = _played(document, sweep, base, values[number], place=f"sweeps.{index}.values")
            found.append(Variant(index, base, scenario, number, own is not None and number == float(own)))
    return tuple(found)


def _played(document: AuditDocument, sweep: SweepSettings, base: Scenario, value: float, *, place: str) -> Scenario:
    try:
        return varied(sweep, base, document.settings, value=value)
    except ValueError as error:
        why = f"{base.name} cannot play {value:g}: {str(error).splitlines()[0]}"
        raise SettingsError([f"{document.where(place)}: {place}: {why}"]) from None


def curves(
    document: AuditDocument, variants: Sequence[Variant], outcomes: Sequence[Outcome]
) -> tuple[tuple[Outcome, ...], tuple[Sweep, ...]]:
    """Outcomes on the audited settings, and the others as curves: no verdict can read what is not among the first.

    At the audit's own value the outcomes of the audit itself are used where it ran the attack.
    """
    varied_names = {variant.scenario.name for variant in variants}
    audited = tuple(outcome for outcome in outcomes if outcome.scenario not in varied_names)
    sweeps = []
    for index, settings in enumerate(document.settings.sweeps):
        mine = [variant for variant in variants if variant.sweep == index]
        own = next((variant.value for variant in mine if variant.declared), None)
        points = tuple(SweepPoint(value=v.value, outcomes=_at(v, settings.attacks, outcomes)) for v in mine)
        sweeps.append(
            Sweep(
                setting=settings.setting,
                scenario=mine[0].base.name,
                title=mine[0].base.title,
                declared=own,
                mechanism=settings.privacy.mechanism if settings.privacy else "",
                thresholds=mine[0].base.thresholds,
                points=points,
            )
        )
    return audited, tuple(sweeps)


def _at(variant: Variant, attacks: Sequence[str], outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    names = {variant.scenario.name, variant.base.name} if variant.declared else {variant.scenario.name}
    return tuple(outcome for outcome in outcomes if outcome.scenario in names and outcome.attack in attacks)
