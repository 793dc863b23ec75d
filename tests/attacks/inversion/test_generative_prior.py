"""A generative prior: learns the population, beats plain matching where the update says little, counts its samples."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.autoencoder import given, trained
from auditor.attacks.inversion.generative_prior import GenerativePrior
from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.core.errors import AttackFailed
from auditor.metrics.reconstruction import measure_reconstruction
from auditor.observations.model import GivenPrior, Preprocessing, Privatisation
from auditor.observations.records import Records
from auditor.observations.returned import Reconstruction
from tests.attacks.inversion import cases


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 10),
    )  # fmt: skip


MODEL = cases.shared_model(net, input_shape=(1, 8, 8), preprocessing=Preprocessing(mean=(0.5,), std=(0.5,)))
SMALL = {"latent": 4, "hidden": 64, "training_steps": 1500, "iterations": 100, "refinement": 50, "starts": 2}


def blobs(n: int, seed: int) -> Records:
    """Bright discs of unlike place and size: pictures of few degrees of freedom."""
    generator = torch.Generator().manual_seed(seed)
    place = 1.5 + 4 * torch.rand(n, 2, 1, 1, generator=generator)
    size = 1.0 + 1.5 * torch.rand(n, 1, 1, generator=generator)
    axis = torch.arange(8.0)
    far = (axis[:, None] - place[:, 0]).square() + (axis[None] - place[:, 1]).square()
    return Records((2 * torch.exp(-far / size.square()) - 1)[:, None], torch.randint(10, (n,), generator=generator))


POPULATION = blobs(600, 1)
KNOWN = cases.known(MODEL, POPULATION)


def attacked(update, attack=None) -> Reconstruction:
    attack = attack or GenerativePrior(GenerativePrior.Params(**SMALL))
    return attack.run(update, KNOWN, RunContext(seed=5, batched=True))


def error(found: Reconstruction, records: Records) -> float:
    return float(torch.cdist(records.inputs.flatten(1), found.inputs.flatten(1)).min(1).values.mean() / 8)


def signs(records: Records):
    """One bit a coordinate, as sign compression sends it."""
    seen = cases.gradient_update(MODEL, records)
    values = {name: value.sign() * value.abs().mean() for name, value in seen.update.items()}
    return replace(seen, update=values, privatisation=Privatisation(quantise_bits=1))


def test_the_autoencoder_knows_unseen_records_of_its_kind_and_no_others() -> None:
    prior = trained(POPULATION, latent=4, hidden=64, steps=1500)
    left = POPULATION.inputs.std()
    assert prior.spread < 0.3 * float(left)
    assert trained(POPULATION, latent=4, hidden=64, steps=1500) is prior
    samples = prior.samples(50, generator=torch.Generator().manual_seed(0))
    near = torch.cdist(samples.flatten(1), POPULATION.inputs.flatten(1)).min(1).values.mean()
    noise = torch.cdist(torch.randn(50, 64), POPULATION.inputs.flatten(1)).min(1).values.mean()
    assert float(near) < 0.5 * float(noise)


def test_under_sign_compression_it_beats_plain_matching() -> None:
    records = [blobs(1, seed) for seed in (10, 11)]
    plain = GradientMatching(GradientMatching.Params(iterations=150))
    ours = sum(error(attacked(signs(one)), one) for one in records)
    theirs = sum(error(attacked(signs(one), plain), one) for one in records)
    assert ours < theirs


def test_a_batch_is_matched_record_by_record() -> None:
    records = blobs(4, 20)
    longer = GenerativePrior(GenerativePrior.Params(**(SMALL | {"iterations": 150, "refinement": 80, "starts": 3})))
    found = attacked(cases.gradient_update(MODEL, records), longer)
    assert found.inputs.shape == records.inputs.shape
    blind = Reconstruction(POPULATION.inputs.mean(0, keepdim=True))
    assert error(found, records) < 0.5 * error(blind, records)


def test_its_own_samples_count_as_a_guess_without_attack() -> None:
    records = blobs(2, 30)
    found = attacked(cases.gradient_update(MODEL, records))
    assert found.prior_samples is not None
    plausible = replace(found, inputs=found.prior_samples[:2])
    measured = measure_reconstruction([plausible], [records], population=POPULATION, model=MODEL, seed=0)
    by_metric = {one.metric: one for one in measured}
    assert "nearest sample of the prior" in by_metric["psnr"].floor_is
    assert "prior's own samples" in by_metric["recovered_share"].floor_is
    assert by_metric["recovered_share"].value == 0
    assert by_metric["psnr"].value <= by_metric["psnr"].floor


def test_a_gradient_of_pure_noise_recovers_nothing() -> None:
    records = blobs(2, 40)
    seen = cases.gradient_update(MODEL, records)
    generator = torch.Generator().manual_seed(0)
    noise = {name: torch.randn(value.shape, generator=generator) for name, value in seen.update.items()}
    found = attacked(replace(seen, update=noise, privatisation=Privatisation(noise_std=1.0)))
    (share, *_) = measure_reconstruction([found], [records], population=POPULATION, model=MODEL, seed=0)
    assert share.value == 0


def test_too_few_other_records_are_a_reason() -> None:
    attack = GenerativePrior(GenerativePrior.Params(**SMALL))
    (reason,) = attack.unmet(MODEL.shape.model_copy(update={"population": 10}))
    assert "at least 32 other records" in reason
    with pytest.raises(AttackFailed, match="to learn a prior from"):
        attack.run(cases.gradient_update(MODEL, blobs(1, 0)), cases.known(MODEL, blobs(5, 0)), RunContext())


def test_large_records_are_a_reason() -> None:
    shape = MODEL.shape.model_copy(update={"input_shape": (3, 224, 224)})
    (reason,) = GenerativePrior(GenerativePrior.Params()).unmet(shape)
    assert "at most 12288 values" in reason


class Disc(nn.Module):
    """Knows what :func:`blobs` draws from: place and size of a disc, from three standard normal numbers."""

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        uniform = 0.5 * (1 + torch.erf(latents / 2**0.5))
        place, size = 1.5 + 4 * uniform[:, :2, None, None], 1.0 + 1.5 * uniform[:, 2, None, None]
        axis = torch.arange(8.0)
        far = (axis[:, None] - place[:, 0]).square() + (axis[None] - place[:, 1]).square()
        return (2 * torch.exp(-far / size.square()) - 1)[:, None]


def test_a_given_decoder_takes_the_place_of_the_trained_one() -> None:
    planted = replace(KNOWN, prior=GivenPrior(Disc, 3, "discs.py:Disc", "0" * 64))
    records = [blobs(1, seed) for seed in (10, 11, 12)]
    plain = GradientMatching(GradientMatching.Params(iterations=150))
    attack = GenerativePrior(GenerativePrior.Params(**SMALL))
    found = [attack.run(signs(one), planted, RunContext(seed=5, batched=True)) for one in records]
    assert all("discs.py:Disc" in one.notes[0] for one in found)
    assert all(one.prior_samples is not None and one.prior_samples.shape[1:] == (1, 8, 8) for one in found)
    ours = sum(map(error, found, records))
    assert ours < 0.5 * sum(error(attacked(signs(one), plain), one) for one in records)


def test_the_spread_of_a_given_decoder_is_what_its_best_latents_leave() -> None:
    assert given(GivenPrior(Disc, 3, "exact", "1" * 64), POPULATION).spread < 0.1
    blurred = given(
        GivenPrior(lambda: nn.Sequential(Disc(), nn.AvgPool2d(3, 1, 1)), 3, "blurred", "2" * 64), POPULATION
    )
    assert blurred.spread > 0.1


def test_same_seed_same_output() -> None:
    update = cases.gradient_update(MODEL, blobs(1, 50))
    assert torch.equal(attacked(update).inputs, attacked(update).inputs)
