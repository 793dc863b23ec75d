"""Published and measured figures of label recovery and of exact text recovery."""

import time

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.dager import Dager
from auditor.attacks.inversion.evidence import fresh_module
from auditor.attacks.inversion.labels import LabelRecovery
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import Preprocessing
from auditor.observations.records import Records
from tests.attacks.inversion import cases

pytestmark = [pytest.mark.papers, pytest.mark.timeout(1200)]

MODEL = cases.shared_model(cases.rlenet32, input_shape=(3, 32, 32), preprocessing=Preprocessing((0.5,) * 3, (0.5,) * 3))


@pytest.fixture(scope="module")
def digits() -> Records:
    data = load_digits()
    pictures = nn.functional.interpolate(torch.from_numpy(data.images).float()[:, None] / 16, (32, 32), mode="bilinear")
    return Records(pictures.repeat(1, 3, 1, 1) * 2 - 1, torch.from_numpy(data.target))


@pytest.fixture(scope="module")
def trained(digits: Records) -> dict[str, Tensor]:
    """Twenty epochs on the first thousand digits."""
    module = fresh_module(MODEL, FunctionalModel(MODEL).initial_state(0)).train()
    optimiser = torch.optim.SGD(module.parameters(), 0.05, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        for batch in torch.randperm(1000, generator=generator).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(digits.inputs[batch]), digits.labels[batch]).backward()
            optimiser.step()
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def overlaps(digits: Records, pool: range, size: int, state: dict[str, Tensor] | None, proxies: int) -> list[float]:
    found = []
    for trial in range(20):
        chosen = torch.randperm(len(pool), generator=torch.Generator().manual_seed(1000 * size + trial))[:size]
        batch = digits[(chosen + pool.start)]
        update = cases.gradient_update(MODEL, batch, state=state)
        known = cases.known(MODEL, digits[1600 : 1600 + proxies])
        counts = LabelRecovery(LabelRecovery.Params()).run(update, known, RunContext(seed=trial)).counts
        found.append(float(torch.minimum(counts, torch.bincount(batch.labels, minlength=10)).sum()) / size)
    return found


@pytest.mark.parametrize("size", [1, 4, 16, 64, 256])
def test_untrained_counts_are_exact(digits: Records, size: int) -> None:
    assert overlaps(digits, range(0, 1000), size, None, 100) == [1.0] * 20


@pytest.mark.parametrize(("size", "least"), [(64, 0.84), (256, 0.90)])
def test_trained_counts(digits: Records, trained: dict[str, Tensor], size: int, least: float) -> None:
    found = overlaps(digits, range(1000, 1600), size, trained, 100)
    print(f"trained, B={size}: {sum(found) / 20:.3f}")
    assert sum(found) / 20 >= least


def test_trained_single_labels_are_exact(digits: Records, trained: dict[str, Tensor]) -> None:
    assert overlaps(digits, range(1000, 1600), 1, trained, 100) == [1.0] * 20


@pytest.mark.parametrize(("width", "texts", "tokens", "seconds"), [(256, 8, 23, 5.0), (384, 16, 15, 12.0)])
def test_texts_are_exact(width: int, texts: int, tokens: int, seconds: float) -> None:
    model = cases.decoder_model(20_000, width, 4, tokens=tokens)
    ids = torch.randint(1, 20_000, (texts, tokens), generator=torch.Generator().manual_seed(0))
    update = cases.gradient_update(model, Records(ids, ids))
    began = time.process_time()
    found = Dager(Dager.Params()).run(update, cases.known(model), RunContext(seed=2))
    used = time.process_time() - began
    print(f"d={width}: {used:.1f} CPU s; {found.notes}")
    assert {tuple(row) for row in found.inputs.tolist()} == {tuple(row) for row in ids.tolist()}
    assert used <= seconds
