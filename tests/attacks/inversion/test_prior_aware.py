"""The candidate attack against the closed form of its success."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from auditor.attacks.base import Knowledge, RunContext
from auditor.attacks.inversion.prior_aware import PriorAware
from auditor.core.errors import AttackFailed
from auditor.core.shape import Modality, Task
from auditor.metrics.identification import measure_identification
from auditor.observations.model import Privatisation
from auditor.observations.records import Records
from auditor.observations.released import ClientUpdate
from tests.attacks.inversion import cases

N = 10


def linear() -> nn.Module:
    model = nn.Linear(N, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


MODEL = cases.shared_model(
    linear, input_shape=(N,), classes=1, modality=Modality.TABULAR, task=Task.REGRESSION, traits=frozenset()
)
CANDIDATES = Records(torch.eye(N), torch.full((N, 1), -0.5))  # gradients 2 (0 + 0.5) e_k: orthonormal


def success(sigma: float) -> float:
    """P(the true one of ten orthonormal gradients has the largest noisy inner product)."""

    def density(x: float) -> float:
        return float(stats.norm.pdf(x - 1 / sigma) * stats.norm.cdf(x) ** (N - 1))

    return float(integrate.quad(density, -10, 10 + 1 / sigma)[0])


def guesses(sigma: float, trials: int) -> tuple[list, list]:
    generator = torch.Generator().manual_seed(0)
    attack, known = PriorAware(PriorAware.Params()), Knowledge(MODEL, candidates=CANDIDATES)
    outputs, truths = [], []
    for trial in range(trials):
        true = CANDIDATES[[trial % N]]
        gradient = true.inputs + sigma * torch.randn(1, N, generator=generator)
        known_noise = Privatisation(clipping_norm=1.0, clipped="record", noise_std=sigma)
        update = ClientUpdate(
            0, {"weight": torch.zeros(1, N)}, {"weight": gradient}, "gradient", 1, cases.recipe(), known_noise
        )
        outputs.append(attack.run(update, known, RunContext()))
        truths.append(true)
    return outputs, truths


@pytest.mark.parametrize(("sigma", "published"), [(0.5, 0.674), (1.0, 0.341), (2.0, 0.199)])
def test_closed_form_is_the_published_figure(sigma: float, published: float) -> None:
    assert success(sigma) == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_success_agrees_with_the_closed_form_and_stays_below_the_bound(sigma: float) -> None:
    outputs, truths = guesses(sigma, 300)
    (found,) = measure_identification(outputs, truths, candidates=N)
    error = (success(sigma) * (1 - success(sigma)) / 300) ** 0.5
    bound = float(stats.norm.cdf(stats.norm.ppf(1 / N) + 1 / sigma))  # Kaissis et al., 2023, one full-batch step
    assert found.value == pytest.approx(success(sigma), abs=3.5 * error)
    assert found.value <= bound + 3 * error
    assert found.floor == 0.1
    assert found.interval.low < found.value < found.interval.high


def test_without_noise_the_record_is_certain() -> None:
    outputs, truths = guesses(0.0, 10)
    assert all(np.isclose(float(output.confidence[0]), 1.0) for output in outputs)
    assert measure_identification(outputs, truths, candidates=N)[0].value == 1.0


def test_no_candidates_no_guess() -> None:
    update = cases.gradient_update(MODEL, CANDIDATES[[0]])
    with pytest.raises(AttackFailed, match="no prior"):
        PriorAware(PriorAware.Params()).run(update, Knowledge(MODEL), RunContext())
