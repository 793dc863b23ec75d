"""The imprint of a malicious server: exact copies, collisions, clipping and noise."""

from dataclasses import replace

import pytest
import torch

from auditor.attacks.base import AltersModel, RunContext
from auditor.attacks.inversion.imprint import Imprint
from auditor.attacks.inversion.imprint_readout import Read, between
from auditor.core.errors import AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import Preprocessing, Privatisation
from auditor.observations.records import Records
from tests.attacks.inversion import cases

MODEL = cases.shared_model(
    cases.mlp(144, 32, classes=10), input_shape=(1, 12, 12), preprocessing=Preprocessing(mean=(0.5,), std=(0.25,))
)
CONTEXT = RunContext(seed=11)


def pictures(n: int, seed: int) -> Records:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 1, 4, 4, generator=generator)
    values = torch.nn.functional.interpolate(coarse, (12, 12), mode="bilinear")
    return Records((values - 0.5) / 0.25, torch.randint(10, (n,), generator=generator))


KNOWN = cases.known(MODEL, pictures(200, 99))


def sent(records: Records, attack: Imprint, *, clip: float | None = None, noise: float = 0.0):
    functional = FunctionalModel(MODEL)
    altered = attack.alter(MODEL, functional.initial_state(0), KNOWN, CONTEXT)
    update = cases.gradient_update(altered.model, records, state=dict(altered.state))
    values, known = update.update, Privatisation(noise_std=noise)
    if clip:
        each = FunctionalModel(altered.model).per_record_gradients(altered.state, records)
        norms = torch.stack([value.flatten(1).square().sum(1) for value in each.values()]).sum(0).sqrt()
        factor = (clip / norms).clamp_max(1)
        values = {name: torch.einsum("n,n...->...", factor, value) / len(records) for name, value in each.items()}
        known = Privatisation(clipping_norm=clip, clipped="record", noise_std=noise)
    generator = torch.Generator().manual_seed(1)
    noisy = {name: value + noise * torch.randn(value.shape, generator=generator) for name, value in values.items()}
    return replace(update, update=noisy, privatisation=known)


def errors(found, records: Records) -> torch.Tensor:
    """Root mean square error of the nearest output, for each record, in units of the pictures' own scale."""
    return torch.cdist(records.inputs.flatten(1), found.inputs.flatten(1)).min(1).values / 12


def test_it_says_that_it_alters_the_model() -> None:
    assert isinstance(Imprint(Imprint.Params()), AltersModel)


def test_altered_model_still_answers_nearly_alike() -> None:
    attack = Imprint(Imprint.Params(bins=64))
    functional = FunctionalModel(MODEL)
    state = functional.initial_state(0)
    altered = attack.alter(MODEL, state, KNOWN, CONTEXT)
    inputs = pictures(5, 0).inputs
    before, after = functional.outputs(state, inputs), FunctionalModel(altered.model).outputs(altered.state, inputs)
    assert torch.allclose(before, after, atol=0.3)


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_batch_is_copied_verbatim_clipped_or_not(clip: float | None) -> None:
    records, attack = pictures(16, 1), Imprint(Imprint.Params(bins=256))
    found = attack.run(sent(records, attack, clip=clip), KNOWN, CONTEXT)
    assert float((errors(found, records) < 0.01).float().mean()) >= 0.9


def test_under_little_noise_records_are_still_read() -> None:
    records, attack = pictures(4, 2), Imprint(Imprint.Params(bins=256))
    found = attack.run(sent(records, attack, clip=1.0, noise=1e-4), KNOWN, CONTEXT)
    assert float(errors(found, records).median()) < 0.1


def test_under_much_noise_nothing_is_claimed() -> None:
    records, attack = pictures(4, 2), Imprint(Imprint.Params(bins=256))
    found = attack.run(sent(records, attack, clip=1.0, noise=0.1), KNOWN, CONTEXT)
    assert len(found.inputs) <= 1


def test_never_more_outputs_than_records() -> None:
    records, attack = pictures(30, 3), Imprint(Imprint.Params(bins=32))
    assert len(attack.run(sent(records, attack), KNOWN, CONTEXT).inputs) <= 30


def test_a_client_that_pins_the_architecture_is_named() -> None:
    update = cases.gradient_update(MODEL, pictures(2, 0))
    with pytest.raises(AttackFailed, match="did not accept the altered model"):
        Imprint(Imprint.Params()).run(update, KNOWN, CONTEXT)


def test_two_records_that_share_a_bin_come_after_the_single_ones() -> None:
    points = torch.randn(4, 144, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs = torch.cat([(0.4 * points[:1] + 0.6 * points[1:2]), points])
    read = Read(inputs, torch.ones(5, dtype=torch.float64), torch.arange(5), torch.zeros(5, dtype=torch.float64))
    assert between(read).tolist() == [True, False, False, False, False]
