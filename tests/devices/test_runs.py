"""Whole audits, from the plan to the measurements, with every unit on the pretended device."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor.attacks.registry import available
from auditor.core.measurement import Outcome
from auditor.core.shape import TargetShape
from auditor.engine.paths import measure_paths
from auditor.engine.probe import measure_speed
from auditor.targets.target import Target
from tests.devices.pretended import LOG, playing
from tests.devices.test_attacks import TINY
from tests.engine.observations import picture_target, table_target
from tests.engine.targets import audit, document
from tests.engine.test_workshop import ran

ACTIVE = ["malicious-server", "malicious-client", "worsening-server"]
PASSIVE = ["honest-server", "secure-aggregation-server", "colluding-clients", "released-model"]
SOME_CLIENTS = {
    "algorithm": "fedavg", "clients": 4, "rounds": 6, "participation": {"scheme": "fixed_size", "count": 3},
    "local": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
}  # fmt: skip

QUICK = [
    *(name for name in available() if not name.startswith("inversion/")),
    "inversion/labels",
    "inversion/linear-layer",
]
"""Longer searches are played by themselves in ``test_attacks``."""


def gated(target: Target) -> Target:
    """The target, said to have a layer that can be silenced for single records (it has)."""
    shape: TargetShape = target.model.shape
    known = shape.model_copy(update={"traits": shape.traits | {"gated_layer"}})
    return replace(target, model=replace(target.model, shape=known))


def measured(folder: Path, device: str, target: Target, **changes: Any) -> list[Outcome]:
    kinds = {name: entry.attack for name, entry in available().items() if entry.attack}
    small = {name: {k: TINY[k] for k in TINY if k in kind.Params.model_fields} for name, kind in kinds.items()}
    parameters = {name: values for name, values in small.items() if values}
    changes = {"parameters": parameters, "budget": {"minutes": 5, "updates": 1}, **changes}
    with ran(folder, target, device=device, **changes) as outcomes:
        return outcomes


def values(outcome: Outcome) -> dict[str, float]:
    """By measurement; what has no value is not a number."""
    return {one.key: math.nan if one.value is None else one.value for one in outcome.measurements}


def compared(folder: Path, target: Target, **changes: Any) -> list[Outcome]:
    """What the device measures, which is what the CPU measures."""
    expected = measured(folder / "cpu", "cpu", target, **changes)
    with playing() as device:
        found = measured(folder / "device", device, target, **changes)
    assert not LOG.refused
    assert LOG.held > 1000
    assert [outcome.key for outcome in found] == [outcome.key for outcome in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.key, mine.status, mine.reasons) == (theirs.key, theirs.status, theirs.reasons)
        assert values(mine) == pytest.approx(values(theirs), rel=1e-3, abs=1e-3, nan_ok=True)
    return found


def test_lying_servers_and_clients(tmp_path: Path) -> None:
    found = compared(tmp_path, gated(picture_target()), scenarios=ACTIVE, federation=SOME_CLIENTS)
    done = {outcome.attack for outcome in found if outcome.status == "measured"}
    assert done >= {"membership/relu-trap", "membership/gradient-ascent", "inversion/imprint", "inversion/trap-weights"}
    assert "inversion/disjoint-imprint" in done, "each client receives another model"


@pytest.mark.parametrize("how", ["serial", "stacked"])
def test_adversaries_who_follow_the_protocol(tmp_path: Path, how: str) -> None:
    skewed = {**SOME_CLIENTS, "partition": {"scheme": "dirichlet", "alpha": 1.0}}
    scenarios = PASSIVE if how == "stacked" else ["released-model"]
    found = compared(tmp_path, table_target(), how=how, scenarios=scenarios, federation=skewed, attacks=QUICK)
    done = {outcome.attack for outcome in found if outcome.status == "measured"}
    assert done >= {"membership/lira", "membership/rmia", "inference/attribute"}


def test_paths_and_speed_are_measured_there(tmp_path: Path) -> None:
    asked = document(tmp_path, federation=audit()["federation"])
    with playing() as device:
        speed = measure_speed(picture_target(), asked.settings.federation, device=device)
        paths = measure_paths(picture_target(), asked.settings, device=device, references=4)
    assert not LOG.refused
    assert speed.gradient > 0
    assert "vmap" not in paths.references_because + paths.candidates_because
