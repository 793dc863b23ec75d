"""What the text below curves of membership says: where it may be read, and against what."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from auditor.core.measurement import ArrayRef, Measurement, Outcome
from auditor.policy.cap import covers_updates
from auditor.report.rocs import roc_figures
from auditor.report.strings import strings
from tests import results_builder as build

ROC = np.array([[0.001, 0.01, 0.0, 0.05], [0.01, 0.2, 0.1, 0.3], [0.1, 0.5, 0.4, 0.6], [1.0, 1.0, 1.0, 1.0]])
REFUSED = build.measurement(None, None, None, refused="needs at least 1000 non-members", floor=0.01)


def curve(*measurements: Measurement, **other: Any) -> Outcome:
    """An attack with a curve."""
    ref = ArrayRef(name="roc", file="arrays/x.npy", sha256=build.SHA, shape=ROC.shape)
    return build.outcome(*measurements, arrays=(ref,), **other)


def caption(*outcomes: Outcome, **other: Any) -> str:
    """The text of the one figure."""
    evidence = SimpleNamespace(results=build.results(*outcomes, **other), array=lambda ref: ROC)
    scenario = outcomes[0].scenario
    return roc_figures(evidence, scenario, strings("en"))[0].caption  # type: ignore[arg-type]


def rate(value: float, low: float, high: float, *, fpr: float = 0.1, floor: float | None = None) -> Measurement:
    return build.measurement(value, low, high, at={"fpr": fpr}, floor=fpr if floor is None else floor)


def test_a_refused_point_is_not_called_no_better_than_guessing() -> None:
    text = caption(curve(rate(0.98, 0.96, 0.99), REFUSED))
    assert "At 10\u202f% false alarms, the intervals of these curves lie above guessing: lira." in text
    assert "There are too few non-members to speak of 1\u202f% false alarms." in text
    assert "no curve is clear" not in text


def test_each_curve_is_judged_where_its_own_false_alarms_are_fewest() -> None:
    low = curve(rate(0.012, 0.005, 0.03, fpr=0.01))
    high = curve(rate(0.98, 0.96, 0.99), REFUSED, attack="membership/rmia")
    text = caption(low, high)
    assert "lie above guessing: rmia." in text
    assert "too few non-members" not in text


def test_an_area_wholly_above_a_half_is_said() -> None:
    area = build.measurement(0.6, 0.55, 0.65, metric="auc", unit="1", floor=0.5)
    dull = rate(0.12, 0.08, 0.2)
    assert "no curve is clear of guessing; over all false alarms" in caption(curve(dull, area))
    assert "no curve is clear of guessing." in caption(curve(dull))


def test_curves_are_read_against_what_is_told_without_the_model() -> None:
    text = caption(curve(rate(0.25, 0.18, 0.33, floor=0.215)))
    assert "no curve is clear of what is told without the model" in text
    assert "dash-dotted line" in text
    above = caption(curve(rate(0.35, 0.28, 0.43, floor=0.215)))
    assert "lie above what is told without the model: lira" in above
    assert "dash-dotted" not in caption(curve(rate(0.25, 0.18, 0.33)))


def drawn(*outcomes: Outcome) -> str:
    """The figure as drawn."""
    evidence = SimpleNamespace(results=build.results(*outcomes), array=lambda ref: ROC)
    return str(roc_figures(evidence, outcomes[0].scenario, strings("en"))[0].wide)  # type: ignore[arg-type]


def test_the_part_in_which_no_claim_is_allowed_is_faint_and_said() -> None:
    stated = rate(0.5, 0.4, 0.6)
    text = caption(curve(stated, REFUSED))
    assert text.startswith("Where curves are thin, on the grey ground, the sample is too small")
    assert "the fewest false alarms with a figure are 10\u202f%." in text
    assert "thin" not in caption(curve(stated))
    assert "at any of the false alarms" in caption(curve(REFUSED))
    # The band ends where figures end, so that the faint part adds one line and the ground one shape.
    whole, part = drawn(curve(stated)), drawn(curve(stated, REFUSED))
    assert part.count("<path") == whole.count("<path") + 2


@pytest.mark.parametrize(
    ("mechanism", "grant", "covered"),
    [
        ("dp_sgd", "client_update", True),
        ("local", "client_update", True),
        ("dp_fedavg", "aggregate_update", False),
        ("dp_ftrl", "client_update", False),
        ("distributed", "aggregate_update", True),
        ("distributed", "client_update", False),
        ("none", "client_update", False),
    ],
)
def test_whose_noise_is_in_the_updates(mechanism: str, grant: str, covered: bool) -> None:
    assert covers_updates(mechanism, [grant]) is covered


def test_no_cap_is_explained_by_where_the_noise_is_added() -> None:
    accounting = build.NO_PRIVACY.model_copy(
        update={"epsilon": build.epsilon(), "caps": build.caps((0.01, 0.02), (0.1, 0.17))}
    )
    watched = curve(rate(0.12, 0.08, 0.2), scenario="honest-server")
    clients = caption(watched, accounting=accounting, settings=build.DP_SETTINGS)
    assert "carry the noise that ε counts" in clients
    central = build.SETTINGS | {"privacy": {"mechanism": "dp_fedavg", "noise_multiplier": 1.0}}
    assert "before its noise is whole" in caption(watched, accounting=accounting, settings=central)
