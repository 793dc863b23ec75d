"""Attacks on parts of an update: one layer, some coordinates, the largest ones; hidden labels; no signal."""

from dataclasses import replace

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.distance import Distance
from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.attacks.inversion.label_guess import guesses, head_is_hidden
from auditor.attacks.inversion.linear_layer import LinearLayer
from auditor.config.scenario import PartSettings
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality
from auditor.observations.records import Records
from auditor.simulation.partial import part_of
from tests.attacks.inversion import cases
from tests.attacks.inversion.test_gradient_matching import IMAGES, error, picture

TRAITS = cases.TRAITS | {"first_layer_linear"}
SERIES = cases.shared_model(
    cases.mlp(48, 64, 16, classes=10), input_shape=(48,), modality=Modality.TIMESERIES, traits=TRAITS
)


def one_series(n: int = 1) -> Records:
    generator = torch.Generator().manual_seed(0)
    return Records(torch.randn(n, 48, generator=generator), torch.randint(10, (n,), generator=generator))


def shown(model, records: Records, **part):
    return part_of(cases.gradient_update(model, records), PartSettings(**part), seed=4)


def matched(seen, **params):
    attack = GradientMatching(GradientMatching.Params(**{"iterations": 150, **params}))
    return attack.run(seen, cases.known(IMAGES), RunContext(seed=5))


def test_a_part_is_enough_to_apply() -> None:
    granted = frozenset({Grant.PARTIAL_UPDATE})
    for attack in (GradientMatching, LinearLayer):
        assert attack.needs.unmet(scenario="s", granted=granted, shape=SERIES.shape) == []


def test_the_first_layer_alone_gives_one_record_exactly() -> None:
    records = one_series()
    found = LinearLayer(LinearLayer.Params()).run(
        shown(SERIES, records, layer="first"), cases.known(SERIES), RunContext()
    )
    assert torch.allclose(found.inputs, records.inputs, atol=1e-4)


def test_a_third_of_the_coordinates_is_completed_to_the_record() -> None:
    records = one_series()
    found = LinearLayer(LinearLayer.Params()).run(
        shown(SERIES, records, coordinates=0.33), cases.known(SERIES), RunContext()
    )
    assert float((found.inputs - records.inputs).norm() / records.inputs.norm()) < 1e-3
    assert any("100% of the record's values" in note for note in found.notes)


def test_values_that_stand_in_no_coordinate_are_counted() -> None:
    records = one_series()
    seen = shown(SERIES, records, coordinates=0.05)
    found = LinearLayer(LinearLayer.Params()).run(seen, cases.known(SERIES), RunContext())
    missing = float((found.inputs == 0).float().mean())
    assert 0 < missing < 1
    assert any(f"{1 - missing:.0%} of the record's values" in note for note in found.notes)


def test_some_coordinates_of_a_batch_are_not_claimed() -> None:
    with pytest.raises(AttackFailed, match="several records mix"):
        LinearLayer(LinearLayer.Params()).run(
            shown(SERIES, one_series(3), coordinates=0.2), cases.known(SERIES), RunContext()
        )


def test_without_the_first_layer_the_closed_form_says_so() -> None:
    with pytest.raises(AttackFailed, match="not in the update"):
        LinearLayer(LinearLayer.Params()).run(
            shown(SERIES, one_series(), layer="last"), cases.known(SERIES), RunContext()
        )


def test_hidden_coordinates_are_not_compared() -> None:
    seen = shown(IMAGES, picture(), coordinates=0.3)
    whole = cases.gradient_update(IMAGES, picture()).update
    distance = Distance.to(seen, kind="cosine", device="cpu")
    assert float(distance({name: value[None] for name, value in whole.items()})) < 1e-5


@pytest.mark.parametrize("part", [{"coordinates": 0.3}, {"coordinates": 0.2, "which": "largest"}, {"layer": "last"}])
def test_a_picture_is_found_from_a_part(part: dict) -> None:
    records = picture()
    guess = float((records.inputs - 0).square().mean())
    found = matched(shown(IMAGES, records, **part))
    assert error(found, records) < guess / 4


def test_the_label_is_found_with_the_picture_where_the_head_is_hidden() -> None:
    seen = shown(IMAGES, picture(), layer="first")
    assert head_is_hidden(seen, cases.known(IMAGES))
    found = matched(seen)
    assert any("tried in turn" in note for note in found.notes)


def test_labels_are_guessed_by_their_frequency() -> None:
    common = Records(torch.zeros(50, 1, 8, 8), torch.full((50,), 7))
    known = cases.known(IMAGES, common)
    one = cases.gradient_update(IMAGES, picture())
    assert guesses(one, known, 3, generator=torch.Generator().manual_seed(0))[0].tolist() == [7]
    many = replace(one, records=30)
    drawn = guesses(many, known, 2, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (2, 30)
    assert float((drawn == 7).float().mean()) > 0.6


def test_a_whole_update_needs_no_guess() -> None:
    assert not head_is_hidden(cases.gradient_update(IMAGES, picture()), cases.known(IMAGES))


def test_a_part_of_pure_noise_gives_no_picture() -> None:
    seen = shown(IMAGES, picture(), layer="first")
    generator = torch.Generator().manual_seed(1)
    noise = {name: torch.randn(value.shape, generator=generator) for name, value in seen.update.items()}
    found = matched(replace(seen, update=noise), iterations=60)
    assert error(found, picture()) > float(picture().inputs.square().mean()) / 2
