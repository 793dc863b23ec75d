"""A learned inversion network: compression and clipping played in training, batches, floor, no signal."""

from dataclasses import replace

import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.as_sent import as_sent
from auditor.attacks.inversion.learned_inversion import LearnedInversion
from auditor.config.settings import UpdateSettings
from auditor.core.errors import AttackFailed
from auditor.metrics.reconstruction import measure_reconstruction
from auditor.observations.model import Privatisation
from auditor.observations.returned import Reconstruction
from auditor.simulation.compression import compress
from tests.attacks.inversion import cases
from tests.attacks.inversion.test_generative_prior import KNOWN, MODEL, POPULATION, blobs, error, signs

SMALL = {"hidden": 128, "updates": 600, "steps": 400, "features": 2048}


def attacked(update, **params) -> Reconstruction:
    attack = LearnedInversion(LearnedInversion.Params(**{**SMALL, **params}))
    return attack.run(update, KNOWN, RunContext(seed=5))


def blind(records) -> float:
    return error(Reconstruction(POPULATION.inputs.mean(0, keepdim=True)), records)


def test_signs_of_a_gradient_are_read() -> None:
    records = [blobs(1, seed) for seed in (11, 12, 13)]
    assert sum(error(attacked(signs(one)), one) for one in records) < 0.6 * sum(map(blind, records))


def test_a_batch_is_read_in_any_order() -> None:
    batches = [blobs(2, seed) for seed in (11, 12, 13, 14)]
    found = [attacked(cases.gradient_update(MODEL, batch), steps=600, updates=1500) for batch in batches]
    assert all(one.inputs.shape == batch.inputs.shape for one, batch in zip(found, batches, strict=True))
    assert sum(map(error, found, batches)) < 0.8 * sum(map(blind, batches))


@pytest.mark.parametrize("settings", [{"top_k": 0.1}, {"quantise_bits": 4}, {"quantise_bits": 1}])
def test_what_is_played_is_what_is_sent(settings: dict) -> None:
    gradient = torch.randn(500, generator=torch.Generator().manual_seed(0))
    sent = compress({"w": gradient}, UpdateSettings.model_validate(settings))["w"]
    public = Privatisation(kept_fraction=settings.get("top_k", 1.0), quantise_bits=settings.get("quantise_bits"))
    seen = replace(cases.gradient_update(MODEL, blobs(1, 0)), privatisation=public)
    played = as_sent(gradient[None], seen, None, generator=torch.Generator())
    assert torch.allclose(played[0], sent, atol=1e-5)


def test_noise_and_clipping_are_played_in_their_size() -> None:
    public = Privatisation(clipping_norm=1.0, clipped="client", noise_std=0.1)
    seen = replace(cases.gradient_update(MODEL, blobs(1, 0)), privatisation=public)
    gradients = torch.full((200, 50), 3.0)
    played = as_sent(gradients, seen, None, generator=torch.Generator().manual_seed(0))
    assert float(played.std()) == pytest.approx(0.1, rel=0.05)
    assert float(played.mean(0).norm()) == pytest.approx(1.0, rel=0.05)


def test_pure_noise_recovers_nothing() -> None:
    records = blobs(2, 40)
    seen = cases.gradient_update(MODEL, records)
    generator = torch.Generator().manual_seed(0)
    noise = {name: torch.randn(value.shape, generator=generator) for name, value in seen.update.items()}
    found = attacked(replace(seen, update=noise, privatisation=Privatisation(noise_std=1.0)), steps=100)
    measured = measure_reconstruction([found], [records], population=POPULATION, model=MODEL, seed=0)
    by_metric = {one.metric: one for one in measured}
    assert by_metric["recovered_share"].value == 0
    assert by_metric["psnr"].value <= by_metric["psnr"].floor


def test_too_few_other_records_are_a_reason() -> None:
    attack = LearnedInversion(LearnedInversion.Params())
    (reason,) = attack.unmet(MODEL.shape.model_copy(update={"population": 10}))
    assert "at least 32 other records" in reason
    with pytest.raises(AttackFailed, match="to learn from"):
        attack.run(cases.gradient_update(MODEL, blobs(1, 0)), cases.known(MODEL, blobs(5, 0)), RunContext())
    (reason,) = attack.unmet(MODEL.shape.model_copy(update={"records_per_update": 9}))
    assert "at most 8 records" in reason


def test_same_seed_same_output() -> None:
    update = cases.gradient_update(MODEL, blobs(1, 50))
    assert torch.equal(attacked(update, steps=20).inputs, attacked(update, steps=20).inputs)
